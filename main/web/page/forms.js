// Fields, forms, and questions before something is done.

import { h } from "./dom.js";

let counter = 0;

/** A labelled field of a form: {row, input, showError}. */
export function field(label, attributes = {}, { hint = "", tag = "input" } = {}) {
  const id = `field-${++counter}`;
  const error = h("p", { class: "error", id: `${id}-error`, hidden: true });
  const help = hint ? h("p", { class: "hint", id: `${id}-hint` }, hint) : null;
  const described = [hint && `${id}-hint`, `${id}-error`].filter(Boolean).join(" ");
  const input = h(tag, { id, "aria-describedby": described, ...attributes });
  const showError = (text) => {
    error.textContent = text ?? "";
    error.hidden = !text;
    if (text) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  };
  return { row: h("div", { class: "field" }, h("label", { for: id }, label), input, help, error), input, showError };
}

/** A field in which one of the options, given as {value: text}, is chosen. */
export function choice(label, options, value, hint) {
  const made = field(label, {}, { tag: "select", hint });
  made.input.append(...Object.entries(options).map(([key, text]) => h("option", { value: key }, text)));
  if (value) made.input.value = value;
  return made;
}

/** A name of a user, as it is typed. */
export const USERNAME = { autocapitalize: "none", spellcheck: "false", dir: "auto" };

/**
 * A form whose `submit(values)` calls the server and returns what to say then. Refusals are shown at their fields, or
 * below all of them. `fields` are those of `field()`, by the name that the server knows them by.
 */
export function form({ fields, submit, button, className = "", isPrimary = true }) {
  const problem = h("p", { class: "error", role: "alert" });
  const done = h("p", { class: "done", role: "status" });
  const go = h("button", { class: isPrimary ? "primary" : null }, button);
  const rows = Object.values(fields).map(({ row }) => row);
  const buttons = h("div", { class: "buttons" }, go);
  return h("form", { class: className, novalidate: true, onsubmit }, rows, buttons, problem, done);

  async function onsubmit(event) {
    event.preventDefault();
    if (go.getAttribute("aria-disabled")) return;
    problem.textContent = done.textContent = "";
    for (const each of Object.values(fields)) each.showError("");
    go.setAttribute("aria-disabled", "true"); // unlike `disabled` this keeps the focus
    try {
      const values = Object.fromEntries(Object.entries(fields).map(([name, { input }]) => [name, input.value]));
      done.textContent = (await submit(values)) ?? "";
    } catch (error) {
      show(error);
    } finally {
      go.removeAttribute("aria-disabled");
    }
  }

  function show(error) {
    const wrong = Object.entries(error.fields ?? {}).filter(([name]) => name in fields);
    for (const [name, reason] of wrong) fields[name].showError(reason);
    if (wrong.length) fields[wrong[0][0]].input.focus();
    else problem.textContent = error.message;
  }
}

/** Ask before something is done; the promise tells whether the user agreed. The focus goes back to where it was. */
export function ask(title, text, yes) {
  return new Promise((resolve) => {
    const id = `dialog-${++counter}`;
    const close = (answer) => dialog.close(answer);
    const dialog = h(
      "dialog",
      { "aria-labelledby": id, "aria-describedby": `${id}-text` },
      h("h2", { id }, title),
      h("p", { id: `${id}-text` }, text),
      h(
        "div",
        { class: "buttons end" },
        h("button", { onclick: () => close(""), autofocus: true }, "Cancel"),
        h("button", { class: "danger", onclick: () => close("yes") }, yes),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
