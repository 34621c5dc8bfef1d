// Codecs on both sides: JSON, text, bytes and one of a user's own. A body that does not decode is an event with its error.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ours, start } from "./facade-support.mjs";
import { EventProcessor, MemoryCheckpointStore, QUICK } from "./processor-support.mjs";
import { dist } from "./support.mjs";

const { bytes, json, text } = await dist("index.js");

/** A user's own: numbers as four bytes. */
const number = {
  contentType: "application/x-number",
  encode: (value) => {
    if (!Number.isInteger(value)) throw new RangeError("only whole numbers");
    return new Uint8Array(new Int32Array([value]).buffer);
  },
  decode: (given, event) => {
    if (event.contentType !== number.contentType) throw new TypeError(`not a number, but ${event.contentType}`);
    return new Int32Array(given.slice().buffer)[0];
  },
};

const KINDS = [
  ["JSON", json(), { a: [1, null, "ß"] }, "application/json", "{oops"],
  ["text", text(), "Größe 📦", "text/plain; charset=utf-8", new Uint8Array([0xff, 0xfe])],
  ["bytes", bytes(), new Uint8Array([0, 255, 7]), undefined, undefined],
  ["a user's own", number, -77, "application/x-number", "seven"],
];

for (const [what, codec, value, contentType, poison] of KINDS) {
  test(`${what}: by send, batch and writable, and back by every way of reading`, async (t) => {
    const { producer, consumer } = await start(t);
    const sender = producer();
    await sender.send([{ body: value }], { codec, partitionId: "0" });
    const batch = await sender.createBatch({ codec, partitionId: "0" });
    assert.equal(batch.tryAdd({ body: value, properties: { n: 1 } }), true);
    await sender.sendBatch(batch);
    if (poison !== undefined) await sender.send([{ body: poison }], { partitionId: "0" });
    const writer = sender.writable({ codec, partitionId: "0" }).getWriter();
    await writer.write({ body: value });
    await writer.close();
    const expected = poison === undefined ? [true, true, true] : [true, true, false, true];

    const check = (events) => {
      assert.deepEqual(events.map((event) => event.decoded.ok), expected);
      for (const event of events) {
        const { decoded } = event;
        if (decoded.ok) {
          assert.deepEqual([event.body, decoded.value, event.contentType], [value, value, contentType]);
          continue;
        }
        ours("invalid-argument", /the body of event 2 of partition '0' does not decode: ./)(decoded.error);
        assert.ok(decoded.error.cause instanceof Error);
        assert.throws(() => event.body, ours("invalid-argument"));
        assert.ok(event.bytes.length > 0, "what came is there all the same");
      }
    };
    const reader = consumer();
    const single = [];
    for await (const event of reader.receive("0", { from: "earliest", codec })) if (single.push(event) === expected.length) break;
    check(single);
    const many = [];
    for await (const some of reader.receiveAll({ from: "earliest", codec }).batches()) {
      many.push(...some);
      if (many.length === expected.length) break;
    }
    check(many);
    const shared = [];
    const processor = new EventProcessor(reader, new MemoryCheckpointStore(), { ...QUICK, strategy: "greedy", codec });
    const stop = new AbortController();
    await processor.run(
      {
        process: (events) => {
          shared.push(...events);
          if (shared.length >= expected.length) stop.abort();
        },
        error: (error) => assert.fail(error),
      },
      { signal: stop.signal },
    );
    check(shared);
  });
}

test("a value that has no encoding is refused, by its number, and nothing of it is sent", async (t) => {
  const { producer, consumer } = await start(t);
  const sender = producer();
  for (const [codec, bad] of [[json(), undefined], [json(), { big: 1n }], [number, 0.5], [text(), 7]]) {
    await assert.rejects(
      sender.send([{ body: codec === number ? 1 : "fine" }, { body: bad }], { codec, partitionId: "0" }),
      (error) => ours("invalid-argument", /codec cannot encode|text or bytes/)(error) && error.eventIndex === 1,
    );
  }
  await sender.send("last", { partitionId: "0" });
  const [first] = await consumer().receive("0", { from: "earliest" }).nextBatch();
  assert.equal(first.text(), "last");
});
