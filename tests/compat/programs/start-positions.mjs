// Where reading starts: every kind of position, one for all partitions or one for each.

import { EventHubConsumerClient, EventHubProducerClient, earliestEventPosition, latestEventPosition } from "@azure/event-hubs";
import { connectionString, consumerGroup, deferred, eventHubName, options, receive, say } from "./support.mjs";

say("positions", [earliestEventPosition, latestEventPosition]);
const producer = new EventHubProducerClient(connectionString, eventHubName, options);
for (let number = 0; number < 10; number++) await producer.sendBatch([{ body: number }], { partitionId: "0" });
const consumer = new EventHubConsumerClient(consumerGroup, connectionString, eventHubName, options);
const from = (startPosition, count, more) =>
  receive(consumer, count, (handlers) => consumer.subscribe("0", handlers, { startPosition, maxBatchSize: 5, ...more }));
const bodies = (received) => received.map(([, event]) => event.body);

const events = (await from(earliestEventPosition, 10)).map(([, event]) => event);
say("earliest", events.map((event) => event.body));
say("behind an offset", bodies(await from({ offset: events[6].offset }, 3)));
say("with an offset", bodies(await from({ offset: events[6].offset, isInclusive: true }, 4)));
say("behind a number", bodies(await from({ sequenceNumber: 7 }, 2)));
say("with a number", bodies(await from({ sequenceNumber: 7, isInclusive: true }, 3)));
say("after a time", bodies(await from({ enqueuedOn: new Date(events[0].enqueuedTimeUtc.getTime() - 60_000) }, 10)));
say("after a time in milliseconds", bodies(await from({ enqueuedOn: Date.now() - 3_600_000 }, 10)));

// The latest: nothing tells when the link is there, so events are sent until one arrives.
const first = deferred();
const live = consumer.subscribe(
  "0",
  { processEvents: async ([event]) => event && first.resolve(event.body), processError: async (error) => first.reject(error) },
  { startPosition: latestEventPosition },
);
let arrived;
first.promise.then((body) => (arrived = body));
while (arrived === undefined) {
  await producer.sendBatch([{ body: "live" }], { partitionId: "0" });
  await new Promise((resolve) => setTimeout(resolve, 20));
}
say("latest", arrived);
await live.close();

await producer.sendBatch([{ body: "one" }, { body: "two" }], { partitionId: "1" });
const starts = new Map();
const both = deferred();
const each = consumer.subscribe(
  {
    processEvents: async ([event], { partitionId }) => {
      if (event !== undefined && !starts.has(partitionId)) starts.set(partitionId, event.body);
      if (starts.size === 2) both.resolve();
    },
    processError: async (error) => both.reject(error),
  },
  { startPosition: { 0: { sequenceNumber: 8 }, 1: { sequenceNumber: 1, isInclusive: true } } },
);
await both.promise;
await each.close();
say("for each partition", [...starts].sort());

for (const [what, startPosition] of Object.entries({
  nothing: {},
  both: { offset: "1", sequenceNumber: 1 },
  all: { offset: "1", sequenceNumber: 1, enqueuedOn: 1 },
  "nothing in a partition": { 0: {} },
  "both in a partition": { 0: { offset: "1", enqueuedOn: new Date(1) } },
})) {
  try {
    consumer.subscribe("0", { processEvents: async () => {}, processError: async () => {} }, { startPosition });
    say(what, "is taken");
  } catch (error) {
    say(what, [error.name, error.message]);
  }
}
await consumer.close();
await producer.close();
