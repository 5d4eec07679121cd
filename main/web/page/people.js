// Finding people, and the contact book.

import { activityOf } from "./availability.js";
import { avatar, back, h, reconcile, View } from "./dom.js";
import { field, USERNAME } from "./forms.js";
import { fullName, plural } from "./format.js";
import { toUser } from "./routes.js";
import { call } from "./server.js";
import { store } from "./store.js";

// Milliseconds without a key after which the search is made.
const PAUSE = 300;

function row({ user, activity }) {
  const about = [fullName(user), activity].filter(Boolean).join(" · ");
  return h(
    "li",
    {},
    h(
      "a",
      { href: toUser(user.username) },
      avatar(user.username),
      h("span", { class: "name", dir: "auto" }, user.username),
      about && h("span", { class: "last", dir: "auto" }, about),
    ),
  );
}

customElements.define(
  "people-view",
  class extends View {
    source = store;

    build() {
      const attributes = {
        type: "search",
        placeholder: "A name or an address",
        maxlength: 100,
        "data-focus": true,
      };
      this.search = field("Find people", { ...attributes, ...USERNAME, oninput: () => this.later() });
      this.found = h("ul", { class: "people", "aria-label": "Found" });
      this.more = h("button", { class: "more", hidden: true, onclick: () => this.find(this.next) }, "Show more");
      this.status = h("p", { class: "hint", role: "status" });
      this.contacts = h("ul", { class: "people", "aria-labelledby": "contacts" });
      this.none = h("p", { class: "hint" }, "Nobody yet. Find somebody above, and add them on their page.");
      const heading = h("h2", { id: "contacts" }, "Your contacts");
      this.append(
        h("header", { class: "head" }, back(), h("h1", {}, "People")),
        h(
          "div",
          { class: "page" },
          h("search", {}, this.search.row, this.status, this.found, this.more),
          heading,
          this.none,
          this.contacts,
        ),
      );
      this.users = [];
      this.values = new WeakMap();
    }

    update() {
      this.none.hidden = store.contacts.length > 0;
      const entries = store.contacts.map((user) => ({ key: user.username, value: this.shown(user) }));
      reconcile(this.contacts, entries, row);
    }

    /** What a row shows: the same object as long as nothing of it changes. */
    shown(user) {
      const activity = activityOf(user.username);
      let value = this.values.get(user);
      if (value?.activity !== activity) this.values.set(user, (value = { user, activity }));
      return value;
    }

    disconnectedCallback() {
      super.disconnectedCallback();
      clearTimeout(this.timer);
    }

    later() {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.find(), PAUSE);
    }

    async find(next) {
      const text = this.search.input.value.trim();
      this.asked?.abort();
      this.asked = new AbortController();
      this.search.showError("");
      if (!text) {
        this.show([], null, "");
        return;
      }
      const path = next ?? `/users/contacts/find-users?search=${encodeURIComponent(text)}`;
      try {
        const page = await call("GET", path, { signal: this.asked.signal });
        const users = next ? [...this.users, ...page.data] : page.data;
        this.show(users, page.next, told(users.length, page.next));
      } catch (error) {
        if (error.name !== "AbortError") this.search.showError(error.fields?.search ?? error.message);
      }
    }

    show(users, next, status) {
      this.users = users;
      this.next = next;
      if (document.activeElement === this.more && !next) this.search.input.focus();
      this.more.hidden = !next;
      this.status.textContent = status;
      const entries = users.map((user) => ({ key: user.username, value: this.shown(user) }));
      reconcile(this.found, entries, row);
    }
  },
);

function told(number, next) {
  if (number) return `${plural(number, "person", "people")} found${next ? ", and there are more" : ""}.`;
  return next ? "Nobody yet; there is more to look through." : "Nobody was found.";
}
