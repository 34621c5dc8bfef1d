// Clients for a hub of one's own, once per transport, and receiving until something has come. With ../in-page.mjs the
// emulator is in this process, and its pipe is the only transport.

import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

import { EventHubBufferedProducerClient, EventHubConsumerClient, EventHubProducerClient, earliestEventPosition } from "@azure/event-hubs";
import WebSocket from "ws";

export const DEADLINE = 20_000;
/** The emulator in this process, if it is there. */
export const inPage = globalThis.inPageEmulator;
export const emulator = inPage ?? JSON.parse(process.env.EMULATOR);

/** How each transport is asked for. */
const TRANSPORTS = inPage
  ? { "in page": { webSocketOptions: { webSocket: inPage.WebSocket } } }
  : { tcp: {}, wss: { webSocketOptions: { webSocket: WebSocket } } };

let hubs = 0;

/** A test over each transport, each with a hub of its own. */
export function onEachTransport(name, body) {
  describe(name, () => {
    for (const transport of Object.keys(TRANSPORTS)) {
      test(transport, { timeout: 60_000 }, async () => {
        const clients = new Clients(`hub${hubs++}`, transport);
        try {
          await body(clients);
        } finally {
          await clients.close();
        }
      });
    }
  });
}

export class Clients {
  #open = [];

  constructor(hub, transport) {
    this.hub = hub;
    this.transport = transport;
  }

  options(more = {}) {
    return {
      // A test wants the second attempt at once, not after the SDK's 30 s.
      retryOptions: { maxRetries: 1, retryDelayInMs: 50, timeoutInMs: 10_000 },
      ...TRANSPORTS[this.transport],
      ...more,
    };
  }

  /** The emulator's connection string, with some of its parts replaced. */
  connectionString(replace = {}) {
    const parts = emulator.connectionString.split(";").filter(Boolean).map((part) => {
      const [name] = part.split("=", 1);
      return `${name}=${replace[name] ?? part.slice(name.length + 1)}`;
    });
    return parts.join(";");
  }

  producer({ connectionString = emulator.connectionString, hub = this.hub, ...more } = {}) {
    return this.#keep(new EventHubProducerClient(connectionString, hub, this.options(more)));
  }

  bufferedProducer(more) {
    return this.#keep(new EventHubBufferedProducerClient(emulator.connectionString, this.hub, this.options(more)));
  }

  consumer({ connectionString = emulator.connectionString, hub = this.hub, group = "$Default", store, ...more } = {}) {
    const rest = store ? [store, this.options(more)] : [this.options(more)];
    return this.#keep(new EventHubConsumerClient(group, connectionString, hub, ...rest));
  }

  /** Subscribes; with a partition in the options to that one only. */
  reader(consumer, options) {
    return this.#keep(new Reader(consumer, options));
  }

  #keep(client) {
    this.#open.push(client);
    return client;
  }

  async close() {
    for (const client of this.#open.reverse()) await client.close();
  }
}

export class Reader {
  events = [];
  partitions = [];
  contexts = {};
  errors = [];
  closed = [];
  initialized = new Set();

  constructor(consumer, { partition, ...options } = {}) {
    const handlers = {
      processInitialize: async (context) => void this.initialized.add(context.partitionId),
      processEvents: async (events, context) => {
        for (const event of events) {
          this.events.push(event);
          this.partitions.push(context.partitionId);
          // A copy of what it says now; the SDK changes it with the next batch.
          this.contexts[context.partitionId] = { ...context.lastEnqueuedEventProperties };
        }
      },
      processError: async (error) => void this.errors.push(error),
      processClose: async (reason, context) => void this.closed.push([context.partitionId, reason]),
    };
    const settings = { startPosition: earliestEventPosition, maxBatchSize: 100, maxWaitTimeInSeconds: 1, ...options };
    this.subscription =
      partition === undefined
        ? consumer.subscribe(handlers, settings)
        : consumer.subscribe(partition, handlers, settings);
  }

  async close() {
    await this.subscription.close();
  }

  async take(count) {
    await eventually(() => this.events.length >= count, () => `${count} events; ${this.#story()}`);
    return [...this.events];
  }

  /** The bodies up to this one, inclusive: what came, and no more. */
  async takeUntil(body) {
    await eventually(() => this.bodies().includes(body), () => `the event ${body}; ${this.#story()}`);
    return this.bodies().slice(0, this.bodies().indexOf(body) + 1);
  }

  async firstError() {
    await eventually(() => this.errors.length > 0, () => `an error; ${this.#story()}`);
    return this.errors[0];
  }

  bodies() {
    return this.events.map((event) => event.body);
  }

  #story() {
    return `events ${JSON.stringify(this.bodies()).slice(0, 500)}, errors ${this.errors}`;
  }
}

/** Has something go wrong in the emulator. Resolves to what ends it, which tells how often it has struck. */
export async function fault(what) {
  if (inPage) {
    const injected = inPage.faults.inject(what);
    return async () => injected.end();
  }
  const url = `http://localhost:${emulator.port}/$faults`;
  const { id } = await (await fetch(url, { method: "POST", body: JSON.stringify(what) })).json();
  return async () => (await (await fetch(`${url}/${id}`, { method: "DELETE" })).json()).hits;
}

/** The first `count` events. */
export async function read(clients, count, { consumer = clients.consumer(), ...options } = {}) {
  const reader = clients.reader(consumer, options);
  const events = await reader.take(count);
  await reader.close();
  return events;
}

/** The first true value of a condition; fails when there is none in time. */
export async function eventually(condition, what, deadline = DEADLINE) {
  const giveUp = performance.now() + deadline;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > giveUp) {
      throw new Error(`not within ${deadline} ms: ${typeof what === "function" ? what() : what}`);
    }
    await pause(5);
  }
}
