// Who is logged in on this device: the token, which all tabs share.

const KEY = "chat.token";
// Why the token is gone, for the other tabs.
const WHY = "chat.why";

class Session extends EventTarget {
  constructor() {
    super();
    this.token = localStorage.getItem(KEY);
    this.why = "";
    // Another tab has logged in or out.
    addEventListener("storage", ({ key, newValue }) => {
      if (key === KEY || key === null) this.take(key ? newValue : null, localStorage.getItem(WHY) ?? "");
    });
  }

  begin(token) {
    localStorage.setItem(KEY, token);
    this.take(token);
  }

  /** Forget the token, if it is still this one. `why` is shown to the user. */
  end(token = this.token, why = "") {
    if (token !== this.token) return;
    localStorage.setItem(WHY, why);
    localStorage.removeItem(KEY);
    this.take(null, why);
  }

  take(token, why = "") {
    if (token === this.token) return;
    this.token = token;
    this.why = token ? "" : why;
    this.dispatchEvent(new Event("change"));
  }
}

export const session = new Session();
