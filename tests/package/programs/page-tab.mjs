// One of several tabs that share a hub's partitions.
import { ConsumerClient, ProducerClient } from "eventhubs/inline";
import { EventProcessor, IndexedDbCheckpointStore } from "eventhubs/processor";

const asked = new URL(location.href).searchParams;
const connection = { connectionString: asked.get("connectionString"), eventHub: asked.get("hub") };
const consumer = new ConsumerClient(connection);
const producer = new ProducerClient(connection);
const processor = new EventProcessor(consumer, new IndexedDbCheckpointStore(), {
  strategy: asked.get("strategy"),
  from: "earliest",
  autoCheckpoint: { everyEvents: 1 },
});
const tab = {
  /** When the partitions that are read here were begun, by the machine's clock. */
  begun: {},
  seen: [],
  closed: [],
  errors: [],
  owned: () => [...processor.partitionIds].sort(),
  send: (partitionId, text) => producer.send(text, { partitionId }),
  checkpoints: async () => {
    const store = new IndexedDbCheckpointStore();
    const listed = await store.listCheckpoints(consumer.namespace, consumer.eventHub, consumer.consumerGroup);
    return Object.fromEntries(listed.map(({ partitionId, sequenceNumber }) => [partitionId, sequenceNumber]));
  },
  stop: () => processor.stop(),
};
globalThis.tab = tab;
void processor.run({
  initialize: ({ partitionId }) => void (tab.begun[partitionId] = Date.now()),
  process: (events) => void tab.seen.push(...events.map((event) => `${event.partitionId}:${event.text()}`)),
  close: (reason, { partitionId }) => void tab.closed.push(`${partitionId}:${reason}`),
  error: (error, { operation }) => void tab.errors.push(`${operation}: ${error}`),
});
