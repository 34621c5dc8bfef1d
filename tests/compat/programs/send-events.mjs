// Sends events in batches: as they fit, to the partition that the service chooses, to one of its own, and by key.

import { EventHubConsumerClient, EventHubProducerClient, earliestEventPosition } from "@azure/event-hubs";
import { connectionString, consumerGroup, eventHubName, options, receive, say } from "./support.mjs";

const producer = new EventHubProducerClient(connectionString, eventHubName, options);
say("producer", [producer.eventHubName, producer.fullyQualifiedNamespace, typeof producer.identifier]);

const words = ["first", "second", "third", "fourth"];
const batch = await producer.createBatch({ partitionId: "1" });
say("an empty batch", [batch.count, batch.sizeInBytes, batch.maxSizeInBytes, batch.partitionId, batch.partitionKey]);
for (const word of words) say("added", batch.tryAdd({ body: word }));
say("a batch", [batch.count, batch.sizeInBytes > 0 && batch.sizeInBytes < 500]);
await producer.sendBatch(batch);
// The official SDK keeps what a batch holds: it may be sent again, and added to.
await producer.sendBatch(batch);
say("added behind", [batch.tryAdd({ body: "fifth" }), batch.count]);
await producer.sendBatch(batch);

// More than one batch holds.
let left = 40;
let batches = 0;
let current = await producer.createBatch({ partitionId: "2", maxSizeInBytes: 5000 });
while (left > 0) {
  if (current.tryAdd({ body: `number ${left} ${"x".repeat(300)}` })) {
    left -= 1;
    continue;
  }
  await producer.sendBatch(current);
  batches += 1;
  current = await producer.createBatch({ partitionId: "2", maxSizeInBytes: 5000 });
}
await producer.sendBatch(current);
say("batches", batches >= 2);
say("too large for a batch", (await producer.createBatch({ maxSizeInBytes: 100 })).tryAdd({ body: "x".repeat(200) }));

for (const key of ["device-1", "device-2", "日本語"]) {
  await producer.sendBatch([{ body: `a list of ${key}` }, { body: `more of ${key}` }], { partitionKey: key });
  const keyed = await producer.createBatch({ partitionKey: key });
  keyed.tryAdd({ body: `a batch of ${key}` });
  await producer.sendBatch(keyed);
}
// What is empty is no error.
await producer.sendBatch([]);
await producer.sendBatch(await producer.createBatch());
// Nor is one event alone, though the types do not say so.
await producer.sendBatch({ body: "alone" }, { partitionId: "1" });

const consumer = new EventHubConsumerClient(consumerGroup, connectionString, eventHubName, options);
const all = await receive(consumer, words.length * 3 + 1 + 40 + 9 + 1, (handlers) =>
  consumer.subscribe(handlers, { startPosition: earliestEventPosition, maxBatchSize: 50 }),
);
for (const id of ["0", "1", "2", "3"]) {
  const events = all.filter(([partition]) => partition === id).map(([, event]) => event);
  say(`partition ${id}`, events.map(({ body, sequenceNumber, partitionKey }) => [body, sequenceNumber, partitionKey ?? null]));
}
for (const id of await producer.getPartitionIds()) {
  const { lastEnqueuedSequenceNumber, isEmpty, eventHubName, partitionId, beginningSequenceNumber, ...rest } = await producer.getPartitionProperties(id);
  say("properties", [eventHubName, partitionId, beginningSequenceNumber, lastEnqueuedSequenceNumber, isEmpty, Object.keys(rest).sort()]);
  say("times", rest.lastEnqueuedOnUtc instanceof Date && typeof rest.lastEnqueuedOffset === "string");
}
const hub = await producer.getEventHubProperties();
say("hub", [hub.name, hub.createdOn instanceof Date, hub.partitionIds, hub.isGeoDrEnabled]);
await consumer.close();
await producer.close();
