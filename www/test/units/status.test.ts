import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConsumerClient, ProducerClient, Status as ClientStatus } from "../../src/client.ts";
import { partitionOf, reason, said } from "../../src/model/status-words.ts";
import { Journal } from "../../src/session/journal.ts";
import { Status } from "../../src/session/status.ts";

const lost = Object.assign(new Error("the connection broke off (connection-lost)"), { code: "connection-lost" }) as never;
const entity = "orders/ConsumerGroups/$Default/Partitions/3";

const ALL: readonly ClientStatus[] = [
  { type: "connecting", attempt: 2 },
  { type: "connected" },
  { type: "disconnected", cause: lost },
  { type: "disconnected", cause: undefined },
  { type: "reconnecting", attempt: 2, delayMs: 250, cause: lost },
  { type: "detached", entity, cause: lost },
  { type: "detached", entity: "orders", cause: undefined },
  { type: "attached", entity: "orders" },
  { type: "throttled", entity: "orders", delayMs: 4_000 },
  { type: "token-refreshed", audience: "sb://h/orders", expiresAt: new Date(0) },
  { type: "token-refresh-failed", audience: "sb://h/orders", cause: lost, retryInMs: 3_000 },
  { type: "stalled", partition: "3" },
  { type: "resumed", partition: "3", position: { sequenceNumber: 41 } },
  { type: "closed" },
];

test("every status has a sentence of its own", () => {
  const texts = ALL.map((status) => said(status).text);
  assert.equal(new Set(texts).size, ALL.length);
  for (const text of texts) assert.match(text, /^[A-Z].*[^.]\.$/);
  assert.equal(texts[2], "Connection lost: the connection broke off.");
  assert.match(texts[9] ?? "", /^The token for orders was taken; it is valid until /);
  assert.equal(texts[12], "Partition 3 goes on behind sequence number 41.");
});

test("a reason leaves out the code and the address of its page", () => {
  const whole = "cannot connect to 'h': refused (connect-failed, after 2 attempts, may have been stored); see https://x.y/z";
  assert.equal(reason(new Error(whole)), "cannot connect to 'h': refused");
  assert.equal(reason(new Error("The namespace goes. (connection-lost)")), "The namespace goes");
  assert.equal(reason(new Error("plain (as it is)")), "plain (as it is)");
});

test("a link's partition is read from its address", () => {
  assert.equal(partitionOf(entity), "3");
  assert.equal(partitionOf("orders/Partitions/12"), "12");
  assert.equal(partitionOf("orders"), undefined);
});

/** A client that tells what the test says. */
function client(): { tell(status: ClientStatus): Promise<void>; listening(): boolean; client: ConsumerClient & ProducerClient } {
  const waiting: ClientStatus[] = [{ type: "disconnected", cause: undefined }];
  let wake: (() => void) | undefined;
  let over = false;
  const stream = {
    missed: 0,
    async next(): Promise<IteratorResult<ClientStatus>> {
      while (waiting.length === 0 && !over) await new Promise<void>((go) => (wake = go));
      const value = waiting.shift();
      return value === undefined ? { done: true, value } : { done: false, value };
    },
    async return() {
      over = true;
      wake?.();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return stream;
    },
  };
  return {
    async tell(status) {
      waiting.push(status);
      wake?.();
      await new Promise((done) => setImmediate(done));
    },
    listening: () => !over,
    client: { status: () => stream } as unknown as ConsumerClient & ProducerClient,
  };
}

test("a lost connection and a stalled partition are shown and written down, with what became of them", async () => {
  const journal = new Journal();
  const status = new Status(journal);
  const [reading, sending] = [client(), client()];
  status.listen(reading.client, sending.client);
  const state = () => status.connection.value;
  await reading.tell({ type: "connecting", attempt: 1 });
  assert.deepEqual(state(), { state: "connecting", attempt: 1 });
  await reading.tell({ type: "disconnected", cause: lost });
  await reading.tell({ type: "reconnecting", attempt: 2, delayMs: 10, cause: lost });
  assert.deepEqual(state(), { state: "connecting", attempt: 2 }, "what never was is not lost");
  await reading.tell({ type: "connected" });
  assert.deepEqual(state(), { state: "connected" });
  await reading.tell({ type: "disconnected", cause: lost });
  await reading.tell({ type: "reconnecting", attempt: 1, delayMs: 0, cause: lost });
  await reading.tell({ type: "connecting", attempt: 1 });
  const now = state();
  assert.ok(now.state === "reconnecting" && now.attempt === 1 && now.why === "the connection broke off");
  await reading.tell({ type: "connected" });
  const back = state();
  assert.ok(back.state === "connected" && /^Resumed after .* \(1 attempt\)\.$/.test(back.resumed ?? ""));

  await reading.tell({ type: "stalled", partition: "3" });
  assert.equal(status.flows.value.get("3"), "stalled");
  await reading.tell({ type: "resumed", partition: "3", position: "latest" });
  assert.equal(status.flows.value.get("3"), "stalled", "a new link has brought nothing yet");
  status.arrived([{ partitionId: "2" }, { partitionId: "3" }] as never);
  assert.equal(status.flows.value.get("3"), "resumed");
  await reading.tell({ type: "detached", entity, cause: lost });
  assert.equal(status.flows.value.get("3"), "down");
  await reading.tell({ type: "resumed", partition: "3", position: "latest" });
  assert.equal(status.flows.value.get("3"), "resumed");
  await sending.tell({ type: "throttled", entity: "orders", delayMs: 4_000 });
  const texts = journal.notes.value.map(({ text }) => text);
  assert.ok(texts.some((text) => text.startsWith("Sending: The service asks to slow down")), texts.join("\n"));
  assert.ok(texts.includes("Partition 3 stalled: its events do not arrive. Its link is made anew."));

  await reading.tell({ type: "disconnected", cause: undefined });
  assert.deepEqual(state(), { state: "idle" });
  status.closed();
  assert.deepEqual(state(), { state: "closed" });
  assert.deepEqual([reading.listening(), sending.listening()], [false, false]);
});
