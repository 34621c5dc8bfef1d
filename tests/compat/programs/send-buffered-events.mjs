// Hands events over to be sent in the background.

import { EventHubBufferedProducerClient, EventHubConsumerClient, earliestEventPosition } from "@azure/event-hubs";
import { connectionString, consumerGroup, eventHubName, options, receive, say } from "./support.mjs";

const sent = [];
const failed = [];
const client = new EventHubBufferedProducerClient(connectionString, eventHubName, {
  ...options,
  maxEventBufferLengthPerPartition: 20,
  maxWaitTimeInMs: 100,
  onSendEventsSuccessHandler: ({ partitionId, events }) => sent.push(...events.map((event) => [partitionId, event.body])),
  onSendEventsErrorHandler: ({ partitionId, events, error }) => failed.push([partitionId, events.length, error.name]),
});
say("client", [client.eventHubName, client.fullyQualifiedNamespace, typeof client.identifier]);

say("waiting", await client.enqueueEvent({ body: "alone" }));
say("a number", typeof (await client.enqueueEvents([{ body: "a" }, { body: "b" }, { body: "c" }], { partitionId: "2" })));
for (const key of ["device-1", "device-2", "abcdefghijkl", "abcdefghijklm", "日本語"]) await client.enqueueEvent({ body: key }, { partitionKey: key });
await client.flush();
say("after flush", sent.length);
// More than the buffer holds: whoever enqueues waits for room.
for (let number = 0; number < 100; number++) await client.enqueueEvent({ body: number }, { partitionId: "3" });
await client.flush();
say("in order", sent.filter(([id, body]) => id === "3" && typeof body === "number").map(([, body]) => body).join());
say("an id and a key", await client.enqueueEvent({ body: 1 }, { partitionId: "1", partitionKey: "k" }).catch((error) => error.message));
await client.enqueueEvent({ body: "last" }, { partitionId: "1" });
await client.close();
say("failed", failed);
say("after close", await client.enqueueEvent({ body: 1 }).catch((error) => [error.name, error.message]));

const consumer = new EventHubConsumerClient(consumerGroup, connectionString, eventHubName, options);
const all = await receive(consumer, sent.length, (handlers) =>
  consumer.subscribe(handlers, { startPosition: earliestEventPosition, maxBatchSize: 100 }),
);
say("sent is what arrives", JSON.stringify(all.map(([id, event]) => [id, event.body]).sort()) === JSON.stringify([...sent].sort()));
say("by key", all.map(([id, event]) => [id, event.body]).filter(([, body]) => /^(device|abc|日)/.test(body)).sort());
await consumer.close();
