// Nothing happens in silence: what a client tells of its connection, links and tokens, to whom, and for how long.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { ours, start } from "./facade-support.mjs";
import { dist, eventually } from "./support.mjs";

const { ConsumerClient, EventHubsError, ProducerClient, StatusStream } = await dist("index.js");
const engine = await dist("wasm/eventhubs.js");

const AT_ONCE = { retry: { baseDelayMs: 1, maxAttempts: 5 } };
const NOTHING = { type: "disconnected", cause: undefined };

/** Takes statuses until one is of that type; all of them, that one last. */
async function until(statuses, type) {
  const seen = [];
  for (;;) {
    const { done, value } = await statuses.next();
    assert.ok(!done, `no ${type}, but ${JSON.stringify(seen)}`);
    seen.push(value);
    if (value.type === type) return seen;
  }
}

const types = (statuses) => statuses.map(({ type }) => type);

/** As a network does it: nobody says goodbye to the client. */
function cut({ sockets }) {
  for (const socket of sockets) if (socket.readyState === 1) socket.close(4000, "cut");
}

async function turns(count) {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

// The first of this file, while the engine does not run yet.
test("a client that has done nothing tells how it is, without engine or connection", async (t) => {
  const clients = await start(t);
  const client = clients.producer();
  const before = Date.now();
  const statuses = client.status();
  assert.ok(statuses instanceof StatusStream);
  const waiting = [statuses.next(), statuses.next()];
  assert.deepEqual(await waiting[0], { done: false, value: NOTHING });
  const { since, ...health } = client.health();
  assert.ok(since instanceof Date && since.getTime() <= before);
  assert.deepEqual(health, {
    state: NOTHING,
    lastError: undefined,
    linksLive: 0,
    linksWanted: 0,
    linksFailing: 0,
    tokenExpiresAt: undefined,
    isHealthy: true,
  });
  await turns(20);
  assert.equal(clients.sockets.length, 0);
  assert.throws(() => engine.underWay(), TypeError, "the engine was started for a status");

  await client.send("x");
  assert.deepEqual(await waiting[1], { done: false, value: { type: "connecting", attempt: 1 } });
  const rest = await until(statuses, "token-refreshed");
  assert.deepEqual(types(rest), ["connected", "token-refreshed"]);
  assert.ok(rest[1].expiresAt.getTime() > Date.now() && rest[1].audience.includes("eh1"), JSON.stringify(rest[1]));
});

test("a client that is closed before it did anything says so and ends", async () => {
  const client = new ProducerClient({ namespace: "nowhere.invalid", eventHub: "eh1", tokenProvider: () => "none" });
  const [early, unread] = [client.status(), client.status()];
  assert.deepEqual((await early.next()).value, NOTHING);
  const waiting = early.next();
  await client.close();
  assert.deepEqual(await waiting, { done: false, value: { type: "closed" } });
  for (const statuses of [early, client.status(), unread]) {
    const seen = [];
    for await (const status of statuses) seen.push(status);
    assert.deepEqual(seen, statuses === early ? [] : [{ type: "closed" }]);
    assert.equal((await statuses.next()).done, true);
  }
  assert.equal(client.health().isHealthy, false);
  assert.deepEqual(client.health().state, { type: "closed" });
});

test("a connection that is lost and made again is told step by step, with the reason and where reading goes on", async (t) => {
  const clients = await start(t);
  const reader = clients.consumer(AT_ONCE);
  const [one, other] = [reader.status(), reader.status()];
  await clients.producer().send(["a", "b"], { partitionId: "2" });
  const stream = reader.receive("2", { from: "earliest" });
  await stream.nextBatch();
  assert.deepEqual(types(await until(one, "connected")), ["disconnected", "connecting", "connected"]);
  const up = reader.health();
  assert.deepEqual([up.state.type, up.isHealthy, up.linksLive, up.linksWanted], ["connected", true, 1, 1]);
  assert.ok(up.tokenExpiresAt > new Date());

  const next = stream.nextBatch();
  cut(clients);
  const seen = (await until(one, "resumed")).filter(({ type }) => type !== "token-refreshed");
  assert.deepEqual(types(seen), ["disconnected", "reconnecting", "connecting", "connected", "resumed"]);
  const [lost, again, connecting, , resumed] = seen;
  ours("connection-lost")(lost.cause);
  assert.ok(lost.cause instanceof EventHubsError);
  // A connection that broke soon after it was made counts as an attempt that failed.
  assert.ok([1, 2].includes(again.attempt), `attempt ${again.attempt}`);
  assert.ok(Number.isInteger(again.delayMs) && again.delayMs < 1000, `${again.delayMs} ms`);
  ours("connection-lost")(again.cause);
  assert.deepEqual(connecting, { type: "connecting", attempt: again.attempt });
  assert.deepEqual(resumed.partition, "2");
  assert.ok(resumed.position.sequenceNumber === 1 || typeof resumed.position.offset === "string", JSON.stringify(resumed));
  assert.equal(reader.health().lastError.code, "connection-lost");
  assert.equal(reader.health().isHealthy, true);

  // What the position says is what `receive` takes.
  await clients.producer().send("c", { partitionId: "2" });
  assert.equal((await next)[0].text(), "c");
  const [event] = await reader.receive("2", { from: resumed.position }).nextBatch();
  assert.equal(event.text(), "c");

  await reader.close();
  const told = types(await until(other, "closed"));
  assert.deepEqual(told.filter((type) => type !== "token-refreshed"), [
    ...["disconnected", "connecting", "connected"],
    ...["disconnected", "reconnecting", "connecting", "connected", "resumed", "closed"],
  ]);
  assert.deepEqual(await other.next(), { done: true, value: undefined });
  assert.equal(types(await until(one, "closed")).at(-1), "closed");
});

test("a place where nothing listens is told as lost, attempt by attempt, and the call fails as it says", async (t) => {
  const { emulator, consumer } = await start(t);
  const client = consumer({ retry: { maxAttempts: 3, baseDelayMs: 1 } });
  await emulator.stop();
  const statuses = client.status();
  await assert.rejects(client.hubProperties(), ours("connect-failed"));
  const health = client.health();
  assert.deepEqual([health.isHealthy, health.lastError.code], [false, "connect-failed"]);
  await client.close();
  const seen = await until(statuses, "closed");
  const attempts = seen.filter(({ type }) => type === "connecting").map(({ attempt }) => attempt);
  assert.deepEqual(attempts, [1, 2, 3]);
  const causes = seen.filter(({ type }) => type === "reconnecting").map(({ cause }) => cause.code);
  assert.ok(causes.length >= 2 && causes.every((code) => code === "connect-failed"), `${causes}`);
});

test("a token that cannot be got is told with the reason", async (t) => {
  const { emulator } = await start(t);
  const namespace = /sb:\/\/([^;]+)/.exec(emulator.connectionString)[1];
  const client = new ProducerClient({
    namespace,
    eventHub: "eh1",
    tokenProvider: () => Promise.reject(new Error("the server is out of tokens")),
    ...AT_ONCE,
  });
  t.after(() => client.close());
  const statuses = client.status();
  await assert.rejects(client.send("x"));
  const failed = (await until(statuses, "token-refresh-failed")).at(-1);
  assert.match(failed.cause.message, /out of tokens/);
  assert.ok(failed.audience.includes("eh1"));
  assert.ok("retryInMs" in failed);
});

test("a link that goes down alone, and a service that is busy, are told with the place and the reason", async (t) => {
  const { emulator, producer } = await start(t);
  const sender = producer(AT_ONCE);
  await sender.send("x", { partitionId: "0" });
  const statuses = sender.status();
  emulator.faults.inject({ kind: "detach", condition: "amqp:internal-error", on: "send", times: 1 });
  await sender.send("x", { partitionId: "0" });
  const [present, detached, attached] = await until(statuses, "attached");
  assert.equal(present.type, "connected");
  assert.equal(detached.type, "detached");
  assert.match(detached.entity, /^eh1\/Partitions\/0$/i);
  assert.equal(detached.cause.condition, "amqp:internal-error");
  assert.equal(attached.entity, detached.entity);

  emulator.faults.inject({ kind: "busy", times: 1 });
  await sender.send("x", { partitionId: "0" });
  const throttled = (await until(statuses, "throttled")).at(-1);
  assert.equal(throttled.entity, detached.entity);
  assert.ok(throttled.delayMs > 0);
  assert.equal(sender.health().isHealthy, true);
});

test("a partition whose events do not arrive is told as stalled, and as resumed when they do", async (t) => {
  const { emulator, producer, consumer } = await start(t);
  const reader = consumer({ ...AT_ONCE, stallTimeoutMs: 100 });
  const stream = await reader.receive("1").ready();
  const statuses = reader.status();
  const next = stream.nextBatch();
  const fault = emulator.faults.inject({ kind: "stop-partition", partition: "1", role: "receive" });
  await producer().send("late", { partitionId: "1" });
  const stalled = (await until(statuses, "stalled")).at(-1);
  assert.deepEqual(stalled, { type: "stalled", partition: "1" });
  fault.end();
  const resumed = (await until(statuses, "resumed")).at(-1);
  assert.equal(resumed.partition, "1");
  assert.equal((await next)[0].text(), "late");
});

test("a token that the service refuses is told, with when it is tried again if it is", async (t) => {
  const { emulator, producer } = await start(t);
  const sender = producer({ retry: { maxAttempts: 1 } });
  const statuses = sender.status();
  emulator.faults.inject({ kind: "refuse-token", status: 401 });
  await assert.rejects(sender.send("x"), ours("unauthorized"));
  const { audience, cause, retryInMs } = (await until(statuses, "token-refresh-failed")).at(-1);
  assert.ok(audience.includes("eh1"));
  ours("unauthorized")(cause);
  assert.ok(retryInMs === undefined || Number.isInteger(retryInMs));
});

test("what may have been stored is said to be so", async (t) => {
  const { emulator, producer } = await start(t);
  emulator.faults.inject({ kind: "lose-ack", then: "drop" });
  const error = await producer({ retry: { maxAttempts: 1 } }).send("x", { partitionId: "0" }).then(assert.fail, (error) => error);
  assert.equal(error.outcomeUnknown, true, error.message);
});

test("giving up ends the iterator at once, also while it waits, and leaves no call", async (t) => {
  const clients = await start(t);
  const client = clients.producer();
  const unloaded = clients.producer();
  await client.send("x");
  for (const each of [client, unloaded]) {
    const returned = each.status();
    await returned.next();
    const waiting = [returned.next(), returned.next()];
    await turns(2);
    assert.deepEqual(await returned.return(), { done: true, value: undefined });
    assert.ok((await Promise.all(waiting)).every(({ done }) => done));
    assert.ok((await returned.next()).done);

    const controller = new AbortController();
    const reason = new Error("changed my mind");
    const aborted = each.status({ signal: controller.signal });
    await aborted.next();
    const gone = aborted.next();
    controller.abort(reason);
    await assert.rejects(gone, (error) => error === reason);
    await assert.rejects(each.status({ signal: controller.signal }).next(), (error) => error === reason);

    for await (const status of each.status()) {
      assert.ok(status.type);
      break;
    }
    // Nobody waits: an abort is no failure of anything.
    const unread = new AbortController();
    each.status({ signal: unread.signal });
    unread.abort();
  }
  assert.throws(() => client.status({ signal: 1 }), ours("invalid-argument", /AbortSignal/));
  assert.throws(() => client.status({ every: 1 }), ours("invalid-argument", /no option 'every'/));
  await eventually(() => engine.underWay() === 0, "no call is under way");
});

test("an iterator that nobody reads keeps the newest, says how many it missed, and holds nothing when it is forgotten", async (t) => {
  const clients = await start(t, { hubs: { eh1: 1 } });
  const reader = clients.consumer({ retry: { baseDelayMs: 1, maxDelayMs: 1, maxAttempts: 1000 } });
  const slow = reader.status();
  const stream = await reader.receive("0").ready();
  const events = stream.nextBatch().catch(() => undefined);
  const quick = reader.status();
  let told = 0;
  while (told < 300) {
    cut(clients);
    told += (await until(quick, "resumed")).length;
  }
  assert.equal(quick.missed, 0);
  assert.ok(slow.missed > 0, "more than 256 statuses were told");
  const forgotten = new WeakRef(reader.status());
  await reader.close();
  await events;
  const { missed } = slow;
  const kept = (await until(slow, "closed")).length;
  // What the client itself had said before its engine ran, and what the engine has room for.
  assert.equal(kept, 1 + 256);
  assert.ok(kept + missed >= told, `${kept} kept, ${missed} missed, ${told} told`);
  assert.equal(slow.missed, missed, "it can still be asked when it has ended");
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc");
  await eventually(() => (collect(), forgotten.deref() === undefined), "the forgotten iterator is collected");
});

test("a thousand listeners that come and go leave no call, timer or memory", async (t) => {
  const clients = await start(t);
  const client = clients.producer();
  await client.send("x");
  const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
  const freed = t.mock.method(engine.Statuses.prototype, "free").mock;
  const signal = new AbortController().signal;
  const listeners = { add: t.mock.method(signal, "addEventListener").mock, remove: t.mock.method(signal, "removeEventListener").mock };
  const come = async (count) => {
    for (let n = 0; n < count; n++) {
      const statuses = client.status({ signal });
      await statuses.next();
      const waiting = statuses.next();
      await statuses.return();
      await waiting;
    }
  };
  await come(100);
  const before = { timers: timers(), memory: process.memoryUsage().external };
  await come(1000);
  await eventually(() => engine.underWay() === 0, "no call is under way");
  assert.equal(freed.callCount(), 1100, "the engine's half is given back at once, not when it is collected");
  assert.deepEqual([listeners.add.callCount(), listeners.remove.callCount()], [1100, 1100]);
  assert.ok(timers() <= before.timers);
  const grown = (process.memoryUsage().external - before.memory) / 1e6;
  assert.ok(grown < 2, `memory outside the heap grew by ${grown} MB`);
  assert.equal(await client.send("still here"), 1);
});

test("errors say whether what was sent may have been stored, and how long the service asks to wait", async (t) => {
  const clients = await start(t);
  const error = await clients.producer().send(new Uint8Array(2_000_000)).then(assert.fail, (error) => error);
  assert.equal(error.code, "message-too-large");
  assert.equal(error.outcomeUnknown, false);
  assert.equal(error.retryAfterMs, undefined);
  assert.ok(error.message.endsWith(`; see ${error.helpUrl}`), `${error.message}, ${error.helpUrl}`);
  const made = new EventHubsError("server-busy", "busy", { outcomeUnknown: true, retryAfterMs: 4000 });
  assert.deepEqual([made.outcomeUnknown, made.retryAfterMs], [true, 4000]);
});

const CHECKS = ["dns", "socket", "tls", "websocket", "sasl", "cbs", "entity", "rights", "clock"];

/** Verdicts by name; every check says what was found, and what failed says what to do. */
function verdicts({ checks, isOk }) {
  assert.deepEqual(checks.map(({ name }) => name), CHECKS);
  for (const { verdict, detail, hint, tookMs } of checks) {
    assert.ok(detail.length > 3, JSON.stringify(checks));
    assert.ok(Number.isInteger(tookMs) && tookMs >= 0);
    assert.equal(hint !== undefined, verdict === "failed" || verdict === "warning", JSON.stringify(checks));
  }
  assert.equal(isOk, checks.every(({ verdict }) => verdict !== "failed"));
  return Object.fromEntries(checks.map(({ name, verdict }) => [name, verdict]));
}

const UNSEEN = { dns: "skipped", socket: "skipped", tls: "skipped" };

test("a diagnosis says what works, with connections of its own, and what JavaScript is not told of is skipped with the reason", async (t) => {
  const clients = await start(t);
  for (const client of [clients.producer(), clients.consumer()]) {
    const statuses = client.status();
    const diagnosis = await client.diagnose();
    const works = { websocket: "ok", sasl: "ok", cbs: "ok", entity: "ok", rights: "ok", clock: "ok" };
    assert.deepEqual(verdicts(diagnosis), { ...UNSEEN, ...works });
    assert.ok(diagnosis.endpoint.startsWith("ws") && diagnosis.eventHub === "eh1", JSON.stringify(diagnosis));
    assert.match(diagnosis.checks[0].detail, /WebSockets only/);
    // The client itself has done nothing.
    assert.deepEqual(client.health().state, NOTHING);
    assert.deepEqual((await statuses.next()).value, NOTHING);
    await client.close();
    assert.deepEqual(types(await until(statuses, "closed")), ["closed"]);
    await assert.rejects(client.diagnose(), ours("closed"));
  }
  await eventually(() => clients.emulator.connections === 0, "its connections are closed");
});

test("a diagnosis finds the hub that is missing, the key that is wrong and the place where nothing is", async (t) => {
  const { emulator, consumer } = await start(t);
  const wrongKey = emulator.connectionString.replace("SAS_KEY_VALUE", "d3Jvbmc=");
  const clients = [new ConsumerClient(emulator.connectionString, "none"), new ConsumerClient(wrongKey, "eh1")];
  t.after(() => Promise.all(clients.map((client) => client.close())));
  const [missing, refused] = await Promise.all(clients.map(async (client) => verdicts(await client.diagnose())));
  assert.deepEqual([missing.cbs, missing.entity, missing.rights], ["skipped", "failed", "skipped"]);
  assert.deepEqual([refused.websocket, refused.sasl, refused.cbs], ["ok", "ok", "failed"]);
  const lost = consumer();
  await emulator.stop();
  const { websocket, ...rest } = verdicts(await lost.diagnose());
  assert.equal(websocket, "failed");
  assert.ok(Object.values(rest).every((verdict) => verdict === "skipped"));
});

test("a diagnosis compares the clocks, and says where the service has another time", async (t) => {
  const { emulator, consumer } = await start(t);
  emulator.faults.inject({ kind: "skew-clock", skewMs: 86_400_000 });
  const { checks } = await consumer().diagnose();
  const [cbs, entity, , clock] = checks.slice(-4);
  assert.deepEqual([cbs.verdict, entity.detail, clock.verdict], ["failed", "the token was refused", "warning"]);
  assert.match(cbs.detail, /^ExpiredToken/);
  assert.match(clock.detail, /^this machine's clock is 86[34]\d\d s behind the service's$/);
});

test("a diagnosis can be given up on, and keeps to its time where nothing answers", async (t) => {
  const { emulator, consumer } = await start(t);
  class Silent extends emulator.WebSocket {
    send() {}
  }
  const client = consumer({ webSocket: Silent });
  const begin = performance.now();
  const { checks, isOk } = await client.diagnose({ timeoutMs: 100 });
  assert.ok(performance.now() - begin < 5000);
  assert.equal(isOk, false);
  assert.deepEqual(checks.map(({ name }) => name), CHECKS);
  const failed = checks.filter(({ verdict }) => verdict === "failed");
  assert.deepEqual([failed.length, failed[0].name], [1, "sasl"]);
  const controller = new AbortController();
  const reason = new Error("changed my mind");
  const looking = client.diagnose({ signal: controller.signal });
  await turns(5);
  controller.abort(reason);
  await assert.rejects(looking, (error) => error === reason);
  await assert.rejects(client.diagnose({ timeoutMs: -1 }), ours("invalid-argument", /'timeoutMs'/));
  await eventually(() => emulator.connections === 0 && engine.underWay() === 0, "what was given up on is gone");
});
