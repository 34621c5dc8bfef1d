// Our client in JavaScript, in a page or in Node, while the emulator goes away and comes back.

import { sleep } from "./ledger.mjs";

/** @param api the exports of `eventhubs` */
export async function work(api, ledger, { connectionString, hub, partition, group, maxDelayMs }, given = {}) {
  const options = maxDelayMs ? { ...given, retry: { maxDelayMs: Number(maxDelayMs) } } : given;
  const producer = new api.ProducerClient(connectionString, hub, options);
  const consumer = new api.ConsumerClient(connectionString, hub, { ...options, consumerGroup: group });
  for (const client of [producer, consumer]) void listen(client, ledger);
  void read(consumer, ledger, partition);
  await ledger.write(
    (number) => producer.send(`${number}`, { partitionId: partition }),
    (error) => [error.code ?? `${error}`, error.outcomeUnknown ?? false],
  );
  await ledger.end();
}

async function listen(client, ledger) {
  for await (const { type } of client.status()) ledger.tell(type);
}

async function read(consumer, ledger, partition) {
  let from = "earliest";
  for (;;) {
    try {
      for await (const event of consumer.receive(partition, { from })) {
        from = { offset: event.offset };
        ledger.receive(Number(event.text()), event.sequenceNumber);
      }
    } catch (error) {
      ledger.tell(`receive: ${error.code ?? error}`);
      // The log that the position was in is no more: everything in the one that is there now is new.
      if (error.code === "invalid-position") from = "earliest";
      else if (!error.retryable) await sleep(500);
    }
  }
}
