// How far behind a reader is.

import { EventHubConsumerClient, EventHubProducerClient, earliestEventPosition } from "@azure/event-hubs";
import { connectionString, consumerGroup, deferred, eventHubName, options, say } from "./support.mjs";

const producer = new EventHubProducerClient(connectionString, eventHubName, options);
await producer.sendBatch(Array.from({ length: 5 }, (_, number) => ({ body: number })), { partitionId: "0" });
const consumer = new EventHubConsumerClient(consumerGroup, connectionString, eventHubName, options);

async function last(trackLastEnqueuedEventProperties) {
  const told = deferred();
  const subscription = consumer.subscribe(
    "0",
    {
      processEvents: async (events, context) => {
        if (events.length > 0) told.resolve([events.length, context.lastEnqueuedEventProperties]);
      },
      processError: async (error) => told.reject(error),
    },
    { startPosition: earliestEventPosition, maxBatchSize: 5, trackLastEnqueuedEventProperties },
  );
  const result = await told.promise;
  await subscription.close();
  return result;
}

const [, properties] = await last(true);
say("tracked", [properties.sequenceNumber, typeof properties.offset, properties.enqueuedOn instanceof Date, properties.retrievedOn instanceof Date]);
say("keys", Object.keys(properties).sort());
const [, none] = await last(false);
say("not tracked", none);
await consumer.close();
await producer.close();
