// What the page knows: the state of the server, kept up to date by the events and by the answers to its own calls.

import { Stream } from "./events.js";
import { Outbox } from "./outbox.js";
import { call, Refusal, Unreachable } from "./server.js";
import { session } from "./session.js";
import { Thread } from "./thread.js";

// How many messages are asked for at once, and how many at most to reach the first unread one.
const PAGE = 50;
const LARGE_PAGE = 100;
const MOST_UNREAD = 500;
// Pages of conversations that are loaded without being asked for: unread ones may be far down.
const PAGES_OF_CONVERSATIONS = 10;
// Seconds after which the server is told again what was read.
const PAUSE = 3;

const REASONS = {
  logout: "You were logged out.",
  password: "The password was changed. Log in with the new one.",
  suspended: "This account is suspended.",
  deactivated: "This account was deactivated.",
  deleted: "This account was deleted.",
  expired: "You were logged out, since this device was not used for long.",
};

/**
 * Tells of a change by the event `change`, of every message that is new or has changed by `message`, of others' new
 * ones by `arrived`, and of the blacklist by `blacklist`.
 */
class Store extends EventTarget {
  /** Begin with what the server has for the token. */
  begin() {
    this.me = null;
    this.settings = null;
    this.conversations = new Map();
    this.nextPage = null; // the path of more conversations
    this.contacts = [];
    this.availability = new Map();
    this.threads = new Map();
    this.drafts = new Map(); // by conversation: what is being written
    this.outbox = null;
    this.isLoaded = false;
    this.openId = null;
    this.seesEnd = false; // whether the end of the open conversation is on the screen
    this.stream = new Stream((name, data) => this.handle(name, data));
    this.stream.addEventListener("change", () => this.connectionChanged());
    this.stream.run();
  }

  end() {
    this.stream?.close();
    this.stream = null;
    this.me = null;
    this.isLoaded = false;
    clearTimeout(this.turn);
  }

  changed() {
    if (this.isScheduled) return;
    this.isScheduled = true;
    queueMicrotask(() => {
      this.isScheduled = false;
      this.dispatchEvent(new Event("change"));
    });
  }

  connectionChanged() {
    if (this.isOnline) {
      this.outbox?.sendAll();
      this.markRead();
    }
    this.changed();
  }

  get isOnline() {
    return Boolean(this.stream?.isOpen);
  }

  get unread() {
    return [...this.conversations.values()].reduce((sum, each) => sum + each.unread_count, 0);
  }

  /** Conversations, the latest activity first. */
  get latest() {
    const activity = (each) => each.last_message?.created_at ?? each.created_at;
    return [...this.conversations.values()].sort((a, b) => compare(activity(b), activity(a)) || b.id - a.id);
  }

  /** What the conversation is called for the user. */
  titleOf(conversation) {
    return conversation.kind === "group" ? conversation.name : (this.otherOf(conversation) ?? "Deleted account");
  }

  /** The other one of a private conversation; null if the account is gone. */
  otherOf(conversation) {
    return conversation.members.find((name) => name !== this.me.username) ?? null;
  }

  isContact(username) {
    return this.contacts.some((contact) => contact.username === username);
  }

  // Loading

  async load() {
    const [me, settings, page, contacts, availability] = await Promise.all([
      call("GET", "/users/profile"),
      call("GET", "/users/settings"),
      call("GET", "/conversations?limit=100"),
      call("GET", "/users/contacts/contact-book/"),
      call("GET", "/users/contacts/availability"),
    ]);
    this.me = me.data;
    this.settings = settings.data;
    this.contacts = contacts.data;
    this.setAvailability(availability.data);
    this.conversations = new Map(page.data.map((each) => [each.id, each]));
    this.nextPage = page.next;
    await this.loadThreadsAgain();
    const callbacks = { changed: () => this.changed(), sent: (message) => this.takeMessage(message, true) };
    this.outbox ??= new Outbox(this.me.username, callbacks);
    this.isLoaded = true;
    this.changed();
    this.outbox.sendAll();
    this.loadConversationsToCount();
  }

  /** Only the open thread is loaded again; the others when they are opened. */
  async loadThreadsAgain() {
    const open = this.threads.get(this.openId);
    this.threads.clear();
    if (!open || !this.conversations.has(this.openId)) return;
    await this.loadThread(this.openId, open.mark);
  }

