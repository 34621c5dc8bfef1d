// A slow reader holds little of what waits for it, and a fast writer waits for a slow socket instead of growing.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

/** The memories of wasm instances, as they are made. */
const memories = [];
for (const name of ["instantiate", "instantiateStreaming"]) {
  const original = WebAssembly[name];
  WebAssembly[name] = async (...given) => {
    const made = await original(...given);
    note(made.instance ?? made);
    return made;
  };
}
WebAssembly.Instance = new Proxy(WebAssembly.Instance, { construct: (target, given) => note(new target(...given)) });
function note(instance) {
  for (const each of Object.values(instance.exports)) {
    if (each instanceof WebAssembly.Memory && !memories.includes(each)) memories.push(each);
  }
  return instance;
}

const { start } = await import("./facade-support.mjs");
const { eventually } = await import("./support.mjs");

const MIB = 1024 * 1024;
const PREFETCH = 300;
/** What an event costs besides its body. */
const PER_EVENT = 300;
/** Buffers of the engine and the pieces of input that the oldest events lie in; wasm's memory grows in large steps. */
const CONSTANT = 4 * MIB;

/** An emulator, and the bytes that the clients' own engine holds beside it, with what lies in JavaScript's buffers. */
async function measured(t, options) {
  const clients = await start(t, options);
  const ofOthers = memories.length;
  const producer = clients.producer();
  await producer.send("the first starts the engine", { partitionId: "3" });
  const engine = (measured.engine ??= memories[ofOthers]);
  return { ...clients, first: producer, wasm: () => engine.buffer.byteLength };
}

test("a slow reader holds its prefetch and little more", async (t) => {
  const WAITING = 100_000;
  const SIZE = 1024;
  const clients = await measured(t, { retentionBytes: 256 * MIB, maxBytes: 512 * MIB });
  const body = "x".repeat(SIZE);
  const few = Array.from({ length: 200 }, () => ({ body }));
  for (let sent = 0; sent < WAITING; sent += few.length) await clients.first.send(few, { partitionId: "0" });
  const consumer = clients.consumer();
  await consumer.partitionIds();
  const before = { wasm: clients.wasm(), buffers: process.memoryUsage().arrayBuffers };
  const stream = consumer.receive("0", { from: "earliest", prefetch: PREFETCH });
  let [wasm, buffers] = [0, 0];
  for (let read = 0; read < 30; read += 1) {
    const { value } = await stream.next();
    assert.equal(value.sequenceNumber, read);
    // Ten events a second.
    await pause(100);
    wasm = Math.max(wasm, clients.wasm() - before.wasm);
    buffers = Math.max(buffers, process.memoryUsage().arrayBuffers - before.buffers);
  }
  const bound = PREFETCH * (SIZE + PER_EVENT) + CONSTANT;
  t.diagnostic(`${WAITING} events of ${SIZE} bytes wait: wasm grew by ${wasm} bytes, buffers by ${buffers}; the bound is ${bound}`);
  assert.ok(wasm < bound, `wasm grew by ${wasm} bytes`);
  assert.ok(buffers < bound, `buffers grew by ${buffers} bytes`);
});

test("writers wait for a socket that stalls, and go on when it moves", async (t) => {
  const WRITERS = 8;
  // Each hands over at most this much before it waits.
  const PIECE = 4 * MIB;
  const clients = await measured(t, { retentionBytes: 256 * MIB, maxBytes: 512 * MIB });
  const state = { stalled: false, sockets: [] };
  class Stalling extends clients.emulator.WebSocket {
    #waiting = [];
    #bytes = 0;
    constructor(...given) {
      super(...given);
      state.sockets.push(this);
    }
    get bufferedAmount() {
      return super.bufferedAmount + this.#bytes;
    }
    send(data) {
      if (!state.stalled) return super.send(data);
      this.#waiting.push(data.slice());
      this.#bytes += data.byteLength;
    }
    flow() {
      for (const data of this.#waiting.splice(0)) super.send(data);
      this.#bytes = 0;
    }
  }
  const producer = clients.producer({ webSocket: Stalling });
  const body = "x".repeat(1024);
  let [taken, stop] = [0, false];
  function* events() {
    while (!stop) {
      taken += 1;
      yield { body };
    }
  }
  await producer.send({ body }, { partitionId: "1" });
  const before = clients.wasm();
  const sending = Array.from({ length: WRITERS }, () => producer.send(events(), { partitionId: "1" }));
  await eventually(() => taken > 50_000, "events flow");
  state.stalled = true;
  // It stands still when nothing was taken for a while.
  let last = -1;
  for (let still = 0; still < 5; ) {
    await pause(50);
    still = taken === last ? still + 1 : 0;
    last = taken;
  }
  const held = state.sockets.at(-1).bufferedAmount;
  const grown = clients.wasm() - before;
  t.diagnostic(`${taken} events taken; ${held} bytes wait in the socket, wasm grew by ${grown}`);
  assert.ok(held < 2 * MIB, `${held} bytes wait in the socket`);
  // Wasm's memory grows by doubling what is copied.
  assert.ok(grown < 2 * WRITERS * PIECE + CONSTANT, `wasm grew by ${grown} bytes`);
  state.stalled = false;
  state.sockets.at(-1).flow();
  await eventually(() => taken > last + 50_000, "they go on");
  stop = true;
  assert.equal((await Promise.all(sending)).reduce((sum, sent) => sum + sent, 0), taken);
  const { lastEnqueuedSequenceNumber } = await producer.partitionProperties("1");
  assert.equal(Number(lastEnqueuedSequenceNumber), taken);
});
