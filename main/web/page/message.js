// How one message is shown.

import { h } from "./dom.js";
import { clock, parts } from "./format.js";
import { go, toReport, toUser } from "./routes.js";

const STATES = { waiting: "Waiting to be sent", sending: "Sending…", sent: "Sent" };

export const dayItem = (text) => h("li", { class: "day" }, h("h2", {}, text));

export const markItem = () => h("li", { class: "mark" }, h("span", {}, "New messages"));

/**
 * A message. `place`: whether it is the user's own, whether it begins a run of one sender, and whether the sender is
 * named. `actions`: `edit` and `remove`.
 */
export function messageItem(message, { isOwn, beginsRun, isNamed }, actions) {
  const sender = message.sender ?? "Deleted account";
  return h(
    "li",
    { class: classes("message", isOwn && "own", beginsRun && "begins"), "data-number": message.number },
    isNamed ? senderLine(message, sender) : h("span", { class: "unseen" }, isOwn ? "You: " : `${sender}: `),
    message.deleted
      ? h("p", { class: "text gone" }, "Message deleted")
      : h("p", { class: "text", dir: "auto" }, linked(message.text)),
    meta(message, isOwn),
    !message.deleted && (isOwn || message.sender) && menu(message, isOwn, actions),
  );
}

function senderLine({ sender }, name) {
  return h("p", { class: "sender" }, sender ? h("a", { href: toUser(sender), dir: "auto" }, name) : name);
}

function meta(message, isOwn) {
  return h(
    "p",
    { class: "meta" },
    message.edited_at && !message.deleted && "edited ",
    h("time", { datetime: message.created_at }, clock(message.created_at)),
    isOwn && !message.deleted && sentMark(),
  );
}

const sentMark = () => [h("span", { "aria-hidden": "true" }, " ✓"), h("span", { class: "unseen" }, " sent")];

function menu(message, isOwn, { edit, remove }) {
  const summary = h("summary", { "aria-label": "What to do with this message" }, "⋯");
  const element = h("details", { class: "menu" }, summary);
  const item = (text, action) => {
    const choose = () => {
      close(element);
      action();
    };
    return h("button", { onclick: choose }, text);
  };
  const own = () => [item("Edit", () => edit(message)), item("Delete", () => remove(message))];
  // Most menus are never opened: their items are made when they are.
  const fillPanel = () => {
    if (element.children.length > 1) return;
    element.append(h("div", { class: "panel" }, isOwn ? own() : item("Report", () => go(toReport(message)))));
  };
  summary.addEventListener("click", fillPanel);
  element.addEventListener("keydown", (event) => event.key === "Escape" && close(element));
  element.addEventListener("focusout", ({ relatedTarget }) => {
    if (!element.contains(relatedTarget)) element.open = false;
  });
  return element;
}

function close(element) {
  element.open = false;
  element.firstChild.focus();
}

/** A message that the server may not have yet. */
export function unsentItem({ text, state, why, client_id }, { tryAgain, discard }) {
  const isFailed = state === "failed";
  return h(
    "li",
    { class: classes("message own unsent", state) },
    h("span", { class: "unseen" }, "You: "),
    h("p", { class: "text", dir: "auto" }, linked(text)),
    h("p", { class: "meta", role: isFailed ? "alert" : null }, isFailed ? `Not sent. ${why}` : STATES[state]),
    isFailed &&
      h(
        "p",
        { class: "buttons" },
        h("button", { onclick: () => tryAgain(client_id) }, "Try again"),
        h("button", { onclick: () => discard(client_id) }, "Discard"),
      ),
  );
}

const classes = (...names) => names.filter(Boolean).join(" ");

function linked(text) {
  const link = ({ href, text }) => h("a", { href, target: "_blank", rel: "noopener noreferrer nofollow" }, text);
  return parts(text).map((part) => (typeof part === "string" ? part : link(part)));
}
