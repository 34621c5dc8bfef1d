// AMQP messages instead of events, both ways, and what is received sent again.

import { EventHubConsumerClient, EventHubProducerClient, createEventDataAdapter, earliestEventPosition } from "@azure/event-hubs";
import { connectionString, consumerGroup, eventHubName, options, receive, say } from "./support.mjs";

const producer = new EventHubProducerClient(connectionString, eventHubName, options);
const messages = [
  { body: { a: [1, "two"] }, bodyType: "data" },
  { body: Buffer.from([0xff, 1]), bodyType: "data" },
  { body: { a: 1, b: "c", d: [true, null, 1.5] }, bodyType: "value" },
  { body: "text", bodyType: "value" },
  { body: 42, bodyType: "value" },
  { body: true, bodyType: "value" },
  { body: null, bodyType: "value" },
  { body: new Date(1_714_979_289_123), bodyType: "value" },
  { body: [[1, "two"], [null]], bodyType: "sequence" },
  { body: [1, 2, 3], bodyType: "sequence" },
  {
    body: "x",
    bodyType: undefined,
    properties: {
      messageId: "id-1",
      to: "there",
      subject: "about",
      replyTo: "here",
      correlationId: "id-0",
      contentType: "application/json",
      contentEncoding: "gzip",
      absoluteExpiryTime: 1_714_979_289_124,
      creationTime: 1_714_979_289_123,
      groupId: "group",
      groupSequence: 7,
      replyToGroupId: "other",
    },
    messageAnnotations: { "x-mine": "kept", "x-number": 5, "x-time": new Date(5) },
    applicationProperties: { text: "héllo", zero: 0, negative: -(2 ** 40), fraction: 1.5, no: false, nothing: null, when: new Date(7) },
  },
];
for (const message of messages) await producer.sendBatch([message], { partitionId: "0" });

const consumer = new EventHubConsumerClient(consumerGroup, connectionString, eventHubName, options);
const read = (count) =>
  receive(consumer, count, (handlers) => consumer.subscribe("0", handlers, { startPosition: earliestEventPosition, maxBatchSize: 20 }));
const received = (await read(messages.length)).map(([, event]) => event);
for (const event of received) show(event);

// As they are: events that were received keep their kind of body.
for (const event of received) await producer.sendBatch([event], { partitionId: "0" });
const twice = (await read(2 * messages.length)).map(([, event]) => event);
for (const event of twice.slice(messages.length)) say("again", [event.body, event.getRawAmqpMessage().bodyType, event.properties]);

const adapter = createEventDataAdapter({ messageId: "m", properties: { p: 1 } });
const made = adapter.produce({ data: new Uint8Array([1, 2]), contentType: "avro/binary" });
say("adapter", [made.contentType, made.messageId, made.properties, [...made.body]]);
const taken = adapter.consume({ body: new Uint8Array([3, 4]), contentType: "avro/binary" });
say("adapter back", [[...taken.data], taken.contentType]);
for (const message of [{ contentType: "a" }, { body: new Uint8Array() }]) {
  try {
    adapter.consume(message);
  } catch (error) {
    say("adapter refuses", error.message);
  }
}
await consumer.close();
await producer.close();

function show(event) {
  const message = event.getRawAmqpMessage();
  say("event", [event.body, message.bodyType, event.properties, event.systemProperties, event.messageId, event.correlationId, event.contentType]);
  const { "x-mine": mine, "x-number": number, "x-time": time } = message.messageAnnotations;
  say("message", [message.properties, message.applicationProperties, mine, number, time, message.footer, message.deliveryAnnotations]);
}
