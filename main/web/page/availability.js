// Whether a contact is within their active hours, in words.

import { moment } from "./format.js";
import { store } from "./store.js";

/** "" if that is not known. */
export function activityOf(username) {
  const { is_active, changes_at } = store.availability.get(username) ?? {};
  if (is_active === null || is_active === undefined) return "";
  const until = changes_at ? ` until ${moment(changes_at)}` : "";
  return is_active ? `Active${until}` : `Away${until}`;
}
