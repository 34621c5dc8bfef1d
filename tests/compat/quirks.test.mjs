// Where eventhubs/compat differs from the official SDK on purpose, what it adds, and what it does with bad input.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { after, before, beforeEach, test } from "node:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { compat, Emulator, eventually, FAST, folderOfOurs, reader } from "./support/ours.mjs";

const {
  AbortError,
  EventHubBufferedProducerClient,
  EventHubConsumerClient,
  EventHubProducerClient,
  InMemoryCheckpointStore,
  MessagingError,
  earliestEventPosition,
  logger,
  parseEventHubConnectionString,
} = compat;

let emulator;
let hub;
let hubs = 0;
const open = [];
const keep = (client) => (open.push(client), client);
const producer = (options) => keep(new EventHubProducerClient(emulator.connectionString, hub, { ...FAST, ...options }));
const consumer = (store, options) =>
  keep(new EventHubConsumerClient("$Default", emulator.connectionString, hub, ...(store ? [store] : []), { ...FAST, ...options }));
const unhandled = [];
process.on("unhandledRejection", (error) => unhandled.push(error));

before(async () => {
  emulator = await Emulator.start({
    hubs: Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`hub${n}`, 4])),
    keys: { listener: { key: "bGlzdGVuZXI=", rights: "listen" } },
  });
});
beforeEach(() => {
  hub = `hub${hubs++}`;
});
after(async () => {
  await Promise.all(open.map((client) => client.close()));
  await emulator.stop();
  assert.deepEqual(unhandled, []);
});

const LIMIT = { timeout: 60_000 };

test("an unknown partition is refused by the buffered producer", LIMIT, async () => {
  const failed = [];
  const client = keep(
    new EventHubBufferedProducerClient(emulator.connectionString, hub, { ...FAST, onSendEventsErrorHandler: (context) => failed.push(context) }),
  );
  await assert.rejects(client.enqueueEvent({ body: 1 }, { partitionId: "17" }), { code: "ArgumentOutOfRangeError", retryable: false });
  assert.deepEqual(failed, []);
});

test("idempotent retries number events", LIMIT, async () => {
  const failed = [];
  const client = keep(
    new EventHubBufferedProducerClient(emulator.connectionString, hub, {
      ...FAST,
      enableIdempotentRetries: true,
      onSendEventsErrorHandler: ({ error }) => failed.push(error),
    }),
  );
  const { lastEnqueuedSequenceNumber: before } = await client.getPartitionProperties("1");
  for (let number = 0; number < 5; number++) await client.enqueueEvent({ body: number }, { partitionId: "1" });
  await client.flush();
  assert.deepEqual(failed, []);
  assert.equal((await client.getPartitionProperties("1")).lastEnqueuedSequenceNumber, before + 5);
});

test("an event that cannot be sent is told to the handler, and the others are sent", LIMIT, async () => {
  const [failed, sent] = [[], []];
  const client = keep(
    new EventHubBufferedProducerClient(emulator.connectionString, hub, {
      ...FAST,
      maxWaitTimeInMs: 50,
      onSendEventsErrorHandler: ({ partitionId, events, error }) => failed.push([partitionId, events.length, error.code ?? error.message]),
      onSendEventsSuccessHandler: ({ events }) => sent.push(...events.map((event) => event.body)),
    }),
  );
  for (const event of [{ body: "a" }, { body: "x".repeat(2 ** 20) }, { body: "b", contentType: 5 }, { body: "c" }]) {
    await client.enqueueEvent(event, { partitionId: "0" });
  }
  await client.flush();
  assert.deepEqual(sent, ["a", "c"]);
  assert.deepEqual(failed.map(([id, count]) => [id, count]), [["0", 1], ["0", 1]]);
  assert.equal(failed[0][2], "MessageTooLargeError");
  assert.match(failed[1][2], /contentType/);
});

test("a flush does not wait for the time of the buffer", LIMIT, async () => {
  let sent = 0;
  const client = keep(
    new EventHubBufferedProducerClient(emulator.connectionString, hub, {
      ...FAST,
      maxWaitTimeInMs: 3_600_000,
      onSendEventsErrorHandler() {},
      onSendEventsSuccessHandler: ({ events }) => (sent += events.length),
    }),
  );
  await client.enqueueEvents(Array.from({ length: 10 }, (_, body) => ({ body })));
  await client.flush();
  assert.equal(sent, 10);
});

