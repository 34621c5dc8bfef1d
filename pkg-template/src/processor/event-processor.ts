import type { ConsumerClient } from "../consumer.js";
import type { EventHubsError } from "../error.js";
import { invalid, options, wrong } from "../internal/check.js";
import { Bell, pause } from "../internal/pause.js";
import { now, Timer } from "../internal/tasks.js";
import { claims } from "./balance.js";
import { type Answer, GroupStore } from "./caller.js";
import type { CheckpointStore, PartitionOwnership, RecordFailure } from "./checkpoint.js";
import {
  checkedHandlers,
  type CloseReason,
  closed,
  type ErrorHandler,
  type EventProcessorOptions,
  type PartitionContext,
  type PartitionReader,
  type ProcessorHandlers,
  type ProcessorLag,
  type ProcessorOperation,
  RUN,
  type Settings,
  settings,
} from "./options.js";
import { type Host, Partition } from "./partition.js";
import { Pulse } from "./pulse.js";
import { Sightings } from "./sightings.js";

/** What a wake-up waits for others that come with it. */
const GATHER_MS = 10;
/** How long a cycle that failed is followed by the next, at first. */
const AGAIN_MS = 500;
const STORE_METHODS = ["listOwnership", "claimOwnership", "listCheckpoints", "updateCheckpoint"] as const;

/** Handlers of a program that asks for events itself. */
export type ReaderHandlers<T = Uint8Array> = Omit<ProcessorHandlers<T>, "process">;

/**
 * Reads a hub together with others: each has a fair share of the partitions, goes on where the last one stopped, and takes over what others
 * leave.
 *
 * ```ts
 * const processor = new EventProcessor(consumer, new IndexedDbCheckpointStore(), {
 *   codec: json<Order>(),
 *   autoCheckpoint: { everyEvents: 100, everyMs: 5000, onClose: true },
 * });
 * await processor.run({
 *   process: async (events, partition) => console.log(partition.partitionId, events.map((event) => event.body)),
 *   error: (error, { operation, partitionId }) => console.error(operation, partitionId, error),
 * });
 * ```
 */
export class EventProcessor<T = Uint8Array> {
  /** How it is called in the store. */
  readonly id: string;
  readonly #consumer: ConsumerClient;
  readonly #store: GroupStore;
  readonly #how: Settings<T>;
  readonly #sightings = new Sightings();
  readonly #pulse: Pulse;
  #pulseTimer: Timer | undefined;
  readonly #owned = new Map<string, Partition<T>>();
  /** Partitions that were given up on purpose, and until when they are left alone. */
  readonly #leftAlone = new Map<string, number>();
  /** What was told already and does not change. */
  readonly #told = new Set<string>();
  readonly #abort = new AbortController();
  readonly #bell = new Bell();
  #isWoken = false;
  #partitionIds: readonly string[] | undefined;
  #host: Host<T> | undefined;
  #loop: Promise<void> = Promise.resolve();
  #stopped: Promise<void> | undefined;
  #unwatch = (): void => undefined;
  /** Readers for a program that asks, and who waits for them. */
  #readers: Partition<T>[] = [];
  /** What ended it, when that was not its owner. */
  #fatal: { error: unknown } | undefined;
  #error!: ErrorHandler;

  /** Checks its arguments, and does nothing else yet. The consumer stays its owner's: close it after the processor was stopped. */
  constructor(consumer: ConsumerClient, store: CheckpointStore, given?: EventProcessorOptions<T>) {
    if (typeof consumer?.receive !== "function" || typeof consumer.consumerGroup !== "string") {
      throw wrong("the first argument of an EventProcessor", "a ConsumerClient", consumer);
    }
    const lacks = STORE_METHODS.filter((name) => typeof (store as Partial<CheckpointStore> | undefined)?.[name] !== "function");
    if (lacks.length > 0) throw invalid(`a checkpoint store has four methods; this one lacks ${lacks.join(", ")}`);
    this.#how = settings(given);
    this.id = this.#how.processorId;
    this.#pulse = new Pulse(this.#how.loadBalancingIntervalMs);
    this.#consumer = consumer;
    const { namespace, eventHub, consumerGroup } = consumer;
    this.#store = new GroupStore(store, { namespace, eventHub, consumerGroup }, this.#how.storeTimeoutMs);
  }

