// Benchmark peer on the official JavaScript SDK. Its packages are those of tests/interop/js.
//
// wss needs NODE_EXTRA_CA_CERTS to name the emulator's certificate authority.

import { createRequire } from "node:module";
import { parseArgs } from "node:util";

const require = createRequire(new URL("../../tests/interop/js/package.json", import.meta.url));
const { EventHubBufferedProducerClient, EventHubConsumerClient, EventHubProducerClient, earliestEventPosition } =
  require("@azure/event-hubs");

const { values: args } = parseArgs({
  options: {
    "connection-string": { type: "string" },
    hub: { type: "string" },
    mode: { type: "string" },
    size: { type: "string", default: "1024" },
    count: { type: "string", default: "10000" },
    partition: { type: "string", default: "0" },
    transport: { type: "string", default: "tcp" },
    "in-flight": { type: "string" },
  },
});
const size = Number(args.size);
const count = Number(args.count);
const partition = { partitionId: args.partition };
const body = Buffer.alloc(size);
const options = args.transport === "wss" ? { webSocketOptions: { webSocket: require("ws") } } : {};

const modes = { send: sendBatches, single: sendSingle, latency: sendSerially, receive, buffered: sendBuffered };
const result = await modes[args.mode]();
console.log(
  JSON.stringify({ peer: "@azure/event-hubs 6 (Node)", transport: args.transport, mode: args.mode, size, ...result }),
);
process.exit(0);

async function open() {
  const producer = new EventHubProducerClient(args["connection-string"], args.hub, options);
  // Opens the partition's link, so that the clock does not measure it; a batch alone opens another.
  await producer.sendBatch([{ body }], partition);
  return producer;
}

async function sendBatches() {
  const producer = await open();
  const window = Number(args["in-flight"] ?? 4);
  const waiting = [];
  const start = performance.now();
  for (let sent = 0; sent < count; ) {
    const batch = await producer.createBatch(partition);
    while (sent < count && batch.tryAdd({ body })) sent++;
    waiting.push(producer.sendBatch(batch));
    if (waiting.length >= window) await waiting.shift();
  }
  await Promise.all(waiting);
  return since(start, count);
}

async function sendSingle() {
  const producer = await open();
  const window = Number(args["in-flight"] ?? 500);
  const waiting = [];
  const start = performance.now();
  for (let sent = 0; sent < count; sent++) {
    waiting.push(producer.sendBatch([{ body }], partition));
    if (waiting.length >= window) await waiting.shift();
  }
  await Promise.all(waiting);
  return since(start, count);
}

async function sendBuffered() {
  let failure;
  const producer = new EventHubBufferedProducerClient(args["connection-string"], args.hub, {
    ...options,
    onSendEventsErrorHandler: ({ error }) => (failure ??= error),
  });
  // Opens the partition's link, so that the clock does not measure it.
  await producer.enqueueEvent({ body }, partition);
  await producer.flush();
  const start = performance.now();
  for (let sent = 0; sent < count; sent++) await producer.enqueueEvent({ body }, partition);
  await producer.flush();
  const result = since(start, count);
  if (failure) throw failure;
  return result;
}

async function sendSerially() {
  const producer = await open();
  const laps = [];
  const start = performance.now();
  for (let sent = 0; sent < count; sent++) {
    const lap = performance.now();
    await producer.sendBatch([{ body }], partition);
    laps.push(performance.now() - lap);
  }
  const result = since(start, count);
  laps.sort((a, b) => a - b);
  const at = (share) => laps[Math.round((laps.length - 1) * share)] * 1000;
  return { ...result, p50Micros: at(0.5), p99Micros: at(0.99) };
}

function receive() {
  const consumer = new EventHubConsumerClient("$Default", args["connection-string"], args.hub, options);
  let start;
  let first = 0;
  let received = 0;
  return new Promise((resolve, reject) => {
    consumer.subscribe(
      args.partition,
      {
        processEvents: async (events) => {
          if (start === undefined && events.length > 0) {
            start = performance.now();
            first = events.length;
          }
          for (const event of events) {
            if (event.body.length !== size) reject(new Error(`an event of ${event.body.length} bytes`));
          }
          received += events.length;
          // The first call's events were there when the clock started.
          if (received >= count) resolve(since(start, received - first));
        },
        processError: async (error) => reject(error),
      },
      { startPosition: earliestEventPosition, maxBatchSize: 500, prefetchCount: 2000, skipParsingBodyAsJson: true },
    );
  });
}

function since(start, events) {
  return { events, seconds: (performance.now() - start) / 1000 };
}
