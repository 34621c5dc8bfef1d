// A socket in the shape of a WebSocket, whose other end is the broker in this page.

import type { End, Endpoint, Pipe, Pump } from "./pump.js";

/** What `new emulator.WebSocket(...)` makes: to its users a `WebSocket`. */
export type EmulatorWebSocket = Omit<WebSocket, "binaryType"> & { binaryType: BinaryType };

/** The class of an emulator's sockets. */
export interface EmulatorWebSocketConstructor {
  new (url: string | URL, protocols?: string | string[], options?: unknown): EmulatorWebSocket;
  readonly CONNECTING: 0;
  readonly OPEN: 1;
  readonly CLOSING: 2;
  readonly CLOSED: 3;
}

/** The names that the sub-protocol has; which one differs between SDKs. */
const PROTOCOLS = ["amqpwsb10", "amqp"];
/** More than any client puts into a message: they send a frame of AMQP, or what they have written at once. */
const LARGEST_MESSAGE = 8 << 20;
/** The longest reason, in bytes of UTF-8 (RFC 6455, 5.5.1). */
const LONGEST_REASON = 123;

const CONNECTING = 0;
const OPEN = 1;
const CLOSING = 2;
const CLOSED = 3;

const EVENTS = ["open", "message", "error", "close"] as const;

