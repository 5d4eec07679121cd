// One conversation: its messages, and what is being written.

import { deleteMessage } from "./actions.js";
import "./composer.js";
import "./conversation-head.js";
import { fill, h, View } from "./dom.js";
import { ask } from "./forms.js";
import { plural } from "./format.js";
import { MessageList } from "./message-list.js";
import { store } from "./store.js";

// Pixels from the end within which new messages keep the end in sight, and from the beginning at which older ones load.
const NEAR_END = 80;
const NEAR_BEGINNING = 800;

customElements.define(
  "message-view",
  class extends View {
    source = store;

    build() {
      const conversation = this.getAttribute("conversation");
      this.conversationId = Number(conversation);
      this.problem = h("p", { class: "notice", role: "alert", hidden: true });
      this.head = h("conversation-head", { conversation });
      this.older = h("button", { class: "more", hidden: true, onclick: () => this.loadOlder() }, "Show older messages");
      this.nothing = h("p", { class: "hint nothing", hidden: true }, "No messages yet. Say hello.");
      this.scroller = this.makeScroller();
      this.toEnd = h("button", { class: "to-end", hidden: true, onclick: () => this.scrollToEnd() });
      this.composer = h("message-composer", { conversation, hidden: true });
      this.composer.addEventListener("sent", () => (this.isAtEnd = true));
      this.composer.addEventListener("problem", ({ detail }) => this.tell(detail));
      this.closed = h("p", { class: "closed", hidden: true }, "This account is gone: nobody reads here any more.");
      const middle = h("div", { class: "middle" }, this.scroller, this.toEnd);
      this.append(this.head, this.problem, middle, this.composer, this.closed);
      this.isAtEnd = true;
      this.open();
    }

    makeScroller() {
      const attributes = { class: "scroller", tabindex: 0, role: "region", "aria-label": "Messages" };
      const scroller = h("div", attributes, this.older, this.nothing);
      scroller.addEventListener("scroll", () => this.scrolled(), { passive: true });
      // The end stays in sight when the screen turns or the composer grows.
      const observer = new ResizeObserver(() => this.resized());
      observer.observe(scroller);
      this.stop.signal.addEventListener("abort", () => observer.disconnect());
      return scroller;
    }

    async open() {
      try {
        await store.open(this.conversationId);
      } catch (error) {
        this.tell(error.status === 404 ? "You are not in this conversation, or it has ended." : error.message);
      }
    }

    update() {
      const conversation = store.conversations.get(this.conversationId);
      const isOver = conversation?.kind === "private" && !store.otherOf(conversation);
      this.composer.hidden = !conversation || isOver;
      this.closed.hidden = !isOver;
      if (!conversation) return this.wasShown && this.showGone();
      const thread = store.threads.get(this.conversationId);
      if (thread) this.drawMessages(conversation, thread);
    }

    showGone() {
      const hadFocus = this.contains(document.activeElement);
      const text = h("p", { tabindex: -1 }, "You are no longer in this conversation.");
      fill(this, h("div", { class: "empty" }, text, h("a", { class: "button", href: "#" }, "All conversations")));
      this.wasShown = false;
      if (hadFocus) text.focus();
    }

    tell(text) {
      super.tell(text);
      this.problem.hidden = !text;
    }

    // The messages

    makeList(conversation) {
      this.messages = new MessageList({
        isOwn: (message) => message.sender === store.me.username,
        isGroup: conversation.kind === "group",
        actions: {
          edit: (message) => this.composer.edit(message),
          remove: (message) => this.remove(message),
          tryAgain: (clientId) => store.outbox.tryAgain(clientId),
          discard: (clientId) => this.discard(clientId),
        },
      });
      this.scroller.append(this.messages.element);
    }

    drawMessages(conversation, thread) {
      if (!this.messages) this.makeList(conversation);
      const unsent = store.outbox.of(this.conversationId);
      if (!this.isDrawn(thread, unsent)) {
        const keepPlace = this.wasShown && !this.isAtEnd ? this.messages.keepPlace(this.scroller) : null;
        this.showOlder(thread.hasOlder);
        this.nothing.hidden = thread.messages.length + unsent.length > 0;
        this.messages.draw(thread, unsent);
        this.placeView(keepPlace);
        this.messages.settle();
        this.wasShown = true;
      }
      this.showSeen();
    }

    /** Whether everything is as it was: most changes are elsewhere. */
    isDrawn(thread, unsent) {
      const drawn = [thread.messages, thread.mark, thread.hasOlder, ...unsent];
      const isSame = this.drawn?.length === drawn.length && drawn.every((each, index) => each === this.drawn[index]);
      this.drawn = drawn;
      return isSame;
    }

    /** What a reader sees stays where it is, whatever is added, changed or removed above. */
    placeView(keepPlace) {
      const mark = this.wasShown ? null : this.scroller.querySelector(".mark");
      if (mark) mark.scrollIntoView({ block: "center" });
      else if (this.isAtEnd) this.scroller.scrollTop = this.scroller.scrollHeight;
      else keepPlace?.();
      if (mark) this.isAtEnd = this.isNearEnd();
    }

    async remove(message) {
      if (!(await ask("Delete this message?", "Nobody will be able to read it any more.", "Delete"))) return;
      await this.act(() => deleteMessage(message));
      this.composer.text.focus({ preventScroll: true }); // its menu is gone
    }

    discard(clientId) {
      store.outbox.forget(clientId);
      this.composer.text.focus({ preventScroll: true });
    }

    // Scrolling

    /** The screen has turned, or the composer has grown. */
    resized() {
      if (!this.wasShown) return;
      const keepPlace = this.messages.keepPlace(this.scroller);
      this.messages.resized();
      if (this.isAtEnd) this.scrollToEnd();
      else keepPlace();
    }

    isNearEnd() {
      return this.scroller.scrollHeight - this.scroller.scrollTop - this.scroller.clientHeight < NEAR_END;
    }

    scrollToEnd() {
      this.isAtEnd = true;
      this.scroller.scrollTop = this.scroller.scrollHeight;
      this.showSeen();
    }

    scrolled() {
      if (!this.isConnected || !this.wasShown) return;
      this.isAtEnd = this.isNearEnd();
      this.showSeen();
      if (this.scroller.scrollTop < NEAR_BEGINNING) this.loadOlder();
    }

    showSeen() {
      const conversation = store.conversations.get(this.conversationId);
      if (!conversation) return;
      this.showToEnd(conversation);
      store.seesEnd = this.isAtEnd;
      store.markRead();
    }

    showToEnd({ unread_count: unread }) {
      const hadFocus = document.activeElement === this.toEnd;
      this.toEnd.hidden = this.isAtEnd;
      if (hadFocus && this.isAtEnd) this.scroller.focus({ preventScroll: true });
      this.toEnd.textContent = unread ? `↓ ${plural(unread, "new message")}` : "↓ Latest";
    }

    showOlder(isThere) {
      const hadFocus = document.activeElement === this.older;
      this.older.hidden = !isThere;
      if (hadFocus && !isThere) this.scroller.focus({ preventScroll: true });
    }

    loadOlder() {
      store.loadOlder(this.conversationId).catch((error) => this.tell(error.message));
    }
  },
);