  /**
   * Reads until the processor is stopped, by {@link stop} or `signal`; resolves when everything is given up.
   *
   * @throws EventHubsError when the consumer was closed underneath, and for handlers that are none. All else goes to the error hook.
   */
  async run(handlers: ProcessorHandlers<T>, given?: { signal?: AbortSignal | undefined }): Promise<void> {
    const { process, initialize, close } = checkedHandlers(handlers, ["process", "initialize", "close", "error"], ["process", "error"]);
    const { signal } = options(given, RUN, "run");
    // Called on the object that they belong to.
    const bound = <F extends ((...given: never[]) => unknown) | undefined>(handler: F): F => handler?.bind(handlers) as F;
    this.#start(bound(handlers.error), { process: bound(process), initialize: bound(initialize), close: bound(close) }, signal);
    await this.#loop;
    await this.stop();
    if (this.#fatal !== undefined) throw this.#fatal.error;
  }

  /**
   * The partitions as they are claimed, for a program that asks for events itself. Ends when the processor is stopped; leaving the loop stops
   * it.
   *
   * ```ts
   * for await (const partition of processor.partitions({ error: console.error })) {
   *   void (async () => {
   *     for await (const event of partition) console.log(partition.partitionId, event.body);
   *   })();
   * }
   * ```
   */
  async *partitions(
    handlers: ReaderHandlers<T>,
    given?: { signal?: AbortSignal | undefined },
  ): AsyncGenerator<PartitionReader<T>, void, undefined> {
    const { initialize, close } = checkedHandlers(handlers, ["initialize", "close", "error"], ["error"]);
    const { signal } = options(given, RUN, "partitions");
    this.#start(handlers.error.bind(handlers), { process: undefined, initialize: initialize?.bind(handlers), close: close?.bind(handlers) }, signal);
    try {
      for (;;) {
        const reader = this.#readers.shift();
        if (reader !== undefined) yield reader;
        else if (this.#abort.signal.aborted) break;
        else await this.#bell.wait();
      }
    } finally {
      await this.stop();
    }
    if (this.#fatal !== undefined) throw this.#fatal.error;
  }

  /** The partitions that it reads now. */
  get partitionIds(): readonly string[] {
    return [...this.#owned.keys()];
  }

  /** A partition that it reads now: to pause it, or to have it go on elsewhere. */
  partition(partitionId: string): PartitionContext | undefined {
    return this.#owned.get(partitionId);
  }

  /**
   * Asks the service how far the processing of this processor's partitions is behind.
   *
   * @throws EventHubsError
   */
  async lag(): Promise<ProcessorLag> {
    const partitions = await Promise.all([...this.#owned.values()].map((partition) => partition.lag()));
    return { partitions, events: partitions.reduce((sum, { events = 0 }) => sum + events, 0) };
  }

  /**
   * Waits for handlers that run, writes what is left to write, and gives up what it owns, so that others may take it at once. Not to be
   * awaited by a handler: it waits for that.
   */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  /** The same as {@link stop}: for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #start(error: ErrorHandler, handlers: Pick<Host<T>, "process" | "initialize" | "close">, signal: AbortSignal | undefined): void {
    if (this.#stopped !== undefined) throw closed("the processor");
    if (this.#host !== undefined) throw invalid("the processor runs already: use another one, with the same store");
    this.#error = error;
    this.#host = {
      ...{ consumer: this.#consumer, store: this.#store, how: this.#how, ...handlers },
      wokenAt: () => this.#beat(),
      report: (operation, error, partitionId) => this.#report(operation, error, partitionId),
      giveUp: (partition, reason) => this.#giveUp(partition, reason),
    };
    const abort = (): void => void this.stop();
    if (signal?.aborted) abort();
    signal?.addEventListener("abort", abort, { once: true });
    this.#keepTime();
    this.#loop = this.#run(this.#host).finally(() => signal?.removeEventListener("abort", abort));
  }

  async #run(host: Host<T>): Promise<void> {
    const { signal } = this.#abort;
    this.#unwatch = this.#store.watch(this.id, () => this.#wake());
    let failures = 0;
    while (!signal.aborted) {
      this.#isWoken = false;
      const started = now();
      failures = (await this.#cycle(host)) ? 0 : failures + 1;
      const { loadBalancingIntervalMs } = this.#how;
      // Members that started together need not meet each time.
      const interval = loadBalancingIntervalMs * (0.9 + Math.random() / 5);
      const rest = failures === 0 ? interval - (now() - started) : Math.min(AGAIN_MS * 2 ** (failures - 1), interval);
      if (!this.#isWoken && !signal.aborted) await this.#bell.wait(Math.max(rest, 0));
      if (this.#isWoken) await pause(GATHER_MS, signal);
    }
  }

  #wake(): void {
    this.#isWoken = true;
    this.#bell.ring();
  }

  #keepTime(): void {
    this.#beat();
    this.#pulseTimer = Timer.start(() => this.#keepTime(), this.#pulse.everyMs);
  }

  /** Looks at the clocks. When it was noticed last that the process had stood still; the store is then asked whose everything is. */
  #beat(): number {
    if (this.#pulse.beat({ now: now(), unix: Date.now() })) {
      if (this.#stopped === undefined) this.#wake();
      else void this.#confirm();
    }
    return this.#pulse.wokenAt;
  }

  /** Renews what is still worked on while the processor stops, so that last checkpoints may be written. */
  async #confirm(): Promise<void> {
    const startedAt = now();
    await this.#attempt("claim-ownership", async () => {
      const { records } = await this.#store.listOwnership();
      const ours = [...records.values()].filter(({ partitionId, ownerId }) => ownerId === this.id && this.#owned.has(partitionId));
      const won = await this.#store.claim(ours.map(({ partitionId, etag }) => ({ partitionId, etag })), this.id);
      for (const record of won.records.values()) this.#owned.get(record.partitionId)?.renewed(startedAt, record);
    });
  }

  /** Looks who owns what, renews, claims, and begins or ends reading. False when something failed. */
  async #cycle(host: Host<T>): Promise<boolean> {
    const ids = await this.#listPartitions();
    if (ids === undefined || this.#abort.signal.aborted) return false;
    const startedAt = now();
    const listing = await this.#attempt("list-ownership", () => this.#store.listOwnership());
    if (listing === undefined || this.#abort.signal.aborted) return false;
    const records = this.#readable(listing);
    for (const partition of this.#owned.values()) {
      const record = records.get(partition.partitionId);
      if (record?.ownerId !== this.id) void this.#giveUp(partition, "ownership-lost");
    }
    // What ended without being given up is begun again: it is still listed as ours.
    const mine = ids.filter((id) => records.get(id)?.ownerId === this.id && !this.#leftAlone.has(id));
    const wanted = this.#wanted(ids, records);
    const asked = [...mine, ...wanted].map((id) => ({ partitionId: id, etag: records.get(id)?.etag }));
    const won = await this.#attempt("claim-ownership", () => this.#store.claim(asked, this.id));
    if (won === undefined) return false;
    for (const { partitionId, error } of won.failures) await this.#report("claim-ownership", error, partitionId);
    const isUndecided = new Set(won.failures.map(({ partitionId }) => partitionId));
    for (const id of mine) {
      const [partition, record] = [this.#owned.get(id), won.records.get(id)];
      if (record !== undefined) partition?.renewed(startedAt, record);
      else if (partition !== undefined && !isUndecided.has(id)) void this.#giveUp(partition, "ownership-lost");
    }
    const fresh = [...won.records.values()].filter(({ partitionId }) => !this.#owned.has(partitionId));
    return this.#begin(host, fresh, startedAt);
  }

  async #listPartitions(): Promise<readonly string[] | undefined> {
    try {
      this.#partitionIds = await this.#consumer.partitionIds({ signal: this.#abort.signal });
      for (const id of this.#how.named.filter((id) => !this.#partitionIds!.includes(id))) {
        const known = this.#partitionIds.join(", ");
        const error = invalid(`'from' names the partition '${id}', which the hub '${this.#consumer.eventHub}' does not have: it has ${known}`);
        await this.#reportOnce("list-partitions", error, id);
      }
    } catch (error) {
      if (this.#abort.signal.aborted) return undefined;
      await this.#report("list-partitions", error, undefined);
      if ((error as Partial<EventHubsError>).code === "closed") this.#end(error);
    }
    return this.#partitionIds;
  }

  /** The records of a listing; those that cannot be understood count as nobody's, and are claimed by their etag. */
  #readable({ records, failures }: Answer<PartitionOwnership>): Map<string, PartitionOwnership> {
    const all = new Map(records);
    for (const { partitionId, etag, error } of failures) {
      void this.#reportOnce("list-ownership", error, partitionId, etag);
      const { namespace: fullyQualifiedNamespace, eventHub: eventHubName, consumerGroup } = this.#consumer;
      const record = { fullyQualifiedNamespace, eventHubName, consumerGroup, partitionId, ownerId: "" };
      all.set(partitionId, etag === undefined ? record : { ...record, etag });
    }
    return all;
  }

  /** The partitions to claim besides those that are renewed. */
  #wanted(ids: readonly string[], records: ReadonlyMap<string, PartitionOwnership>): string[] {
    const { strategy, ownershipExpirationMs, maxPartitions: cap } = this.#how;
    const moment = { now: now(), unix: Date.now() };
    const owners = this.#sightings.owners(ids, records, ownershipExpirationMs, moment);
    // An owner of this name is this one, however long ago it renewed.
    for (const [place, id] of ids.entries()) if (records.get(id)?.ownerId === this.id) owners[place] = this.id;
    const leftOver = ids.map((id) => this.#sightings.isLeftOver(id, ownershipExpirationMs, moment.now));
    for (const [id, until] of this.#leftAlone) if (until <= moment.now) this.#leftAlone.delete(id);
    const chosen = claims({ me: this.id, strategy, cap, owners, leftOver }).map(({ partition }) => ids[partition]!);
    return chosen.filter((id) => !this.#owned.has(id) && !this.#leftAlone.has(id));
  }

  /** Begins to read what was claimed. */
  async #begin(host: Host<T>, won: readonly PartitionOwnership[], claimedAt: number): Promise<boolean> {
    if (won.length === 0) return true;
    // Without knowing where the last one stopped nothing is read: the next cycle asks again.
    const checkpoints = await this.#attempt("read-checkpoint", () => this.#store.listCheckpoints());
    if (checkpoints === undefined) return false;
    const unreadable = new Map<string, RecordFailure>(checkpoints.failures.map((failure) => [failure.partitionId, failure]));
    for (const record of won) {
      const { partitionId } = record;
      if (this.#abort.signal.aborted) return false;
      const failure = unreadable.get(partitionId);
      if (failure !== undefined) {
        await this.#report("read-checkpoint", failure.error, partitionId);
        continue;
      }
      const partition = new Partition<T>(host, partitionId, checkpoints.records.get(partitionId));
      this.#owned.set(partitionId, partition);
      partition.renewed(claimedAt, record);
      void this.#hand(partition);
    }
    return true;
  }

  async #hand(partition: Partition<T>): Promise<void> {
    if (!(await partition.start())) {
      await this.#giveUp(partition, "failed");
      return;
    }
    if (this.#host?.process !== undefined || this.#owned.get(partition.partitionId) !== partition) return;
    this.#readers.push(partition);
    this.#bell.ring();
  }

  /** Ends reading a partition. What may be another's stays with whom the store says; everything else is free for others. */
  async #giveUp(partition: Partition<T>, reason: CloseReason): Promise<void> {
    const { partitionId } = partition;
    const { loadBalancingIntervalMs, ownershipExpirationMs } = this.#how;
    const isOurs = reason === "given-up" || reason === "failed";
    // Others come first.
    if (isOurs) this.#leftAlone.set(partitionId, now() + (reason === "failed" ? loadBalancingIntervalMs : ownershipExpirationMs));
    await partition.end(reason);
    if (this.#owned.get(partitionId) !== partition) return;
    this.#owned.delete(partitionId);
    this.#readers = this.#readers.filter((reader) => reader !== partition);
    if (isOurs) await this.#release([partition]);
    // What is somebody else's now may be needed elsewhere.
    else if (reason === "ownership-lost") this.#wake();
  }

  async #stop(): Promise<void> {
    this.#abort.abort(closed("the processor"));
    this.#bell.ring();
    await this.#loop;
    const all = [...this.#owned.values()];
    if (all.some((partition) => !partition.isSure)) await this.#confirm();
    await Promise.all(all.map((partition) => partition.end("shutdown")));
    this.#pulseTimer?.stop();
    this.#owned.clear();
    if (this.#host !== undefined) await this.#release(all);
    this.#unwatch();
    this.#readers = [];
    this.#bell.ring();
  }

  /** What was given up is taken by others at once, and need not expire. */
  async #release(partitions: readonly Partition<T>[]): Promise<void> {
    const isOurs = (record: PartitionOwnership): boolean => record.ownerId === this.id;
    // Also what was claimed and not begun; another partition of ours that is not among these stays.
    const isMeant = ({ partitionId }: PartitionOwnership): boolean =>
      this.#stopped !== undefined || partitions.some((partition) => partition.partitionId === partitionId);
    await this.#attempt("release-ownership", async () => {
      const { records } = await this.#store.listOwnership();
      const ours = [...records.values()].filter((record) => isOurs(record) && isMeant(record));
      return this.#store.claim(ours.map(({ partitionId, etag }) => ({ partitionId, etag })), "");
    });
  }

  async #attempt<R>(operation: ProcessorOperation, work: () => Promise<R>): Promise<R | undefined> {
    try {
      return await work();
    } catch (error) {
      await this.#report(operation, error, undefined);
      return undefined;
    }
  }

  async #reportOnce(operation: ProcessorOperation, error: EventHubsError, partitionId: string, version = ""): Promise<void> {
    const key = JSON.stringify([operation, partitionId, version, error.message]);
    if (this.#told.has(key)) return;
    this.#told.add(key);
    await this.#report(operation, error, partitionId);
  }

  async #report(operation: ProcessorOperation, error: unknown, partitionId: string | undefined): Promise<void> {
    try {
      await this.#error(error, { operation, partitionId });
    } catch (thrown) {
      // There is nobody left to tell but the console.
      console.error("eventhubs: the error hook of a processor failed:", thrown);
    }
  }

  /** Ends by itself, for a reason that does not pass. */
  #end(error: unknown): void {
    this.#fatal ??= { error };
    this.#abort.abort(error);
    this.#bell.ring();
  }
}
