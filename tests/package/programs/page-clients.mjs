// A page with several clients at once, which can be reloaded in the middle of everything. What it opens is counted.
import { ConsumerClient, ProducerClient } from "eventhubs";
import { publish } from "./result.mjs";

const asked = new URL(location.href).searchParams;
const service = asked.get("connectionString");
const sockets = [];
globalThis.WebSocket = class extends WebSocket {
  constructor(...how) {
    super(...how);
    sockets.push(this);
  }
};
const open = () => sockets.filter((socket) => socket.readyState < WebSocket.CLOSED).length;

/** Sends to one hub, and reads it until `count` events have come. */
async function talk(hub, count) {
  const producer = new ProducerClient(service, hub);
  const consumer = new ConsumerClient(service, hub);
  const reading = (async () => {
    const texts = [];
    for await (const event of consumer.receive("0", { from: "earliest" })) {
      texts.push(event.text());
      if (texts.length === count) return texts;
    }
  })();
  for (let index = 0; index < count; index += 1) await producer.send(`${hub} ${index}`, { partitionId: "0" });
  return { producer, consumer, texts: await reading };
}

if (asked.has("abandon")) {
  // Clients that work when the page goes away: nothing is closed, nothing awaited.
  const producer = new ProducerClient(service, "left");
  const consumer = new ConsumerClient(service, "left");
  await producer.send("before", { partitionId: "0" });
  const events = consumer.receive("0", { from: "earliest" })[Symbol.asyncIterator]();
  globalThis.result = { value: (await events.next()).value.text() };
  const again = () => producer.send("on and on", { partitionId: "0" }).then(again);
  for (let sends = 0; sends < 8; sends += 1) again();
  events.next().then(() => events.next());
} else {
  publish(async () => {
    const [one, two] = await Promise.all([talk("one", 20), talk("two", 30)]);
    const opened = open();
    // A stream that is waited for, a send under way: closing one hub's clients ends both, and the other's notice nothing.
    const waiting = one.consumer.receive("0", { from: "latest" })[Symbol.asyncIterator]().next();
    const [ended, late] = await Promise.all([
      waiting.then((next) => (next.done ? "done" : "event"), (error) => error.code),
      one.consumer.close().then(() => one.producer.send("late")).then(() => "sent", (error) => error.code),
      one.producer.close(),
    ]);
    const aborted = new AbortController();
    const reading = two.consumer.receive("0", { from: "latest", signal: aborted.signal })[Symbol.asyncIterator]().next();
    aborted.abort();
    const abort = await reading.then((next) => (next.done ? "done" : "event"), (error) => error.name);
    await two.producer.send("still here", { partitionId: "0" });
    const { lastEnqueuedSequenceNumber } = await two.consumer.partitionProperties("0");
    await Promise.all([two.producer.close(), two.consumer.close()]);
    return {
      received: [one.texts, two.texts].map((texts) => texts.every((text, index) => text.endsWith(` ${index}`)) && texts.length),
      opened,
      ended,
      late,
      abort,
      lastEnqueuedSequenceNumber,
      left: open(),
    };
  });
}
