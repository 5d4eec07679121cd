// The head of a conversation: what it is called, and who is in it.

import { addMember, removeMember, renameGroup } from "./actions.js";
import { avatar, back, fill, h, View } from "./dom.js";
import { ask, field, form, USERNAME } from "./forms.js";
import { plural } from "./format.js";
import { activityOf } from "./availability.js";
import { go, toUser } from "./routes.js";
import { store } from "./store.js";

customElements.define(
  "conversation-head",
  class extends View {
    source = store;

    build() {
      this.conversationId = Number(this.getAttribute("conversation"));
      this.className = "head";
      this.problem = h("p", { class: "error", role: "alert" });
    }

    update() {
      const conversation = store.conversations.get(this.conversationId);
      if (!conversation) return;
      const other = conversation.kind === "private" ? store.otherOf(conversation) : null;
      const activity = other ? activityOf(other) : "";
      if (this.drawn === conversation.members && this.title === store.titleOf(conversation)) {
        if (this.activity) this.activity.textContent = activity;
        return;
      }
      this.drawn = conversation.members;
      this.title = store.titleOf(conversation);
      this.draw(conversation, other, activity);
    }

    draw(conversation, other, activity) {
      const title = h("h1", { dir: "auto", tabindex: -1 }, this.title);
      this.activity = other && h("p", { class: "hint" }, activity);
      const isOpen = this.querySelector("details")?.open;
      const focused = this.contains(document.activeElement);
      fill(
        this,
        back(),
        avatar(conversation.kind === "group" ? "#" : this.title),
        h("div", { class: "title" }, other ? h("a", { href: toUser(other) }, title) : title, this.activity),
        conversation.kind === "group" && this.details(conversation, isOpen),
      );
      if (focused) this.querySelector("summary, h1").focus();
    }

    details(conversation, isOpen) {
      const isOwner = conversation.owner === store.me.username;
      const close = (event) => {
        if (event.key !== "Escape") return;
        element.open = false;
        element.firstChild.focus();
      };
      const element = h(
        "details",
        { class: "details", open: isOpen, onkeydown: close },
        h("summary", {}, plural(conversation.members.length, "member")),
        h(
          "div",
          { class: "panel" },
          h("h2", {}, "Members"),
          h(
            "ul",
            { class: "members" },
            conversation.members.map((name) => this.member(conversation, name, isOwner)),
          ),
          this.problem,
          isOwner && this.ownerForms(conversation),
          h("button", { class: "danger", onclick: () => this.leave(conversation) }, "Leave the group"),
        ),
      );
      return element;
    }

    member(conversation, name, isOwner) {
      const isOneself = name === store.me.username;
      const remove = () => this.act(() => removeMember(conversation.id, name));
      return h(
        "li",
        {},
        isOneself ? h("span", { dir: "auto" }, name) : h("a", { href: toUser(name), dir: "auto" }, name),
        isOneself && h("span", { class: "hint" }, "you"),
        name === conversation.owner && h("span", { class: "hint" }, "owner"),
        isOwner &&
          !isOneself &&
          h("button", { class: "link", onclick: remove }, "Remove", h("span", { class: "unseen" }, ` ${name}`)),
      );
    }

    ownerForms({ id, name }) {
      const username = field("Add somebody", { placeholder: "Username", ...USERNAME });
      const newName = field("Name of the group", { value: name, maxlength: 120, dir: "auto" });
      const add = (values) => addMember(id, values.username.trim()).then(() => "");
      const rename = (values) => renameGroup(id, values.name.trim()).then(() => "");
      return [
        form({ fields: { username }, button: "Add", className: "inline", submit: add, isPrimary: false }),
        form({
          fields: { name: newName },
          button: "Rename",
          className: "inline",
          submit: rename,
          isPrimary: false,
        }),
      ];
    }

    async leave({ id, members }) {
      const text =
        members.length > 1
          ? "You will not see its messages any more. Only its owner can bring you back."
          : "You are the last member: the group ends with you.";
      if (!(await ask("Leave the group?", text, "Leave"))) return;
      await this.act(async () => {
        await removeMember(id, store.me.username);
        go("");
      });
    }
  },
);
