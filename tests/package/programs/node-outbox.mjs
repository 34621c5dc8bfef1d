// A process with an outbox, which is killed at any moment.
import { ConsumerClient, ProducerClient } from "eventhubs";
import { Outbox } from "eventhubs/outbox";
import { stored } from "./stored.mjs";

const [what, directory, connectionString, eventHub] = process.argv.slice(2);
const say = (text) => process.stdout.write(`${text}\n`);
const producer = new ProducerClient({ connectionString, eventHub, idempotent: true, retry: { maxAttempts: 1, attemptTimeoutMs: 2000 } });
const outbox = await Outbox.open(producer, { directory });
const life = Math.round(performance.timeOrigin * 1000);

if (what === "enqueue") {
  await Promise.all(["a", "b", "c", "d"].map(endless));
} else {
  await outbox.flush({ timeoutMs: 60_000 });
  await outbox.close();
  await producer.close();
  say(JSON.stringify(await stored(new ConsumerClient({ connectionString, eventHub }))));
}

async function endless(key) {
  for (let number = 0; ; number += 1) {
    const text = `${key}:${life}:${number}`;
    await outbox.enqueue({ body: text, partitionKey: key });
    say(`kept ${text}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
