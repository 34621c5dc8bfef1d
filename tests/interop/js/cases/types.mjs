// Bodies and properties of every type come back as the SDK wrote them.

import assert from "node:assert/strict";

import rhea from "rhea";

import { onEachTransport, read } from "./support.mjs";

async function roundTrip(clients, event, options) {
  await clients.producer().sendBatch([event], { partitionId: "0" });
  const [received] = await read(clients, 1, { partition: "0", ...options });
  return received;
}

const BODIES = {
  text: "hello",
  unicode: "héllo 日本語 🦀",
  "empty text": "",
  number: 42.5,
  true: true,
  object: { a: [1, null, { b: "c" }] },
  array: [1, "two", null],
  null: null,
  binary: Buffer.from([0xff, 0x00, 0xfe]),
};

for (const [name, body] of Object.entries(BODIES)) {
  onEachTransport(`a body of ${name}`, async (clients) => {
    const received = await roundTrip(clients, { body });
    assert.deepEqual(received.body, body);
    assert.equal(received.getRawAmqpMessage().bodyType, "data");
  });
}

onEachTransport("bodies are left alone when asked", async (clients) => {
  const received = await roundTrip(clients, { body: Buffer.from("12") }, { skipParsingBodyAsJson: true });
  assert.deepEqual(received.body, Buffer.from("12"));
});

const { types } = rhea;
// Written value, and how rhea gives it back.
const VALUES = {
  null: [null, null],
  boolean: [true, true],
  ubyte: [types.wrap_ubyte(255), 255],
  ushort: [types.wrap_ushort(65_535), 65_535],
  uint: [types.wrap_uint(2 ** 32 - 1), 2 ** 32 - 1],
  ulong: [types.wrap_ulong(2 ** 53 - 1), 2 ** 53 - 1],
  byte: [types.wrap_byte(-128), -128],
  short: [types.wrap_short(-32_768), -32_768],
  int: [types.wrap_int(-(2 ** 31)), -(2 ** 31)],
  long: [types.wrap_long(-(2 ** 53 - 1)), -(2 ** 53 - 1)],
  float: [types.wrap_float(0.5), 0.5],
  double: [3.25, 3.25],
  text: ["héllo", "héllo"],
  symbol: [types.wrap_symbol("a:symbol"), "a:symbol"],
  binary: [Buffer.from([0, 255]), Buffer.from([0, 255])],
  uuid: [types.wrap_uuid(Buffer.from("00112233445566778899aabbccddeeff", "hex")), Buffer.from("00112233445566778899aabbccddeeff", "hex")],
  timestamp: [types.wrap_timestamp(1_714_979_289_123), new Date(1_714_979_289_123)],
  list: [types.wrap_list([1, "two", null]), [1, "two", null]],
  map: [types.wrap_map({ a: 1, b: "c" }), { a: 1, b: "c" }],
};

for (const [name, [written, expected]] of Object.entries(VALUES)) {
  onEachTransport(`a value body of ${name}`, async (clients) => {
    const received = await roundTrip(clients, { bodyType: "value", body: written });
    const raw = received.getRawAmqpMessage();
    // The SDK takes every value of bytes for data.
    assert.equal(raw.bodyType, Buffer.isBuffer(expected) ? "data" : "value");
    assert.deepEqual(received.body, expected);
  });
}

onEachTransport("a sequence body", async (clients) => {
  const received = await roundTrip(clients, { bodyType: "sequence", body: [[1, "two"], [null]] });
  assert.equal(received.getRawAmqpMessage().bodyType, "sequence");
  assert.deepEqual(received.body, [[1, "two"], [null]]);
});

onEachTransport("application properties", async (clients) => {
  const properties = {
    text: "héllo",
    zero: 0,
    positive: 42,
    negative: -1,
    large: 2 ** 40,
    "very negative": -(2 ** 40),
    fraction: 1.5,
    yes: true,
    no: false,
    nothing: null,
    list: [1, "two"],
  };
  const date = new Date(1_714_979_289_123);
  const binary = Buffer.from([0, 255]);
  const received = await roundTrip(clients, { body: "x", properties: { ...properties, date, binary } });
  // The SDK gives times as numbers, and spreads bytes into an object while it looks for times.
  assert.deepEqual(received.properties, { ...properties, date: date.getTime(), binary: { ...binary } });
});

onEachTransport("message properties and annotations", async (clients) => {
  const message = {
    body: "x",
    bodyType: "data",
    properties: {
      messageId: "id-1",
      to: "there",
      subject: "about",
      replyTo: "here",
      correlationId: "id-0",
      contentType: "application/json",
      contentEncoding: "gzip",
      absoluteExpiryTime: 1_714_979_289_124,
      creationTime: 1_714_979_289_123,
      groupId: "group",
      groupSequence: 7,
      replyToGroupId: "other",
    },
    messageAnnotations: { "x-mine": "kept", "x-number": 5 },
  };
  const received = await roundTrip(clients, message);
  const raw = received.getRawAmqpMessage();
  assert.deepEqual({ ...raw.properties, ...message.properties }, { ...raw.properties });
  assert.equal(raw.messageAnnotations["x-mine"], "kept");
  assert.equal(raw.messageAnnotations["x-number"], 5);
  assert.equal(received.messageId, "id-1");
  assert.equal(received.correlationId, "id-0");
  assert.equal(received.contentType, "application/json");
});
