// Clients of an emulator in this process, whose sockets are counted.

import assert from "node:assert/strict";

import { dist } from "./support.mjs";

const { Emulator } = await dist("emulator.js");
const { ConsumerClient, EventHubsError, ProducerClient } = await dist("index.js");

const QUICK = { retry: { maxAttempts: 2, baseDelayMs: 10, totalDeadlineMs: 5000 } };

/** An emulator and clients that are gone when the test is over. */
export async function start(t, options) {
  const emulator = await Emulator.start(options);
  const sockets = [];
  class Counted extends emulator.WebSocket {
    constructor(...given) {
      super(...given);
      sockets.push(this);
    }
  }
  const open = [];
  const keep = (client) => (open.push(client), client);
  t.after(async () => {
    for (const client of open.reverse()) await client.close();
    await emulator.stop();
  });
  const with_ = (more) => ({ ...QUICK, webSocket: Counted, ...more });
  return {
    emulator,
    sockets,
    producer: (more) => keep(new ProducerClient(emulator.connectionString, "eh1", with_(more))),
    consumer: (more) => keep(new ConsumerClient(emulator.connectionString, "eh1", with_(more))),
  };
}

/** Asserts that an error is one of ours, with this code and these words. */
export function ours(code, words = /./) {
  return (error) => {
    assert.ok(error instanceof EventHubsError, `not one of ours: ${error?.stack ?? error}`);
    assert.equal(error.code, code, error.message);
    assert.match(error.message, words);
    return true;
  };
}
