// The JavaScript half of the crossings that ../crossing.rs directs: writes events that another client reads, or tells
// what it sees of events that another client wrote.
//
//   node crossing.mjs write|read COUNT CONNECTION_STRING HUB tcp|wss

import { EventHubConsumerClient, EventHubProducerClient, earliestEventPosition } from "@azure/event-hubs";
import rhea from "rhea";
import WebSocket from "ws";

const DEADLINE = 30_000;
const { types } = rhea;

const [verb, count, connectionString, hub, transport] = process.argv.slice(2);
const options = transport === "wss" ? { webSocketOptions: { webSocket: WebSocket } } : {};

const VALUES = {
  null: null,
  true: true,
  false: false,
  ubyte: types.wrap_ubyte(255),
  ushort: types.wrap_ushort(65_535),
  uint: types.wrap_uint(2 ** 32 - 1),
  ulong: types.wrap_ulong(2 ** 53 - 1),
  byte: types.wrap_byte(-128),
  short: types.wrap_short(-32_768),
  int: types.wrap_int(-(2 ** 31)),
  long: types.wrap_long(-(2 ** 53 - 1)),
  float: types.wrap_float(0.5),
  double: 3.25,
  timestamp: types.wrap_timestamp(1_714_979_289_123),
  uuid: types.wrap_uuid(Buffer.from("00112233445566778899aabbccddeeff", "hex")),
  binary: Buffer.from([0, 255]),
  string: "héllo",
  symbol: types.wrap_symbol("a:symbol"),
  list: types.wrap_list([1, "two", null]),
  map: types.wrap_map({ a: 1, b: "c" }),
};

const PROPERTIES = {
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
  date: new Date(1_714_979_289_123),
  binary: Buffer.from([0, 255]),
};

function* corpus() {
  yield ["text", { body: "héllo" }];
  yield ["number", { body: 42.5 }];
  yield ["object", { body: { a: [1, null, { b: "c" }] } }];
  yield ["null", { body: null }];
  yield ["bytes", { body: Buffer.from(Array.from({ length: 256 }, (_, n) => n)) }];
  yield ["sequence", { bodyType: "sequence", body: [[1, "two"], [null]] }];
  for (const [name, body] of Object.entries(VALUES)) yield [`value ${name}`, { bodyType: "value", body }];
  yield ["application properties", { body: "x", properties: PROPERTIES }];
  const properties = {
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
  };
  yield ["properties", { bodyType: "data", body: "x", properties, messageAnnotations: { "x-mine": "kept", "x-number": 5 } }];
  yield ["message-id number", { body: "x", messageId: 7 }];
  // rhea writes every id of bytes as a uuid.
  yield ["message-id uuid", { body: "x", messageId: Buffer.from("00112233445566778899aabbccddeeff", "hex") }];
}

async function write() {
  const producer = new EventHubProducerClient(connectionString, hub, options);
  for (const [name, event] of corpus()) {
    const named = event.bodyType
      ? { ...event, applicationProperties: { case: name } }
      : { ...event, properties: { ...event.properties, case: name } };
    await producer.sendBatch([named], { partitionId: "0" });
  }
  await producer.close();
}

/** A value with the type JavaScript gave it. */
function seen(value) {
  if (value === null || value === undefined) return ["null"];
  if (Buffer.isBuffer(value)) return ["Buffer", value.toString("hex")];
  if (value instanceof Date) return ["Date", value.getTime()];
  if (Array.isArray(value)) return ["array", value.map(seen)];
  if (typeof value === "object") return ["object", Object.entries(value).map(([name, item]) => [name, seen(item)])];
  return [typeof value, value];
}

function tell(event) {
  const raw = event.getRawAmqpMessage();
  const fields = (object) => Object.fromEntries(Object.entries(object ?? {}).map(([name, value]) => [name, seen(value)]));
  const line = {
    bodyType: raw.bodyType,
    body: seen(event.body),
    properties: fields(raw.properties),
    applicationProperties: fields(event.properties),
    annotations: fields(raw.messageAnnotations),
    sequenceNumber: event.sequenceNumber,
    partitionKey: event.partitionKey,
  };
  console.log(JSON.stringify(line));
}

async function read() {
  const consumer = new EventHubConsumerClient("$Default", connectionString, hub, options);
  let told = 0;
  let subscription;
  await new Promise((resolve, reject) => {
    const overdue = setTimeout(() => reject(new Error(`only ${told} of ${count} events within ${DEADLINE} ms`)), DEADLINE);
    subscription = consumer.subscribe(
      "0",
      {
        processEvents: async (events) => {
          for (const event of events) {
            tell(event);
            told += 1;
          }
          if (told >= Number(count)) {
            clearTimeout(overdue);
            resolve();
          }
        },
        processError: async (error) => reject(error),
      },
      { startPosition: earliestEventPosition, maxBatchSize: 50, maxWaitTimeInSeconds: 1, skipParsingBodyAsJson: true },
    );
  });
  await subscription.close();
  await consumer.close();
}

await (verb === "write" ? write() : read());
process.exit(0);