test("whoever waits for room hears that the buffer was closed, or gives up", LIMIT, async () => {
  const client = keep(
    new EventHubBufferedProducerClient(emulator.connectionString, hub, {
      ...FAST,
      maxEventBufferLengthPerPartition: 1,
      maxWaitTimeInMs: 3_600_000,
      onSendEventsErrorHandler() {},
    }),
  );
  await client.enqueueEvent({ body: 1 }, { partitionId: "0" });
  const waiting = Promise.allSettled(Array.from({ length: 50 }, (_, body) => client.enqueueEvent({ body }, { partitionId: "0" })));
  const controller = new AbortController();
  const given = client.enqueueEvent({ body: "given up" }, { partitionId: "0", abortSignal: controller.signal });
  controller.abort();
  await assert.rejects(given, { name: "AbortError" });
  await client.close({ flush: false });
  const refused = (await waiting).filter(({ status }) => status === "rejected");
  assert.ok(refused.length > 0);
  for (const { reason } of refused) assert.match(reason.message, /already been closed/);
});

test("a wrong key is told at once, and not after all retries", LIMIT, async () => {
  const wrong = emulator.connectionString.replace(/SharedAccessKey=[^;]*/, "SharedAccessKey=d3Jvbmc=");
  const client = keep(new EventHubProducerClient(wrong, hub));
  const start = performance.now();
  await assert.rejects(client.getPartitionIds(), (error) => {
    assert.ok(error instanceof MessagingError && !(error instanceof AggregateError));
    assert.deepEqual([error.name, error.code, error.retryable], ["MessagingError", "UnauthorizedError", true]);
    assert.equal(error.cause.code, "unauthorized");
    return true;
  });
  assert.ok(performance.now() - start < 5_000);
});

test("exhausted retries throw the last MessagingError", LIMIT, async () => {
  const server = createServer((socket) => socket.destroy()).listen(0, "127.0.0.1");
  await once(server, "listening");
  const text = `Endpoint=sb://127.0.0.1:${server.address().port};SharedAccessKeyName=a;SharedAccessKey=b;UseDevelopmentEmulator=true`;
  const client = keep(new EventHubProducerClient(text, "h", { retryOptions: { maxRetries: 2, retryDelayInMs: 5 } }));
  await assert.rejects(client.sendBatch([{ body: 1 }]), (error) => {
    assert.deepEqual([error.name, error.code, error.retryable, error.info.attempts], ["MessagingError", "ServiceCommunicationError", true, 3]);
    return true;
  });
  server.close();
});

test("connecting keeps to timeoutInMs", LIMIT, async () => {
  const silent = createServer(() => {}).listen(0, "127.0.0.1");
  await once(silent, "listening");
  const text = `Endpoint=sb://127.0.0.1:${silent.address().port};SharedAccessKeyName=a;SharedAccessKey=b;UseDevelopmentEmulator=true`;
  const client = keep(new EventHubProducerClient(text, "h", { retryOptions: { maxRetries: 0, timeoutInMs: 300 } }));
  const start = performance.now();
  await assert.rejects(client.getPartitionIds(), { name: "MessagingError" });
  assert.ok(performance.now() - start < 10_000);
  silent.close();
});

test("an abort while it lasts is an AbortError, and leaves no listener behind", LIMIT, async () => {
  const silent = createServer(() => {}).listen(0, "127.0.0.1");
  await once(silent, "listening");
  const text = `Endpoint=sb://127.0.0.1:${silent.address().port};SharedAccessKeyName=a;SharedAccessKey=b;UseDevelopmentEmulator=true`;
  const client = keep(new EventHubProducerClient(text, "h", FAST));
  const listeners = new Set();
  const like = {
    aborted: false,
    addEventListener: (_, listener) => void listeners.add(listener),
    removeEventListener: (_, listener) => void listeners.delete(listener),
  };
  const sending = client.sendBatch([{ body: 1 }], { abortSignal: like });
  await eventually(() => listeners.size > 0, "somebody listens");
  for (const listener of listeners) listener();
  await assert.rejects(sending, (error) => error instanceof AbortError && error.name === "AbortError");
  assert.equal(listeners.size, 0);
  await client.close();
  silent.close();
});

