// The same bytes as messages of a plain WebSocket and nothing else: the limit of whatever speaks AMQP over `ws` in Node. The other end is a
// process of its own, as the emulator is.

import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { WebSocket, WebSocketServer } from "ws";

import { job as arguments_, report } from "./support.mjs";

/** What the emulator and our client make one message of, at most. */
const MESSAGE = 65_536;
/** Messages that are handed over and not yet written. */
const WAITING = 16;

if (process.argv[2] === "serve") serve();
else if (process.argv[1] === fileURLToPath(import.meta.url)) await report(() => client(arguments_()));

/** Starts the other end. */
export async function startServer() {
  const server = fork(new URL(import.meta.url), ["serve"]);
  const [port] = await once(server, "message");
  return { url: `ws://127.0.0.1:${port}/`, stop: () => server.kill() };
}

async function client({ case: direction, size, warmup, count }) {
  const server = await startServer();
  const socket = new WebSocket(server.url, { perMessageDeflate: false });
  socket.binaryType = "nodebuffer";
  await once(socket, "open");
  const move = direction === "send" ? sending : receiving;
  await move(socket, Math.max(1, warmup) * size);
  const start = performance.now();
  await move(socket, count * size);
  const seconds = (performance.now() - start) / 1000;
  socket.terminate();
  server.stop();
  return { events: count, seconds };
}

async function sending(socket, bytes) {
  socket.send(`sink ${bytes}`);
  const done = once(socket, "message");
  await pour(socket, bytes);
  await done;
}

async function receiving(socket, bytes) {
  const all = counted(socket, bytes);
  socket.send(`source ${bytes}`);
  await all;
}

function serve() {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false }, () => process.send(server.address().port));
  server.on("connection", (socket) => {
    socket.on("message", async (data, isBinary) => {
      if (isBinary) return;
      const [what, bytes] = String(data).split(" ");
      if (what === "source") return pour(socket, Number(bytes));
      await counted(socket, Number(bytes));
      socket.send("all");
    });
  });
  process.on("disconnect", () => process.exit());
}

/** Resolves when so many bytes have come. */
function counted(socket, bytes) {
  return new Promise((resolve) => {
    let left = bytes;
    const take = (data, isBinary) => {
      if (isBinary) left -= data.length;
      if (left > 0) return;
      socket.off("message", take);
      resolve();
    };
    socket.on("message", take);
  });
}

/** Writes so many bytes, with a few messages waiting at any time. */
function pour(socket, bytes) {
  const message = Buffer.alloc(MESSAGE, 7);
  return new Promise((resolve, reject) => {
    let left = bytes;
    let waiting = 0;
    const more = () => {
      while (left > 0 && waiting < WAITING) {
        const length = Math.min(left, MESSAGE);
        left -= length;
        waiting += 1;
        socket.send(length === MESSAGE ? message : message.subarray(0, length), written);
      }
      if (waiting === 0) resolve();
    };
    const written = (error) => {
      waiting -= 1;
      if (error) reject(error);
      else more();
    };
    more();
  });
}
