// Owner levels: who takes a partition from whom, and who may not.

import { EventHubConsumerClient, EventHubProducerClient, earliestEventPosition } from "@azure/event-hubs";
import { connectionString, consumerGroup, deferred, eventHubName, options, say } from "./support.mjs";

const producer = new EventHubProducerClient(connectionString, eventHubName, options);
await producer.sendBatch([{ body: "first" }], { partitionId: "0" });

function reader(ownerLevel) {
  const consumer = new EventHubConsumerClient(consumerGroup, connectionString, eventHubName, options);
  const [first, failed, closed] = [deferred(), deferred(), deferred()];
  const bodies = [];
  const subscription = consumer.subscribe(
    "0",
    {
      processEvents: async ([event]) => {
        if (event === undefined) return;
        bodies.push(event.body);
        first.resolve(event.body);
      },
      processError: async (error) => failed.resolve(error),
      processClose: async (reason) => closed.resolve(reason),
    },
    { startPosition: earliestEventPosition, ownerLevel },
  );
  const close = async () => {
    await subscription.close();
    await consumer.close();
  };
  return { bodies, first: first.promise, failed: failed.promise, closed: closed.promise, subscription, close };
}

const plain = reader(undefined);
await plain.first;
const low = reader(1);
await low.first;
say("without a level", await plain.failed.then(({ name, code, retryable }) => [name, code, retryable]));
say("closed", await plain.closed);
const high = reader(2);
await high.first;
say("with a low level", await low.failed.then(({ name, code, retryable }) => [name, code, retryable]));
say("closed", await low.closed);
say("still running", low.subscription.isRunning);
const late = reader(1);
say("too late", await late.failed.then(({ name, code, retryable }) => [name, code, retryable]));
say("closed", await late.closed);
await producer.sendBatch([{ body: "second" }], { partitionId: "0" });
while (high.bodies.length < 2) await new Promise((resolve) => setTimeout(resolve, 10));
say("the owner", high.bodies);
say("the others", [plain.bodies, low.bodies, late.bodies]);
for (const each of [plain, low, high, late]) await each.close();
await producer.close();
