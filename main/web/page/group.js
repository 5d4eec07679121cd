// A new group.

import { createGroup } from "./actions.js";
import { back, h, View } from "./dom.js";
import { field, form, USERNAME } from "./forms.js";
import { go, toConversation } from "./routes.js";
import { store } from "./store.js";

const wordsOf = (text) => text.split(/[\s,]+/).filter(Boolean);

customElements.define(
  "group-view",
  class extends View {
    build() {
      const name = field("Name of the group", { maxlength: 120, dir: "auto", "data-focus": true });
      const hint = "Usernames, with spaces between them. You can add more later.";
      this.members = field("Members", { rows: 2, ...USERNAME }, { tag: "textarea", hint });
      const create = async (values) => {
        const { id } = await createGroup(values.name.trim(), wordsOf(values.members));
        go(toConversation(id));
      };
      if (store.contacts.length) this.members.row.append(this.fromContacts());
      this.append(
        h("header", { class: "head" }, back(), h("h1", {}, "New group")),
        h(
          "div",
          { class: "page" },
          form({ fields: { name, members: this.members }, button: "Create the group", submit: create }),
        ),
      );
    }

    /** A button for each contact, which puts them in or takes them out. */
    fromContacts() {
      const { input } = this.members;
      const buttons = store.contacts.map(({ username }) => {
        const toggle = () => {
          const words = wordsOf(input.value);
          const others = words.filter((word) => word !== username);
          input.value = (others.length < words.length ? others : [...words, username]).join(" ");
          show();
        };
        return h("button", { type: "button", class: "chip", dir: "auto", onclick: toggle }, username);
      });
      const show = () => {
        const words = wordsOf(input.value);
        for (const each of buttons) each.setAttribute("aria-pressed", words.includes(each.textContent));
      };
      input.addEventListener("input", show);
      show();
      return h("div", { class: "chips", role: "group", "aria-label": "From your contacts" }, buttons);
    }
  },
);
