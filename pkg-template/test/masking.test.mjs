// Messages that are masked here and not by `ws` arrive as they were, whatever their length, and `ws` goes on working around them.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { WebSocket, WebSocketServer } from "ws";

import { dist, eventually } from "./support.mjs";

const { masking } = await dist("load/masking.js");
const Masking = masking(WebSocket);
const bytes = (length) => Uint8Array.from({ length }, (_, index) => index * 7);

for (const perMessageDeflate of [false, true]) {
  let server;
  before(async () => {
    server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate });
    await once(server, "listening");
    server.on("connection", (socket) => socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary })));
  });
  after(() => server.close());

  test(`every length there and back, with pings between, ${perMessageDeflate ? "compression agreed on" : "no compression"}`, async () => {
    const socket = new Masking(`ws://127.0.0.1:${server.address().port}/`);
    await once(socket, "open");
    for (const length of [0, 1, 2, 3, 4, 5, 125, 126, 127, 65_535, 65_536, 65_537, 200_001]) {
      const answer = once(socket, "message");
      socket.send(bytes(length));
      socket.ping("still there?");
      const [data, isBinary] = await answer;
      assert.ok(isBinary && Buffer.from(bytes(length)).equals(data), `${length} bytes`);
    }
    socket.close(1000);
    await once(socket, "close");
  });
}

test("every message has a key of its own", async () => {
  const seen = new Set();
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  let frames = Buffer.alloc(0);
  server.on("connection", (_, { socket }) => socket.on("data", (data) => (frames = Buffer.concat([frames, data]))));
  const socket = new Masking(`ws://127.0.0.1:${server.address().port}/`);
  await once(socket, "open");
  // More than are made at a time.
  for (let index = 0; index < 3000; index++) socket.send(Uint8Array.of(1, 2, 3, 4));
  await eventually(() => frames.length === 3000 * 10, "all frames");
  for (let at = 0; at < frames.length; at += 10) seen.add(frames.readUInt32LE(at + 2));
  assert.ok(seen.size > 2990, `${seen.size} different keys`);
  socket.close();
  await once(socket, "close");
  server.close();
});

test("what waits to be written counts as buffered, and text and closed sockets are left to `ws`", async () => {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  server.on("connection", (socket) => socket.on("message", (data, isBinary) => !isBinary && socket.send(String(data))));
  const socket = new Masking(`ws://127.0.0.1:${server.address().port}/`);
  assert.throws(() => socket.send(bytes(8)), /CONNECTING/);
  await once(socket, "open");
  for (let index = 0; index < 100; index++) socket.send(bytes(100_000));
  assert.ok(socket.bufferedAmount > 1_000_000, `${socket.bufferedAmount} bytes`);
  socket.send("text");
  const [answer] = await once(socket, "message");
  assert.equal(String(answer), "text");
  socket.close();
  await once(socket, "close");
  socket.send(bytes(8));
  server.close();
});
