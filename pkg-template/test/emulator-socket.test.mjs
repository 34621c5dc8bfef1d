// Its sockets are WebSockets to whoever uses them.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { dist, eventually, next } from "./support.mjs";

const { Emulator } = await dist("emulator.js");
const emulator = await Emulator.start();
after(() => emulator.stop());

const URL = "wss://test.emulator.invalid:443/$servicebus/websocket";
/** The client's first words: it wants SASL. */
const HEADER = Uint8Array.of(0x41, 0x4d, 0x51, 0x50, 3, 1, 0, 0);
/** All that a client says until it is open: SASL as anybody, then AMQP with the container-id `c`. */
const HELLO = Uint8Array.of(
  ...HEADER,
  ...[0, 0, 0, 25, 2, 1, 0, 0, 0x00, 0x53, 0x41, 0xc0, 12, 1, 0xa3, 9, ...new TextEncoder().encode("ANONYMOUS")],
  ...[0x41, 0x4d, 0x51, 0x50, 0, 1, 0, 0],
  ...[0, 0, 0, 17, 2, 0, 0, 0, 0x00, 0x53, 0x10, 0xc0, 4, 1, 0xa1, 1, 0x63],
);
/** What no AMQP peer begins with. */
const NONSENSE = new TextEncoder().encode("GET / HTTP/1.1");

async function open(protocols = ["AMQPWSB10"], ...more) {
  const socket = new emulator.WebSocket(URL, protocols, ...more);
  socket.binaryType = "arraybuffer";
  await next(socket, "open");
  return socket;
}

async function closed(socket) {
  const { code, reason, wasClean } = await next(socket, "close");
  return { code, reason, wasClean };
}

test("it has the constants, on the class and on what it makes", async () => {
  const socket = await open();
  for (const owner of [emulator.WebSocket, socket]) {
    assert.deepEqual([owner.CONNECTING, owner.OPEN, owner.CLOSING, owner.CLOSED], [0, 1, 2, 3]);
  }
  socket.close();
  await next(socket, "close");
});

test("it goes through the states, each told in a task of its own", async () => {
  const socket = new emulator.WebSocket(URL, ["AMQPWSB10"], { ignored: true });
  assert.equal(socket.readyState, 0);
  assert.equal(socket.url, "wss://test.emulator.invalid/$servicebus/websocket");
  assert.equal(socket.protocol, "");
  assert.equal(socket.binaryType, "blob");
  assert.equal(socket.extensions, "");
  const told = [];
  for (const type of ["open", "message", "error", "close"]) socket.addEventListener(type, () => told.push(type));
  await Promise.resolve();
  assert.deepEqual(told, [], "nothing happens in the task that made it");
  await next(socket, "open");
  assert.equal(socket.readyState, 1);
  assert.equal(socket.protocol, "AMQPWSB10");
  assert.equal(emulator.connections, 1);
  socket.send(HEADER);
  assert.equal(socket.bufferedAmount, 8);
  assert.deepEqual(told, ["open"], "nothing happens in the task that sends");
  await next(socket, "message");
  assert.equal(socket.bufferedAmount, 0);
  socket.close(3001, "enough");
  assert.equal(socket.readyState, 2);
  assert.deepEqual(await closed(socket), { code: 3001, reason: "enough", wasClean: true });
  assert.equal(socket.readyState, 3);
  assert.deepEqual(told, ["open", "message", "close"]);
  assert.equal(emulator.connections, 0);
});

test("messages are ArrayBuffers of their own, or Blobs for who wants them", async () => {
  const socket = await open();
  socket.send(HEADER);
  const message = await next(socket, "message");
  assert.ok(message instanceof MessageEvent);
  assert.equal(message.origin, "wss://test.emulator.invalid");
  assert.ok(message.data instanceof ArrayBuffer);
  const bytes = new Uint8Array(message.data);
  assert.deepEqual(bytes.subarray(0, 8), HEADER);
  // A frame follows the header, and nothing else of the wasm's memory.
  assert.equal(bytes.length, 8 + new DataView(message.data).getUint32(8));
  socket.close();
  await next(socket, "close");

  const other = new emulator.WebSocket(URL, "AMQPWSB10");
  other.binaryType = "nodebuffer";
  assert.equal(other.binaryType, "blob");
  await next(other, "open");
  other.send(HEADER);
  const { data } = await next(other, "message");
  assert.ok(data instanceof Blob);
  assert.deepEqual(new Uint8Array(await data.arrayBuffer()).subarray(0, 8), HEADER);
  other.close();
  await next(other, "close");
});