test("connection strings say whether they lead to an emulator", () => {
  assert.equal(parseEventHubConnectionString(emulator.connectionString).useDevelopmentEmulator, true);
  assert.ok(!("useDevelopmentEmulator" in parseEventHubConnectionString("Endpoint=sb://h/;SharedAccessKeyName=a;SharedAccessKey=b")));
});

test("no error shows a key", () => {
  const secret = "c2VjcmV0LXNlY3JldA==";
  for (const text of [
    `Endpoint=sb://h/;SharedAccessKeyName=a;SharedAccessKey=${secret}`,
    `Endpoint=sb://h/;SharedAccessKeyName=a;SharedAccessKey=${secret};EntityPath=other`,
  ]) {
    for (const hub of [undefined, "orders"]) {
      try {
        new EventHubProducerClient(text, hub);
      } catch (error) {
        assert.ok(!error.stack.includes(secret), error.message);
      }
    }
  }
});

test("a closed client is closed, whether it had connected or not", LIMIT, async () => {
  for (const connects of [true, false]) {
    const [sender, receiver] = [producer(), consumer()];
    if (connects) await Promise.all([sender.getPartitionIds(), receiver.getPartitionIds()]);
    await Promise.all([sender.close(), receiver.close(), sender.close()]);
    const closed = { message: "The underlying AMQP connection is closed." };
    await assert.rejects(sender.sendBatch([{ body: 1 }]), closed);
    await assert.rejects(sender.createBatch(), closed);
    await assert.rejects(receiver.getPartitionProperties("0"), closed);
    const late = reader(receiver, { partition: "0" });
    await eventually(() => late.errors.length > 0 && late.closed.length > 0, "the subscription fails");
    assert.equal(late.errors[0].message, closed.message);
    await late.subscription.close();
  }
});

test("options that read nothing are refused", () => {
  const client = consumer();
  const handlers = { processEvents: async () => {}, processError: async () => {} };
  for (const options of [{ maxBatchSize: 0 }, { maxBatchSize: 1.5 }, { maxBatchSize: "10" }, { prefetchCount: -1 }, { maxWaitTimeInSeconds: NaN }]) {
    assert.throws(() => client.subscribe("0", handlers, options), TypeError, JSON.stringify(options));
  }
  assert.throws(() => client.subscribe(undefined, undefined), /Unhandled subscribe/);
  assert.throws(() => client.subscribe(), /Unhandled subscribe/);
});

test("events come in batches of what has arrived, and an empty call when nothing comes", LIMIT, async () => {
  await producer().sendBatch(Array.from({ length: 25 }, (_, body) => ({ body })), { partitionId: "0" });
  const seen = reader(consumer(), { partition: "0", maxBatchSize: 10, maxWaitTimeInSeconds: 0.2 });
  await eventually(() => seen.batches.includes(0), "an empty batch");
  assert.deepEqual(seen.bodies, Array.from({ length: 25 }, (_, n) => n));
  assert.ok(Math.max(...seen.batches) === 10 && seen.batches.filter((count) => count > 0).length < 10, seen.batches.join());
  await seen.subscription.close();
  assert.deepEqual(seen.closed, [["0", "Shutdown"]]);
});

test("a batch keeps its place in the queue while events wait for it", LIMIT, async () => {
  // Timers in Node may call back early: a wait that is cut short must not become one for ever.
  const sender = producer();
  const seen = reader(consumer(), { partition: "0", maxBatchSize: 50, maxWaitTimeInSeconds: 60 });
  for (let body = 0; body < 60; body++) {
    await sender.sendBatch([{ body }], { partitionId: "0" });
    await eventually(() => seen.bodies.length > body, () => `event ${body}`, 5_000);
  }
  await seen.subscription.close();
});

