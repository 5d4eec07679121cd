// What the user does. The answers change the store at once; events bring the same to the user's other devices.

import { call, name as inPath } from "./server.js";
import { store } from "./store.js";

export async function openPrivate(username) {
  return store.takeConversation((await call("POST", `/conversations/private/${inPath(username)}`)).data);
}

export async function createGroup(name, members) {
  return store.takeConversation((await call("POST", "/conversations/groups", { body: { name, members } })).data);
}

export async function renameGroup(id, name) {
  store.takeConversation((await call("PUT", `/conversations/${id}`, { body: { name } })).data);
}

export async function addMember(id, username) {
  store.takeConversation((await call("POST", `/conversations/${id}/members/${inPath(username)}`)).data);
}

export async function removeMember(id, username) {
  await call("DELETE", `/conversations/${id}/members/${inPath(username)}`);
  if (username === store.me.username) store.forget(id);
}

const pathOf = ({ conversation, number }) => `/conversations/${conversation}/messages/${number}`;

export async function editMessage(message, text) {
  store.takeMessage((await call("PUT", pathOf(message), { body: { text } })).data);
}

export async function deleteMessage(message) {
  await call("DELETE", pathOf(message));
  store.takeMessage({ ...message, text: "", deleted: true });
}

export async function addContact(username) {
  await call("POST", `/users/contacts/contact-book/${inPath(username)}`);
  await store.loadContacts();
}

export async function removeContact(username) {
  await call("DELETE", `/users/contacts/contact-book/${inPath(username)}`);
  await store.loadContacts();
}

export async function changeProfile(changes) {
  await store.takeProfile((await call("PATCH", "/users/profile", { body: changes })).data);
}

export async function changeSettings(changes) {
  store.takeSettings((await call("PATCH", "/users/settings", { body: changes })).data);
}
