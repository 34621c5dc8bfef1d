// What is wrong is said at once.

import assert from "node:assert/strict";
import { createServer } from "node:net";
import { once } from "node:events";

import { inPage, onEachTransport } from "./support.mjs";

// Much shorter than the SDK's own timeouts, much longer than a slow machine needs.
const AT_ONCE = 6_000;

const innermost = (error) => (error.errors?.length ? innermost(error.errors.at(-1)) : error);

/** Rejects for this reason; with retries the SDK wraps what each attempt said, twice, and says nothing itself. */
async function rejects(promise, expected) {
  const reason = await promise.then(() => assert.fail("was not rejected"), innermost);
  assert.throws(() => {
    throw reason;
  }, expected);
}

/** A test that must be over soon. */
function atOnce(name, body) {
  onEachTransport(name, async (clients) => {
    const start = performance.now();
    await body(clients);
    assert.ok(performance.now() - start < AT_ONCE, `took ${performance.now() - start} ms`);
  });
}

atOnce("a wrong key fails everything", async (clients) => {
  const connectionString = clients.connectionString({ SharedAccessKey: "d3Jvbmc=" });
  const producer = clients.producer({ connectionString });
  await rejects(producer.sendBatch([{ body: 1 }]), { code: "UnauthorizedError", message: /InvalidSignature/ });
  await rejects(producer.getPartitionIds(), { code: "UnauthorizedError" });
  const reader = clients.reader(clients.consumer({ connectionString }), { partition: "0" });
  assert.equal(innermost(await reader.firstError()).code, "UnauthorizedError");
});

atOnce("a listen key cannot send", async (clients) => {
  const connectionString = clients.connectionString({ SharedAccessKeyName: "listener", SharedAccessKey: "bGlzdGVuZXI=" });
  await rejects(clients.producer({ connectionString }).sendBatch([{ body: 1 }]), { code: "UnauthorizedError" });
  assert.deepEqual(await clients.consumer({ connectionString }).getPartitionIds(), ["0", "1", "2", "3"]);
});

atOnce("an unknown hub is named", async (clients) => {
  const producer = clients.producer({ hub: "no-such-hub" });
  const expected = { code: "MessagingEntityNotFoundError", message: /no-such-hub/ };
  await rejects(producer.getEventHubProperties(), expected);
  await rejects(producer.sendBatch([{ body: 1 }]), expected);
});

atOnce("an unknown consumer group is named", async (clients) => {
  const reader = clients.reader(clients.consumer({ group: "no-such-group" }), { partition: "0" });
  const error = await reader.firstError();
  assert.equal(error.code, "MessagingEntityNotFoundError");
  assert.match(error.message, /no-such-group/);
});

atOnce("an unknown partition is refused", async (clients) => {
  const producer = clients.producer();
  const expected = { code: "ArgumentOutOfRangeError" };
  await rejects(producer.sendBatch([{ body: 1 }], { partitionId: "17" }), expected);
  await rejects(producer.getPartitionProperties("17"), expected);
  const reader = clients.reader(clients.consumer(), { partition: "17" });
  assert.match((await reader.firstError()).message, /between 0 and 3/);
});

for (const [name, startPosition] of Object.entries({
  offset: { offset: "999999999" },
  "sequence number": { sequenceNumber: 999999999 },
})) {
  atOnce(`an ${name} beyond the end is refused`.replace("an seq", "a seq"), async (clients) => {
    await clients.producer().sendBatch([{ body: 1 }], { partitionId: "0" });
    const reader = clients.reader(clients.consumer(), { partition: "0", startPosition });
    const error = await reader.firstError();
    assert.equal(error.code, "ArgumentError");
    assert.match(error.message, /999999999/);
  });
}

atOnce("a position that is none is refused", async (clients) => {
  const reader = clients.reader(clients.consumer(), { partition: "0", startPosition: { offset: "nonsense" } });
  assert.match((await reader.firstError()).message, /not a valid amqp filter/);
});

atOnce("an event over the limit is refused and the producer goes on", async (clients) => {
  const producer = clients.producer();
  await rejects(producer.sendBatch([{ body: Buffer.alloc(1024 * 1024 + 1) }], { partitionId: "0" }), {
    code: "MessageTooLargeError",
  });
  await producer.sendBatch([{ body: "small" }], { partitionId: "0" });
  const { lastEnqueuedSequenceNumber } = await producer.getPartitionProperties("0");
  assert.equal(lastEnqueuedSequenceNumber, 0);
});

// A pipe leads to its emulator wherever the URL points.
if (!inPage) {
  atOnce("nobody listening is an error", async (clients) => {
    const listener = createServer().listen(0, "127.0.0.1");
    await once(listener, "listening");
    const { port } = listener.address();
    await new Promise((closed) => listener.close(closed));
    const connectionString = clients.connectionString({ Endpoint: `sb://127.0.0.1:${port}` });
    await rejects(clients.producer({ connectionString }).getPartitionIds(), /ECONNREFUSED|connect/i);
  });
}
