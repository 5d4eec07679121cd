// One person's page: who they are, and what one can do.

import { addContact, openPrivate, removeContact } from "./actions.js";
import { activityOf } from "./availability.js";
import { avatar, back, fill, h, View } from "./dom.js";
import { ask, choice, field, form } from "./forms.js";
import { fullName } from "./format.js";
import { go, toConversation } from "./routes.js";
import { call, name as inPath } from "./server.js";
import { store } from "./store.js";

const REASONS = {
  spam: "Spam",
  harassment: "Harassment",
  illegal: "Something illegal",
  impersonation: "They pretend to be somebody else",
  other: "Something else",
};
const BLACKLISTING =
  "Neither of you can send the other direct messages while the entry stands. They are not told. " +
  "Groups that both of you are in go on.";

customElements.define(
  "user-view",
  class extends View {
    source = store;

    build() {
      this.username = this.getAttribute("username");
      this.message = JSON.parse(this.getAttribute("message"));
      this.heading = h("h1", { dir: "auto", tabindex: -1, "data-focus": true }, this.username);
      this.about = h("div", {}, h("p", { class: "hint" }, "Loading…"));
      this.problem = h("p", { class: "error", role: "alert" });
      this.buttons = h("div", { class: "buttons" });
      this.append(
        h("header", { class: "head" }, back(), avatar(this.username), h("div", { class: "title" }, this.heading)),
        h("div", { class: "page" }, this.about, this.problem, this.buttons),
      );
      store.addEventListener("blacklist", () => this.load(), { signal: this.stop.signal });
      this.load();
    }

    update() {
      if (this.user) this.draw();
    }

    async load() {
      const path = inPath(this.username);
      try {
        const [user, blacklist] = await Promise.all([
          call("GET", `/users/contacts/view-user/${path}`),
          call("GET", `/users/contacts/blacklist-user/${path}`),
        ]);
        const isFirst = !this.user;
        this.user = user.data;
        this.blacklist = blacklist.data;
        this.draw();
        if (isFirst && !this.isOneself()) this.buttons.after(this.report());
      } catch (error) {
        const isGone = error.status === 404;
        fill(
          this.about,
          h("p", { class: "notice", role: "alert" }, isGone ? "There is nobody of this name." : error.message),
        );
        fill(this.buttons);
      }
    }

    isOneself() {
      return this.user.username === store.me.username;
    }

    draw() {
      const { user, blacklist } = this;
      const isContact = store.isContact(user.username);
      const drawn = [user, blacklist, isContact, activityOf(user.username)];
      if (this.drawn?.every((each, index) => each === drawn[index])) return;
      this.drawn = drawn;
      this.drawAbout(user, blacklist);
      const focused = [...this.buttons.children].indexOf(document.activeElement);
      fill(this.buttons, !this.isOneself() && this.actions(user, isContact, blacklist.is_blacklisted_by_user));
      this.buttons.children[focused]?.focus();
    }

    drawAbout(user, blacklist) {
      const facts = [
        ["Name", fullName(user)],
        ["About", user.bio],
        ["E-mail", user.email],
        ["Phone", user.phone_number],
        ["Now", activityOf(user.username)],
      ].filter(([, value]) => value);
      const fact = ([name, value]) => h("div", {}, h("dt", {}, name), h("dd", { dir: "auto" }, value));
      fill(
        this.about,
        facts.length
          ? h("dl", { class: "facts" }, facts.map(fact))
          : h("p", { class: "hint" }, "They tell nothing more."),
        blacklist.is_blacklisted && h("p", { class: "notice" }, blacklist.message),
      );
    }

    actions({ username }, isContact, isBlacklisted) {
      const button = (text, action, kind = null) => h("button", { class: kind, onclick: () => this.act(action) }, text);
      return [
        button("Message", async () => go(toConversation((await openPrivate(username)).id)), "primary"),
        isContact
          ? button("Remove from contacts", () => removeContact(username))
          : button("Add to contacts", () => addContact(username)),
        isBlacklisted
          ? button("Remove from blacklist", () => this.setBlacklisted("DELETE"))
          : button("Blacklist", () => this.askToBlacklist(), "danger"),
      ];
    }

    async askToBlacklist() {
      if (await ask(`Blacklist ${this.user.username}?`, BLACKLISTING, "Blacklist")) await this.setBlacklisted("POST");
    }

    async setBlacklisted(method) {
      this.blacklist = (await call(method, `/users/contacts/blacklist-user/${inPath(this.user.username)}`)).data;
      this.draw();
    }

    report() {
      const reason = choice("Reason", REASONS);
      const text = field("What happened", { maxlength: 1000, rows: 3, dir: "auto" }, { tag: "textarea" });
      const evidence = this.message
        ? "Moderators will read the message that you report, and up to five before it."
        : "Moderators read no messages, except those that are reported: to report one, use the menu beside it.";
      const submit = async (values) => {
        const [conversation, number] = this.message ?? [];
        await call("POST", "/reports", {
          body: { username: this.user.username, ...values, conversation, number },
        });
        return "Thank you. The moderators will look at it.";
      };
      return h(
        "details",
        { class: "report", open: Boolean(this.message) },
        h("summary", {}, "Report to the moderators"),
        h("p", { class: "hint" }, evidence),
        form({ fields: { reason, text }, button: "Report", submit, isPrimary: false }),
      );
    }
  },
);
