// Sending through `ws` without its detour. What a client sends over a WebSocket is masked, and `ws` does that byte by byte into a copy: on a fast
// link that is most of the work of sending. Here it is four bytes at a time, in place; everything else is left to `ws`.

/** What is used of `ws`, and of Node's streams. */
interface Ws {
  readonly readyState: number;
  on(event: "upgrade", listener: (response: { readonly socket: Stream }) => void): void;
  send(data: unknown, ...rest: unknown[]): void;
}

interface Stream {
  cork(): void;
  uncork(): void;
  write(bytes: Uint8Array): void;
}

type Class = new (...given: unknown[]) => Ws;

const OPEN = 1;
/** One whole message of bytes; and that a mask and a length of 16 or 64 bits follow. */
const BINARY = 0x82;
const MASKED = 0x80;
const LENGTH_16 = 126;
const LENGTH_64 = 127;
const KEY = 4;

/** Random keys, made many at a time. */
const keys = new Uint32Array(1024);
let used = keys.length;

/** The class of `ws`, for callers that give each `send` bytes of their own: they are masked where they are. */
export function masking(base: unknown): unknown {
  return class extends (base as Class) {
    #stream: Stream | undefined;

    constructor(...given: unknown[]) {
      super(...given);
      this.on("upgrade", ({ socket }) => {
        this.#stream = socket;
      });
    }

    override send(data: unknown, ...rest: unknown[]): void {
      const stream = this.#stream;
      const isOurs = data instanceof Uint8Array && data.byteOffset % KEY === 0 && rest.length === 0;
      if (stream === undefined || this.readyState !== OPEN || !isOurs) return super.send(data, ...rest);
      const header = masked(data);
      // What `ws` sends itself, pings' answers and the end, it writes whole as well: nothing gets into the middle.
      stream.cork();
      stream.write(header);
      stream.write(data);
      stream.uncork();
    }
  };
}

/** Masks the bytes, and returns what goes before them. */
function masked(data: Uint8Array): Uint8Array {
  if (used === keys.length) {
    crypto.getRandomValues(keys);
    used = 0;
  }
  const key = keys[used]!;
  const keyBytes = new Uint8Array(keys.buffer, used * KEY, KEY);
  used += 1;
  const header = headerOf(data.byteLength);
  header.set(keyBytes, header.length - KEY);

  const words = new Uint32Array(data.buffer, data.byteOffset, Math.floor(data.byteLength / KEY));
  for (let index = 0; index < words.length; index++) words[index] = words[index]! ^ key;
  for (let index = words.length * KEY; index < data.byteLength; index++) data[index] = data[index]! ^ keyBytes[index % KEY]!;
  return header;
}

/** With room for the key at its end. */
function headerOf(length: number): Uint8Array {
  if (length < LENGTH_16) return Uint8Array.of(BINARY, MASKED | length, 0, 0, 0, 0);
  const is16 = length < 2 ** 16;
  const header = new Uint8Array((is16 ? 4 : 10) + KEY);
  const view = new DataView(header.buffer);
  header.set([BINARY, MASKED | (is16 ? LENGTH_16 : LENGTH_64)]);
  if (is16) view.setUint16(2, length);
  else view.setBigUint64(2, BigInt(length));
  return header;
}