  async loadConversationsToCount() {
    try {
      for (let page = 1; page < PAGES_OF_CONVERSATIONS && this.nextPage; page++) await this.loadMoreConversations();
    } catch (error) {
      if (!isExpected(error)) throw error; // the button is there
    }
  }

  async loadMoreConversations() {
    const next = this.nextPage;
    if (!next) return;
    const page = await call("GET", next);
    if (this.nextPage !== next) return; // loaded anew in the meantime
    for (const each of page.data) if (!this.conversations.has(each.id)) this.conversations.set(each.id, each);
    this.nextPage = page.next;
    this.changed();
  }

  setAvailability(list) {
    this.availability = new Map(list.map((each) => [each.username, each]));
    // Ask again when the next of them turns.
    clearTimeout(this.turn);
    const next = Math.min(...list.map((each) => (each.changes_at ? Date.parse(each.changes_at) : Infinity)));
    const wait = Math.max(1000, next - Date.now() + 500);
    if (wait < 2 ** 31) this.turn = setTimeout(() => this.loadAvailability().catch(() => {}), wait);
  }

  async loadAvailability() {
    if (!session.token) return;
    this.setAvailability((await call("GET", "/users/contacts/availability")).data);
    this.changed();
  }

  async loadContacts() {
    this.contacts = (await call("GET", "/users/contacts/contact-book/")).data;
    await this.loadAvailability();
  }

  /** Show a conversation: load its latest messages, unless they are there. Null shows none. */
  async open(id) {
    this.openId = id;
    this.seesEnd = false;
    const thread = this.threads.get(id);
    if (thread) thread.mark = markToShow(this.conversations.get(id));
    this.changed();
    if (id === null || thread) return;
    await this.know(id);
    await this.loadThread(id);
    this.changed();
  }

  async know(id) {
    if (!this.conversations.has(id)) this.conversations.set(id, (await call("GET", `/conversations/${id}`)).data);
  }

  /** Nobody tells that somebody has another name now, but their next message does. */
  async knowSender({ conversation: id, sender }) {
    await this.know(id);
    if (sender === null || this.conversations.get(id).members.includes(sender)) return;
    await this.takeChangedConversation((await call("GET", `/conversations/${id}`)).data);
  }

  async loadThread(id, mark = markToShow(this.conversations.get(id))) {
    await this.whileCatching(id, async () => {
      const limit = this.conversations.get(id).unread_count < PAGE - 10 ? PAGE : LARGE_PAGE;
      const page = await call("GET", `/conversations/${id}/messages?limit=${limit}`);
      const thread = new Thread(page.data.reverse(), Boolean(page.next));
      thread.mark = mark;
      while (mark !== null && thread.hasOlder && thread.first > mark && thread.messages.length < MOST_UNREAD) {
        await this.prependPage(id, thread, LARGE_PAGE);
      }
      this.threads.set(id, thread);
    });
    // The page may have more than the events have told until now.
    const known = this.conversations.get(id)?.last_message?.number ?? 0;
    for (const message of this.threads.get(id).messages) if (message.number > known) this.takeMessage(message, true);
  }

  /** Messages that come while a page is on its way may be newer than what the page has. */
  async whileCatching(id, load) {
    const caught = [];
    const listen = ({ detail }) => detail.conversation === id && caught.push(detail);
    this.addEventListener("message", listen);
    try {
      await load();
      for (const message of caught) this.threads.get(id)?.put(message);
    } finally {
      this.removeEventListener("message", listen);
    }
  }

  async prependPage(id, thread, limit) {
    const page = await call("GET", `/conversations/${id}/messages?limit=${limit}&before=${thread.first}`);
    thread.prepend(page.data.reverse(), Boolean(page.next));
  }

  async loadOlder(id) {
    const thread = this.threads.get(id);
    if (!thread?.hasOlder || thread.isLoading) return;
    thread.isLoading = true;
    try {
      await this.whileCatching(id, () => this.prependPage(id, thread, PAGE));
    } finally {
      thread.isLoading = false;
    }
    this.changed();
  }

  // Events

  async handle(event, data) {
    switch (event) {
      case "ready":
      case "reset":
        await this.load();
        break;
      case "message":
        await this.knowSender(data.message).catch(ignoreMissing);
        this.takeMessage(data.message, data.silent);
        break;
      case "conversation":
        await this.takeChangedConversation(data.conversation);
        break;
      case "conversation_removed":
        this.forget(data.conversation);
        break;
      case "read":
        this.takeMark(data.conversation, data.number);
        break;
      case "profile":
        await this.takeProfile(data.profile);
        break;
      case "settings":
        this.takeSettings(data.settings);
        break;
      case "contact":
        await this.loadContacts();
        break;
      case "blacklist":
        this.dispatchEvent(new CustomEvent("blacklist", { detail: data.username }));
        break;
      case "end":
        session.end(session.token, REASONS[data.why] ?? REASONS.logout);
        break;
    }
    this.changed();
  }

