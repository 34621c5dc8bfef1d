// What a client tells whose engine cannot be loaded. In a process of its own: an engine is loaded once.

import assert from "node:assert/strict";
import { test } from "node:test";

import { dist } from "./support.mjs";

const { EventHubsError, ProducerClient } = await dist("slim.js");

test("an engine that cannot be loaded is told to whoever listens, early or late, and clients close all the same", async () => {
  const client = new ProducerClient({ namespace: "nowhere.invalid", eventHub: "eh1", tokenProvider: () => "none" });
  const [early, unread] = [client.status(), client.status()];
  assert.deepEqual((await early.next()).value, { type: "disconnected", cause: undefined });
  const waiting = early.next();
  const error = await client.send("x").then(assert.fail, (error) => error);
  assert.ok(error instanceof EventHubsError && error.code === "internal", error);
  const told = { done: false, value: { type: "disconnected", cause: error } };
  assert.deepEqual(await waiting, told);
  assert.deepEqual(await unread.next(), told, "only the newest counts for who has not read");
  assert.deepEqual(await client.status().next(), told);
  const { isHealthy, lastError, state } = client.health();
  assert.deepEqual([isHealthy, lastError, state], [false, error, told.value]);
  await assert.rejects(client.diagnose(), { code: "internal" });
  await client.close();
  const rest = [];
  for await (const status of early) rest.push(status.type);
  assert.deepEqual(rest.slice(-1), ["closed"]);
});
