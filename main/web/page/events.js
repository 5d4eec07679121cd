// The stream of events: it is held open, taken up again where it ended, and tells how it is.

import { Refusal, Unreachable } from "./server.js";
import { session } from "./session.js";

// Seconds without a byte after which the connection counts as lost: the server sends something every 20 seconds.
const SILENCE = 30;

export class Stream extends EventTarget {
  /** `handle(name, data)` is called for one event after the other, and may take its time. */
  constructor(handle) {
    super();
    this.handle = handle;
    this.lastId = "";
    this.pause = 1000;
    this.isOpen = false;
    this.isOver = false;
    this.wake = () => {};
  }

  async run() {
    const hurry = () => this.hurry();
    addEventListener("online", hurry);
    document.addEventListener("visibilitychange", hurry);
    for (let failures = 0; !this.isOver;) {
      const began = Date.now();
      try {
        await this.listen();
        failures = 0;
      } catch {
        failures = Date.now() - began > 10_000 ? 0 : failures + 1;
      }
      this.setOpen(false);
      if (!this.isOver) await this.rest(Math.min(this.pause * 2 ** Math.max(0, failures - 1), 30_000));
    }
    removeEventListener("online", hurry);
    document.removeEventListener("visibilitychange", hurry);
  }

  close() {
    this.isOver = true;
    this.connection?.abort();
    this.wake();
  }

  hurry() {
    if (document.hidden) return;
    // After sleep a dead connection looks alive.
    if (this.isOpen && Date.now() - this.heardAt > 1000 * SILENCE) this.connection.abort();
    this.wake();
  }

  rest(milliseconds) {
    return new Promise((resolve) => {
      this.wake = resolve;
      setTimeout(resolve, milliseconds);
    });
  }

  async listen() {
    this.connection = new AbortController();
    const { signal } = this.connection;
    const headers = { Accept: "text/event-stream", Authorization: `Token ${session.token}` };
    if (this.lastId) headers["Last-Event-ID"] = this.lastId;
    this.listenForSilence();
    try {
      const answer = await fetch("/events", { headers, signal, cache: "no-store" });
      if (answer.status === 401) {
        this.isOver = true;
        session.end(session.token, "You were logged out.");
        return;
      }
      if (!answer.ok) throw new Error(`${answer.status}`);
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let text = "", part; !(part = await reader.read()).done;) {
        this.listenForSilence();
        const blocks = (text + part.value).split("\n\n");
        text = blocks.pop();
        for (const block of blocks) await this.take(block);
        if (signal.aborted) return;
      }
    } finally {
      clearTimeout(this.alarm);
      this.connection.abort();
    }
  }

  listenForSilence() {
    this.heardAt = Date.now();
    clearTimeout(this.alarm);
    this.alarm = setTimeout(() => this.connection.abort(), 1000 * SILENCE);
  }

  async take(block) {
    const { id, event, data, retry } = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/)));
    if (retry) this.pause = Number(retry);
    if (event) {
      clearTimeout(this.alarm); // the time that handling takes is not the server's silence
      await this.handOn(event, JSON.parse(data));
      if (this.connection.signal.aborted) return;
      this.lastId = id;
      this.listenForSilence();
    }
    this.setOpen(true);
  }

  async handOn(event, data) {
    try {
      await this.handle(event, data);
    } catch (error) {
      // What the server refuses now is asked for again with the same event. Anything else is a mistake here, which
      // loading everything again may mend.
      if (!(error instanceof Unreachable || error instanceof Refusal)) {
        console.error(error);
        this.lastId = "";
      }
      throw error;
    }
  }

  setOpen(isOpen) {
    if (isOpen === this.isOpen) return;
    this.isOpen = isOpen;
    this.dispatchEvent(new Event("change"));
  }
}
