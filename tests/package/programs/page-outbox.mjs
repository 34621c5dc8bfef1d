// One of several tabs that share an outbox, and go at any moment.
import { ConsumerClient, ProducerClient } from "eventhubs/inline";
import { Outbox } from "eventhubs/outbox";
import { stored } from "./stored.mjs";

const asked = new URL(location.href).searchParams;
const connection = { connectionString: asked.get("connectionString"), eventHub: asked.get("hub") };
const producer = new ProducerClient({ ...connection, idempotent: true, retry: { maxAttempts: 1, attemptTimeoutMs: 2000 } });
const outbox = await Outbox.open(producer);
/** Later loads of a tab have larger numbers. */
const life = Math.round(performance.timeOrigin * 1000);

globalThis.tab = {
  outbox,
  /** Enqueues for as long as there is a tab: the keys' events one after the other. */
  enqueue: (keys) => {
    for (const key of keys) void endless(key);
  },
  stored: () => stored(new ConsumerClient(connection)),
};

async function endless(key) {
  for (let number = 0; ; number += 1) {
    const text = `${key}:${life}:${number}`;
    await outbox.enqueue({ body: text, partitionKey: key });
    // Not before the test has heard it: told faster than it listens, it would hear of nothing else for minutes.
    await globalThis.kept(text);
  }
}
