// What a processor is told, and what it tells.

import { bytes, type Codec } from "../codec.js";
import { EventHubsError } from "../error.js";
import { atLeastOne, count, invalid, millis, options, type Rule, signal, wrong } from "../internal/check.js";
import { randomName } from "../internal/random-name.js";
import type { StartPosition } from "../options.js";
import type { ReceivedEvent } from "../received.js";
import type { Strategy } from "./balance.js";
import type { Checkpoint } from "./checkpoint.js";
import type { AutoCheckpoint } from "./progress.js";

/** How a processor behaves. */
export interface EventProcessorOptions<T = Uint8Array> {
  /** How quickly it comes to its share of the partitions. Default: `balanced`. */
  strategy?: Strategy | undefined;
  /** How often it looks who owns what, and renews what it owns. Default: 10 000. */
  loadBalancingIntervalMs?: number | undefined;
  /** After how long a silent owner loses a partition. Longer than the interval. Default: 60 000. */
  ownershipExpirationMs?: number | undefined;
  /** The most partitions that it reads. Default: its fair share. */
  maxPartitions?: number | undefined;
  /** Where partitions without a checkpoint start: one position for all, or one for each. Default: `latest`. */
  from?: StartPosition | Readonly<Record<string, StartPosition>> | undefined;
  /** What `body` of the events is. Default: bytes. */
  codec?: Codec<T> | undefined;
  /** When checkpoints are written without being asked for. Default: never. */
  autoCheckpoint?: AutoCheckpoint | undefined;
  /** The most events that `process` gets at once. Default: 100. */
  maxBatch?: number | undefined;
  /** After how long without an event `process` gets none. Default: never. */
  maxWaitMs?: number | undefined;
  /** How many events of a partition may lie ready, at most. Default: 2000. */
  prefetch?: number | undefined;
  /** How many bytes of a partition may lie ready, about. Default: 8 MiB. */
  prefetchBytes?: number | undefined;
  /**
   * What becomes of a batch that `process` failed with. `again`: it gets the same after a pause, so that nothing is left out. `go-on`: the events
   * count as processed, as in `@azure/event-hubs`. `give-up`: the partition is closed, and begun again behind the last checkpoint. Default:
   * `again`. The error hook is told of each failure.
   */
  onHandlerFailure?: "again" | "go-on" | "give-up" | undefined;
  /** How long a call of the store may take. Shorter than the expiration. Default: 10 000, or a quarter of the expiration. */
  storeTimeoutMs?: number | undefined;
  /** How long handlers that still run are waited for when a partition is given up. Default: 10 000. */
  closeTimeoutMs?: number | undefined;
  /** How the processor is called in the store: unique in its group. Default: a random name. */
  processorId?: string | undefined;
}

/** Why a partition is read no longer. */
export type CloseReason =
  /** Another processor reads it now. */
  | "ownership-lost"
  /** The ownership could not be renewed in time, so others may take the partition: two should not work on it. */
  | "ownership-expired"
  /** The processor was stopped. */
  | "shutdown"
  /** Whoever reads it has let go of it: by `close()` of its reader. */
  | "given-up"
  /** It cannot be read, or a handler failed. Others may take it; this processor tries again a cycle later. */
  | "failed";

/** What failed. */
export type ProcessorOperation =
  | "list-partitions"
  | "list-ownership"
  | "claim-ownership"
  | "release-ownership"
  | "read-checkpoint"
  | "write-checkpoint"
  | "receive"
  | "initialize"
  | "process"
  | "close";

/** What an error has to do with. */
export interface ErrorContext {
  readonly operation: ProcessorOperation;
  /** Undefined for what concerns no single partition. */
  readonly partitionId: string | undefined;
}

/** How far the processing of a processor's partitions is behind. */
export interface ProcessorLag {
  readonly partitions: readonly PartitionLag[];
  /** Their events together, as far as they are known. */
  readonly events: number;
}

