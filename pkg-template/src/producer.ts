import type { Body, Codec } from "./codec.js";
import type { EventInput, SendOptions } from "./event.js";
import { EventBatch, type RawBatch } from "./batch.js";
import { encoded } from "./internal/amqp.js";
import { call, type CallOptions, now } from "./internal/call.js";
import { atLeastOne, invalid, options, type Rule, signal, text, wrong } from "./internal/check.js";
import { HubClient } from "./internal/hub-client.js";
import { Packer } from "./internal/message.js";
import { type Encoder, outgoing } from "./internal/outgoing.js";
import type { Connection, ProducerOptions, PublishingState } from "./options.js";

const SEND: Record<string, Rule> = { partitionKey: "string", partitionId: "string", codec: "object", signal };
/** What only producers are told. */
const OWN: Record<string, Rule> = {
  idempotent: "boolean",
  publishingState: [areStates, "an object with { producerId, epoch, sequenceNumber } for each partition's id"],
};
const BATCH: Record<string, Rule> = { ...SEND, maxSize: atLeastOne };
const CALL: Record<string, Rule> = { signal };

/** Events are handed over in pieces of about this many bytes, so that a long list does not have to fit in memory twice. */
const PIECE = 4 * 1024 * 1024;

/**
 * Sends events to a hub.
 *
 * ```ts
 * await using producer = new ProducerClient(connectionString, "orders");
 * await producer.send([{ body: "hello", partitionKey: "customer-1" }, { body: "world" }]);
 * ```
 *
 * Connects when something is sent; several calls share one connection. Nothing is lost silently: a call that
 * resolves was acknowledged by the service.
 */
export class ProducerClient extends HubClient {
  /** What it is called, and what it takes. @internal */
  static readonly kind: { what: string; own: Record<string, Rule> } = { what: "a ProducerClient", own: OWN };

  /** Checks its arguments, and does nothing else yet. */
  constructor(connectionString: string, eventHub?: string, options?: ProducerOptions);
  constructor(connectionString: string, options?: ProducerOptions);
  constructor(connection: Connection & ProducerOptions);
  constructor(...given: unknown[]) {
    let isIdempotent = false;
    super(new.target.kind.what, given, new.target.kind.own, true);
    for (const each of given) isIdempotent ||= (each as ProducerOptions | undefined)?.idempotent === true;
    this.isIdempotent = isIdempotent;
  }

  /** Whether events are numbered, so that the service stores none twice. */
  readonly isIdempotent: boolean;

  /**
   * How far this idempotent producer has come in a partition. Attaches the link where that has not been done: who the producer is is for the
   * service to say. What is not acknowledged yet is not counted.
   *
   * @throws EventHubsError
   */
  async publishingState(partitionId: string, given?: CallOptions): Promise<PublishingState> {
    const id = text(partitionId, "the partition's id");
    const { signal } = options(given, CALL, "publishingState");
    const producer = await this.raw(signal);
    const [producerId, epoch, sequenceNumber] = await call<[bigint, number, number]>(signal, (ticket) => producer.publishingState(id, ticket));
    return { producerId, epoch, sequenceNumber };
  }

  /** Goes on in a partition as this producer, or as a new one. @internal */
  async publishAs(partitionId: string, state: PublishingState | undefined): Promise<void> {
    const producer = await this.raw();
    now(() => producer.publishAs(partitionId, state && encoded(numbersOf(state))));
  }

  /** An empty batch for a partition, whose events keep their keys. @internal */
  async keyedBatch(partitionId: string): Promise<RawBatch> {
    const producer = await this.raw();
    return call<RawBatch>(undefined, (ticket) => producer.createBatch(partitionId, undefined, undefined, true, ticket));
  }

  /** Sends a batch, under numbers from `first`. @internal */
  async sendRaw(batch: RawBatch, first: number | undefined): Promise<void> {
    const producer = await this.raw();
    await call<void>(undefined, (ticket) => producer.sendBatch(batch, first, ticket));
  }

  /**
   * Sends any number of events, in as few batches as they need. Events with the same partition key stay in order. Resolves to their number when the
   * service has acknowledged all of them.
   *
   * @throws EventHubsError. `eventIndex` says which event is to blame; what came long before it may have been sent.
   */
  send<T = Body>(
    events: EventInput<T> | T | Iterable<EventInput<T> | T>,
    given?: SendOptions & CallOptions & { codec?: Codec<T> | undefined },
  ): Promise<number> {
    return this.#send(events, given);
  }

