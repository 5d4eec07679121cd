// Every call to the server goes through here.

import { session } from "./session.js";

const SECONDS = 30;

/** The server has answered that it does not do this. The message is for people; `fields` has those of single fields. */
export class Refusal extends Error {
  constructor(status, body, retryAfter) {
    const fields = {};
    const message = body?.message ?? body?.detail;
    if (!message && body && typeof body === "object" && !Array.isArray(body)) {
      for (const [field, reasons] of Object.entries(body)) fields[field] = [reasons].flat().join(" ");
    }
    super(message ?? (Object.values(fields).join(" ") || `The server answered ${status}.`));
    Object.assign(this, { status, fields, retryAfter });
  }

  /** Whether the same call can succeed later. */
  get isTemporary() {
    return this.status === 429 || (this.status >= 500 && this.status !== 501);
  }
}

/** There was no answer. */
export class Unreachable extends Error {
  constructor() {
    super("The server cannot be reached.");
  }
}

/** Call the server; return the data of the answer, and the path of the next page if there is one. */
export async function call(method, path, { body, headers = {}, signal, token = session.token } = {}) {
  const options = { method, headers: { ...headers }, cache: "no-store" };
  options.signal = AbortSignal.any([AbortSignal.timeout(1000 * SECONDS), ...(signal ? [signal] : [])]);
  if (token) options.headers.Authorization = `Token ${token}`;
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let answer, text;
  try {
    answer = await fetch(path, options);
    text = await answer.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Unreachable();
  }
  const data = parse(text);
  if (answer.ok) return { data, status: answer.status, next: nextOf(answer) };
  if (answer.status === 401 && token) session.end(token, "You were logged out.");
  throw new Refusal(answer.status, data, Number(answer.headers.get("Retry-After")) || null);
}

export const name = encodeURIComponent;

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function nextOf(answer) {
  const link = /<([^>]+)>; rel="next"/.exec(answer.headers.get("Link") ?? "");
  if (!link) return null;
  const url = new URL(link[1], location.href);
  return url.pathname + url.search; // the server may know itself by another name
}