/** How far the processing of a partition is behind what was written to it. */
export interface PartitionLag {
  readonly partitionId: string;
  /** Events that are retained and not processed; undefined while nothing was processed and the start says no number. */
  readonly events: number | undefined;
  /** The sequence number of the last event that was processed, or of the checkpoint. */
  readonly processed: number | undefined;
  /** The sequence number of the last event that was written; -1 when there never was one. */
  readonly last: number;
}

/** A partition that a processor owns. */
export interface PartitionContext {
  readonly partitionId: string;
  readonly eventHub: string;
  readonly consumerGroup: string;
  /** Where the partition was left when this processor took it; undefined when it was never processed. */
  readonly startingCheckpoint: Checkpoint | undefined;
  /** Aborted when the partition is about to be given up, or was lost: for handlers that take long. */
  readonly signal: AbortSignal;
  readonly isPaused: boolean;
  /** Hands out no more events; the partition stays owned. What runs is not interrupted. */
  pause(): void;
  resume(): void;
  /** Goes on elsewhere, also behind what was read: what is handed out next comes from there. Checkpoints follow. */
  seek(position: StartPosition): void;
  /**
   * Writes a checkpoint: whoever processes this partition next begins behind the event. It only ever goes forward: at an event that is not
   * ahead of the last one written (since the last {@link seek}) there is nothing to do. In a process that stood still for a while (a frozen
   * page, a machine that slept) it waits until the store has confirmed that the partition is still this processor's.
   *
   * @throws EventHubsError `ownership-lost` when the partition is another's by now, and whatever the store fails with.
   */
  checkpoint(event: Pick<ReceivedEvent<unknown>, "partitionId" | "sequenceNumber" | "offset">): Promise<void>;
  /**
   * Asks the service how far the processing is behind.
   *
   * @throws EventHubsError
   */
  lag(): Promise<PartitionLag>;
}

/** A partition that hands out its events when they are asked for. */
export interface PartitionReader<T = Uint8Array> extends PartitionContext, AsyncIterable<ReceivedEvent<T>> {
  /**
   * The events that have arrived, at least one; none when there is none for `maxWaitMs`. Asking for more says that all before is processed:
   * automatic checkpoints rely on it.
   *
   * @throws EventHubsError `ownership-lost` or `closed` when it is read no longer.
   */
  nextBatch(options?: { maxCount?: number | undefined; maxWaitMs?: number | undefined }): Promise<ReceivedEvent<T>[]>;
  /** The events in batches, until the partition is read no longer. */
  batches(options?: { maxCount?: number | undefined; maxWaitMs?: number | undefined }): AsyncIterableIterator<ReceivedEvent<T>[]>;
  /** Resolves when it is read no longer. */
  readonly closed: Promise<CloseReason>;
  /** Gives the partition up: others may take it. This processor leaves it alone until an ownership would expire. */
  close(): Promise<void>;
}

/** Told of everything that fails. The processor goes on. */
export type ErrorHandler = (error: unknown, context: ErrorContext) => void | Promise<void>;

/** What a processor calls. */
export interface ProcessorHandlers<T = Uint8Array> {
  /**
   * Takes events. The next ones of the partition follow when it is done. Whatever happens to the partition, what runs already is not
   * stopped: look at `partition.signal`.
   */
  process(events: ReceivedEvent<T>[], partition: PartitionContext): void | Promise<void>;
  /** Called before a partition is read. May say where to start when there is no checkpoint. */
  initialize?(partition: PartitionContext): void | StartPosition | Promise<void | StartPosition>;
  /** Called when a partition is read no longer. */
  close?(reason: CloseReason, partition: PartitionContext): void | Promise<void>;
  error: ErrorHandler;
}

const POSITIVE: Rule = [(value) => typeof value === "number" && value > 0, "a number of milliseconds above 0"];
const OPTIONS: Record<string, Rule> = {
  strategy: [(value) => value === "balanced" || value === "greedy", '"balanced" or "greedy"'],
  loadBalancingIntervalMs: POSITIVE,
  ownershipExpirationMs: POSITIVE,
  maxPartitions: count,
  from: "any",
  codec: "object",
  autoCheckpoint: "object",
  maxBatch: atLeastOne,
  maxWaitMs: millis,
  prefetch: atLeastOne,
  prefetchBytes: count,
  onHandlerFailure: [(value) => ["again", "go-on", "give-up"].includes(value as string), '"again", "go-on" or "give-up"'],
  storeTimeoutMs: POSITIVE,
  closeTimeoutMs: millis,
  processorId: [(value) => typeof value === "string" && value !== "", "a text that is not empty"],
};
const AUTO: Record<string, Rule> = { everyEvents: atLeastOne, everyMs: millis, onClose: "boolean" };
const POSITION = ["offset", "sequenceNumber", "enqueuedTime", "inclusive"];

