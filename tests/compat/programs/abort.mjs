// Giving up: before, while it lasts, and with something that is only like an AbortSignal.

import { EventHubConsumerClient, EventHubProducerClient } from "@azure/event-hubs";
import { connectionString, consumerGroup, eventHubName, options, say } from "./support.mjs";

const failure = (what, promise) =>
  promise.then(
    (value) => say(what, ["did not fail", typeof value]),
    (error) => say(what, [error.name, error.message]),
  );
const aborted = AbortSignal.abort();

const producer = new EventHubProducerClient(connectionString, eventHubName, options);
await failure("sendBatch", producer.sendBatch([{ body: 1 }], { abortSignal: aborted }));
await failure("createBatch", producer.createBatch({ abortSignal: aborted }));
await failure("getEventHubProperties", producer.getEventHubProperties({ abortSignal: aborted }));
await failure("getPartitionProperties", producer.getPartitionProperties("0", { abortSignal: aborted }));

// As old versions of `@azure/abort-controller` made them.
const listeners = new Set();
const like = {
  aborted: false,
  addEventListener: (_, listener) => void listeners.add(listener),
  removeEventListener: (_, listener) => void listeners.delete(listener),
};
await producer.sendBatch([{ body: "not given up on" }], { partitionId: "0", abortSignal: like });
say("sent", (await producer.getPartitionProperties("0")).lastEnqueuedSequenceNumber);
say("listeners left", listeners.size);

// While it lasts: nobody answers there.
const { createServer } = await import("node:net");
const silent = createServer(() => {}).listen(0, "127.0.0.1");
await new Promise((resolve) => silent.once("listening", resolve));
const elsewhere = connectionString.replace(/Endpoint=[^;]*/, `Endpoint=sb://127.0.0.1:${silent.address().port}`);
const waiting = new EventHubConsumerClient(consumerGroup, elsewhere, eventHubName, options);
const controller = new AbortController();
setTimeout(() => controller.abort(), 300);
await failure("while it lasts", waiting.getPartitionIds({ abortSignal: controller.signal }));
await producer.close();
// The official SDK keeps trying to connect.
process.exit(0);