test("bytes are taken as they are when they are sent, from whatever holds them", async () => {
  const padded = Uint8Array.of(9, 9, ...HEADER, 9);
  const forms = [
    HEADER.slice(),
    HEADER.slice().buffer,
    new DataView(padded.buffer, 2, 8),
    padded.subarray(2, 10),
    Buffer.from(HEADER),
    new Uint8Array(new SharedArrayBuffer(8)),
  ];
  forms[5].set(HEADER);
  for (const form of forms) {
    const socket = await open();
    socket.send(form);
    const bytes = ArrayBuffer.isView(form) ? new Uint8Array(form.buffer, form.byteOffset, form.byteLength) : new Uint8Array(form);
    bytes.fill(0);
    const { data } = await next(socket, "message");
    // Whatever else it had read, it would answer with the header alone.
    assert.ok(data.byteLength > 8, `${form.constructor.name} arrived changed`);
    socket.close();
    await next(socket, "close");
    padded.set(HEADER, 2);
  }
});

test("handlers are called like listeners, and replaced by the next", async () => {
  const socket = new emulator.WebSocket(URL, "amqp");
  const told = [];
  assert.equal(socket.onopen, null);
  socket.onopen = () => told.push("first");
  const second = () => told.push("second");
  socket.onopen = second;
  assert.equal(socket.onopen, second);
  socket.addEventListener("open", () => told.push("listener"));
  socket.onmessage = () => told.push("message");
  socket.onmessage = null;
  await next(socket, "open");
  assert.equal(socket.protocol, "amqp");
  socket.send(HEADER);
  socket.onclose = (event) => told.push(event.type);
  await next(socket, "message");
  socket.close();
  await next(socket, "close");
  assert.deepEqual(told, ["second", "listener", "close"]);
});

test("a sub-protocol that is not AMQP fails, and says which one is", async () => {
  for (const [protocols, says] of [
    [[], /AMQPWSB10, and none was offered/],
    [undefined, /none was offered/],
    ["mqtt", /only mqtt was offered/],
    [["mqtt", "stomp"], /only mqtt, stomp was offered/],
  ]) {
    const socket = new emulator.WebSocket(URL, protocols);
    const [error, close] = await Promise.all([next(socket, "error"), closed(socket)]);
    assert.match(error.message, says);
    assert.deepEqual(close, { code: 1006, reason: "", wasClean: false });
  }
  assert.equal(emulator.connections, 0);
});

test("what no WebSocket takes is thrown at once", async () => {
  const make = (url) => () => new emulator.WebSocket(url, "AMQPWSB10");
  assert.throws(make("no url"), { name: "SyntaxError", message: /'no url' is no URL/ });
  assert.throws(make("ftp://host/"), { name: "SyntaxError", message: /'ftp:' is no scheme/ });
  assert.throws(make("wss://host/#fragment"), { name: "SyntaxError", message: /fragment/ });
  const connecting = new emulator.WebSocket("https://host/", "AMQPWSB10");
  assert.equal(connecting.url, "wss://host/");
  assert.throws(() => connecting.send(HEADER), { name: "InvalidStateError" });
  for (const code of [999, 1001, 2999, 5000, NaN]) {
    assert.throws(() => connecting.close(code), { name: "InvalidAccessError" }, String(code));
  }
  assert.throws(() => connecting.close(1000, "é".repeat(62)), { name: "SyntaxError", message: /123/ });
  await next(connecting, "open");
  connecting.close();
  await next(connecting, "close");
});

test("a close without a code has none", async () => {
  const socket = await open();
  socket.close();
  socket.close(3000, "too late");
  assert.deepEqual(await closed(socket), { code: 1005, reason: "", wasClean: true });
  socket.close();
  socket.send(HEADER);
  assert.equal(socket.bufferedAmount, 8, "what nobody will read stays counted");
});

test("one that is closed while it connects fails", async () => {
  const socket = new emulator.WebSocket(URL, "AMQPWSB10");
  let opened = false;
  socket.onopen = () => (opened = true);
  socket.close();
  const [, close] = await Promise.all([next(socket, "error"), closed(socket)]);
  assert.equal(close.code, 1006);
  assert.equal(opened, false);
  assert.equal(emulator.connections, 0);
});