type Defaulted<O> = { readonly [Name in keyof O]-?: Exclude<O[Name], undefined> };

/** Options with their defaults. @internal */
export interface Settings<T> extends Defaulted<Omit<EventProcessorOptions<T>, "maxPartitions" | "from" | "prefetch" | "prefetchBytes">> {
  readonly maxPartitions: number | undefined;
  /** Where a partition without a checkpoint starts. */
  from(partitionId: string): StartPosition;
  /** The partitions that have a start of their own. */
  readonly named: readonly string[];
  readonly reading: { prefetch?: number | undefined; prefetchBytes?: number | undefined };
}

/** The options, checked. @internal */
export function settings<T>(given: EventProcessorOptions<T> | undefined): Settings<T> {
  const checked = options(given, OPTIONS, "an EventProcessor");
  const { loadBalancingIntervalMs = 10_000, ownershipExpirationMs = 60_000, from = "latest", prefetch, prefetchBytes } = checked;
  if (ownershipExpirationMs <= loadBalancingIntervalMs) {
    throw invalid(
      `'ownershipExpirationMs' (${ownershipExpirationMs}) must be longer than 'loadBalancingIntervalMs' (${loadBalancingIntervalMs}): ` +
        "else partitions are lost before they are renewed",
    );
  }
  const storeTimeoutMs = checked.storeTimeoutMs ?? Math.min(10_000, ownershipExpirationMs / 4);
  if (storeTimeoutMs >= ownershipExpirationMs) {
    throw invalid(
      `'storeTimeoutMs' (${storeTimeoutMs}) must be shorter than 'ownershipExpirationMs' (${ownershipExpirationMs}): ` +
        "a store that does not answer has to be noticed before partitions expire",
    );
  }
  const isOne = typeof from !== "object" || from === null || Object.keys(from).some((name) => POSITION.includes(name));
  const each = isOne ? {} : (from as Record<string, StartPosition>);
  return {
    strategy: checked.strategy ?? "balanced",
    loadBalancingIntervalMs,
    ownershipExpirationMs,
    maxPartitions: checked.maxPartitions,
    from: (id) => (isOne ? (from as StartPosition) : Object.hasOwn(each, id) ? each[id]! : "latest"),
    named: Object.keys(each),
    codec: checked.codec ?? (bytes() as never),
    autoCheckpoint: options(checked.autoCheckpoint, AUTO, "autoCheckpoint"),
    maxBatch: checked.maxBatch ?? 100,
    maxWaitMs: checked.maxWaitMs ?? Infinity,
    reading: { prefetch, prefetchBytes },
    onHandlerFailure: checked.onHandlerFailure ?? "again",
    storeTimeoutMs,
    closeTimeoutMs: checked.closeTimeoutMs ?? 10_000,
    processorId: checked.processorId ?? randomName(),
  };
}

/** Handlers, checked. @internal */
export function checkedHandlers<H extends object>(given: H, names: readonly string[], required: readonly string[]): H {
  if (typeof given !== "object" || given === null) throw wrong("what the processor is given", `an object with ${required.join(" and ")}`, given);
  for (const name of names) {
    const value = (given as Record<string, unknown>)[name];
    if (typeof value === "function" || (value === undefined && !required.includes(name))) continue;
    throw wrong(`'${name}' of the handlers`, "a function", value);
  }
  return given;
}

/** @internal */
export const RUN: Record<string, Rule> = { signal };

/** @internal */
export function closed(what: string): EventHubsError {
  return new EventHubsError("closed", `${what} was closed`);
}