/** The WebSocket class of one emulator. */
export function socketsOf(pump: Pump): EmulatorWebSocketConstructor {
  class EmulatorWebSocket extends EventTarget {
    static readonly CONNECTING = CONNECTING;
    static readonly OPEN = OPEN;
    static readonly CLOSING = CLOSING;
    static readonly CLOSED = CLOSED;

    readonly url: string;
    readonly extensions = "";
    #protocol = "";
    #readyState: 0 | 1 | 2 | 3 = CONNECTING;
    #binaryType: BinaryType = "blob";
    readonly #pipe: Pipe;
    readonly #handlers = new Map<string, (event: Event) => void>();
    /** Bytes that were sent when nobody was there to read them any more. */
    #lost = 0;

    constructor(url: string | URL, protocols: string | string[] = []) {
      super();
      this.url = checkUrl(url);
      const offered = typeof protocols === "string" ? [protocols] : [...protocols];
      const protocol = offered.find((name) => PROTOCOLS.includes(String(name).toLowerCase()));
      const { origin } = new URL(this.url);
      const endpoint: Endpoint = {
        opened: () => {
          // It may have been closed while it was on its way.
          if (this.#readyState !== CONNECTING) return;
          this.#readyState = OPEN;
          this.#protocol = protocol ?? "";
          this.dispatchEvent(new Event("open"));
        },
        received: (bytes) => {
          if (this.#readyState !== OPEN) return;
          const data = this.#binaryType === "blob" ? new Blob([bytes]) : bytes;
          this.dispatchEvent(new MessageEvent("message", { data, origin }));
        },
        closed: (end) => {
          this.#readyState = CLOSED;
          if (!end.clean) this.dispatchEvent(errorEvent(`the connection to the emulator failed: ${end.reason}`));
          this.dispatchEvent(closeEvent(end));
        },
      };
      const refusal =
        protocol === undefined ? `it speaks the sub-protocol AMQPWSB10, and ${listed(offered)} offered` : undefined;
      this.#pipe = pump.connect(endpoint, refusal);
    }

    get readyState(): 0 | 1 | 2 | 3 {
      return this.#readyState;
    }

    get protocol(): string {
      return this.#protocol;
    }

    get bufferedAmount(): number {
      return this.#pipe.unreadBytes + this.#lost;
    }

    get binaryType(): BinaryType {
      return this.#binaryType;
    }

    set binaryType(type: BinaryType) {
      if (type === "blob" || type === "arraybuffer") this.#binaryType = type;
    }

    send(data: ArrayBufferLike | ArrayBufferView | Blob | string): void {
      if (this.#readyState === CONNECTING) {
        throw new DOMException("nothing can be sent before the WebSocket is open", "InvalidStateError");
      }
      const bytes = copied(data);
      if (this.#readyState !== OPEN) {
        this.#lost += bytes?.byteLength ?? 0;
      } else if (bytes === undefined) {
        this.#refuse(1003, "AMQP travels in binary messages");
      } else if (bytes.byteLength > LARGEST_MESSAGE) {
        this.#refuse(1009, "the message is too large");
      } else if (bytes.byteLength > 0) {
        pump.send(this.#pipe, bytes);
      }
    }

    close(code?: number, reason = ""): void {
      if (code !== undefined && code !== 1000 && !(code >= 3000 && code <= 4999)) {
        throw new DOMException(`the code must be 1000 or from 3000 to 4999, not ${code}`, "InvalidAccessError");
      }
      if (new TextEncoder().encode(reason).byteLength > LONGEST_REASON) {
        throw new DOMException(`the reason must not have more than ${LONGEST_REASON} bytes`, "SyntaxError");
      }
      if (this.#readyState === CONNECTING) {
        this.#readyState = CLOSING;
        pump.fail(this.#pipe, { code: 1006, reason: "it was closed before it was open", clean: false });
      } else if (this.#readyState === OPEN) {
        this.#readyState = CLOSING;
        // 1005 stands for "no code was given".
        pump.close(this.#pipe, { code: code ?? 1005, reason, clean: true });
      }
    }

    /** What the other end does with a message that it does not take. */
    #refuse(code: number, reason: string): void {
      this.#readyState = CLOSING;
      pump.close(this.#pipe, { code, reason, clean: true });
    }

    static {
      for (const type of EVENTS) {
        Object.defineProperty(this.prototype, `on${type}`, {
          configurable: true,
          enumerable: true,
          get(this: EmulatorWebSocket) {
            return this.#handlers.get(type) ?? null;
          },
          set(this: EmulatorWebSocket, handler: unknown) {
            const old = this.#handlers.get(type);
            if (old !== undefined) this.removeEventListener(type, old);
            this.#handlers.delete(type);
            if (typeof handler !== "function") return;
            this.#handlers.set(type, handler as (event: Event) => void);
            this.addEventListener(type, handler as (event: Event) => void);
          },
        });
      }
      for (const [name, value] of Object.entries({ CONNECTING, OPEN, CLOSING, CLOSED })) {
        Object.defineProperty(this.prototype, name, { enumerable: true, value });
      }
    }
  }
  return EmulatorWebSocket as unknown as EmulatorWebSocketConstructor;
}

/** A WebSocket's address, with http for ws as browsers take it. */
function checkUrl(url: string | URL): string {
  let parsed: URL;
  try {
    parsed = new URL(String(url), globalThis.location?.href);
  } catch {
    throw new DOMException(`'${String(url)}' is no URL`, "SyntaxError");
  }
  if (parsed.protocol === "http:") parsed.protocol = "ws:";
  if (parsed.protocol === "https:") parsed.protocol = "wss:";
  if (parsed.protocol !== "ws:" && parsed.protocol !== "wss:") {
    throw new DOMException(`'${parsed.protocol}' is no scheme of WebSockets: use ws: or wss:`, "SyntaxError");
  }
  if (parsed.hash !== "") throw new DOMException("the URL of a WebSocket has no fragment", "SyntaxError");
  return parsed.href;
}

/** The bytes of a message, as they are now; `undefined` when it is none of bytes. */
function copied(data: unknown): Uint8Array | undefined {
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
  if (data instanceof ArrayBuffer) return new Uint8Array(data.slice(0));
  if (typeof SharedArrayBuffer !== "undefined" && data instanceof SharedArrayBuffer) return new Uint8Array(data).slice();
  return undefined;
}

function listed(offered: string[]): string {
  return offered.length === 0 ? "none was" : `only ${offered.join(", ")} was`;
}

function errorEvent(message: string): Event {
  // A browser's says nothing; what is in this one helps whoever looks for it.
  const event = new Event("error");
  Object.defineProperty(event, "message", { enumerable: true, value: message });
  return event;
}

function closeEvent({ code, reason, clean }: End): Event {
  const told = { code, reason: clean ? reason : "", wasClean: clean };
  if (typeof CloseEvent === "function") return new CloseEvent("close", told);
  const event = new Event("close");
  for (const [name, value] of Object.entries(told)) Object.defineProperty(event, name, { enumerable: true, value });
  return event;
}
