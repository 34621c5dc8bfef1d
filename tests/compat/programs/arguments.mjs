// What is taken, and what is refused with which words.

import {
  EventHubBufferedProducerClient,
  EventHubConsumerClient,
  EventHubProducerClient,
  MessagingError,
  RetryMode,
  logger,
  parseEventHubConnectionString,
} from "@azure/event-hubs";
import { connectionString, consumerGroup, eventHubName, options, say } from "./support.mjs";

const attempt = async (what, work) => {
  try {
    const result = await work();
    say(what, result instanceof Object && typeof result.close === "function" ? "is taken" : result);
    await result?.close?.();
  } catch (error) {
    // Errors of the official SDK quote the whole connection string; ours hide what is secret.
    say(what, [error.name, error.message.replace(/(SharedAccess(?:Key|Signature)=)[^;"]*/g, "$1<hidden>")]);
  }
};
const PLACE = "Endpoint=sb://contoso.servicebus.windows.net/";
const KEY = "SharedAccessKeyName=send;SharedAccessKey=c2VjcmV0";

for (const text of [
  `${PLACE};${KEY};EntityPath=orders`,
  `${PLACE};${KEY}`,
  ` ${PLACE} ; ${KEY} ; `,
  `${PLACE};SharedAccessSignature=SharedAccessSignature sr=x&sig=y&se=1&skn=z`,
  `Endpoint=sb://localhost:5672;${KEY}`,
  KEY,
  `${PLACE};SharedAccessKeyName=send`,
  `${PLACE};SharedAccessKey=c2VjcmV0`,
  `${PLACE};${KEY};SharedAccessSignature=SharedAccessSignature sr=x`,
  "nonsense",
  `${PLACE};=x`,
  "",
]) {
  await attempt("parse", () => parseEventHubConnectionString(text));
}

await attempt("no hub", () => new EventHubProducerClient(`${PLACE};SharedAccessSignature=SharedAccessSignature sr=x`, { identifier: "x" }).close?.call);
await attempt("a hub in both, the same", () => new EventHubProducerClient(`${PLACE};${KEY};EntityPath=orders`, "orders").eventHubName);
await attempt("no key", () => new EventHubProducerClient(PLACE, "orders"));
await attempt("not even a string", () => new EventHubProducerClient(undefined));
await attempt("a namespace without hub", () => new EventHubProducerClient("contoso.servicebus.windows.net", "", { getToken: async () => null }));
const token = { getToken: async () => ({ token: "t", expiresOnTimestamp: 1 }) };
await attempt("a token", () => new EventHubProducerClient("contoso.servicebus.windows.net", "orders", token, { identifier: "me" }).identifier);
await attempt("a key", () => new EventHubProducerClient("contoso.servicebus.windows.net", "orders", { name: "n", key: "k" }).fullyQualifiedNamespace);
await attempt("a signature", () => new EventHubProducerClient("contoso.servicebus.windows.net", "orders", { signature: "s" }).eventHubName);
await attempt("another place", () => new EventHubProducerClient("contoso.servicebus.windows.net", "orders", token, { customEndpointAddress: "sb://gateway.example.com:8080" }).fullyQualifiedNamespace);
await attempt("another place that is none", () => new EventHubProducerClient(`${PLACE};${KEY}`, "orders", { customEndpointAddress: "gateway" }));

const store = { listOwnership() {}, claimOwnership() {}, listCheckpoints() {}, updateCheckpoint() {} };
const identifier = { identifier: "me" };
for (const [what, rest] of Object.entries({
  "a string": [`${PLACE};${KEY};EntityPath=orders`],
  "a string and options": [`${PLACE};${KEY};EntityPath=orders`, identifier],
  "a string and a store": [`${PLACE};${KEY};EntityPath=orders`, store],
  "a string, a store and options": [`${PLACE};${KEY};EntityPath=orders`, store, identifier],
  "a string and a hub": [`${PLACE};${KEY}`, "orders"],
  "a string, a hub and options": [`${PLACE};${KEY}`, "orders", identifier],
  "a string, a hub and a store": [`${PLACE};${KEY}`, "orders", store],
  "a string, a hub, a store and options": [`${PLACE};${KEY}`, "orders", store, identifier],
  "a namespace and a credential": ["contoso.servicebus.windows.net", "orders", token],
  "a namespace, a credential and options": ["contoso.servicebus.windows.net", "orders", token, identifier],
  "a namespace, a credential and a store": ["contoso.servicebus.windows.net", "orders", token, store],
  "a namespace, a credential, a store and options": ["contoso.servicebus.windows.net", "orders", token, store, identifier],
})) {
  await attempt(what, () => {
    const client = new EventHubConsumerClient("group", ...rest);
    return [client.eventHubName, client.fullyQualifiedNamespace, client.identifier === "me" ? "me" : typeof client.identifier];
  });
}

const producer = new EventHubProducerClient(connectionString, eventHubName, options);
const batch = await producer.createBatch({ partitionId: "0" });
await attempt("no batch", () => producer.sendBatch());
await attempt("no batch but null", () => producer.sendBatch(null));
await attempt("no event", () => batch.tryAdd());
await attempt("an id and a key", () => producer.sendBatch([{ body: 1 }], { partitionId: "0", partitionKey: "k" }));
await attempt("an id and a key for a batch", () => producer.createBatch({ partitionId: "0", partitionKey: "k" }));
await attempt("another id", () => producer.sendBatch(batch, { partitionId: "1" }));
await attempt("another key", () => producer.sendBatch(batch, { partitionKey: "k" }));
await attempt("a number for an id", async () => (await producer.createBatch({ partitionId: 0 })).partitionId);
await attempt("too large a batch", () => producer.createBatch({ maxSizeInBytes: 2 ** 24 }));
await attempt("no partition", () => producer.getPartitionProperties());
await attempt("no partition but null", () => producer.getPartitionProperties(null));
for (const event of [
  { body: 1, contentType: 5 },
  { body: 1, messageId: {} },
  { body: 1, correlationId: [] },
  { body: 1, properties: [] },
  { body: 1, properties: "x" },
  { body: 1, messageId: "x".repeat(129) },
]) {
  await attempt("sendBatch", () => producer.sendBatch([event], { partitionId: "0" }));
  await attempt("tryAdd", () => batch.tryAdd(event));
}
say("nothing was added", batch.count);

const consumer = new EventHubConsumerClient(consumerGroup, connectionString, eventHubName, options);
await attempt("no handlers", () => consumer.subscribe("0", {}));
await attempt("no handlers at all", () => consumer.subscribe({}, {}));
const handlers = { processEvents: async () => {}, processError: async () => {} };
const first = consumer.subscribe("0", handlers);
await attempt("twice", () => consumer.subscribe("0", handlers));
await attempt("all beside one", () => consumer.subscribe(handlers));
const second = consumer.subscribe("1", handlers);
await first.close();
await second.close();
await second.close();
const all = consumer.subscribe(handlers);
await attempt("one beside all", () => consumer.subscribe("0", handlers));
await attempt("all twice", () => consumer.subscribe(handlers));
await all.close();
await attempt("again", () => consumer.subscribe("0", handlers));

// Until it has connected the official SDK does not notice that it was closed.
await consumer.getPartitionIds();
await consumer.close();
await producer.close();
await producer.close();
await attempt("send after close", () => producer.sendBatch([{ body: 1 }]));
await attempt("batch after close", () => producer.createBatch());
await attempt("ask after close", () => producer.getPartitionIds());
await attempt("ask the consumer after close", () => consumer.getEventHubProperties());

const buffered = new EventHubBufferedProducerClient(connectionString, eventHubName, { ...options, onSendEventsErrorHandler: () => {} });
await buffered.getPartitionIds();
await buffered.close();
await attempt("enqueue after close", () => buffered.enqueueEvents([{ body: 1 }]));

say("modes", RetryMode);
const error = Object.assign(new MessagingError("text", Object.assign(new Error("inner"), { code: "ECONNREFUSED", port: 5 })), {});
say("an error", [error.name, error.message, error.code, error.port, error.retryable, error instanceof Error]);
say("logger", Object.keys(logger).sort().filter((name) => ["error", "info", "verbose", "warning"].includes(name)));
say("levels", ["error", "info", "verbose", "warning"].map((level) => [typeof logger[level], typeof logger[level].enabled, typeof logger[level].log]));
