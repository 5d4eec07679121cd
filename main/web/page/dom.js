// Building and updating elements. Text is only ever set as text.

/** An element. Attributes: `on…` are listeners, true and false are switches, null is left out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) set(element, name, value);
  element.append(...present(children));
  return element;
}

function set(element, name, value) {
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (name === "value" || name === "checked") element[name] = value;
  else if (value === true) element.setAttribute(name, "");
  else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
}

function present(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

/** Replace the children by these. */
export function fill(parent, ...children) {
  parent.replaceChildren(...present(children));
}

/** Set an attribute, or remove it where the value is null. */
export function mark(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else element.setAttribute(name, value);
}

/**
 * Make the children those of the entries, given as {key, value}, in their order. A child whose value is the same stays
 * as it is, with its focus and its place on the screen; others are made by `render(value)`.
 */
export function reconcile(parent, entries, render) {
  const before = parent.rendered ?? new Map();
  const after = new Map();
  let here = parent.firstChild;
  for (const { key, value } of entries) {
    const known = before.get(key);
    const node = known && known.value === value ? known.node : render(value);
    after.set(key, { value, node });
    if (node === here) {
      here = here.nextSibling;
    } else if (known && known.node === here) {
      here = here.nextSibling;
      replace(known.node, node);
    } else {
      move(parent, node, here);
    }
  }
  removeFrom(here);
  parent.rendered = after;
}

/** The focus goes to the same place in the new node, or to the node's first place that can have it. */
function replace(old, node) {
  const hadFocus = old.contains(document.activeElement);
  const selector = "a[href], button, summary, input";
  const index = hadFocus ? [...old.querySelectorAll(selector)].indexOf(document.activeElement) : -1;
  old.replaceWith(node);
  if (!hadFocus) return;
  const places = [...node.querySelectorAll(selector)];
  (places[index] ?? places[0])?.focus();
}

function move(parent, node, before) {
  const active = node.contains(document.activeElement) ? document.activeElement : null;
  parent.insertBefore(node, before);
  active?.focus({ preventScroll: true });
}

function removeFrom(node) {
  while (node) {
    const next = node.nextSibling;
    node.remove();
    node = next;
  }
}

/** An element that shows the store: `build` is called once, `update` whenever something may have changed. */
export class View extends HTMLElement {
  connectedCallback() {
    this.stop = new AbortController();
    this.build();
    this.update();
    this.source?.addEventListener("change", () => this.update(), { signal: this.stop.signal });
  }

  disconnectedCallback() {
    this.stop.abort();
  }

  build() {}

  update() {}

  /** Do what the user wants; why it was refused is told in the element `problem`. */
  async act(action) {
    this.tell("");
    try {
      await action();
    } catch (error) {
      this.tell(error.message);
    }
  }

  tell(text) {
    this.problem.textContent = text;
  }
}

/** The way back to the list, where the screen has room for one of the two. */
export const back = () => h("a", { class: "back", href: "#", "aria-label": "All conversations" }, "‹");

export const avatar = (title) =>
  h("span", { class: "avatar", "aria-hidden": "true", "data-colour": colourOf(title) }, [...title][0]);

/** One of six colours, always the same for a name. */
const colourOf = (name) => [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 6007, 7) % 6;
