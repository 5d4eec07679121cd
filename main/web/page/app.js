// The page as a whole: who is logged in, what is shown, and how the connection is.

import "./conversation-list.js";
import { fill, h, View } from "./dom.js";
import "./group.js";
import "./message-view.js";
import "./people.js";
import "./person.js";
import { route, routes } from "./routes.js";
import { session } from "./session.js";
import "./settings.js";
import "./sign-in.js";
import { store } from "./store.js";
import { applyTheme } from "./theme.js";

// Milliseconds after which a lost connection is told: a restart of the server takes less.
const PATIENCE = 1500;
// How many of others' new messages stay readable for a screen reader.
const MOST_SAID = 5;

const VIEWS = {
  conversations: () =>
    h(
      "div",
      { class: "empty" },
      h("h1", { tabindex: -1, "data-focus": true }, "Chat"),
      h("p", { class: "hint" }, "Choose a conversation, or find somebody to talk to."),
      h("p", {}, h("a", { class: "button primary", href: "#people" }, "Find people")),
    ),
  conversation: (id) => h("message-view", { conversation: id }),
  people: () => h("people-view"),
  user: ({ username, message }) => h("user-view", { username, message: JSON.stringify(message) }),
  group: () => h("group-view"),
  settings: () => h("settings-view"),
};
// Where the focus goes with a new view: the first of these that can be seen.
const FOCUS = ["main [data-focus]", "main h1[tabindex]", ".conversations [data-last]", ".conversations a", ".side a"];
const CODES = ["confirm", "reset"];

customElements.define(
  "chat-app",
  class extends View {
    source = store;

    build() {
      this.status = h("p", { class: "status", role: "status" });
      this.live = h("div", { class: "unseen", role: "log", "aria-label": "New messages" });
      this.body = h("div", { class: "body" });
      this.append(this.status, this.body, this.live);
      const options = { signal: this.stop.signal };
      session.addEventListener("change", () => this.update(), options);
      routes.addEventListener("change", () => this.update(true), options);
      store.addEventListener("arrived", ({ detail }) => this.say(detail), options);
    }

    update(isNavigation = false) {
      applyTheme(store.settings?.theme);
      this.show(isNavigation);
      this.showConnection();
      this.showTitle();
    }

    /** Show what the address says. What is there already stays. */
    show(isNavigation) {
      const { name, argument, address } = route();
      const part = this.partFor(name);
      if (part !== this.shown) this.change(part);
      if (part !== "in") return;
      const view = name in VIEWS ? name : "conversations";
      this.body.dataset.view = view === "conversations" ? "list" : "main";
      if (this.main.dataset.address !== address) {
        this.main.dataset.address = address;
        if (view !== "conversation") store.open(null);
        fill(this.main, VIEWS[view](argument));
      }
      if (isNavigation) this.moveFocus();
    }

    partFor(name) {
      if (!session.token || CODES.includes(name)) return "out";
      return store.isLoaded ? "in" : "loading";
    }

    change(part) {
      this.shown = part;
      this.main = null;
      delete this.body.dataset.view;
      if (part === "out") fill(this.body, h("sign-in"));
      else if (part === "loading")
        fill(this.body, h("main", { class: "loading" }, h("p", { class: "hint" }, "Loading…")));
      else this.layOut();
    }

    layOut() {
      this.main = h("main", { id: "main" });
      const skip = h(
        "a",
        { class: "skip", href: "#main", onclick: (event) => this.skip(event) },
        "Skip the conversations",
      );
      fill(this.body, skip, h("conversation-list"), this.main);
    }

    skip(event) {
      event.preventDefault();
      this.moveFocus();
    }

    /** To the place where one goes on: in the view, or in the list where a small screen shows that alone. */
    moveFocus() {
      const places = FOCUS.flatMap((selector) => [...this.body.querySelectorAll(selector)]);
      places.find((place) => place.checkVisibility())?.focus();
    }

    showConnection() {
      const isLost = Boolean(session.token) && !store.isOnline;
      if (isLost) {
        this.patience ??= setTimeout(() => {
          this.status.textContent = "No connection. What you write is sent when it is back.";
        }, PATIENCE);
        return;
      }
      clearTimeout(this.patience);
      this.patience = null;
      this.status.textContent = "";
    }

    showTitle() {
      const unread = session.token && store.me ? store.unread : 0;
      document.title = unread ? `(${unread}) Chat` : "Chat";
    }

    /** For screen readers: what has come, but outside of active hours only what comes in the open conversation. */
    say({ message, silent }) {
      if (silent && !store.isReading(message.conversation)) return;
      this.live.append(h("p", {}, `${message.sender ?? "Deleted account"}: ${message.text}`));
      if (this.live.children.length > MOST_SAID) this.live.firstChild.remove();
    }
  },
);
