// Processors on an emulator in this process, and stores that misbehave.

import { start } from "./facade-support.mjs";
import { dist, eventually } from "./support.mjs";

export const { EventProcessor, MemoryCheckpointStore } = await dist("processor.js");

/** Quick enough for tests, and the expiry still longer than the interval. */
export const QUICK = { loadBalancingIntervalMs: 100, ownershipExpirationMs: 2000, from: "earliest" };

/** A hub with so many partitions, what sends to it, and processors that write down what they are told. */
export async function group(t, partitions = 4) {
  const members = [];
  // Before the clients are closed, which would end them with an error.
  t.after(() => Promise.all(members.map((member) => member.processor.stop())));
  const { emulator, producer, consumer, sockets } = await start(t, { hubs: { eh1: partitions } });
  const sender = producer();
  return {
    emulator,
    sockets,
    consumer,
    sender,
    ids: Array.from({ length: partitions }, (_, index) => String(index)),
    send: (partitionId, ...texts) => sender.send(texts, { partitionId }),
    member(store, options, handlers) {
      const member = new Member(consumer(), store, { ...QUICK, ...options }, handlers);
      members.push(member);
      return member;
    },
  };
}

/** A processor that runs, and what it did. */
class Member {
  /** Texts by partition, in the order in which they were processed. */
  seen = {};
  errors = [];
  opened = [];
  closed = [];

  constructor(consumer, store, options, handlers = {}) {
    this.consumer = consumer;
    this.processor = new EventProcessor(consumer, store, options);
    this.running = this.processor.run({
      process: async (events, partition) => {
        await handlers.process?.(events, partition, this);
        (this.seen[partition.partitionId] ??= []).push(...events.map((event) => event.text()));
        await handlers.then?.(events, partition, this);
      },
      initialize: (partition) => {
        this.opened.push(partition.partitionId);
        return handlers.initialize?.(partition);
      },
      close: (reason, partition) => {
        this.closed.push([partition.partitionId, reason]);
        return handlers.close?.(reason, partition);
      },
      error: (error, context) => {
        this.errors.push({ error, ...context });
        return handlers.error?.(error, context);
      },
    });
    // Whoever wants to know awaits it.
    this.running.catch(() => undefined);
  }

  get owned() {
    return [...this.processor.partitionIds].sort();
  }

  count(partitionId) {
    const lists = partitionId === undefined ? Object.values(this.seen) : [this.seen[partitionId] ?? []];
    return lists.reduce((sum, list) => sum + list.length, 0);
  }

  /** Resolves to the first error of an operation. */
  failed(operation) {
    return eventually(() => this.errors.find((each) => each.operation === operation), `an error of ${operation}`);
  }
}

/** A store whose methods can be exchanged, and without a way to wake anyone. */
export function stubborn(inner = new MemoryCheckpointStore()) {
  const store = { inner, calls: { listOwnership: 0, claimOwnership: 0, listCheckpoints: 0, updateCheckpoint: 0 }, instead: {} };
  for (const name of Object.keys(store.calls)) {
    store[name] = (...given) => {
      store.calls[name] += 1;
      return (store.instead[name] ?? ((...same) => inner[name](...same)))(...given);
    };
  }
  return store;
}

/** The checkpoints of a store, as numbers by partition. */
export async function checkpoints(store, { namespace, eventHub, consumerGroup }) {
  const listed = await store.listCheckpoints(namespace, eventHub, consumerGroup);
  return Object.fromEntries(listed.map(({ partitionId, sequenceNumber }) => [partitionId, sequenceNumber]));
}
