// The user's own profile, settings and account.

import { changeProfile, changeSettings } from "./actions.js";
import { back, fill, h, View } from "./dom.js";
import { ask, choice, field, form, USERNAME } from "./forms.js";
import { weekTable } from "./hours.js";
import { go } from "./routes.js";
import { call } from "./server.js";
import { session } from "./session.js";
import { store } from "./store.js";

const AUDIENCES = { everyone: "Everyone", contacts: "My contacts", nobody: "Nobody" };
const THEMES = { system: "As the device", light: "Light", dark: "Dark" };

// What each section shows of the store, and how.
const SECTIONS = [
  ["Appearance", () => store.settings.theme, appearance],
  ["Profile", () => store.me, profile],
  ["E-mail address", () => [store.me.email, store.settings.email_verified], address],
  ["Privacy", () => store.settings.privacy, privacy],
  ["Active hours", () => store.settings.active_hours, activeHours],
  ["Password", () => null, password],
  ["This account", () => null, account],
];

customElements.define(
  "settings-view",
  class extends View {
    source = store;

    build() {
      this.sections = SECTIONS.map(([title, , draw]) => {
        const content = h("div");
        return { element: h("section", {}, h("h2", {}, title), content), content, draw };
      });
      this.append(
        h("header", { class: "head" }, back(), h("h1", { tabindex: -1, "data-focus": true }, "Settings")),
        h(
          "div",
          { class: "page" },
          this.sections.map(({ element }) => element),
        ),
      );
    }

    /** Draw again what has changed, perhaps on another device. What is just being entered here stays. */
    update() {
      if (!store.isLoaded) return;
      this.sections.forEach((section, index) => {
        const shown = JSON.stringify(SECTIONS[index][1]());
        if (shown === section.shown) return;
        section.shown = shown;
        if (!section.content.contains(document.activeElement)) fill(section.content, section.draw());
      });
    }
  },
);

function appearance() {
  const chosen = store.settings.theme in THEMES ? store.settings.theme : "system";
  const problem = h("p", { class: "error", role: "alert" });
  const choose = (theme) => changeSettings({ theme }).catch((error) => (problem.textContent = error.message));
  const radio = ([value, text]) =>
    h(
      "label",
      {},
      h("input", {
        type: "radio",
        name: "theme",
        value,
        checked: value === chosen,
        onchange: () => choose(value),
      }),
      text,
    );
  const legend = h("legend", { class: "unseen" }, "Colours");
  return [h("fieldset", { class: "choices" }, legend, Object.entries(THEMES).map(radio)), problem];
}

function profile() {
  const { me } = store;
  const line = (label, name, attributes = {}) => field(label, { value: me[name], dir: "auto", ...attributes });
  const fields = {
    username: line("Username", "username", { autocomplete: "username", ...USERNAME }),
    first_name: line("First name", "first_name", { autocomplete: "given-name" }),
    last_name: line("Last name", "last_name", { autocomplete: "family-name" }),
    bio: field("About you", { value: me.bio, rows: 3, maxlength: 500, dir: "auto" }, { tag: "textarea" }),
    phone_number: line("Phone number", "phone_number", { type: "tel", autocomplete: "tel", dir: "ltr" }),
    email: line("E-mail address", "email", { type: "email", autocomplete: "email", dir: "ltr" }),
  };
  const submit = (values) => changeProfile(values).then(() => "Saved.");
  return form({ fields, button: "Save the profile", submit, isPrimary: false });
}

function address() {
  if (store.settings.email_verified) return h("p", {}, `Your address ${store.me.email} is confirmed.`);
  const told = h("p", { class: "hint", role: "status" });
  const code = field("Code from the mail", { spellcheck: "false", autocomplete: "one-time-code" });
  const send = async () => {
    try {
      await call("POST", "/users/email/verify");
      told.textContent = `A mail is on its way to ${store.me.email}.`;
    } catch (error) {
      told.textContent = error.message;
    }
  };
  // The event of the settings draws the section again; until then this says it.
  const confirm = (values) => call("POST", "/users/email/confirm", { body: values }).then(() => "It is confirmed.");
  return [
    h("p", {}, "Your address is not confirmed. If you forget your password, a mail to it is the way back."),
    h("p", { class: "buttons" }, h("button", { onclick: send }, "Send me a code")),
    told,
    form({ fields: { code }, button: "Confirm", className: "inline", submit: confirm, isPrimary: false }),
  ];
}

function privacy() {
  const { privacy } = store.settings;
  const findable = field(
    "Others find me by my e-mail address",
    { type: "checkbox", checked: privacy.findable_by_address },
    { hint: "If not everybody sees it: only those who enter all of it." },
  );
  findable.row.classList.add("checkbox");
  const contacts = "My contacts are those in my own contact book.";
  const fields = {
    email: choice("Who sees my e-mail address", AUDIENCES, privacy.email),
    phone_number: choice("Who sees my phone number", AUDIENCES, privacy.phone_number),
    active_hours: choice("Who sees my active hours", AUDIENCES, privacy.active_hours, contacts),
    findable_by_address: findable,
  };
  const submit = async (values) => {
    await changeSettings({ privacy: { ...values, findable_by_address: findable.input.checked } });
    return "Saved.";
  };
  return form({ fields, submit, button: "Save the privacy", isPrimary: false });
}

function activeHours() {
  return weekTable(store.settings.active_hours, (active_hours) => changeSettings({ active_hours }));
}

function password() {
  const type = { type: "password" };
  const fields = {
    current_password: field("Current password", { ...type, autocomplete: "current-password" }),
    new_password: field(
      "New password",
      { ...type, autocomplete: "new-password" },
      { hint: "All other devices are logged out." },
    ),
  };
  const submit = async (values) => {
    session.begin((await call("POST", "/users/password", { body: values })).data.token);
  };
  return form({ fields, submit, button: "Change the password", isPrimary: false });
}

function account() {
  const problem = h("p", { class: "error", role: "alert" });
  const button = (text, action, kind = null) => {
    const onclick = async () => {
      problem.textContent = "";
      await action().catch((error) => (problem.textContent = error.message));
    };
    return h("button", { class: kind, onclick }, text);
  };
  const buttons = [
    button("Log out", () => leave("POST", "/users/logout")),
    button("Log out on all devices", () => leave("POST", "/users/logout-all")),
    button("Download my data", download),
    button("Delete the account", remove, "danger"),
  ];
  return [h("div", { class: "buttons" }, buttons), problem];
}

async function leave(method, path, why = "You were logged out.") {
  const { token } = session;
  await call(method, path);
  go("");
  session.end(token, why);
}

async function remove() {
  const text =
    "Your profile, contacts and settings are gone at once and for ever. What you wrote stays, without your name.";
  if (await ask("Delete the account?", text, "Delete"))
    await leave("DELETE", "/users/profile", "This account was deleted.");
}

async function download() {
  const answer = await fetch("/users/export", { headers: { Authorization: `Token ${session.token}` } });
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).detail ?? "That did not work.");
  const url = URL.createObjectURL(await answer.blob());
  h("a", { href: url, download: "chat-export.json" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
