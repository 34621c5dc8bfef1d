// Events as messages of AMQP, as TypeScript writes and reads them: every kind of value there and back through the emulator, sizes where
// encodings change, and bytes that are none.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ours, start } from "./facade-support.mjs";
import { dist } from "./support.mjs";

const { decoded, packed } = await dist("internal/message.js");
const { Reader, encoded } = await dist("internal/amqp.js");

const bytes = (...list) => new Uint8Array(list);
const hex = (text) => Uint8Array.from(text.replace(/\s/g, "").match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));

const WHOLE = [0, 1, -1, 127, 128, -128, -129, 255, 256, 2 ** 31 - 1, 2 ** 31, -(2 ** 31), -(2 ** 31) - 1, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER];
const BIG = [0n, -1n, 127n, -128n, 128n, -129n].map((small) => [small, Number(small)]);
const VALUES = {
  ...Object.fromEntries(WHOLE.map((value) => [`whole ${value}`, [value, value]])),
  ...Object.fromEntries(BIG.map(([given, got]) => [`big ${given}`, [given, got]])),
  "largest long": [2n ** 63n - 1n, 2n ** 63n - 1n],
  "smallest long": [-(2n ** 63n), -(2n ** 63n)],
  "largest ulong": [2n ** 64n - 1n, 2n ** 64n - 1n],
  fraction: [0.1, 0.1],
  "minus zero": [-0, -0],
  "not a number": [NaN, NaN],
  infinity: [-Infinity, -Infinity],
  "beyond whole numbers": [2 ** 53, 2 ** 53],
  true: [true, true],
  false: [false, false],
  null: [null, null],
  date: [new Date(-1), new Date(-1)],
  "no text": ["", ""],
  "a mark and more": ["\ufeffGröße 📦\0", "\ufeffGröße 📦\0"],
  "half a pair": ["\ud83d", "\ufffd"],
  ...Object.fromEntries([254, 255, 256, 70_000].map((size) => [`text of ${size}`, ["é".repeat(size / 2) + "x".repeat(size % 2), "é".repeat(size / 2) + "x".repeat(size % 2)]])),
  ...Object.fromEntries([0, 255, 256, 70_000].map((size) => [`${size} bytes`, [new Uint8Array(size).fill(7), new Uint8Array(size).fill(7)]])),
  buffer: [bytes(1, 2).buffer, bytes(1, 2)],
};

test("every kind of value goes there and back through the service", async (t) => {
  const { producer, consumer } = await start(t);
  const nested = { list: [1, [2, []], { a: { b: undefined } }], ["__proto__"]: 1, many: Array.from({ length: 300 }, (_, index) => index) };
  const properties = { ...Object.fromEntries(Object.entries(VALUES).map(([name, [given]]) => [name, given])), nested, absent: undefined };
  const all = {
    ...{ messageId: 300n, correlationId: bytes(1), contentType: "a/b", contentEncoding: "x", subject: "s".repeat(300), to: "t", replyTo: "r" },
    ...{ userId: "ü", groupId: "g", groupSequence: 4_294_967_295, replyToGroupId: "h", creationTime: 5, absoluteExpiryTime: new Date(6) },
  };
  const sender = producer();
  await sender.send([{ body: "x", properties, ...all, annotations: { own: [1, null] } }], { partitionId: "0" });
  const batch = await sender.createBatch({ partitionId: "0" });
  for (const id of [0, 255, 256, 2 ** 53 - 1, 2n ** 64n - 1n]) assert.ok(batch.tryAdd({ body: bytes(), messageId: id }));
  await sender.sendBatch(batch);
  const events = await consumer().receive("0", { from: "earliest" }).nextBatch();
  const [event] = events;
  assert.equal(event.text(), "x");
  const { nested: inner, ...plain } = event.properties;
  assert.deepEqual(plain, Object.fromEntries(Object.entries(VALUES).map(([name, [, got]]) => [name, got])));
  assert.deepEqual(inner, JSON.parse(JSON.stringify({ ...nested, list: [1, [2, []], { a: { b: null } }] })));
  assert.ok(Object.hasOwn(inner, "__proto__"), "a name like any other");
  assert.deepEqual(event.raw().properties, {
    ...all,
    ...{ messageId: 300, userId: new TextEncoder().encode("ü"), creationTime: new Date(5), absoluteExpiryTime: new Date(6) },
  });
  assert.deepEqual(event.annotations.own, [1, null]);
  assert.deepEqual(events.slice(1).map((event) => event.messageId), [0, 255, 256, 2 ** 53 - 1, 2n ** 64n - 1n]);
});

