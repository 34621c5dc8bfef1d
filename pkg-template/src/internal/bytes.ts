// Many bodies in one piece of memory, which crosses into the engine at once.

const ENCODER = new TextEncoder();

/** Grows, and is used again. */
export class Packer {
  #bytes = new Uint8Array(4096);
  #length = 0;
  #ends: number[] = [];

  /** Appends a body. */
  add(body: string | Uint8Array): void {
    if (typeof body === "string") {
      // A UTF-16 unit becomes three bytes at most.
      this.#reserve(body.length * 3);
      this.#length += ENCODER.encodeInto(body, this.#bytes.subarray(this.#length)).written;
    } else {
      this.#reserve(body.byteLength);
      this.#bytes.set(body, this.#length);
      this.#length += body.byteLength;
    }
    this.#ends.push(this.#length);
  }

  get count(): number {
    return this.#ends.length;
  }

  /** Everything that was added; valid until the next `add`. */
  take(): { bytes: Uint8Array; ends: Uint32Array } {
    const taken = { bytes: this.#bytes.subarray(0, this.#length), ends: Uint32Array.from(this.#ends) };
    this.#length = 0;
    this.#ends = [];
    return taken;
  }

  #reserve(room: number): void {
    const needed = this.#length + room;
    if (needed <= this.#bytes.byteLength) return;
    const larger = new Uint8Array(Math.max(needed, this.#bytes.byteLength * 2));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}

/** A view of whatever holds bytes; undefined for what does not. */
export function bytesOf(value: unknown): Uint8Array | undefined {
  if (value instanceof Uint8Array) return value;
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  if (value instanceof ArrayBuffer || Object.prototype.toString.call(value) === "[object ArrayBuffer]") {
    return new Uint8Array(value as ArrayBuffer);
  }
  return undefined;
}
