import type { Body, Codec } from "./codec.js";
import { EventHubsError } from "./error.js";
import type { EventInput } from "./event.js";
import { now } from "./internal/call.js";
import { packed } from "./internal/message.js";
import { type Encoder, outgoing } from "./internal/outgoing.js";
import type { Batch } from "./wasm/eventhubs.js";

/** @internal */
export type RawBatch = Batch;

/** Adds an event to the engine's half of a batch. @internal */
export function addTo(raw: RawBatch, body: string | Uint8Array, meta: object | undefined): boolean {
  const bytes = packed(body, meta);
  return now(() => raw.tryAdd(bytes, meta !== undefined));
}

/** Events that are sent together. Encoded as they are added, so that their size is exact. */
export class EventBatch<T = Body> {
  /** The partition that it is for. */
  readonly partitionId: string | undefined;
  /** The key that it is for. */
  readonly partitionKey: string | undefined;
  readonly #codec: Encoder | undefined;
  #raw: RawBatch | undefined;
  #length = 0;

  /** @internal */
  constructor(raw: RawBatch, partitionId: string | undefined, partitionKey: string | undefined, codec: Codec<T> | undefined) {
    this.#raw = raw;
    this.partitionId = partitionId;
    this.partitionKey = partitionKey;
    this.#codec = codec;
  }

  /**
   * Adds an event. False, and nothing changed, when it does not fit; one that does not fit an empty batch is too large to be sent at all.
   *
   * @throws EventHubsError `invalid-argument` when the event has another partition key than the batch, or holds what cannot be sent.
   */
  tryAdd(event: EventInput<T> | T): boolean {
    const raw = this.#open();
    const { body, meta } = outgoing(event, this.#codec, this.#length);
    const fits = addTo(raw, body, meta);
    if (fits) this.#length += 1;
    return fits;
  }

  /** How many events there are. */
  get length(): number {
    return this.#length;
  }

  /** The size in bytes as it is sent. */
  get size(): number {
    return this.#open().size;
  }

  /** The largest size. */
  get maxSize(): number {
    return this.#open().maxSize;
  }

  /** Takes the engine's half away. @internal */
  static take(batch: EventBatch<never> | EventBatch): RawBatch {
    const raw = batch.#open();
    batch.#raw = undefined;
    return raw;
  }

  #open(): RawBatch {
    if (this.#raw === undefined) throw new EventHubsError("invalid-argument", "the batch has been sent: create another");
    return this.#raw;
  }
}
