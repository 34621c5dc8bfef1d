import { EventHubsError } from "./error.js";
import { abortReason, call, toError } from "./internal/call.js";
import type { StartPosition } from "./options.js";
import type { Hub, Statuses } from "./wasm/eventhubs.js";

/** How the connection is. */
export type ConnectionStatus =
  /** A connection is being made. `attempt`: 1, and one more for each attempt in a row that failed. */
  | { readonly type: "connecting"; readonly attempt: number }
  /** The service has answered: calls get through. */
  | { readonly type: "connected" }
  /**
   * There is no connection. Without a `cause` nothing is wrong: nothing has needed one yet, or the service closed it because nothing
   * used it; the next call makes one.
   */
  | { readonly type: "disconnected"; readonly cause: EventHubsError | undefined }
  /** The attempt with this number begins after `delayMs`. */
  | { readonly type: "reconnecting"; readonly attempt: number; readonly delayMs: number; readonly cause: EventHubsError }
  /** The client was closed. The last of all. */
  | { readonly type: "closed" };

/**
 * What happens to a client's connection, links and tokens. A lost connection is told as `disconnected`, `reconnecting`, `connecting`, `connected`,
 * and `resumed` for each partition that is being read.
 */
export type Status =
  | ConnectionStatus
  /** One link, to a hub or a partition of it, went down; others live. Without a `cause`: because nothing used it. */
  | { readonly type: "detached"; readonly entity: string; readonly cause: EventHubsError | undefined }
  /** A link that went down is up again. For a partition that is being read, `resumed` says so. */
  | { readonly type: "attached"; readonly entity: string }
  /** The service asked to slow down: nothing is sent there for `delayMs`. */
  | { readonly type: "throttled"; readonly entity: string; readonly delayMs: number }
  /** The service has taken a token. */
  | { readonly type: "token-refreshed"; readonly audience: string; readonly expiresAt: Date }
  /**
   * A token could not be got, or the service refused it. Without `retryInMs`: it is asked for again when the calls that wait for it are
   * tried again; while there is a token it is renewed until that works, whoever asks.
   */
  | {
      readonly type: "token-refresh-failed";
      readonly audience: string;
      readonly cause: EventHubsError;
      readonly retryInMs: number | undefined;
    }
  /** A partition that is being read has events that do not arrive. Its link is made anew. */
  | { readonly type: "stalled"; readonly partition: string }
  /** A partition that is being read goes on from here, behind what was received before. */
  | { readonly type: "resumed"; readonly partition: string; readonly position: StartPosition };

/** How a client is doing, at one moment. */
export interface Health {
  readonly state: ConnectionStatus;
  /** Since when. */
  readonly since: Date;
  /** The last thing that went wrong, even where it has been mended. */
  readonly lastError: EventHubsError | undefined;
  /** Links that are up. */
  readonly linksLive: number;
  /** Links that somebody uses, up or not. */
  readonly linksWanted: number;
  /** Links that went down or could not be made, and are not up again. */
  readonly linksFailing: number;
  /** When the first of the tokens that are in use expires. */
  readonly tokenExpiresAt: Date | undefined;
  /**
   * Whether everything that was asked for works: the connection is up, or nothing has needed one since the last one that was up, and no
   * link is failing. A client that is just connecting for the first time is healthy.
   */
  readonly isHealthy: boolean;
}

const OVER: IteratorReturnResult<undefined> = { done: true, value: undefined };

/**
 * What happens to a client, see {@link Status}. The first item is how it is at present, the last one is `closed`. It holds the connection
 * neither up nor back: whoever does not keep up misses the oldest, and {@link missed} says how many.
 */
export class StatusStream implements AsyncIterableIterator<Status> {
  #raw: Statuses | undefined;
  /** What the client itself has to say while its engine does not run. Only the newest counts. */
  #told: Status | undefined;
  /** What the engine says first is no news to those who listened before it ran. */
  #isLate = false;
  #isOver = false;
  #missed = 0;
  #heard: (() => void) | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  readonly #end = new AbortController();
  readonly #signal: AbortSignal | undefined;
  readonly #left: (stream: StatusStream) => void;

