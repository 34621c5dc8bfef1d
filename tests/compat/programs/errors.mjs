// What goes wrong, by its code.

import { EventHubConsumerClient, EventHubProducerClient, MessagingError, earliestEventPosition } from "@azure/event-hubs";
import { connectionString, consumerGroup, deferred, eventHubName, say } from "./support.mjs";

// With one attempt the official SDK says what failed, and not only that several attempts did.
const options = { retryOptions: { maxRetries: 0, timeoutInMs: 20_000 } };
const failure = async (what, call) => {
  try {
    await call();
    say(what, "did not fail");
  } catch (error) {
    say(what, { name: error.name, code: error.code, retryable: error.retryable, isMessagingError: error instanceof MessagingError });
  }
};
const replaced = (name, value) => connectionString.replace(new RegExp(`(^|;)${name}=[^;]*`), `$1${name}=${value}`);

async function withProducer(text, hub, use) {
  const producer = new EventHubProducerClient(text, hub, options);
  try {
    await use(producer);
  } finally {
    await producer.close();
  }
}

await withProducer(replaced("SharedAccessKey", "d3Jvbmc="), eventHubName, async (producer) => {
  await failure("a wrong key, sending", () => producer.sendBatch([{ body: 1 }]));
  await failure("a wrong key, asking", () => producer.getPartitionIds());
});
const listener = replaced("SharedAccessKey", "bGlzdGVuZXI=").replace(/SharedAccessKeyName=[^;]*/, "SharedAccessKeyName=listener");
await withProducer(listener, eventHubName, async (producer) => {
  await failure("no right to send", () => producer.sendBatch([{ body: 1 }]));
});
await withProducer(connectionString, "no-such-hub", async (producer) => {
  await failure("an unknown hub, sending", () => producer.sendBatch([{ body: 1 }]));
  await failure("an unknown hub, asking", () => producer.getEventHubProperties());
});
await withProducer(connectionString, eventHubName, async (producer) => {
  await failure("an unknown partition, sending", () => producer.sendBatch([{ body: 1 }], { partitionId: "17" }));
  await failure("an unknown partition, asking", () => producer.getPartitionProperties("17"));
  await failure("too large", () => producer.sendBatch([{ body: Buffer.alloc(1024 * 1024 + 1) }], { partitionId: "0" }));
  await producer.sendBatch([{ body: "small" }], { partitionId: "0" });
  say("goes on", (await producer.getPartitionProperties("0")).lastEnqueuedSequenceNumber);
});

async function subscriptionError(what, group, partition, settings, kept) {
  const consumer = new EventHubConsumerClient(group, connectionString, eventHubName, options);
  const failed = deferred();
  const closed = deferred();
  const subscription = consumer.subscribe(
    partition,
    {
      processEvents: async () => {},
      processError: async (error, context) => failed.resolve([error, context]),
      processClose: async (reason) => closed.resolve(reason),
    },
    { startPosition: earliestEventPosition, ...settings },
  );
  const [error, context] = await failed.promise;
  say(what, { name: error.name, code: error.code, retryable: error.retryable, partition: context.partitionId });
  say("closed with", error.retryable ? "not closed" : await closed.promise);
  if (kept) say("says", kept.test(error.message));
  await subscription.close();
  await consumer.close();
}

await subscriptionError("an unknown group", "no-such-group", "0", {}, /no-such-group/);
await subscriptionError("an unknown partition", consumerGroup, "17", {}, /between 0 and 3/);
await subscriptionError("an offset beyond the end", consumerGroup, "0", { startPosition: { offset: "999999999" } }, /999999999/);
await subscriptionError("a number beyond the end", consumerGroup, "0", { startPosition: { sequenceNumber: 999999999 } }, /999999999/);
await subscriptionError("no offset at all", consumerGroup, "0", { startPosition: { offset: "nonsense" } }, /not a valid amqp filter/);

// What a handler throws ends its partition, and is told like everything else.
const consumer = new EventHubConsumerClient(consumerGroup, connectionString, eventHubName, options);
const told = deferred();
const history = [];
const broken = consumer.subscribe(
  "0",
  {
    processInitialize: async () => {
      throw new Error("initialize failed");
    },
    processEvents: async () => {
      throw new Error("events failed");
    },
    processError: async (error, context) => {
      history.push(["error", error.message, context.partitionId]);
      throw new Error("this is nobody's concern");
    },
    processClose: async (reason) => {
      history.push(["close", reason]);
      told.resolve();
    },
  },
  { startPosition: earliestEventPosition },
);
await told.promise;
say("history", history);
say("running", broken.isRunning);
await broken.close();
await consumer.close();
