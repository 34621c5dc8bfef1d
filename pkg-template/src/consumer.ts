import { bytes } from "./codec.js";
import { encoded } from "./internal/amqp.js";
import { atLeastOne, count, invalid, options, type Rule, signal, text, wrong } from "./internal/check.js";
import { HubClient } from "./internal/hub-client.js";
import type { ClientOptions, Connection, ReceiveOptions, StartPosition } from "./options.js";
import { EventStream } from "./stream.js";

const OWN: Record<string, Rule> = { consumerGroup: "string" };
const RECEIVE: Record<string, Rule> = {
  from: "any",
  codec: "object",
  ownerLevel: [(value) => Number.isSafeInteger(value), "a whole number"],
  trackLastEnqueued: "boolean",
  prefetch: atLeastOne,
  prefetchBytes: count,
  signal,
};
const POSITION: Record<string, Rule> = {
  offset: "string",
  sequenceNumber: [(value) => Number.isSafeInteger(value), "a whole number"],
  enqueuedTime: [(value) => Number.isFinite(Number(value)), "a Date or milliseconds since 1970"],
  inclusive: "boolean",
};

/** What a consumer takes besides. */
export interface ConsumerOptions {
  /** Default: `$Default`. */
  consumerGroup?: string | undefined;
}

/**
 * Reads events of a hub.
 *
 * ```ts
 * await using consumer = new ConsumerClient(connectionString, "orders");
 * for await (const event of consumer.receiveAll({ from: "earliest", codec: json<Order>() })) {
 *   console.log(event.partitionId, event.sequenceNumber, event.body);
 * }
 * ```
 */
export class ConsumerClient extends HubClient {
  readonly consumerGroup: string;

  /** Checks its arguments, and does nothing else yet. */
  constructor(connectionString: string, eventHub?: string, options?: ClientOptions & ConsumerOptions);
  constructor(connectionString: string, options?: ClientOptions & ConsumerOptions);
  constructor(connection: Connection & ConsumerOptions);
  constructor(...given: unknown[]) {
    super("a ConsumerClient", given, OWN, false);
    const groups = given.map((each) => (each as ConsumerOptions | undefined)?.consumerGroup);
    this.consumerGroup = groups.find((group) => group !== undefined) ?? "$Default";
  }

  /** The events of one partition. It is attached by the first read, or by `ready()`. */
  receive<T = Uint8Array>(partitionId: string, given?: ReceiveOptions<T>): EventStream<T> {
    const id = text(partitionId, "the partition's id");
    return this.#stream<T>("receive", given, [position(given?.from), id]);
  }

  /**
   * The events of all partitions, mixed as they arrive; those of one partition stay in order. `from` may say
   * where each partition starts: `{ "0": { offset: "1200" }, "1": "earliest" }`; partitions that are not named start at `latest`.
   */
  receiveAll<T = Uint8Array>(
    given?: Omit<ReceiveOptions<T>, "from"> & { from?: StartPosition | Readonly<Record<string, StartPosition>> | undefined },
  ): EventStream<T> {
    const { from } = given ?? {};
    const isOne = typeof from !== "object" || from === null || Object.keys(from).some((name) => Object.hasOwn(POSITION, name));
    const start = isOne
      ? [position(from as StartPosition | undefined)]
      : [undefined, undefined, Object.entries(from).map(([id, at]) => [id, ...position(at)])];
    return this.#stream<T>("receiveAll", given as ReceiveOptions<T> | undefined, start);
  }

  #stream<T>(what: string, given: ReceiveOptions<T> | undefined, start: unknown[]): EventStream<T> {
    const { codec, signal, ownerLevel, trackLastEnqueued, prefetch, prefetchBytes } = options(given, RECEIVE, what);
    const reading = encoded([ownerLevel, trackLastEnqueued, prefetch, prefetchBytes, ...start]);
    return new EventStream<T>({
      consumer: (signal) => this.raw(signal),
      reading,
      codec: codec ?? (bytes() as never),
      signal,
    });
  }
}

/** A position as the engine takes it. */
function position(given: StartPosition | undefined): unknown[] {
  if (given === undefined || given === "latest") return ["@latest"];
  if (given === "earliest") return ["-1"];
  if (typeof given !== "object" || given === null) {
    throw wrong("where to start", '"earliest", "latest", or an object with an offset, a sequence number or a time', given);
  }
  const { offset, sequenceNumber, enqueuedTime, inclusive } = options(
    given as { offset?: string; sequenceNumber?: number; enqueuedTime?: Date | number; inclusive?: boolean },
    POSITION,
    "a position",
  );
  if ([offset, sequenceNumber, enqueuedTime].filter((each) => each !== undefined).length !== 1) {
    throw invalid("a position has one of offset, sequenceNumber and enqueuedTime");
  }
  return [offset, sequenceNumber, enqueuedTime === undefined ? undefined : Number(enqueuedTime), inclusive];
}
