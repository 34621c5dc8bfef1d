// What raw.mjs does, in a page: the limit of whatever speaks AMQP over a page's WebSocket.

/** What the emulator and our client make one message of, at most. */
const MESSAGE = 65_536;
/** Bytes that are handed over and not yet written: as many as our client has. */
const WAITING = 1 << 20;
const LOOK_MS = 1;

export async function measure({ url, case: direction, warmup, count, size }) {
  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  await new Promise((resolve, reject) => Object.assign(socket, { onopen: resolve, onerror: () => reject(new Error("no connection")) }));
  const move = direction === "send" ? sending : receiving;
  await move(socket, Math.max(1, warmup) * size);
  const start = performance.now();
  await move(socket, count * size);
  return { events: count, seconds: (performance.now() - start) / 1000 };
}

async function sending(socket, bytes) {
  socket.send(`sink ${bytes}`);
  const done = new Promise((resolve) => (socket.onmessage = resolve));
  const message = new Uint8Array(MESSAGE).fill(7);
  for (let left = bytes; left > 0; left -= MESSAGE) {
    while (socket.bufferedAmount > WAITING) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    socket.send(left < MESSAGE ? message.subarray(0, left) : message);
  }
  await done;
}

async function receiving(socket, bytes) {
  let left = bytes;
  const done = new Promise((resolve) => {
    socket.onmessage = ({ data }) => {
      left -= data.byteLength;
      if (left <= 0) resolve();
    };
  });
  socket.send(`source ${bytes}`);
  await done;
}
