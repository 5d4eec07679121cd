// Where messages are written and edited. What is not sent yet stays when another conversation is opened.

import { editMessage } from "./actions.js";
import { h, View } from "./dom.js";
import { store } from "./store.js";

const MOST = 4000;
const isTouch = () => matchMedia("(pointer: coarse)").matches;

customElements.define(
  "message-composer",
  class extends View {
    build() {
      this.conversationId = Number(this.getAttribute("conversation"));
      this.editing = null;
      this.text = h("textarea", {
        rows: 1,
        "aria-label": "Message",
        placeholder: "Write a message",
        maxlength: MOST,
        dir: "auto",
        // A touch screen would bring up its keyboard.
        "data-focus": !isTouch(),
        oninput: () => this.written(),
        onkeydown: (event) => this.pressed(event),
      });
      const cancel = h("button", { type: "button", class: "link", onclick: () => this.edit(null) }, "Cancel");
      this.notice = h("p", { class: "hint", hidden: true }, "You are editing a message. ", cancel);
      this.button = h("button", { class: "primary" }, "Send");
      this.form = h("form", { onsubmit: (event) => this.submit(event) }, this.notice, this.text, this.button);
      this.append(this.form);
      this.put(store.drafts.get(this.conversationId) ?? "");
    }

    /** Edit a message; null to write a new one again. */
    edit(message, text = message?.text) {
      this.editing = message;
      this.notice.hidden = !message;
      this.button.textContent = message ? "Save" : "Send";
      this.put(text ?? store.drafts.get(this.conversationId) ?? "");
      this.text.focus();
    }

    put(text) {
      this.text.value = text;
      this.fit();
    }

    written() {
      if (!this.editing) store.drafts.set(this.conversationId, this.text.value);
      this.fit();
    }

    /** As high as the text. */
    fit() {
      this.text.style.height = "auto";
      this.text.style.height = `${this.text.scrollHeight + 2}px`;
    }

    pressed(event) {
      if (event.key === "Escape" && this.editing) this.edit(null);
      // On a touch screen the key makes a line break, and the button sends.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing || isTouch()) return;
      event.preventDefault();
      this.form.requestSubmit();
    }

    submit(event) {
      event.preventDefault();
      const text = this.text.value;
      if (!text.trim()) return;
      if (this.editing) this.save(this.editing, text);
      else this.send(text);
    }

    send(text) {
      store.drafts.delete(this.conversationId);
      this.put("");
      this.text.focus();
      this.dispatchEvent(new Event("sent"));
      store.outbox.add(this.conversationId, text);
    }

    async save(message, text) {
      this.edit(null);
      if (text === message.text) return;
      try {
        await editMessage(message, text);
      } catch (error) {
        this.edit(message, text);
        this.dispatchEvent(new CustomEvent("problem", { detail: error.message }));
      }
    }
  },
);
