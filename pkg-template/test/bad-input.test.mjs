// What users get wrong is answered at once, by name, and with what is right.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ours, start } from "./facade-support.mjs";
import { dist } from "./support.mjs";

const { ConsumerClient, ProducerClient, json } = await dist("index.js");

const STRING = "Endpoint=sb://localhost;SharedAccessKeyName=app;SharedAccessKey=aHVzaA==;UseDevelopmentEmulator=true";

const CONSTRUCTORS = [
  [[], "invalid-argument", /first argument.*connection string or an object, not undefined/],
  [[42], "invalid-argument", /not 42/],
  [[null], "invalid-argument", /not null/],
  [[""], "invalid-connection-string", /is empty/],
  [["Endpoint=sb://h"], "invalid-connection-string", /SharedAccessKeyName/],
  [["Endpoint=sb://h;SharedAccessKeyName=k"], "invalid-connection-string", /no SharedAccessKey$/],
  [["SharedAccessKeyName=k;SharedAccessKey=hush"], "invalid-connection-string", /no Endpoint/],
  [["nonsense"], "invalid-connection-string", /Name=value/],
  [[STRING], "invalid-argument", /name of an event hub/],
  [[STRING, ""], "invalid-argument", /event hub's name.*not an empty text/],
  [[STRING, 7], "invalid-argument", /options.*not 7/],
  [[STRING, "eh1", "cg1"], "invalid-argument", /must be an object, not a text/],
  [[STRING, "eh1", { retries: 3 }], "invalid-argument", /no option 'retries': did you mean 'retry'\?/],
  [[STRING, "eh1", { connectTimeout: 3 }], "invalid-argument", /did you mean 'connectTimeoutMs'\?/],
  [[STRING, "eh1", { retry: { maxRetries: 3 } }], "invalid-argument", /'retry' has no option 'maxRetries'/],
  [[STRING, "eh1", { retry: { maxAttempts: 0 } }], "invalid-argument", /'maxAttempts'.*1 or more, not 0/],
  [[STRING, "eh1", { retry: { jitter: 2 } }], "invalid-argument", /'jitter'.*from 0 to 1, not 2/],
  [[STRING, "eh1", { connectTimeoutMs: "10" }], "invalid-argument", /number of milliseconds, not a text/],
  [[STRING, "eh1", { idleTimeoutMs: NaN }], "invalid-argument", /not NaN/],
  [[STRING, "eh1", { webSocket: {} }], "invalid-argument", /'webSocket'.*a function, not an object/],
  [[{}], "invalid-argument", /needs a connection string, or a namespace/],
  [[{ namespace: "h", eventHub: "e" }], "invalid-argument", /'credential' or a 'tokenProvider'/],
  [[{ namespace: "h", eventHub: "e", credential: {} }], "invalid-argument", /neither getToken/],
  [[{ namespace: "h", connectionString: STRING, eventHub: "e" }], "invalid-argument", /both a namespace and/],
  [[{ namespace: "h", eventHub: "e", credential: { signature: "s" }, tokenProvider: () => "" }], "invalid-argument", /both a credential and/],
];

test("a client that cannot be is refused by its constructor, and the key is not repeated", () => {
  for (const Client of [ProducerClient, ConsumerClient]) {
    for (const [given, code, words] of CONSTRUCTORS) {
      assert.throws(() => new Client(...given), (error) => {
        assert.doesNotMatch(error.message, /hush|aHVzaA/);
        return ours(code, words)(error);
      });
    }
  }
});

test("a consumer group belongs to a consumer alone", () => {
  assert.throws(() => new ProducerClient(STRING, "eh1", { consumerGroup: "cg1" }), ours("invalid-argument", /no option 'consumerGroup'/));
  assert.equal(new ConsumerClient(STRING, "eh1", { consumerGroup: "cg1" }).consumerGroup, "cg1");
  assert.equal(new ConsumerClient(STRING, { consumerGroup: 3 }.x ?? "eh1").consumerGroup, "$Default");
});

const EVENTS = [
  [[undefined], /needs an event/],
  [[null], /text or bytes, not null/],
  [[7], /not a number/],
  [[{ text: "x" }], /object with a 'body'/],
  [[{ body: { a: 1 } }], /not an object: give a codec, such as json\(\)/],
  [[{ body: "x", propertys: {} }], /no property 'propertys': did you mean 'properties'\?/],
  [[{ body: "x", properties: 3 }], /'properties' are an object/],
  [[{ body: "x", properties: { when: new Date(NaN) } }], /the property 'when': an invalid Date/],
  [[{ body: "x", properties: { f: () => 1 } }], /the property 'f': a function cannot be sent/],
  [[{ body: "x", properties: { n: 2n ** 70n } }], /the property 'n': a bigint of more than 64 bits/],
  [[{ body: "x", messageId: -1 }], /'messageId' is a string, a whole number/],
  [[{ body: "x", contentType: 5 }], /'contentType' is a string/],
  [["x", { partitionKey: "k", partitionId: "0" }], /both partition '0' and partition key 'k'/],
  [["x", { partition: "0" }], /no option 'partition'/],
  [["x", { partitionId: 0 }], /'partitionId'.*a string, not 0/],
  [["x", { partitionId: "zero!" }], /not the id of a partition/],
  [["x", { codec: "json" }], /'codec'.*an object, not a text/],
  [["x", { signal: {} }], /'signal'.*an AbortSignal/],
  [[{ body: 1n }, { codec: json() }], /codec cannot encode the body/],
];

test("an event that cannot be sent is refused, and says which and why", async (t) => {
  const { producer, sockets } = await start(t);
  const sender = producer();
  for (const [given, words] of EVENTS) await assert.rejects(sender.send(...given), ours("invalid-argument", words));
  const among = sender.send(["good", { body: "bad", messageId: {} }]);
  await assert.rejects(among, (error) => ours("invalid-argument")(error) && error.eventIndex === 1);
  await assert.rejects(sender.send(["good", 3]), (error) => ours("invalid-argument")(error) && error.eventIndex === 1);
  assert.ok(sockets.length <= 1);
  assert.equal(await sender.send([]), 0);
});

test("an event that is too large is refused with its index, before anything is sent twice", async (t) => {
  const { producer } = await start(t);
  const sender = producer();
  await assert.rejects(sender.send(new Uint8Array(2_000_000)), ours("message-too-large"));
  await assert.rejects(
    sender.send(["small", new Uint8Array(2_000_000)]),
    (error) => ours("message-too-large")(error) && error.eventIndex === 1,
  );
});

test("a batch can be sent once, and takes what it was made for", async (t) => {
  const { producer } = await start(t);
  const sender = producer();
  await assert.rejects(sender.createBatch({ maxSize: 0 }), ours("invalid-argument", /1 or more/));
  await assert.rejects(sender.createBatch({ partitionKey: "k", partitionId: "0" }), ours("invalid-argument", /both/));
  await assert.rejects(sender.createBatch({ maxSize: 1e9 }), ours("invalid-argument"));
  await assert.rejects(sender.sendBatch(["x"]), ours("invalid-argument", /a batch of createBatch, not an array/));
  const batch = await sender.createBatch({ partitionKey: "k" });
  assert.throws(() => batch.tryAdd({ body: "x", partitionKey: "other" }), ours("invalid-argument"));
  assert.throws(() => batch.tryAdd({ body: [] }), ours("invalid-argument", /not an array/));
  assert.equal(batch.tryAdd(new Uint8Array(2_000_000)), false);
  assert.equal(batch.tryAdd("x"), true);
  assert.equal(batch.length, 1);
  await sender.sendBatch(batch);
  await assert.rejects(sender.sendBatch(batch), ours("invalid-argument", /has been sent/));
  assert.throws(() => batch.tryAdd("y"), ours("invalid-argument", /has been sent/));
  await sender.sendBatch(await sender.createBatch());
});

const READS = [
  [() => [], /partition's id.*not undefined/],
  [() => [0], /partition's id.*not 0/],
  [() => ["0", { start: "earliest" }], /no option 'start'/],
  [() => ["0", { from: "first" }], /where to start.*not a text/],
  [() => ["0", { from: {} }], /one of offset, sequenceNumber and enqueuedTime/],
  [() => ["0", { from: { offset: "1", sequenceNumber: 2 } }], /one of offset/],
  [() => ["0", { from: { offset: 5 } }], /'offset'.*a string, not 5/],
  [() => ["0", { from: { sequenceNumber: 1.5 } }], /whole number, not 1.5/],
  [() => ["0", { from: { enqueuedTime: "now" } }], /a Date or milliseconds/],
  [() => ["0", { ownerLevel: "high" }], /'ownerLevel'/],
  [() => ["0", { prefetch: 0 }], /'prefetch'.*1 or more/],
];

test("a reading that cannot be is refused at once", async (t) => {
  const { consumer, sockets } = await start(t);
  const reader = consumer();
  for (const [given, words] of READS) assert.throws(() => reader.receive(...given()), ours("invalid-argument", words));
  await assert.rejects(reader.receive("0").nextBatch({ max: 1 }), ours("invalid-argument", /no option 'max'/));
  await assert.rejects(reader.partitionProperties(), ours("invalid-argument", /partition's id/));
  assert.equal(sockets.length, 0);
  await assert.rejects(reader.receive("9").ready(), ours("not-found", /between 0 and 3/));
  await assert.rejects(reader.partitionProperties("9"), ours("not-found"));
  await assert.rejects(consumer({ consumerGroup: "none" }).receive("0").ready(), ours("not-found"));
  await assert.rejects(reader.receiveAll({ from: { 9: "earliest" } }).ready(), ours("invalid-argument", /partition '9'/));
});

test("after close every call says that it was closed", async (t) => {
  const { producer, consumer } = await start(t);
  const [sender, reader] = [producer(), consumer()];
  await sender.send("x", { partitionId: "0" });
  const batch = await sender.createBatch();
  batch.tryAdd("y");
  const stream = await reader.receive("0", { from: "earliest" }).ready();
  await Promise.all([sender.close(), sender.close(), reader.close(), stream.close(), stream.close()]);
  const calls = [
    () => sender.send("x"),
    () => sender.sendBatch(batch),
    () => sender.createBatch(),
    () => sender.hubProperties(),
    () => reader.partitionIds(),
    () => reader.receive("0").ready(),
    () => stream.nextBatch(),
    () => stream.ready(),
  ];
  for (const call of calls) await assert.rejects(call(), ours("closed"));
  assert.deepEqual(await stream.next(), { done: true, value: undefined });
  assert.equal((await reader.receive("0").close()) ?? "closed", "closed");
});

test("a class of WebSockets that throws, or is none, is said in words", async (t) => {
  const { producer } = await start(t);
  class Throwing {
    constructor() {
      throw new TypeError("no network today");
    }
  }
  await assert.rejects(producer({ webSocket: Throwing }).send("x"), ours("connect-failed", /no network today/));
  await assert.rejects(producer({ webSocket: () => undefined }).send("x"), ours("connect-failed"));
});

test("clients can be made on a page that is not secure, which has no crypto.randomUUID", async (t) => {
  const { EventHubProducerClient, InMemoryCheckpointStore } = await dist("compat.js");
  const randomUUID = Object.getOwnPropertyDescriptor(Crypto.prototype, "randomUUID");
  t.after(() => Object.defineProperty(Crypto.prototype, "randomUUID", randomUUID));
  delete Crypto.prototype.randomUUID;
  assert.equal(crypto.randomUUID, undefined);
  const names = [new ProducerClient(STRING, "eh1"), new EventHubProducerClient(STRING, "eh1")].map((client) => client.identifier);
  for (const name of names) assert.match(name, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  const partition = { fullyQualifiedNamespace: "h", eventHubName: "e", consumerGroup: "g", partitionId: "0", ownerId: "me" };
  const [claimed] = await new InMemoryCheckpointStore().claimOwnership([partition]);
  assert.ok(claimed.etag);
});