test("the store in memory hands out partitions, and remembers", LIMIT, async () => {
  const store = new InMemoryCheckpointStore();
  const place = { fullyQualifiedNamespace: "n", eventHubName: "h", consumerGroup: "g", partitionId: "0" };
  const [first] = await store.claimOwnership([{ ...place, ownerId: "a" }]);
  assert.ok(first.etag && first.lastModifiedTimeInMs <= Date.now());
  assert.deepEqual(await store.claimOwnership([{ ...place, ownerId: "b" }]), [], "somebody has it");
  assert.deepEqual(await store.claimOwnership([{ ...place, ownerId: "b", etag: "wrong" }]), []);
  const [second] = await store.claimOwnership([{ ...place, ownerId: "b", etag: first.etag }]);
  assert.deepEqual((await store.listOwnership("n", "h", "g")).map((each) => each.ownerId), [second.ownerId]);
  assert.deepEqual(await store.listOwnership("n", "h", "other"), []);
  await store.updateCheckpoint({ ...place, sequenceNumber: 5, offset: "50" });
  await store.updateCheckpoint({ ...place, sequenceNumber: 6, offset: "60" });
  assert.deepEqual(await store.listCheckpoints("n", "h", "g"), [{ ...place, sequenceNumber: 6, offset: "60" }]);
  await assert.rejects(store.updateCheckpoint({ ...place, offset: "1" }), TypeError);
});

test("three consumers with one store share every partition, and none is left out", LIMIT, async () => {
  const store = new InMemoryCheckpointStore();
  const balancing = { loadBalancingOptions: { updateIntervalInMs: 60, partitionOwnershipExpirationIntervalInMs: 5_000 } };
  const readers = Array.from({ length: 3 }, () => {
    const client = consumer(store, balancing);
    return Object.assign(reader(client), { client });
  });
  const shares = async () => {
    const owners = await store.listOwnership(readers[0].client.fullyQualifiedNamespace, hub, "$Default");
    return readers.map(({ client }) => owners.filter((each) => each.ownerId === client.identifier).length).sort();
  };
  await eventually(async () => (await shares()).join() === "1,1,2", "shares of 2, 1 and 1");
  await readers[0].client.close();
  await eventually(async () => (await shares()).join() === "0,2,2", "the other two have all");
  const sender = producer();
  for (const partitionId of await sender.getPartitionIds()) await sender.sendBatch([{ body: partitionId }], { partitionId });
  await eventually(() => new Set(readers.flatMap((each) => each.bodies)).size === 4, "everything arrives");
  for (const { client } of readers) await client.close();
});

test("the partitions of an owner that went silent are taken over", LIMIT, async () => {
  const store = new InMemoryCheckpointStore();
  const client = consumer(store, { loadBalancingOptions: { strategy: "greedy", updateIntervalInMs: 60, partitionOwnershipExpirationIntervalInMs: 500 } });
  const place = { fullyQualifiedNamespace: client.fullyQualifiedNamespace, eventHubName: hub, consumerGroup: "$Default" };
  await store.claimOwnership(["0", "1", "2", "3"].map((partitionId) => ({ ...place, partitionId, ownerId: "gone" })));
  const seen = reader(client);
  await eventually(() => seen.initialized.length === 4, "all partitions are taken");
  await client.close();
  const left = await store.listOwnership(client.fullyQualifiedNamespace, hub, "$Default");
  assert.deepEqual(left.map((each) => each.ownerId), ["", "", "", ""], "given up when it closes");
});

test("a store that fails is told to processError, and asked again", LIMIT, async () => {
  const store = new InMemoryCheckpointStore();
  let isBroken = true;
  const flaky = {
    listOwnership: async (...given) => {
      if (isBroken) throw new Error("the store is down");
      return store.listOwnership(...given);
    },
    claimOwnership: (claims) => store.claimOwnership(claims),
    listCheckpoints: (...given) => store.listCheckpoints(...given),
    updateCheckpoint: (checkpoint) => store.updateCheckpoint(checkpoint),
  };
  const seen = reader(consumer(flaky, { loadBalancingOptions: { strategy: "greedy", updateIntervalInMs: 50 } }));
  await eventually(() => seen.errors.length > 1, "errors");
  assert.equal(seen.errors[0].message, "the store is down");
  isBroken = false;
  await eventually(() => seen.initialized.length === 4, "it works again");
  await seen.subscription.close();
});

test("whoever closes within any handler does not wait for itself", LIMIT, async () => {
  await producer().sendBatch([{ body: 1 }], { partitionId: "0" });
  for (const where of ["processInitialize", "processEvents", "processError", "processClose"]) {
    const client = consumer();
    let ended;
    const done = new Promise((resolve) => (ended = resolve));
    const handlers = {
      processEvents: async () => {
        if (where === "processError") throw new Error("on purpose");
        if (where === "processClose") void subscription.close();
      },
      processError: async () => {},
    };
    const ordinary = handlers[where];
    handlers[where] = async () => {
      await ordinary?.();
      await subscription.close();
      ended();
    };
    const subscription = client.subscribe("0", handlers, { startPosition: earliestEventPosition, maxWaitTimeInSeconds: 1 });
    if (where !== "processClose") await done;
    await eventually(() => !subscription.isRunning, `${where}: it ends`);
    await client.close();
  }
});