test("what cannot be sent is refused by name, and what came before it in a batch stays", async (t) => {
  const { producer, consumer } = await start(t);
  const circle = {};
  circle.circle = circle;
  const refused = [
    [{ properties: { f: () => 1 } }, /the property 'f': a function cannot be sent/],
    [{ properties: { s: Symbol("s") } }, /the property 's': a symbol cannot be sent/],
    [{ properties: { big: 2n ** 64n } }, /the property 'big': a bigint of more than 64 bits/],
    [{ properties: { date: new Date(NaN) } }, /the property 'date': an invalid Date/],
    [{ properties: { circle } }, /the property 'circle': .* more than 16 deep/],
    [{ subject: 1 }, /'subject' is a string/],
    [{ partitionKey: 1 }, /'partitionKey' is a string/],
    [{ messageId: -1 }, /'messageId' is a string, a whole number that is not negative, or bytes/],
    [{ messageId: 1.5 }, /'messageId' is/],
    [{ correlationId: {} }, /'correlationId' is/],
    [{ userId: 7 }, /'userId' is a string or bytes/],
    [{ groupSequence: 2 ** 32 }, /'groupSequence' is a number of 32 bits/],
    [{ creationTime: 0.5 }, /'creationTime' is a Date or milliseconds/],
    [{ contentType: "ä" }, /the content-type holds characters outside ASCII/],
    [{ contentEncoding: "ä" }, /the content-encoding holds characters outside ASCII/],
    [{ annotations: { ä: 1 } }, /the annotation name 'ä' holds characters outside ASCII/],
    [{ annotations: { "x-opt-partition-key": "k" } }, /set by hand/],
  ];
  const sender = producer();
  const batch = await sender.createBatch({ partitionId: "0" });
  assert.ok(batch.tryAdd({ body: "first", properties: { n: 1 } }));
  const { size } = batch;
  for (const [meta, words] of refused) {
    assert.throws(() => batch.tryAdd({ body: "x", ...meta }), ours("invalid-argument", words));
    assert.equal(batch.size, size);
    await assert.rejects(
      sender.send(["fine", { body: "x", ...meta }], { partitionId: "0" }),
      (error) => ours("invalid-argument", words)(error) && error.eventIndex === 1,
    );
  }
  assert.ok(batch.tryAdd({ body: "last", properties: { n: 2 } }));
  await sender.sendBatch(batch);
  const events = await consumer().receive("0", { from: "earliest" }).nextBatch();
  assert.deepEqual(events.map((event) => [event.text(), event.properties.n]), [["first", 1], ["last", 2]]);
});

test("what other senders write is read: types that JavaScript lacks, symbols for numbers, several sections", () => {
  const one = (code) => new Reader(hex(code)).value();
  assert.deepEqual(
    ["50 ff", "60 ffff", "70 ffffffff", "52 ff", "43", "80 ffffffffffffffff", "53 ff", "44", "51 ff", "61 ffff", "71 ffffffff", "54 ff", "81 ffffffffffffffff", "55 ff"].map(one),
    [255, 65_535, 4_294_967_295, 255, 0, 18_446_744_073_709_551_615n, 255, 0, -1, -1, -1, -1, -1, -1],
  );
  assert.deepEqual([one("56 01"), one("56 00"), one("72 3fc00000"), one("73 0001f4e6")], [true, false, 1.5, "📦"]);
  assert.deepEqual([one("74 01020304"), one("94" + "00".repeat(16))], [bytes(1, 2, 3, 4), new Uint8Array(16)]);
  assert.equal(one("98 00112233445566778899aabbccddeeff"), "00112233-4455-6677-8899-aabbccddeeff");
  assert.deepEqual(one("c1 07 04 52 01 40 54 02 41"), new Map([[1, null], [2, true]]));
  assert.deepEqual(one("e0 04 02 54 01 02"), [1, 2]);
  assert.deepEqual(one("e0 07 02 00 53 01 54 01 02"), [{ descriptor: 1, value: 1 }, { descriptor: 1, value: 2 }]);
  assert.deepEqual(one("00 a3 01 78 40"), { descriptor: "x", value: null });
  const named = (text, value) => `00 a3 ${text.length.toString(16).padStart(2, "0")} ${Buffer.from(text).toString("hex")} ${value}`;
  const message = decoded(hex(`${named("amqp:header:list", "c0 03 02 41 40")} 00 53 75 a0 01 07 ${named("amqp:data:binary", "40")}`));
  assert.deepEqual(message, {
    header: { durable: true, priority: undefined, timeToLive: undefined, firstAcquirer: false, deliveryCount: 0 },
    properties: {},
    data: [bytes(7), null],
  });
});

test("bytes that are no message are refused in words, and none takes long", () => {
  const event = packed("body", { properties: { a: [1, { b: "c" }], d: new Date(0) }, messageId: "x" }).slice(13);
  assert.equal(decoded(event).properties.messageId, "x");
  const wrong = ["00", "00 53", "40", "00 53 73 40", "00 53 74 c0 01 00", "00 53 74 c1 02 01 40", "00 53 75 41", "00 53 77 a1 01 ff", "00 53 77 46", "00 53 77 57 00"];
  wrong.push("00 53 77 f0 00000005 ffffffff 40", "00 53 77 d0 00000004 ffffffff", "00 53 77 73 0000d800", `00 53 77 ${"c0 7f 01".repeat(40)} 40`);
  for (const text of wrong) {
    assert.throws(() => decoded(hex(text)), ours("protocol", /the event cannot be decoded: ./), text);
  }
  let seed = 7;
  const random = (below) => ((seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0) >>> 8) % below;
  const began = performance.now();
  for (let round = 0; round < 20_000; round++) {
    const broken = event.slice(0, random(4) === 0 ? random(event.length) : event.length);
    for (let changes = random(4); changes > 0 && broken.length > 0; changes--) broken[random(broken.length)] = random(256);
    try {
      decoded(broken);
    } catch (error) {
      ours("protocol")(error);
    }
  }
  assert.ok(performance.now() - began < 20_000);
});

test("options cross as they are", () => {
  assert.deepEqual(new Reader(encoded([undefined, "x", 1, 0.5, true, [2n ** 62n]])).value(), [null, "x", 1, 0.5, true, [2n ** 62n]]);
});
