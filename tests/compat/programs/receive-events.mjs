// Reads all partitions, and one: handlers in their order, what an event has, an empty call when nothing comes.

import { CloseReason, EventHubConsumerClient, EventHubProducerClient, earliestEventPosition } from "@azure/event-hubs";
import { connectionString, consumerGroup, deferred, eventHubName, options, say } from "./support.mjs";

const producer = new EventHubProducerClient(connectionString, eventHubName, options);
await producer.sendBatch(
  [
    { body: { temperature: 21.5 }, properties: { kind: "reading", at: new Date(1_700_000_000_000), n: 7, big: 2 ** 40, ok: true, none: null } },
    { body: "text", contentType: "text/plain", messageId: "id-1", correlationId: 42 },
    { body: [1, "two", null] },
    { body: Buffer.from([0xff, 0x00, 0xfe]) },
    { body: null },
    { body: 3.25, messageId: 2 ** 40 },
    { body: "" },
  ],
  { partitionId: "0" },
);
await producer.sendBatch([{ body: "elsewhere" }], { partitionId: "3" });

const consumer = new EventHubConsumerClient(consumerGroup, connectionString, eventHubName, options);
say("consumer", [consumer.eventHubName, consumer.fullyQualifiedNamespace, typeof consumer.identifier, EventHubConsumerClient.defaultConsumerGroupName]);
say("reasons", CloseReason);

const history = [];
const emptied = deferred();
const subscription = consumer.subscribe(
  "0",
  {
    processInitialize: async (context) => void history.push(["initialize", context.partitionId, context.consumerGroup, context.eventHubName, context.fullyQualifiedNamespace]),
    processEvents: async (events, context) => {
      history.push(["events", events.length, context.partitionId]);
      for (const event of events) show(event);
      if (events.length === 0) emptied.resolve();
    },
    processError: async (error) => emptied.reject(error),
    processClose: async (reason, context) => void history.push(["close", reason, context.partitionId]),
  },
  { startPosition: earliestEventPosition, maxWaitTimeInSeconds: 1 },
);
say("running", subscription.isRunning);
await emptied.promise;
await subscription.close();
say("running", subscription.isRunning);
// One event at a time is what `maxBatchSize` says when nobody says otherwise.
say("history", history);

const everywhere = [];
const complete = deferred();
const all = consumer.subscribe(
  {
    processEvents: async (events, context) => {
      for (const event of events) everywhere.push([context.partitionId, event.sequenceNumber]);
      if (everywhere.length === 8) {
        // Closing from within a handler is what samples do.
        await all.close();
        complete.resolve();
      }
    },
    processError: async (error) => complete.reject(error),
  },
  { startPosition: earliestEventPosition, maxBatchSize: 10, skipParsingBodyAsJson: true },
);
await complete.promise;
say("everywhere", everywhere.sort());
say("running", all.isRunning);

const raw = deferred();
const bytes = consumer.subscribe(
  "0",
  { processEvents: async (events) => raw.resolve(events), processError: async (error) => raw.reject(error) },
  { startPosition: earliestEventPosition, maxBatchSize: 7, skipParsingBodyAsJson: true },
);
for (const { body } of await raw.promise) say("bytes", body === null ? null : [body instanceof Uint8Array, body.toString("hex"), body.toString()]);
await bytes.close();
await consumer.close();
await producer.close();

function show(event) {
  const { body, properties, sequenceNumber, systemProperties, contentType, messageId, correlationId } = event;
  say("event", { body, properties, sequenceNumber, systemProperties, contentType, messageId, correlationId });
  say("has", [event.enqueuedTimeUtc instanceof Date, typeof event.offset, event.partitionKey ?? null, Object.keys(event).sort()]);
  const message = event.getRawAmqpMessage();
  say("message", [message.bodyType, message.properties, message.applicationProperties, Object.keys(message.messageAnnotations).sort()]);
}