test("credentials are asked each time, and told when they fail", LIMIT, async () => {
  const parsed = parseEventHubConnectionString(emulator.connectionString);
  const place = { customEndpointAddress: undefined, webSocketOptions: { webSocket: emulator.WebSocket } };
  const named = { name: parsed.sharedAccessKeyName, key: parsed.sharedAccessKey };
  const byKey = keep(new EventHubProducerClient(parsed.fullyQualifiedNamespace, hub, named, { ...FAST, ...place }));
  assert.deepEqual(await byKey.getPartitionIds(), ["0", "1", "2", "3"]);
  await byKey.sendBatch([{ body: "by key" }]);

  const rotating = { name: parsed.sharedAccessKeyName, key: "d3Jvbmc=" };
  const rotated = keep(new EventHubProducerClient(parsed.fullyQualifiedNamespace, hub, rotating, { ...FAST, ...place }));
  await assert.rejects(rotated.getPartitionIds(), { code: "UnauthorizedError" });
  rotating.key = parsed.sharedAccessKey;
  assert.equal((await rotated.getPartitionIds()).length, 4, "the new key is used");

  const asked = [];
  const broken = {
    async getToken(scope) {
      asked.push(scope);
      throw Object.assign(new Error("not signed in"), { name: "CredentialUnavailableError" });
    },
  };
  const failing = keep(new EventHubProducerClient(parsed.fullyQualifiedNamespace, hub, broken, { ...FAST, ...place }));
  await assert.rejects(failing.getPartitionIds(), { name: "CredentialUnavailableError", message: "not signed in" });
  assert.equal(asked[0], "https://eventhubs.azure.net//.default");
});

test("what handlers throw is logged where somebody wants to see it", LIMIT, async () => {
  const lines = [];
  logger.error.log = (...line) => lines.push(line.map(String).join(" "));
  logger.error.enabled = true;
  const client = keep(
    new EventHubBufferedProducerClient(emulator.connectionString, hub, {
      ...FAST,
      maxWaitTimeInMs: 10,
      onSendEventsErrorHandler() {},
      onSendEventsSuccessHandler() {
        throw new Error("a mistake");
      },
    }),
  );
  await client.enqueueEvent({ body: 1 });
  await client.flush();
  await client.close();
  logger.error.enabled = false;
  assert.match(lines.join("\n"), /onSendEventsSuccessHandler.*a mistake/);
});

test("a program that closes its clients ends, by import and by require", LIMIT, async () => {
  const body = `
    const producer = new EventHubProducerClient(emulator.connectionString, "eh1");
    await producer.sendBatch([{ body: "hello" }]);
    const consumer = new EventHubConsumerClient("$Default", emulator.connectionString, "eh1");
    await new Promise((resolve, reject) => {
      const subscription = consumer.subscribe({
        processEvents: async ([event]) => { if (event) { console.log(event.body); await subscription.close(); resolve(); } },
        processError: async (error) => reject(error),
      }, { startPosition: earliestEventPosition });
    });
    await consumer.close();
    await producer.close();
    await emulator.stop();`;
  const names = "EventHubConsumerClient, EventHubProducerClient, earliestEventPosition";
  const start = "const emulator = await Emulator.start();";
  const programs = {
    "ends.mjs": `import { ${names} } from "eventhubs/compat"; import { Emulator } from "eventhubs/emulator"; ${start} ${body}`,
    "ends.cjs": `const { ${names} } = require("eventhubs/compat"); const { Emulator } = require("eventhubs/emulator");
      (async () => { ${start} ${body} })();`,
  };
  for (const [name, text] of Object.entries(programs)) {
    const path = join(folderOfOurs, name);
    await writeFile(path, text);
    const child = spawn(process.execPath, [path], { stdio: ["ignore", "pipe", "inherit"] });
    let said = "";
    child.stdout.setEncoding("utf8").on("data", (more) => (said += more));
    const [code] = await once(child, "close");
    assert.deepEqual([name, code, said.trim()], [name, 0, "hello"]);
  }
});
