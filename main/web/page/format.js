// Times and texts as people read them, in the language of the browser.

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long", year: "numeric" });
const SHORT_DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const MOMENT = new Intl.DateTimeFormat(undefined, { weekday: "short", hour: "2-digit", minute: "2-digit" });

export const clock = (time) => CLOCK.format(new Date(time));
export const moment = (time) => MOMENT.format(new Date(time));

/** The day of a time, as a text that is the same for all times of a day. */
export const dayOf = (time) => new Date(time).toDateString();

export function day(time) {
  const date = new Date(time);
  const today = new Date();
  if (date.toDateString() === today.toDateString()) return "Today";
  today.setDate(today.getDate() - 1);
  return date.toDateString() === today.toDateString() ? "Yesterday" : DAY.format(date);
}

export const short = (time) => (day(time) === "Today" ? clock(time) : SHORT_DAY.format(new Date(time)));

export const plural = (number, word, many = `${word}s`) => `${number} ${number === 1 ? word : many}`;

export const fullName = (user) => [user.first_name, user.last_name].filter(Boolean).join(" ");

const URLS = /\bhttps?:\/\/[^\s<>"]+/g;

/** The text in parts: strings, and links as {href, text}. Only http and https become links. */
export function parts(text) {
  const result = [];
  let end = 0;
  for (const match of text.matchAll(URLS)) {
    // A bracket or a full stop after an address does not belong to it.
    let url = match[0].replace(/[.,;:!?'"]+$/, "");
    if (url.endsWith(")") && !url.includes("(")) url = url.replace(/\)+[.,;:!?'"]*$/, "");
    if (!URL.canParse(url)) continue;
    result.push(text.slice(end, match.index), { href: url, text: url });
    end = match.index + url.length;
  }
  result.push(text.slice(end));
  return result.filter(Boolean);
}
