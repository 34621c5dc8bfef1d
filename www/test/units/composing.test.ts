import assert from "node:assert/strict";
import { test } from "node:test";
import { type Draft, type DraftProperty, DraftError, eventsOf, fill } from "../../src/model/draft.ts";

const NOW = new Date("2026-01-31T12:00:00Z");
const draft = (change: Partial<Draft> = {}): Draft => ({
  body: "event {n}",
  contentType: "",
  route: "any",
  key: "",
  partition: "0",
  properties: [],
  batch: 3,
  ...change,
});

test("the events of a batch are numbered on", () => {
  const bodies = eventsOf(draft(), 41, NOW).map(({ body }) => body);
  assert.deepEqual(bodies, ["event 41", "event 42", "event 43"]);
});

test("only known words in braces are filled in", () => {
  assert.equal(fill('{"n":{n},"t":"{time}","x":{x}}', 7, NOW), '{"n":7,"t":"2026-01-31T12:00:00.000Z","x":{x}}');
  assert.match(fill("{uuid}", 1, NOW), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.match(fill("{random}", 1, NOW), /^\d{1,3}$/);
  assert.equal(fill("plain", 1, NOW), "plain");
});

test("properties have the type that was chosen", () => {
  const properties: DraftProperty[] = [
    { name: "t", kind: "text", value: "1" },
    { name: "n", kind: "number", value: "1.5" },
    { name: "b", kind: "boolean", value: "True" },
    { name: "d", kind: "time", value: "2026-01-31T12:00:00Z" },
    { name: "", kind: "text", value: "" },
  ];
  const [event] = eventsOf(draft({ properties, contentType: " text/plain " }), 1, NOW);
  assert.deepEqual(event?.properties, { t: "1", n: 1.5, b: true, d: NOW });
  assert.equal(event?.contentType, "text/plain");
});

test("what cannot be sent is refused with the field and a sentence", () => {
  const property = (change: Partial<DraftProperty>): DraftProperty[] => [{ name: "p", kind: "text", value: "v", ...change }];
  const table: [Partial<Draft>, string, RegExp][] = [
    [{ batch: 0 }, "batch", /1 to/],
    [{ batch: 1.5 }, "batch", /1 to/],
    [{ batch: 1_000_000 }, "batch", /1 to/],
    [{ route: "key" }, "key", /key/],
    [{ properties: property({ name: " " }) }, "properties", /no name/],
    [{ properties: [...property({}), ...property({})] }, "properties", /twice/],
    [{ properties: property({ kind: "number" }) }, "properties", /number/],
    [{ properties: property({ kind: "number", value: "" }) }, "properties", /number/],
    [{ properties: property({ kind: "boolean" }) }, "properties", /true or false/],
    [{ properties: property({ kind: "time" }) }, "properties", /time/],
  ];
  for (const [change, field, says] of table) {
    assert.throws(
      () => eventsOf(draft(change), 1, NOW),
      (error: unknown) => error instanceof DraftError && error.field === field && says.test(error.message),
      JSON.stringify(change),
    );
  }
});