  takeMessage(message, silent) {
    const id = message.conversation;
    const isOwn = message.sender === this.me.username;
    const thread = this.threads.get(id);
    this.dispatchEvent(new CustomEvent("message", { detail: message }));
    const isAtItsPlace = thread?.put(message) ?? true;
    this.changed();
    if (isOwn && isAtItsPlace && message.client_id) this.outbox.forget(message.client_id);
    const conversation = this.conversations.get(id);
    if (!conversation) return;
    const isNew = message.number > (conversation.last_message?.number ?? 0);
    if (!isNew && message.number < conversation.last_message.number) return;
    const mark = isNew && isOwn ? message.number : markOf(conversation);
    const unread_count = Math.max(0, message.number - mark);
    this.conversations.set(id, { ...conversation, last_message: message, unread_count });
    if (!isNew || isOwn) return;
    if (thread && conversation.unread_count === 0 && !this.isReading(id)) thread.mark = mark;
    this.dispatchEvent(new CustomEvent("arrived", { detail: { message, silent } }));
  }

  /** `number`: up to which the user has read. */
  takeMark(id, number) {
    const conversation = this.conversations.get(id);
    if (!conversation || number < markOf(conversation)) return; // it only moves forward
    const unread_count = Math.max(0, (conversation.last_message?.number ?? 0) - number);
    this.conversations.set(id, { ...conversation, unread_count });
  }

  async takeChangedConversation(conversation) {
    const before = this.conversations.get(conversation.id);
    this.conversations.set(conversation.id, conversation);
    // Who is gone may have been deleted or have another name now: their messages show it.
    const isGone = before?.members.some((name) => !conversation.members.includes(name));
    if (!isGone || !this.threads.has(conversation.id)) return;
    if (conversation.id === this.openId) await this.loadThread(conversation.id, this.threads.get(conversation.id).mark);
    else this.threads.delete(conversation.id);
  }

  async takeProfile(profile) {
    const isRenamed = profile.username !== this.me.username;
    this.me = profile;
    this.changed();
    if (!isRenamed) return;
    this.outbox.rename(profile.username);
    await this.load(); // the name is in every conversation
  }

  takeConversation(conversation) {
    this.conversations.set(conversation.id, conversation);
    this.changed();
    return conversation;
  }

  takeSettings(settings) {
    this.settings = settings;
    this.changed();
  }

  forget(id) {
    this.conversations.delete(id);
    this.threads.delete(id);
    this.changed();
  }

  /** Whether what comes in the conversation is seen at once. */
  isReading(id) {
    return id === this.openId && this.seesEnd && !document.hidden;
  }

  /** Tell the server that what is on the screen was read. */
  markRead() {
    const conversation = this.conversations.get(this.openId);
    if (!conversation?.unread_count || !this.isReading(conversation.id) || !this.isOnline) return;
    const { number } = conversation.last_message;
    this.takeMark(conversation.id, number);
    this.changed();
    this.tellRead(conversation.id, number, session.token);
  }

  async tellRead(id, number, token) {
    if (session.token !== token) return;
    try {
      await call("POST", `/conversations/${id}/read`, { body: { number }, token });
    } catch (error) {
      if (!isExpected(error)) throw error;
      const isTemporary = error instanceof Unreachable || error.isTemporary;
      if (isTemporary) setTimeout(() => this.tellRead(id, number, token), 1000 * (error.retryAfter ?? PAUSE));
    }
  }
}

const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

const isExpected = (error) => error instanceof Unreachable || error instanceof Refusal;

function ignoreMissing(error) {
  if (error.status !== 404) throw error;
}

/** The number up to which the user has read. */
const markOf = (conversation) => (conversation.last_message?.number ?? 0) - conversation.unread_count;

const markToShow = (conversation) => (conversation.unread_count ? markOf(conversation) : null);

export const store = new Store();

session.addEventListener("change", () => {
  store.end();
  if (session.token) store.begin();
  store.changed();
});
document.addEventListener("visibilitychange", () => store.stream && store.markRead());
if (session.token) store.begin();
