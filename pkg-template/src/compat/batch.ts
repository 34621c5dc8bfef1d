import { addTo } from "../batch.js";
import type { Batch as RawBatch } from "../wasm/eventhubs.js";
import type { AmqpAnnotatedMessage } from "./amqp.js";
import { required, translated } from "./errors.js";
import { assertEvent, encode, isMessage } from "./outgoing.js";
import type { EventData, EventDataBatch, TryAddOptions } from "./types.js";

/** A batch of this package: it may be sent several times, and added to in between. */
export class Batch implements EventDataBatch {
  declare readonly partitionKey?: string;
  declare readonly partitionId?: string;
  readonly #raw: RawBatch;

  constructor(raw: RawBatch, partitionId: string | undefined, partitionKey: string | undefined) {
    this.#raw = raw;
    Object.assign(this, { partitionId, partitionKey });
  }

  get sizeInBytes(): number {
    return this.count === 0 ? 0 : this.#raw.size;
  }

  get count(): number {
    return this.#raw.length;
  }

  get maxSizeInBytes(): number {
    return this.#raw.maxSize;
  }

  tryAdd(eventData: EventData | AmqpAnnotatedMessage, _options?: TryAddOptions): boolean {
    required("tryAdd", "eventData", eventData);
    if (!isMessage(eventData)) assertEvent(eventData);
    const { body, meta } = encode(eventData);
    try {
      return addTo(this.#raw, body, meta);
    } catch (error) {
      throw translated(error);
    }
  }

  /** What is sent; the caller frees it. */
  static copyOf(batch: Batch): RawBatch {
    return batch.#raw.copy();
  }
}

/** By its shape, as the official SDK tells. */
export function isBatch(given: unknown): given is EventDataBatch {
  const { count, sizeInBytes, tryAdd } = (given ?? {}) as Record<string, unknown>;
  return typeof count === "number" && typeof sizeInBytes === "number" && typeof tryAdd === "function";
}
