// What the user has sent and the server may not have. A message waits here under its client_id, also while the page is
// closed, and is sent again under the same one, so that it arrives once.

import { call, Unreachable } from "./server.js";
import { session } from "./session.js";

// Seconds between two tries, if the server does not say how long to wait.
const PAUSE = 3;

/** A name for a message. `crypto.randomUUID` is missing where the page came by plain HTTP from another machine. */
function newClientId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Outbox {
  /** `changed()` is called after every change, `sent(message)` with what the server has stored. */
  constructor(username, { changed, sent }) {
    Object.assign(this, { username, changed, sent });
    this.token = session.token;
    this.busy = new Set(); // conversations in which something is being sent
    this.messages = this.read();
  }

  of(conversation) {
    return this.messages.filter((each) => each.conversation === conversation);
  }

  add(conversation, text) {
    const message = { conversation, client_id: newClientId(), text, at: Date.now(), state: "waiting", why: "" };
    this.messages = [...this.messages, message];
    this.keep(message);
    this.changed();
    this.sendIn(conversation);
  }

  sendAll() {
    for (const id of new Set(this.messages.map((each) => each.conversation))) this.sendIn(id);
  }

  /** Send what waits in a conversation, one after the other, so that the order stays. */
  async sendIn(id) {
    if (this.busy.has(id)) return;
    this.busy.add(id);
    try {
      for (let next; (next = this.messages.find((each) => each.conversation === id && each.state === "waiting"));) {
        if (!(await this.send(next))) return;
      }
    } finally {
      this.busy.delete(id);
    }
  }

  /** Send one; false if the others should wait. */
  async send({ conversation, client_id, text }) {
    this.change(client_id, { state: "sending" });
    try {
      const options = { body: { text, client_id }, token: this.token };
      const { data } = await call("POST", `/conversations/${conversation}/messages`, options);
      if (session.token !== this.token) return false;
      // If others' messages before it have not arrived yet, its event will bring it to its place.
      this.change(client_id, { state: "sent" });
      this.sent(data);
      return true;
    } catch (error) {
      if (session.token !== this.token) return false;
      const isTemporary = error instanceof Unreachable || error.isTemporary;
      this.change(client_id, { state: isTemporary ? "waiting" : "failed", why: error.message });
      if (isTemporary) setTimeout(() => this.sendIn(conversation), 1000 * (error.retryAfter ?? PAUSE));
      return !isTemporary;
    }
  }

  tryAgain(clientId) {
    this.change(clientId, { state: "waiting", why: "" });
    this.sendIn(this.messages.find((each) => each.client_id === clientId).conversation);
  }

  change(clientId, changes) {
    this.messages = this.messages.map((each) => (each.client_id === clientId ? { ...each, ...changes } : each));
    const changed = this.messages.find((each) => each.client_id === clientId);
    if (changed?.state === "failed") this.keep(changed);
    this.changed();
  }

  forget(clientId) {
    localStorage.removeItem(this.prefix + clientId);
    if (!this.messages.some((each) => each.client_id === clientId)) return;
    this.messages = this.messages.filter((each) => each.client_id !== clientId);
    this.changed();
  }

  // Each message has an entry of its own, so that tabs do not overwrite each other's.

  get prefix() {
    return `chat.unsent.${this.username}.`;
  }

  keep(message) {
    localStorage.setItem(this.prefix + message.client_id, JSON.stringify(message));
  }

  read() {
    const keys = Object.keys(localStorage).filter((key) => key.startsWith(this.prefix));
    const kept = keys.map((key) => JSON.parse(localStorage.getItem(key)));
    return kept
      .sort((a, b) => a.at - b.at)
      .map((each) => ({ ...each, state: each.state === "failed" ? "failed" : "waiting" }));
  }

  /** The user has another name now. */
  rename(username) {
    const before = this.messages.map((each) => this.prefix + each.client_id);
    this.username = username;
    for (const each of this.messages) this.keep(each);
    for (const key of before) localStorage.removeItem(key);
  }
}
