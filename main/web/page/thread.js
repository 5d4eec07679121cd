// The messages of one conversation that were loaded: a gapless run that ends with the latest one.

export class Thread {
  /** `messages` by number, upwards. */
  constructor(messages, hasOlder) {
    this.messages = messages;
    this.hasOlder = hasOlder;
    this.isLoading = false;
    // The number after which messages were unread when the user came; null if none were.
    this.mark = null;
  }

  get first() {
    return this.messages[0]?.number ?? 1;
  }

  get last() {
    return this.messages.at(-1)?.number ?? 0;
  }

  /** Put a message at its place, if it has one. False if messages before it are missing. */
  put(message) {
    const index = message.number - this.first;
    if (message.number === this.last + 1) this.messages = [...this.messages, message];
    else if (index >= 0 && index < this.messages.length) this.messages = this.messages.with(index, message);
    return message.number <= this.last;
  }

  prepend(older, hasOlder) {
    this.messages = [...older, ...this.messages];
    this.hasOlder = hasOlder;
  }
}
