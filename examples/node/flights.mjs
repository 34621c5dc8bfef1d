// Publishes flight records, reads them back, checks every one, and shows how fast that was: what `eventhubs demo` does, through
// the npm package.
//
// usage: node flights.mjs --flights <folder of vega-datasets 1.31's data> [--connection-string <text>] [--event-hub flights] [--count N]
// Without --connection-string the one of EVENTHUB_CONNECTION_STRING is used.

import { randomUUID } from "node:crypto";
import { parseArgs } from "node:util";

import { ConsumerClient, ProducerClient } from "eventhubs";

import { Ledger } from "./ledger.mjs";
import { readFlights } from "./records.mjs";

/** Events that are published in one call: enough to fill batches. */
const PUBLISHED_AT_ONCE = 50_000;
const TAKEN_AT_ONCE = 5_000;
/** No event for this long means that none comes any more. */
const PATIENCE_MS = 30_000;
/** The property that tells this run's events apart in a hub that others use, too. */
const RUN = "demo-run";

const { values: args } = parseArgs({
  options: {
    flights: { type: "string" },
    "connection-string": { type: "string" },
    "event-hub": { type: "string" },
    count: { type: "string" },
    /** The hub is nobody else's: events carry nothing that tells them apart. */
    alone: { type: "boolean", default: false },
  },
});

try {
  await demo();
} catch (error) {
  console.error(`error: ${error?.message ?? error}`);
  process.exitCode = 1;
}

async function demo() {
  const connectionString = args["connection-string"] ?? process.env.EVENTHUB_CONNECTION_STRING;
  if (!args.flights || !connectionString) throw new Error("--flights and a connection string are needed");
  const flights = await readFlights(args.flights);
  if (args.count !== undefined) flights.length = Math.min(flights.length, Math.max(1, Number(args.count)));
  const size = flights.reduce((sum, flight) => sum + flight.body.byteLength, 0);
  console.log(`${grouped(flights.length)} flight records, ${bytes(size)}.`);

  await using(new ProducerClient(connectionString, args["event-hub"]), async (producer) => {
    await using(new ConsumerClient(connectionString, args["event-hub"]), async (consumer) => {
      const run = args.alone ? undefined : randomUUID();
      const ids = await consumer.partitionIds();
      const before = await Promise.all(ids.map((id) => consumer.partitionProperties(id)));

      const published = await publish(producer, flights, run);
      const ledger = new Ledger(flights, ids.length);
      const back = await readBack(consumer, before, ledger, flights.length, run);
      const digest = ledger.close();

      console.log(`\n${table([published, back])}\n`);
      console.log(`${grouped(flights.length)} events of ${ledger.keys} airports came back from ${ids.length} partitions:`);
      console.log("every key in its partition and in order, every byte as it was sent.");
      console.log(`SHA-256 of all bodies: ${digest}`);
    });
  });
}

async function publish(producer, flights, run) {
  const started = performance.now();
  let size = 0;
  for (let first = 0; first < flights.length; first += PUBLISHED_AT_ONCE) {
    const events = flights.slice(first, first + PUBLISHED_AT_ONCE).map(({ origin, body }) => {
      size += body.byteLength;
      return run === undefined ? { body, partitionKey: origin } : { body, partitionKey: origin, properties: { [RUN]: run } };
    });
    await producer.send(events);
  }
  return { name: "published, wasm in Node", events: flights.length, bytes: size, seconds: since(started) };
}

async function readBack(consumer, before, ledger, expected, run) {
  const started = performance.now();
  const stream = consumer.receiveAll({ from: behind(before) });
  let size = 0;
  while (ledger.seen < expected) {
    const events = await stream.nextBatch({ maxCount: TAKEN_AT_ONCE, maxWaitMs: PATIENCE_MS });
    if (events.length === 0) {
      throw new Error(`only ${grouped(ledger.seen)} of ${grouped(expected)} events came back; no more within ${PATIENCE_MS / 1000} s`);
    }
    for (const event of events) {
      if (run !== undefined && event.properties[RUN] !== run) continue;
      const body = event.bytes;
      size += body.byteLength;
      ledger.check(Number(event.partitionId), event.partitionKey, body);
    }
  }
  const seconds = since(started);
  await stream.close();
  return { name: "read back, wasm in Node", events: ledger.seen, bytes: size, seconds };
}

/** Each partition from behind what it held before. */
function behind(partitions) {
  const start = ({ isEmpty, lastEnqueuedSequenceNumber }) => (isEmpty ? "earliest" : { sequenceNumber: lastEnqueuedSequenceNumber });
  return Object.fromEntries(partitions.map((partition) => [partition.partitionId, start(partition)]));
}

/** Closes the client, whatever happens to the work: `await using` without the syntax that Node 20 does not know. */
async function using(client, work) {
  try {
    await work(client);
  } finally {
    await client.close();
  }
}

function table(legs) {
  const rows = legs.map(({ name, events, bytes: size, seconds }) => {
    return [name, grouped(events), bytes(size), seconds.toFixed(2), grouped(events / seconds), bytes(size / seconds)];
  });
  rows.unshift(["", "events", "bytes", "seconds", "events/s", "bytes/s"]);
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const line = (row) => row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column]))).join("  ");
  return rows.map(line).join("\n");
}

/** A number with its thousands set apart: `231 083`. */
function grouped(number) {
  return String(Math.trunc(number)).replace(/\B(?=(\d{3})+$)/g, " ");
}

/** A number of bytes in the unit that fits: `11.1 MB`. */
function bytes(number) {
  if (number < 1e3) return `${Math.trunc(number)} B`;
  if (number < 1e6) return `${(number / 1e3).toFixed(1)} kB`;
  if (number < 1e9) return `${(number / 1e6).toFixed(1)} MB`;
  return `${(number / 1e9).toFixed(2)} GB`;
}

function since(started) {
  return Math.max(performance.now() - started, 1e-6) / 1000;
}
