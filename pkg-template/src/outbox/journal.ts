// Where an outbox keeps what waits: the contract of IndexedDB's and the file's.

/** An event that waits. */
export interface Kept {
  /** Larger than that of all that were kept before. */
  readonly id: number;
  /** When it was enqueued, in milliseconds since 1970. */
  readonly at: number;
  readonly key: string | undefined;
  /** The partition that was asked for. */
  readonly partition: string | undefined;
  /** Whether it is to be sent alone. */
  readonly alone: boolean;
  readonly body: Uint8Array;
  /** What there is to it besides the body. */
  readonly meta: object | undefined;
}

/** Events that are under way together. */
export interface KeptBatch {
  readonly partition: string;
  /** The number of its first event; undefined where events have no numbers. */
  readonly first: number | undefined;
  readonly events: readonly number[];
}

/** How the service knows the producer of a partition. */
export interface Identity {
  readonly partition: string;
  readonly producerId: bigint;
  readonly epoch: number;
  /** The number of its next event, behind those of the batch that is under way. */
  readonly next: number;
}

/** An event that was given up. */
export interface Letter {
  readonly event: Kept;
  readonly givenUpAt: number;
  readonly code: string;
  readonly reason: string;
}

/** What is there altogether. */
export interface Totals {
  events: number;
  bytes: number;
  letters: number;
  droppedLetters: number;
}

/** At most so much waits. */
export interface Limits {
  readonly maxEvents: number;
  readonly maxBytes: number;
}

/**
 * All changes are whole or not at all, and come one after the other, whoever makes them. What changes batches and identities outlives a power cut,
 * whatever the owner chose: numbers that are used must not be forgotten.
 */
export interface Journal {
  /** For people. */
  readonly place: string;
  /** Keeps events behind all others. False, and nothing kept, when there is no room. */
  append(events: readonly Omit<Kept, "id">[], limits: Limits): Promise<boolean>;
  totals(): Promise<Totals>;
  /** The first event, and the number of the last that was ever kept. */
  ends(): Promise<{ oldest: Kept | undefined; last: number }>;
  letters(): Promise<Letter[]>;
  removeLetters(ids: readonly number[]): Promise<void>;

  // Only who pumps calls these.
  batches(): Promise<KeptBatch[]>;
  /** Up to `limit` events behind `after`. */
  read(after: number, limit: number): Promise<Kept[]>;
  /** Those of these that are there, in this order. */
  get(ids: readonly number[]): Promise<Kept[]>;
  identity(partition: string): Promise<Identity | undefined>;
  setIdentity(identity: Identity): Promise<void>;
  /** The batch is going to be sent; `identity` is its partition's from then on. */
  begin(batch: KeptBatch, identity: Identity | undefined): Promise<void>;
  /** The service has it. */
  done(batch: KeptBatch): Promise<void>;
  /** The service does not take it: its events wait again, and its numbers are free. */
  dissolve(batch: KeptBatch, alone: boolean): Promise<void>;
  /** At most `most` letters stay. */
  bury(letter: Letter, most: number): Promise<void>;
  close(): Promise<void>;
}

/** How much of the room for bytes an event takes: one without a body must not be free. */
export function costOf(event: Omit<Kept, "id">): number {
  return event.body.byteLength + metaBytes(event.meta) + 64;
}

function metaBytes(meta: object | undefined): number {
  if (meta === undefined) return 0;
  const plain = (_: string, value: unknown): unknown =>
    typeof value === "bigint" ? String(value) : ArrayBuffer.isView(value) ? "x".repeat(value.byteLength) : value;
  return JSON.stringify(meta, plain).length;
}

/** What a dissolved batch makes of its partition's identity. */
export function takenBack(identity: Identity | undefined, batch: KeptBatch): Identity | undefined {
  return identity === undefined || batch.first === undefined ? identity : { ...identity, next: batch.first };
}
