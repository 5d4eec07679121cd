// The conversations, the latest first.

import { avatar, h, mark, reconcile, View } from "./dom.js";
import { short } from "./format.js";
import { route, routes, toConversation } from "./routes.js";
import { store } from "./store.js";

customElements.define(
  "conversation-list",
  class extends View {
    source = store;

    build() {
      this.list = h("ul", { class: "conversations" });
      const [people, group] = [h("a", { href: "#people" }, "Find people"), h("a", { href: "#group" }, "make a group")];
      this.nothing = h(
        "p",
        { class: "hint nothing" },
        "No conversations yet. ",
        people,
        " to talk to, or ",
        group,
        ".",
      );
      this.more = h("button", { class: "more", onclick: () => this.loadMore() }, "Show more");
      const link = (address, text) => h("a", { href: `#${address}`, "data-route": address }, text);
      const links = [link("people", "People"), link("group", "New group"), link("settings", "Settings")];
      this.links = h("nav", { class: "bar", "aria-label": "Main" }, links);
      const conversations = h("nav", { "aria-label": "Conversations" }, this.nothing, this.list, this.more);
      this.append(h("div", { class: "side" }, this.links, conversations));
      this.values = new WeakMap();
      routes.addEventListener("change", () => this.update(), { signal: this.stop.signal });
    }

    update() {
      if (!store.isLoaded) return;
      const shown = store.latest;
      this.nothing.hidden = shown.length > 0;
      this.more.hidden = !store.nextPage;
      const entries = shown.map((conversation) => ({ key: conversation.id, value: this.shown(conversation) }));
      reconcile(this.list, entries, row);
      this.showCurrent(route());
    }

    /** What a row shows: the same object as long as nothing of it changes, on the same day. */
    shown(conversation) {
      const last = conversation.last_message;
      const time = last && short(last.created_at);
      let value = this.values.get(conversation);
      if (value?.time !== time) this.values.set(conversation, (value = { conversation, time }));
      return value;
    }

    showCurrent({ name, argument }) {
      for (const each of this.links.children) mark(each, "aria-current", each.dataset.route === name ? "page" : null);
      const id = name === "conversation" ? argument : null;
      for (const { firstChild: link } of this.list.children) {
        const isCurrent = Number(link.dataset.id) === id;
        mark(link, "aria-current", isCurrent ? "page" : null);
        // Whoever comes back to the list goes on from there.
        if (id !== null) link.toggleAttribute("data-last", isCurrent);
      }
    }

    loadMore() {
      store.loadMoreConversations().catch(() => {}); // the button stays
    }
  },
);

function row({ conversation, time }) {
  const { id, last_message: last, unread_count: unread } = conversation;
  const title = store.titleOf(conversation);
  return h(
    "li",
    {},
    h(
      "a",
      { href: toConversation(id), "data-id": id, class: unread ? "unread" : null },
      avatar(conversation.kind === "group" ? "#" : title),
      h("span", { class: "name", dir: "auto" }, title),
      last && h("time", { datetime: last.created_at }, time),
      h("span", { class: "last", dir: "auto" }, last ? summary(conversation) : "No messages yet"),
      unread > 0 &&
        h("span", { class: "badge" }, unread > 999 ? "999+" : unread, h("span", { class: "unseen" }, " unread")),
    ),
  );
}

function summary({ kind, last_message: last }) {
  if (last.deleted) return "Message deleted";
  if (last.sender === store.me.username) return `You: ${last.text}`;
  return kind === "group" ? `${last.sender ?? "Deleted account"}: ${last.text}` : last.text;
}