  /** @internal */
  constructor(from: Statuses | Status, signal: AbortSignal | undefined, left: (stream: StatusStream) => void) {
    if ("type" in from) this.#told = from;
    else this.#raw = from;
    this.#signal = signal;
    this.#left = left;
    if (signal?.aborted) this.#finish();
    else signal?.addEventListener("abort", this.#finish);
  }

  /** How many statuses there was no room for, in all. */
  get missed(): number {
    return this.#raw?.missed ?? this.#missed;
  }

  /**
   * What happens next; ends when the client was closed.
   *
   * @throws The reason of the signal that `status()` was given, once that is aborted.
   */
  next(): Promise<IteratorResult<Status, undefined>> {
    // One after the other: the engine tells each status once.
    const turn = this.#turn.then(() => this.#next());
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  /** What `break` in a loop does: stops listening. Calls of `next` that wait end. */
  async return(): Promise<IteratorReturnResult<undefined>> {
    this.#finish();
    return OVER;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The same as {@link return}: for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#finish();
  }

  /** The engine runs, and tells from now on. @internal */
  static attach(stream: StatusStream, raw: Statuses): void {
    stream.#raw = raw;
    stream.#isLate = true;
    stream.#heard?.();
  }

  /** The engine does not run, and this is so. @internal */
  static tell(stream: StatusStream, status: Status): void {
    stream.#told = status;
    stream.#heard?.();
  }

  async #next(): Promise<IteratorResult<Status, undefined>> {
    for (;;) {
      if (this.#signal?.aborted) throw abortReason(this.#signal);
      if (this.#isOver) return OVER;
      const told = this.#told;
      this.#told = undefined;
      const value = told ?? (await this.#fromEngine());
      // Something else has happened meanwhile.
      if (value === undefined) continue;
      if (value.type === "closed") this.#finish();
      return { done: false, value };
    }
  }

  /** Undefined when it is time to look again. */
  async #fromEngine(): Promise<Status | undefined> {
    const raw = this.#raw;
    if (raw === undefined) {
      await new Promise<void>((heard) => (this.#heard = heard));
      return undefined;
    }
    try {
      const fields = await call<RawStatus | undefined>(this.#end.signal, (ticket) => raw.next(ticket));
      if (fields === undefined) this.#finish();
      // Where there was no room for everything, the first went first.
      const isNews = !this.#isLate || this.missed > 0;
      this.#isLate = false;
      return isNews && fields !== undefined ? statusOf(fields) : undefined;
    } catch (error) {
      if (this.#isOver) return undefined;
      throw error;
    }
  }

  #finish = (): void => {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#signal?.removeEventListener("abort", this.#finish);
    this.#left(this);
    this.#end.abort();
    this.#missed = this.missed;
    this.#raw?.free();
    this.#raw = undefined;
    this.#heard?.();
  };
}

/** Tells how a client is: as its engine says, and before that runs, as the client knows. */
export class Board {
  #present: ConnectionStatus = { type: "disconnected", cause: undefined };
  #since = new Date();
  #engine: Hub | undefined;
  readonly #waiting = new Set<StatusStream>();

  status(signal: AbortSignal | undefined): StatusStream {
    if (this.#engine !== undefined) return new StatusStream(this.#engine.status(), signal, () => undefined);
    const stream = new StatusStream(this.#present, signal, (stream) => this.#waiting.delete(stream));
    if (!signal?.aborted && this.#present.type !== "closed") this.#waiting.add(stream);
    return stream;
  }

  health(): Health {
    if (this.#engine !== undefined) return healthOf(this.#engine.health() as RawHealth);
    const state = this.#present;
    const lastError = state.type === "disconnected" ? state.cause : undefined;
    const isHealthy = state.type === "disconnected" && lastError === undefined;
    return {
      ...{ state, since: this.#since, lastError, tokenExpiresAt: undefined, isHealthy },
      ...{ linksLive: 0, linksWanted: 0, linksFailing: 0 },
    };
  }

  /** The engine's half of the client was made, and has done nothing yet. */
  runs(engine: Hub): void {
    this.#engine = engine;
    for (const stream of this.#waiting) StatusStream.attach(stream, engine.status());
    this.#waiting.clear();
  }

  /** It could not be made. */
  failed(error: unknown): void {
    const cause = error instanceof EventHubsError ? error : new EventHubsError("internal", String(error), { cause: error });
    this.#tell({ type: "disconnected", cause });
  }

  /** The client was closed. */
  closed(): void {
    if (this.#engine === undefined) this.#tell({ type: "closed" });
  }

  #tell(status: ConnectionStatus): void {
    this.#present = status;
    this.#since = new Date();
    for (const stream of this.#waiting) StatusStream.tell(stream, status);
  }
}

/** As src/js/status.rs has them. */
type RawStatus = readonly [type: Status["type"], name: string, attempt: number, millis: number | undefined, cause: unknown, position: RawPosition];
type RawPosition = readonly [offset: string | undefined, sequenceNumber: number | undefined, enqueuedTime: number | undefined, inclusive: boolean];
type RawHealth = readonly [
  state: RawStatus,
  since: number,
  lastError: unknown,
  linksLive: number,
  linksWanted: number,
  linksFailing: number,
  tokenExpiresAt: number | undefined,
  isHealthy: boolean,
];

function statusOf([type, name, attempt, millis, thrown, position]: RawStatus): Status {
  const cause = toError(thrown) as EventHubsError;
  // Whole milliseconds: less is no delay that anybody can wait for.
  const delayMs = Math.ceil(millis as number);
  switch (type) {
    case "connecting":
      return { type, attempt };
    case "disconnected":
      return { type, cause };
    case "reconnecting":
      return { type, attempt, delayMs, cause };
    case "detached":
      return { type, entity: name, cause };
    case "attached":
      return { type, entity: name };
    case "throttled":
      return { type, entity: name, delayMs };
    case "token-refreshed":
      return { type, audience: name, expiresAt: new Date(delayMs) };
    case "token-refresh-failed":
      return { type, audience: name, cause, retryInMs: millis === undefined ? millis : delayMs };
    case "stalled":
      return { type, partition: name };
    case "resumed":
      return { type, partition: name, position: positionOf(position) };
    default:
      return { type };
  }
}

/** In the words of `ReceiveOptions.from`. */
function positionOf([offset, sequenceNumber, enqueuedTime, inclusive]: RawPosition): StartPosition {
  if (offset === "-1") return "earliest";
  if (offset === "@latest") return "latest";
  if (offset !== undefined) return { offset, inclusive };
  if (sequenceNumber !== undefined) return { sequenceNumber, inclusive };
  return { enqueuedTime: new Date(enqueuedTime as number) };
}

function healthOf([state, since, lastError, linksLive, linksWanted, linksFailing, expiry, isHealthy]: RawHealth): Health {
  return {
    state: statusOf(state) as ConnectionStatus,
    since: new Date(since),
    lastError: toError(lastError) as EventHubsError | undefined,
    ...{ linksLive, linksWanted, linksFailing },
    tokenExpiresAt: expiry === undefined ? undefined : new Date(expiry),
    isHealthy,
  };
}
