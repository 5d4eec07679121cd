// Alice meets Bob, by the types that are generated from the OpenAPI document: see test_generated_clients.py.
// What the server answered is printed as JSON.

import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

declare const process: { argv: string[] };

type Schemas = components["schemas"];

const baseUrl = process.argv[2];
const password = "correct-horse-battery";

function done<Answer>(result: { data?: Answer; error?: unknown }): Answer {
  if (result.data === undefined) throw new Error(JSON.stringify(result.error));
  return result.data;
}

const stranger = createClient<paths>({ baseUrl });
const health: Schemas["HealthStatus"] = done(await stranger.GET("/healthz")).status;
const register = async (username: string): Promise<Schemas["User"]> =>
  done(await stranger.POST("/users/register", { body: { username, password, email: `${username}@example.org` } }));
const alice = await register("alice");
const bob = await register("bob");
const { token } = done(await stranger.POST("/users/login", { body: { username: "alice", password } }));

const client = createClient<paths>({ baseUrl, headers: { Authorization: `Token ${token}` } });
const params = { path: { username: "bob" } };
const profile = done(await client.PUT("/users/profile", { body: { bio: "Curious." } }));
const found = done(await client.GET("/users/contacts/find-users", { params: { query: { search: "bob", limit: 5 } } }));
const contact = done(await client.POST("/users/contacts/contact-book/{username}", { params }));
const contacts = done(await client.GET("/users/contacts/contact-book/"));
const conversation = done(await client.POST("/conversations/private/{username}", { params }));
const kind: Schemas["ConversationKind"] = conversation.kind;
const to = { params: { path: { id: conversation.id } } };
const message: Schemas["Message"] = done(
  await client.POST("/conversations/{id}/messages", { ...to, body: { text: "Hello, Bob!" } }),
);
const blacklisted = done(await client.POST("/users/contacts/blacklist-user/{username}", { params }));
const why: Schemas["BlacklistMessage"] = blacklisted.message;
const refused = await client.POST("/conversations/{id}/messages", { ...to, body: { text: "Hello?" } });

console.log(
  JSON.stringify({
    health,
    usernames: [alice.username, bob.username],
    bio: profile.bio,
    found: found.map((user) => user.username),
    contact: contact.username,
    contacts: contacts.map((user) => user.username),
    kind,
    members: conversation.members,
    message: [message.number, message.sender, message.text],
    why,
    refused: refused.error,
  }),
);
