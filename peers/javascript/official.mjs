// The official SDK. `Buffer` is Node's; in pages it is the polyfill that the SDK needs anyway.

import { EventHubConsumerClient, EventHubProducerClient, earliestEventPosition, latestEventPosition } from "@azure/event-hubs";

import { BATCH, PREFETCH } from "./cases.mjs";

export function producer({ connectionString, hub, ...job }) {
  return new EventHubProducerClient(connectionString, hub, options(job));
}

export function body(size) {
  return Buffer.from(Uint8Array.from({ length: size }, (_, index) => index));
}

/** Calls `take` with batches from the start of the partition until it returns false. */
export function receive(job, take) {
  return subscribe(job, take, { maxBatchSize: BATCH, prefetchCount: PREFETCH, skipParsingBodyAsJson: true });
}

/** Resolves when an event has arrived, everything as it is when nothing is said about it. */
export function first(job) {
  return subscribe(job, (events) => events.length === 0, {});
}

/** Calls `take` with what comes from now on; resolves when the partition is about to be attached, to a function that ends it. */
export async function follow({ connectionString, hub, partition, ...job }, take, failed) {
  const consumer = new EventHubConsumerClient("$Default", connectionString, hub, options(job));
  await new Promise((resolve) => {
    consumer.subscribe(
      partition,
      { processInitialize: async () => resolve(), processEvents: async (events) => take(events), processError: async (error) => failed(error) },
      { startPosition: latestEventPosition, maxBatchSize: BATCH, prefetchCount: PREFETCH, skipParsingBodyAsJson: true },
    );
  });
  return () => consumer.close();
}

async function subscribe({ connectionString, hub, partition, ...job }, take, how) {
  const consumer = new EventHubConsumerClient("$Default", connectionString, hub, options(job));
  await new Promise((resolve, reject) => {
    const processEvents = async (events) => {
      try {
        if (!take(events)) resolve();
      } catch (error) {
        reject(error);
      }
    };
    consumer.subscribe(partition, { processEvents, processError: async (error) => reject(error) }, { startPosition: earliestEventPosition, ...how });
  });
  // Closing takes as long as it takes, and is no part of anything that is measured.
  consumer.close().catch(() => {});
}

/** The SDK insists on TLS for WebSockets; the emulator is measured without, for everyone. */
function options({ transport, WebSocket: Base }) {
  if (transport !== "ws") return {};
  class Plain extends Base {
    constructor(url, ...rest) {
      super(url.replace(/^wss:/, "ws:"), ...rest);
    }
  }
  return { webSocketOptions: { webSocket: Plain } };
}