  async #send(events: unknown, given: (SendOptions & CallOptions & { codec?: Encoder | undefined }) | undefined): Promise<number> {
    const { codec, signal, partitionId, partitionKey } = options(given, SEND, "send");
    const producer = await this.raw(signal);
    const packer = new Packer();
    let size = 0;
    let index = 0;
    let sent = 0;
    const flush = async (): Promise<void> => {
      const first = index - packer.count;
      const { bytes, ends } = packer.take();
      size = 0;
      try {
        sent += await call<number>(signal, (ticket) => producer.send(bytes, ends, partitionId, partitionKey, ticket));
      } catch (error) {
        throw shifted(error, first);
      }
    };
    for (const given of listed(events)) {
      const { body, meta } = outgoing(given, codec, index);
      packer.add(body, meta, index);
      size += body.length;
      index += 1;
      if (size >= PIECE) await flush();
    }
    if (packer.count > 0) await flush();
    return sent;
  }

  /**
   * An empty batch: for those who want to know what fits, and to send it as one.
   *
   * @throws EventHubsError
   */
  async createBatch<T = Body>(
    given?: SendOptions & CallOptions & { codec?: Codec<T> | undefined; maxSize?: number | undefined },
  ): Promise<EventBatch<T>> {
    const { codec, signal, partitionId, partitionKey, maxSize } = options(given, BATCH, "createBatch");
    const producer = await this.raw(signal);
    const batch = await call<RawBatch>(signal, (ticket) => producer.createBatch(partitionId, partitionKey, maxSize, false, ticket));
    return new EventBatch<T>(batch, partitionId, partitionKey, codec);
  }

  /**
   * Sends a batch, all of it or nothing. It can be used no longer. An empty one is no error.
   *
   * @throws EventHubsError
   */
  async sendBatch(batch: EventBatch<never> | EventBatch, given?: CallOptions): Promise<void> {
    const { signal } = options(given, CALL, "sendBatch");
    if (!(batch instanceof EventBatch)) throw wrong("what sendBatch is given", "a batch of createBatch", batch);
    const producer = await this.raw(signal);
    const raw = EventBatch.take(batch);
    try {
      await call<void>(signal, (ticket) => producer.sendBatch(raw, undefined, ticket));
    } finally {
      raw.free();
    }
  }

  /** A stream to write events to. It takes no more than what is acknowledged in time; closing it leaves the client open. */
  writable<T = Body>(given?: SendOptions & { codec?: Codec<T> | undefined }): WritableStream<EventInput<T> | T> {
    options(given, { partitionKey: "string", partitionId: "string", codec: "object" }, "writable");
    const abort = new AbortController();
    return new WritableStream<EventInput<T> | T>({
      write: async (event) => {
        await this.send<T>([event], { ...given, signal: abort.signal });
      },
      abort: (reason) => abort.abort(reason),
    });
  }
}

function areStates(given: unknown): boolean {
  if (typeof given !== "object" || given === null) return false;
  const isWithin = (value: unknown, least: number, most: number): boolean =>
    Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most;
  return Object.values(given).every((state: Partial<PublishingState> | null) => {
    const { producerId, epoch, sequenceNumber } = state ?? {};
    return typeof producerId === "bigint" && isWithin(epoch, -0x8000, 0x7fff) && isWithin(sequenceNumber, -1, 0x7fff_ffff);
  });
}

/** As the engine takes them. */
function numbersOf({ producerId, epoch, sequenceNumber }: PublishingState): unknown[] {
  return [producerId, epoch, sequenceNumber];
}

/** One event, or many. A text is one, though it has letters; bytes are one, though they have numbers. */
function listed(events: unknown): Iterable<unknown> {
  if (events === undefined) throw invalid("send needs an event, or several");
  const isMany = typeof events === "object" && events !== null && Symbol.iterator in events && !ArrayBuffer.isView(events);
  return isMany ? (events as Iterable<unknown>) : [events];
}

/** An index counts from the first event of all. */
function shifted(error: unknown, first: number): unknown {
  const blamed = error as { eventIndex?: number } | undefined;
  if (first > 0 && typeof blamed?.eventIndex === "number") Object.assign(blamed, { eventIndex: blamed.eventIndex + first });
  return error;
}
