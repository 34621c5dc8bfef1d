// What subscriptions and checkpoint stores look like.

import type { Checkpoint, PartitionOwnership } from "../processor/checkpoint.js";
import type { MessagingError } from "./errors.js";
import type { EventPosition } from "./position.js";
import type { LastEnqueuedEventProperties, OperationOptions, OperationTracingOptions, ReceivedEventData } from "./types.js";

export type { Checkpoint, PartitionOwnership };

/** Why a partition is read no longer. */
export enum CloseReason {
  /** Another consumer reads it now. */
  OwnershipLost = "OwnershipLost",
  /** The subscription was closed, or an error ended it. */
  Shutdown = "Shutdown",
}

/** The partition that a handler is called for. */
export interface PartitionContext {
  readonly fullyQualifiedNamespace: string;
  readonly eventHubName: string;
  readonly consumerGroup: string;
  /** Empty in `processError` when the error belongs to no partition. */
  readonly partitionId: string;
  /** With `trackLastEnqueuedEventProperties` only. */
  readonly lastEnqueuedEventProperties?: LastEnqueuedEventProperties;
  /** Has the checkpoint store remember that everything up to this event is done. */
  updateCheckpoint(eventData: ReceivedEventData): Promise<void>;
}

/** Takes events; none when there was none for `maxWaitTimeInSeconds`. The next ones follow when it is done. */
export type ProcessEventsHandler = (events: ReceivedEventData[], context: PartitionContext) => Promise<void>;
/** Takes everything that fails, the other handlers included. */
export type ProcessErrorHandler = (error: Error | MessagingError, context: PartitionContext) => Promise<void>;
/** Called before a partition is read. */
export type ProcessInitializeHandler = (context: PartitionContext) => Promise<void>;
/** Called when a partition is read no longer. */
export type ProcessCloseHandler = (reason: CloseReason, context: PartitionContext) => Promise<void>;

/** What a subscription calls. */
export interface SubscriptionEventHandlers {
  processEvents: ProcessEventsHandler;
  processError: ProcessErrorHandler;
  processInitialize?: ProcessInitializeHandler;
  processClose?: ProcessCloseHandler;
}

/** How partitions are read. */
export interface SubscribeOptions {
  /** The most events that `processEvents` gets at once. Default: 1. */
  maxBatchSize?: number;
  /** After how long without an event it gets none. Default: 60. */
  maxWaitTimeInSeconds?: number;
  /** Where partitions without a checkpoint start. Default: with what is enqueued from now on. */
  startPosition?: EventPosition | { [partitionId: string]: EventPosition };
  /** Has the service tell about the partition's newest event with each event. */
  trackLastEnqueuedEventProperties?: boolean;
  /** Reads alone: readers with a lower level, or none, are disconnected. Default: 0 with a checkpoint store, none without. */
  ownerLevel?: number;
  /** Accepted, and not used. */
  tracingOptions?: OperationTracingOptions;
  /** Leaves bodies as bytes. */
  skipParsingBodyAsJson?: boolean;
  /** How many events may lie ready. Default: three times `maxBatchSize`. */
  prefetchCount?: number;
}

/** A subscription that runs until it is closed. */
export interface Subscription {
  close(): Promise<void>;
  isRunning: boolean;
}

/** Where checkpoints and ownerships are kept, for all who share the work. */
export interface CheckpointStore {
  listOwnership(
    fullyQualifiedNamespace: string,
    eventHubName: string,
    consumerGroup: string,
    options?: OperationOptions,
  ): Promise<PartitionOwnership[]>;
  /** Gives those back that were claimed: whose `etag` was that of the store. */
  claimOwnership(partitionOwnership: PartitionOwnership[], options?: OperationOptions): Promise<PartitionOwnership[]>;
  updateCheckpoint(checkpoint: Checkpoint, options?: OperationOptions): Promise<void>;
  listCheckpoints(
    fullyQualifiedNamespace: string,
    eventHubName: string,
    consumerGroup: string,
    options?: OperationOptions,
  ): Promise<Checkpoint[]>;
}
