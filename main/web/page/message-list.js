// The messages on the screen, in pieces: the browser skips those that cannot be seen, so that thousands of messages
// scroll like a few.

import { h, reconcile } from "./dom.js";
import { day, dayOf } from "./format.js";
import { dayItem, markItem, messageItem, unsentItem } from "./message.js";

// Messages in a piece.
const PIECE = 50;
// Milliseconds after which a message begins a run of its own.
const RUN = 10 * 60_000;

const MARK = Symbol("mark");

export class MessageList {
  /** `isOwn(message)`; `actions`: what can be done with messages; `isGroup`: whether senders are named. */
  constructor({ isOwn, actions, isGroup }) {
    Object.assign(this, { isOwn, actions, isGroup });
    this.element = h("div", { class: "messages" });
    this.places = new WeakMap();
    this.width = 0;
  }

  draw(thread, unsent) {
    const pieces = [...piecesOf(thread)];
    const entries = [...pieces.map(({ key }) => key), "unsent"].map((key) => ({ key, value: key }));
    reconcile(this.element, entries, () => h("ol"));
    for (const piece of pieces) this.drawPiece(this.pieceOf(piece.key), piece, thread.mark);
    const waiting = unsent.map((value) => ({ key: value.client_id, value }));
    reconcile(this.pieceOf("unsent"), waiting, (value) => unsentItem(value, this.actions));
  }

  pieceOf(key) {
    return this.element.rendered.get(key).node;
  }

  drawPiece(element, { messages, before }, mark) {
    const drawn = [before, mark, ...messages];
    if (element.drawn?.length === drawn.length && drawn.every((each, index) => each === element.drawn[index])) return;
    element.drawn = drawn;
    unsettle(element);
    reconcile(element, this.entries(messages, before, mark), (value) => this.render(value));
  }

  *entries(messages, previous, mark) {
    let before = previous;
    for (const message of messages) {
      const today = dayOf(message.created_at);
      const isNewDay = !before || dayOf(before.created_at) !== today;
      if (isNewDay) yield { key: `day ${today}`, value: day(message.created_at) };
      const isMarked = mark !== null && message.number === mark + 1;
      if (isMarked) yield { key: "mark", value: MARK };
      yield { key: message.number, value: this.placed(message, isNewDay || isMarked || isOtherRun(before, message)) };
      before = message;
    }
  }

  /** The message with how it is to be shown: the same object as long as nothing of it changes. */
  placed(message, beginsRun) {
    let value = this.places.get(message);
    if (value?.beginsRun !== beginsRun) {
      const isOwn = this.isOwn(message);
      value = { message, isOwn, beginsRun, isNamed: this.isGroup && beginsRun && !isOwn };
      this.places.set(message, value);
    }
    return value;
  }

  render(value) {
    if (typeof value === "string") return dayItem(value);
    if (value === MARK) return markItem();
    return messageItem(value.message, value, this.actions);
  }

  /** Let the browser skip the pieces that are complete. Each keeps its height. */
  settle() {
    const complete = [...this.element.children].slice(0, -2).filter((piece) => !piece.classList.contains("settled"));
    const heights = complete.map((piece) => piece.offsetHeight);
    complete.forEach((piece, index) => {
      piece.style.containIntrinsicBlockSize = `auto ${heights[index]}px`;
      piece.classList.add("settled");
    });
  }

  /** With another width every height is another. */
  resized() {
    const width = this.element.offsetWidth;
    if (width === this.width) return;
    this.width = width;
    for (const piece of this.element.children) unsettle(piece);
    this.settle();
  }

  /** A function that scrolls so that what is at the top of the screen now is there again. */
  keepPlace(scroller) {
    const { top } = scroller.getBoundingClientRect();
    const piece = firstBelow(this.element.children, top);
    const number = piece && firstBelow(piece.querySelectorAll(".message"), top)?.dataset.number;
    const topOf = () => this.element.querySelector(`[data-number="${number}"]`)?.getBoundingClientRect().top;
    const before = topOf();
    return () => {
      const after = topOf();
      if (after !== undefined && before !== undefined) scroller.scrollTop += after - before;
    };
  }
}

function unsettle(piece) {
  piece.classList.remove("settled");
  piece.style.containIntrinsicBlockSize = "";
}

/** The first of the elements, which are one below the other, that ends below a line; else the last. */
function firstBelow(elements, line) {
  let low = 0;
  for (let high = elements.length - 1; low < high;) {
    const middle = (low + high) >> 1;
    if (elements[middle].getBoundingClientRect().bottom > line) high = middle;
    else low = middle + 1;
  }
  return elements[low];
}

/** Pieces as {key, messages, before}: always the same numbers in a piece, whatever is loaded. */
function* piecesOf({ messages }) {
  for (let start = 0, end; start < messages.length; start = end) {
    const key = Math.floor(messages[start].number / PIECE);
    end = Math.min(start + PIECE - (messages[start].number % PIECE), messages.length);
    yield { key, messages: messages.slice(start, end), before: messages[start - 1] ?? null };
  }
}

function isOtherRun(before, message) {
  if (before.sender !== message.sender) return true;
  return Date.parse(message.created_at) - Date.parse(before.created_at) > RUN;
}
