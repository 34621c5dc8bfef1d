// One partition that a processor owns: read, handed out, remembered, given up.

import type { ConsumerClient } from "../consumer.js";
import { EventHubsError } from "../error.js";
import { atLeastOne, invalid, millis, options, type Rule } from "../internal/check.js";
import { Bell, pause, within } from "../internal/pause.js";
import { now, Timer } from "../internal/tasks.js";
import type { StartPosition } from "../options.js";
import type { ReceivedEvent } from "../received.js";
import type { EventStream } from "../stream.js";
import type { GroupStore } from "./caller.js";
import { type Checkpoint, hasNumber, type Mark, type PartitionOwnership, positionBehind } from "./checkpoint.js";
import { Keeper, type Kept, pauseAfter } from "./keeper.js";
import { type CloseReason, closed, type PartitionLag, type PartitionReader, type ProcessorHandlers, type ProcessorOperation, type Settings } from "./options.js";

/** What all partitions of a processor have in common. @internal */
export interface Host<T> {
  readonly consumer: ConsumerClient;
  readonly store: GroupStore;
  readonly how: Settings<T>;
  /** Undefined where events are asked for. */
  readonly process: ProcessorHandlers<T>["process"] | undefined;
  readonly initialize: ProcessorHandlers<T>["initialize"];
  readonly close: ProcessorHandlers<T>["close"];
  /** When it was noticed last that the process had stood still. */
  wokenAt(): number;
  report(operation: ProcessorOperation, error: unknown, partitionId: string): Promise<void>;
  /** Ends the partition and gives it up. */
  giveUp(partition: Partition<T>, reason: CloseReason): Promise<void>;
}

interface BatchSize {
  maxCount?: number | undefined;
  maxWaitMs?: number | undefined;
}

const BATCH: Record<string, Rule> = { maxCount: atLeastOne, maxWaitMs: millis };

/** @internal */
export class Partition<T> implements PartitionReader<T> {
  readonly partitionId: string;
  readonly startingCheckpoint: Checkpoint | undefined;
  readonly closed: Promise<CloseReason>;
  readonly #host: Host<T>;
  /** Rings when something changed that a reader may wait for. */
  readonly #bell = new Bell();
  readonly #abort = new AbortController();
  readonly #keeper: Keeper;
  /** Where reading goes on, and how often somebody wanted it elsewhere. */
  #from: StartPosition;
  #turns = 0;
  #stream: EventStream<T> | undefined;
  #failures = 0;
  #isPaused = false;
  /** When the store was asked that said last that it is owned. */
  #askedAt = -Infinity;
  /** Goes off when the ownership was not renewed in time. */
  #expiry: Timer | undefined;
  /** What was handed out to a reader and is not yet known to be processed. */
  #handed: { mark: Mark; events: number; turns: number } | undefined;
  /** What still runs: handlers, or somebody's loop. */
  #busy: Promise<void> = Promise.resolve();
  #reason: CloseReason | undefined;
  #ended: Promise<void> | undefined;
  #tellClosed!: (reason: CloseReason) => void;

