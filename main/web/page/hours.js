// The table of a week with the times at which the user is there.

import { h } from "./dom.js";
import { choice, form } from "./forms.js";

const DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const MOST = 28;
const HINT =
  "Outside of these times messages come silently, and others see that you are away. " +
  "Without any time you are always there.";

const nameOf = (day) => day[0].toUpperCase() + day.slice(1);

/** The table, for the active hours of the settings or null; `save` gets them as they were set. */
export function weekTable(active, save) {
  const zone = zoneChoice(active?.time_zone);
  const rows = Object.fromEntries(DAYS.map((day) => [day, h("div", { class: "windows" })]));
  const add = (day, start, end) => {
    if (DAYS.reduce((sum, each) => sum + rows[each].children.length, 0) >= MOST) return null;
    const added = timeWindow(day, start, end);
    rows[day].append(added);
    return added;
  };
  for (const { day, start, end } of active?.weekly ?? []) add(day, start, end);
  const table = h(
    "table",
    { class: "week" },
    h("caption", { class: "unseen" }, "Active hours of the week"),
    h(
      "tbody",
      {},
      DAYS.map((day) => dayRow(day, rows[day], () => add(day, "09:00", "17:00")?.querySelector("input").focus())),
    ),
  );
  const submit = () => save(read(rows, zone.input.value)).then(() => "Saved.");
  const element = form({ fields: { active_hours: zone }, button: "Save the hours", submit, isPrimary: false });
  element.prepend(h("p", { class: "hint" }, HINT), table);
  return element;
}

function zoneChoice(chosen) {
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const names = new Set([chosen ?? here, here, ...Intl.supportedValuesOf("timeZone")]);
  return choice("Time zone", Object.fromEntries([...names].map((name) => [name, name])));
}

function dayRow(day, windows, add) {
  const label = `Add a time on ${nameOf(day)}`;
  const button = h("button", { type: "button", class: "link", "aria-label": label, onclick: add }, "Add");
  return h("tr", {}, h("th", { scope: "row" }, nameOf(day)), h("td", {}, windows), h("td", {}, button));
}

function timeWindow(day, start, end) {
  const time = (what, value) => h("input", { type: "time", value, "aria-label": `${nameOf(day)}, ${what}` });
  const label = `Remove this time on ${nameOf(day)}`;
  const remove = () => {
    element.closest("tr").querySelector("td:last-child button").focus();
    element.remove();
  };
  // 24:00 is 00:00 of the next day, which the field can show.
  const fields = [time("from", start), h("span", {}, "–"), time("to", end === "24:00" ? "00:00" : end)];
  const button = h("button", { type: "button", class: "link", "aria-label": label, onclick: remove }, "✕");
  const element = h("span", { class: "window" }, fields, button);
  return element;
}

function read(rows, time_zone) {
  const weekly = DAYS.flatMap((day) =>
    [...rows[day].children].map((row) => {
      const [start, end] = [...row.querySelectorAll("input")].map(({ value }) => value);
      return { day, start, end };
    }),
  );
  return weekly.length ? { time_zone, weekly } : null;
}
