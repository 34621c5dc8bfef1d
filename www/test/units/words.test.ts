import assert from "node:assert/strict";
import { test } from "node:test";
import { trouble } from "../../src/model/words.ts";

/** As in src/error.rs. */
const CODES = [
  "invalid-argument", "invalid-connection-string", "unauthorized", "not-found", "message-too-large", "quota-exceeded",
  "server-busy", "timeout", "connection-lost", "connect-failed", "ownership-lost", "invalid-position", "rejected",
  "closed", "protocol", "internal",
];

test("every code of the client has words of its own, and something to do", () => {
  const titles = new Set<string>();
  for (const code of CODES) {
    const said = trouble(Object.assign(new Error("cannot send to eh1: why"), { code }));
    assert.equal(said.code, code);
    assert.equal(said.detail, "cannot send to eh1: why");
    assert.ok(said.advice.length > 10 && said.title.endsWith("."), code);
    assert.doesNotMatch(said.title, /unexpected/, code);
    titles.add(said.title);
  }
  assert.equal(titles.size, CODES.length);
});

test("the page about an error is a link of its own", () => {
  const page = "https://docs.rs/eventhubs/latest/eventhubs/errors/not_found";
  const said = trouble(Object.assign(new Error(`no such hub (not-found); see ${page}`), { code: "not-found", helpUrl: page }));
  assert.equal(said.detail, "no such hub (not-found)");
  assert.equal(said.page, page);
  assert.equal(trouble(new Error("boom")).page, undefined);
});

test("what is no error of the client is said as it is", () => {
  assert.deepEqual(trouble(new TypeError("boom")).code, "TypeError");
  assert.equal(trouble("text").detail, "text");
  assert.match(trouble(undefined).title, /unexpected/);
});
