// For those who are not logged in: log in, register, and what the codes from mails are for.

import { fill, h, View } from "./dom.js";
import { field, form, USERNAME } from "./forms.js";
import { go, route, routes } from "./routes.js";
import { call } from "./server.js";
import { session } from "./session.js";

const ABOUT = "Talk to people on this server: privately, or in groups.";
const username = () => field("Username", { autocomplete: "username", ...USERNAME });
const password = (label, autocomplete, hint) => field(label, { type: "password", autocomplete }, { hint });
const email = (hint) => field("E-mail address", { type: "email", autocomplete: "email", dir: "ltr" }, { hint });
const STRENGTH = "At least 8 characters, not a common password.";

const PAGES = {
  login: {
    title: "Log in",
    fields: () => ({ username: username(), password: password("Password", "current-password") }),
    submit: logIn,
  },
  register: {
    title: "Create an account",
    fields: () => ({
      username: username(),
      email: email("So that others find you. You can hide it in the settings."),
      password: password("Password", "new-password", STRENGTH),
    }),
    submit: async (values) => {
      await call("POST", "/users/register", { body: values, token: null });
      await logIn(values);
    },
  },
  forgot: {
    title: "Forgotten password",
    button: "Send me a code",
    fields: () => ({ email: email("We send a code there, if it is the address of an account.") }),
    submit: async (values) => {
      await call("POST", "/users/password/forgot", { body: values, token: null });
      return "If there is such an account, a mail is on its way to it. Its link leads back here.";
    },
  },
  reset: {
    title: "Set a new password",
    button: "Set the password",
    fields: (code) => ({
      code: field("Code from the mail", { value: code, autocomplete: "one-time-code", spellcheck: "false" }),
      new_password: password("New password", "new-password", STRENGTH),
    }),
    submit: async (values) => {
      const { data } = await call("POST", "/users/password/reset", { body: values, token: null });
      enter(data.token);
    },
  },
  confirm: {
    title: "Confirm your e-mail address",
    button: "Confirm",
    fields: (code) => ({ code: field("Code from the mail", { value: code, spellcheck: "false" }) }),
    submit: async (values) => {
      await call("POST", "/users/email/confirm", { body: values, token: null });
      return "Thank you. The address is confirmed.";
    },
  },
};

async function logIn({ username, password }) {
  const { data } = await call("POST", "/users/login", { body: { username, password }, token: null });
  enter(data.token);
}

/** Go on to what the address says, unless it belongs to signing in. */
function enter(token) {
  const { name } = route();
  if (name in PAGES) history.replaceState(null, "", location.pathname);
  session.begin(token);
  if (name in PAGES) routes.dispatchEvent(new Event("change"));
}

const LINKS = [
  [PAGES.login, "#", "Log in"],
  [PAGES.register, "#register", "Create an account"],
  [PAGES.forgot, "#forgot", "Forgotten password?"],
];

customElements.define(
  "sign-in",
  class extends View {
    build() {
      routes.addEventListener("change", () => this.update(), { signal: this.stop.signal });
    }

    update() {
      const { name, argument, address } = route();
      const isOfPage = name in PAGES; // any other address is where to go on after a login
      const shown = isOfPage ? address : "";
      if (shown === this.drawn) return; // what was entered stays
      this.drawn = shown;
      const page = isOfPage ? PAGES[name] : PAGES.login;
      const fields = page.fields(argument);
      const links = session.token ? [[null, "#", "Back to the chat"]] : LINKS.filter(([other]) => other !== page);
      fill(
        this,
        h(
          "main",
          { class: "card" },
          h("h1", {}, page.title),
          h("p", { class: "hint" }, ABOUT),
          session.why && h("p", { class: "notice", role: "status" }, session.why),
          form({ fields, submit: page.submit, button: page.button ?? page.title }),
          h(
            "nav",
            { class: "links", "aria-label": "Account" },
            links.map(([, href, text]) => h("a", { href }, text)),
          ),
        ),
      );
      const inputs = Object.values(fields).map(({ input }) => input);
      (inputs.find(({ value }) => !value) ?? this.querySelector("button")).focus();
    }
  },
);