test("messages that are no bytes, or far too many, close it", async () => {
  for (const [message, code, reason] of [
    ["text", 1003, "AMQP travels in binary messages"],
    [new Blob([HEADER]), 1003, "AMQP travels in binary messages"],
    [7, 1003, "AMQP travels in binary messages"],
    [new Uint8Array((8 << 20) + 1), 1009, "the message is too large"],
  ]) {
    const socket = await open();
    socket.send(message);
    assert.deepEqual(await closed(socket), { code, reason, wasClean: true });
  }
  assert.equal(emulator.connections, 0);
});

test("who speaks no AMQP is told what is spoken, and is closed", async () => {
  const socket = await open();
  const message = next(socket, "message");
  socket.send(new Uint8Array());
  socket.send(NONSENSE);
  const ended = closed(socket);
  assert.equal(new TextDecoder().decode((await message).data.slice(0, 4)), "AMQP");
  assert.deepEqual(await ended, { code: 1000, reason: "", wasClean: true });
});

test("who sends more than anybody could read is cut off", async () => {
  const socket = await open();
  const [error, close] = [next(socket, "error"), closed(socket)];
  const piece = new Uint8Array(8 << 20);
  for (let sent = 0; sent < 9; sent++) socket.send(piece);
  assert.match((await error).message, /did not read the last 67108864 bytes/);
  assert.equal((await close).code, 1006);
  assert.equal(emulator.connections, 0);
  assert.equal(socket.bufferedAmount, 0);
});

test("too many connections are refused, and go on when others are gone", async (t) => {
  const small = await Emulator.start({ maxConnections: 1 });
  t.after(() => small.stop());
  const make = () => new small.WebSocket(URL, "AMQPWSB10");
  const sockets = Array.from({ length: 66 }, make);
  const errors = [];
  for (const socket of sockets) socket.onerror = (event) => errors.push(event.message);
  await eventually(() => errors.length > 0, "a connection that is refused");
  assert.match(errors[0], /has 1 connections, more are not allowed/);
  await eventually(() => sockets.every((socket) => socket.readyState !== 0), "an outcome for all");
  for (const socket of sockets) socket.close();
  await eventually(() => small.connections === 0, "all are closed");
  const again = make();
  await next(again, "open");
});

test("stopping closes what takes no goodbye, and soon", async () => {
  const other = await Emulator.start();
  const sockets = await Promise.all(
    Array.from({ length: 3 }, async () => {
      const socket = new other.WebSocket(URL, "AMQPWSB10");
      await next(socket, "open");
      return socket;
    }),
  );
  const ends = sockets.map(closed);
  const connecting = new other.WebSocket(URL, "AMQPWSB10");
  const late = closed(connecting);
  const begun = performance.now();
  await other.stop();
  assert.ok(performance.now() - begun < 3000);
  for (const socket of sockets) assert.equal(socket.readyState, 3);
  for (const end of await Promise.all(ends)) assert.ok([1000, 1001].includes(end.code), JSON.stringify(end));
  assert.equal((await late).code, 1006);
});

test("stopping does not wait long for who does not answer the goodbye", async () => {
  const other = await Emulator.start();
  const socket = new other.WebSocket(URL, "AMQPWSB10");
  socket.binaryType = "arraybuffer";
  let heard = "";
  socket.addEventListener("message", ({ data }) => (heard += new TextDecoder("latin1").decode(data)));
  await next(socket, "open");
  socket.send(HELLO);
  // The descriptor of the open that answers.
  await eventually(() => heard.includes("\x00S\x10"), "the connection is open");
  const end = closed(socket);
  const begun = performance.now();
  await other.stop();
  const took = performance.now() - begun;
  assert.match(heard, /amqp:connection:forced/);
  assert.deepEqual(await end, { code: 1001, reason: "the emulator stopped", wasClean: true });
  assert.ok(took > 900 && took < 5000, `took ${took} ms`);
  assert.equal(other.connections, 0);
});

test("who connects again whenever it is closed does not keep the emulator from stopping", async () => {
  const other = await Emulator.start();
  let attempts = 0;
  const connect = () => {
    const socket = new other.WebSocket(URL, "AMQPWSB10");
    socket.onclose = () => ++attempts < 50 && connect();
    return socket;
  };
  await next(connect(), "open");
  await other.stop();
  assert.equal(other.connections, 0);
  await eventually(() => attempts === 50, "every attempt is told that it failed");
});