  constructor(host: Host<T>, partitionId: string, checkpoint: Checkpoint | undefined) {
    this.#host = host;
    this.partitionId = partitionId;
    this.startingCheckpoint = checkpoint;
    this.#keeper = new Keeper(this.#kept(), host.store, host.how.autoCheckpoint, checkpoint);
    this.#from = (checkpoint && positionBehind(checkpoint)) ?? host.how.from(partitionId);
    this.closed = new Promise((resolve) => (this.#tellClosed = resolve));
  }

  get eventHub(): string {
    return this.#host.consumer.eventHub;
  }

  get consumerGroup(): string {
    return this.#host.consumer.consumerGroup;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#bell.ring();
  }

  seek(position: StartPosition): void {
    if (this.#reason !== undefined) throw this.#over();
    // Checks it; nothing is attached before something is read.
    const stream = this.#open(position);
    void this.#detach();
    this.#stream = stream;
    this.#from = position;
    this.#turns += 1;
    this.#handed = undefined;
    this.#keeper.restart();
    this.#bell.ring();
  }

  async checkpoint(event: Pick<ReceivedEvent<unknown>, "partitionId" | "sequenceNumber" | "offset">): Promise<void> {
    const { partitionId, sequenceNumber, offset } = (event ?? {}) as Partial<ReceivedEvent<unknown>>;
    if (partitionId !== this.partitionId) {
      throw invalid(`checkpoint() of partition '${this.partitionId}' takes one of its events, not one of '${String(partitionId)}'`);
    }
    const mark = { sequenceNumber: sequenceNumber ?? NaN, offset: offset ?? "" };
    if (positionBehind(mark) === undefined) throw invalid("a checkpoint needs an event with an offset or a sequence number");
    await this.#keeper.checkpoint(mark);
  }

  async lag(): Promise<PartitionLag> {
    const { partitionId } = this;
    const { isEmpty, lastEnqueuedSequenceNumber: last, beginSequenceNumber: first } = await this.#host.consumer.partitionProperties(partitionId);
    const done = this.#keeper.last;
    const processed = done !== undefined && hasNumber(done) ? done.sequenceNumber : undefined;
    return { partitionId, events: isEmpty ? 0 : this.#behind(processed, first, last), processed, last };
  }

  async nextBatch(given?: BatchSize): Promise<ReceivedEvent<T>[]> {
    const batch = await this.#next(options(given, BATCH, "nextBatch"));
    if (batch === undefined) throw this.#over();
    return batch;
  }

  async *batches(given?: BatchSize): AsyncGenerator<ReceivedEvent<T>[], void, undefined> {
    const how = options(given, BATCH, "batches");
    yield* this.#loop(async function* (this: Partition<T>) {
      for (let batch; (batch = await this.#next(how)) !== undefined; ) yield batch;
    });
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<ReceivedEvent<T>> {
    return this.#loop(async function* (this: Partition<T>) {
      for (let batch; (batch = await this.#next({})) !== undefined; ) {
        const turns = this.#turns;
        let last: ReceivedEvent<T> | undefined;
        try {
          for (const event of batch) {
            while (!this.isSure && this.#reason === undefined) await this.#bell.wait();
            // Somebody wants to go on elsewhere.
            if (turns !== this.#turns || this.#reason !== undefined) break;
            last = event;
            this.#handed = { mark: event, events: 1, turns };
            yield event;
            this.#confirm();
          }
        } finally {
          if (last !== undefined && last !== batch.at(-1)) this.#rewind(last, turns);
        }
      }
    });
  }

  close(): Promise<void> {
    return this.#host.giveUp(this, "given-up");
  }

  /** Calls `initialize`, then hands out events. Resolves to whether it is read. @internal */
  async start(): Promise<boolean> {
    try {
      const position = await this.#host.initialize?.(this);
      // Whoever sought there knows better.
      if (position !== undefined && this.startingCheckpoint === undefined && this.#turns === 0) {
        this.#stream = this.#open(position);
        this.#from = position;
      }
    } catch (error) {
      await this.#host.report("initialize", error, this.partitionId);
      return false;
    }
    if (this.#host.process !== undefined) this.#busy = this.#pump(this.#host.process);
    return true;
  }

  /** The ownership was claimed or renewed by a call that was made at this time. @internal */
  renewed(at: number, { isAlive }: PartitionOwnership): void {
    const wasSure = this.isSure;
    this.#askedAt = at;
    if (!wasSure) this.#bell.ring();
    this.#expiry?.stop();
    // Where the store knows who lives nothing expires, however long a page in the background sleeps.
    if (this.#reason !== undefined || isAlive) return;
    const left = at + this.#host.how.ownershipExpirationMs - now();
    this.#expiry = Timer.start(() => void this.#host.giveUp(this, "ownership-expired"), left);
  }

  /**
   * Whether the store has said that it is owned since the process stood still last. While it has not, it may be another's: nothing is handed
   * out then, and no checkpoint is written. @internal
   */
  get isSure(): boolean {
    return this.#askedAt >= this.#host.wokenAt();
  }

  /** Hands out nothing more, waits for what runs, remembers what is done. @internal */
  end(reason: CloseReason): Promise<void> {
    this.#ended ??= this.#end(reason);
    return this.#ended;
  }

  async #end(reason: CloseReason): Promise<void> {
    this.#reason = reason;
    this.#abort.abort(this.#over());
    this.#bell.ring();
    await this.#detach();
    const { closeTimeoutMs } = this.#host.how;
    if ((await within(closeTimeoutMs, this.#busy)) === undefined) {
      const message =
        `what processes partition '${this.partitionId}' still runs after ${closeTimeoutMs} ms, and is waited for no longer: ` +
        "it may wait for the processor to close, which waits for it";
      await this.#host.report("close", new EventHubsError("timeout", message), this.partitionId);
    }
    this.#keeper.stop();
    this.#expiry?.stop();
    // What is on its way comes first.
    if (!this.#isLost) await this.#keeper.close(this.#host.how.storeTimeoutMs);
    try {
      await this.#host.close?.(reason, this);
    } catch (error) {
      await this.#host.report("close", error, this.partitionId);
    }
    this.#tellClosed(reason);
  }

  async #pump(process: ProcessorHandlers<T>["process"]): Promise<void> {
    const { maxBatch: maxCount, maxWaitMs } = this.#host.how;
    for (let batch; (batch = await this.#take({ maxCount, maxWaitMs })) !== undefined; ) {
      const turns = this.#turns;
      if (!(await this.#processed(process, batch, turns))) continue;
      const last = batch.at(-1);
      if (last !== undefined) this.#done(last, batch.length, turns);
    }
  }

  async #processed(process: ProcessorHandlers<T>["process"], batch: ReceivedEvent<T>[], turns: number): Promise<boolean> {
    for (let failures = 0; ; failures++) {
      try {
        await process(batch, this);
        return true;
      } catch (error) {
        await this.#host.report("process", error, this.partitionId);
      }
      const { onHandlerFailure } = this.#host.how;
      if (onHandlerFailure === "go-on") return true;
      if (onHandlerFailure === "give-up") {
        void this.#host.giveUp(this, "failed");
        return false;
      }
      await pause(pauseAfter(failures), this.signal);
      if (this.#reason !== undefined || turns !== this.#turns) return false;
    }
  }

  /** What a reader gets: it says that all before is processed. */
  async #next(how: BatchSize): Promise<ReceivedEvent<T>[] | undefined> {
    if (this.#host.process !== undefined) throw invalid("the events of this partition go to 'process': nobody else can ask for them");
    this.#confirm();
    const batch = await this.#take({ maxCount: this.#host.how.maxBatch, ...how });
    const last = batch?.at(-1);
    if (batch !== undefined && last !== undefined) this.#handed = { mark: last, events: batch.length, turns: this.#turns };
    return batch;
  }

  /** Somebody left a loop in the middle of a batch: the next one goes on behind the last event that it had. */
  #rewind(last: ReceivedEvent<T>, turns: number): void {
    if (turns !== this.#turns || this.#reason !== undefined) return;
    this.#from = { offset: last.offset };
    void this.#detach();
  }

  #confirm(): void {
    const handed = this.#handed;
    this.#handed = undefined;
    if (handed !== undefined) this.#done(handed.mark, handed.events, handed.turns);
  }

  /** A loop that is waited for when the partition ends. */
  async *#loop<E>(over: (this: Partition<T>) => AsyncGenerator<E, void, undefined>): AsyncGenerator<E, void, undefined> {
    let done = (): void => undefined;
    this.#busy = new Promise((resolve) => (done = resolve));
    try {
      yield* over.call(this);
    } finally {
      done();
    }
  }

  /** The next events; undefined when the partition is read no longer. */
  async #take(how: BatchSize): Promise<ReceivedEvent<T>[] | undefined> {
    for (;;) {
      while (this.#isHindered()) await this.#bell.wait();
      // Looked at without a turn in between: whoever ends the partition closes the stream that he finds.
      if (this.#reason !== undefined) return undefined;
      const stream = (this.#stream ??= this.#open(this.#from));
      try {
        const batch = await stream.nextBatch(how);
        this.#failures = 0;
        // It may have been paused meanwhile, or wanted elsewhere.
        while (this.#isHindered()) await this.#bell.wait();
        if (stream !== this.#stream) continue;
        const last = batch.at(-1);
        if (last !== undefined) this.#from = { offset: last.offset };
        return batch;
      } catch (error) {
        if (this.#reason === undefined && stream === this.#stream) await this.#lostConnection(error);
      }
    }
  }

  async #lostConnection(error: unknown): Promise<void> {
    await this.#detach();
    if ((error as Partial<EventHubsError>).code === "ownership-lost") {
      void this.#host.giveUp(this, "ownership-lost");
      return;
    }
    await this.#host.report("receive", error, this.partitionId);
    if (!(error as Partial<EventHubsError>).retryable) void this.#host.giveUp(this, "failed");
    else await pause(pauseAfter(this.#failures++), this.signal);
  }

  /** Whether events are held back for now. What has ended holds nothing back. */
  #isHindered(): boolean {
    if (this.#reason !== undefined) return false;
    return this.#isPaused || !this.isSure || this.#keeper.isHeldUp;
  }

  /** How many events lie behind what was processed, or behind where it starts. */
  #behind(processed: number | undefined, first: number, last: number): number | undefined {
    const from = processed === undefined ? this.#from : { sequenceNumber: processed };
    if (from === "earliest") return last - first + 1;
    if (typeof from !== "object" || !("sequenceNumber" in from)) return undefined;
    const before = "inclusive" in from && from.inclusive ? from.sequenceNumber - 1 : from.sequenceNumber;
    return Math.max(last - Math.max(before, first - 1), 0);
  }

  #open(from: StartPosition): EventStream<T> {
    const { codec, reading } = this.#host.how;
    return this.#host.consumer.receive<T>(this.partitionId, { from, codec, ownerLevel: 0, ...reading });
  }

  async #detach(): Promise<void> {
    const stream = this.#stream;
    this.#stream = undefined;
    // It is gone anyway.
    await stream?.close().catch(() => undefined);
  }

  /** Events were processed. */
  #done(mark: Mark, events: number, turns: number): void {
    if (turns !== this.#turns || this.#isLost) return;
    this.#keeper.processed(mark, events);
  }

  #kept(): Kept {
    const isEnding = (): boolean => this.#reason !== undefined;
    return {
      partitionId: this.partitionId,
      get isEnding() {
        return isEnding();
      },
      sure: async () => {
        while (!this.isSure && !this.#isLost) await this.#bell.wait();
        if (this.#isLost) throw this.#over();
      },
      written: () => this.#bell.ring(),
      failed: (error) => this.#host.report("write-checkpoint", error, this.partitionId),
    };
  }

  /** Whether the partition may be another's by now, so that nothing may be written for it. */
  get #isLost(): boolean {
    return this.#reason === "ownership-lost" || this.#reason === "ownership-expired";
  }

  #over(): EventHubsError {
    if (this.#isLost) {
      const why =
        this.#reason === "ownership-lost"
          ? "another processor reads it now"
          : "the ownership could not be renewed in time, so it may be another's";
      return new EventHubsError("ownership-lost", `partition '${this.partitionId}' is read no longer: ${why}`);
    }
    return closed(`partition '${this.partitionId}'`);
  }
}
