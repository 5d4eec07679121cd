// What the part of the address after # means. It never reaches the server: a code in a link from a mail stays here.

const ROUTES = [
  ["conversation", /^c\/(\d+)$/, Number],
  ["people", /^people$/],
  ["user", /^u\/([^/?]+)(?:\?report=(\d+)\/(\d+))?$/, readUser],
  ["group", /^group$/],
  ["settings", /^settings$/],
  ["confirm", /^confirm=(.+)$/],
  ["reset", /^reset=(.+)$/],
  ["forgot", /^forgot$/],
  ["register", /^register$/],
];

export const routes = new EventTarget();
addEventListener("hashchange", () => routes.dispatchEvent(new Event("change")));

/** The name of the view, and what it is about. */
export function route() {
  const address = location.hash.slice(1);
  for (const [name, pattern, read = (text) => text ?? ""] of ROUTES) {
    const match = pattern.exec(address);
    if (match) return { name, argument: read(...match.slice(1)), address };
  }
  return { name: "conversations", argument: "", address: "" };
}

/** Who is shown, and perhaps which of their messages is to be reported. */
function readUser(username, conversation, number) {
  return { username: decode(username), message: number ? [Number(conversation), Number(number)] : null };
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function go(address) {
  location.hash = address;
}

export const toUser = (username) => `#u/${encodeURIComponent(username)}`;
export const toReport = ({ sender, conversation, number }) => `${toUser(sender)}?report=${conversation}/${number}`;
export const toConversation = (id) => `#c/${id}`;
