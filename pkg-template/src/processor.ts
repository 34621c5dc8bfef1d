/**
 * Reads a hub together with others: a fair share of the partitions each, checkpoints, and what keeps them.
 *
 * ```ts
 * import { ConsumerClient } from "eventhubs";
 * import { EventProcessor, IndexedDbCheckpointStore } from "eventhubs/processor";
 * ```
 *
 * @module
 */

export type { Strategy } from "./processor/balance.js";
export { BlobCheckpointStore } from "./processor/blob-store.js";
export type { BlobOptions } from "./processor/blob-store.js";
export type {
  Checkpoint,
  CheckpointStore,
  PartitionOwnership,
  PartitionPlace,
  RecordFailure,
  StoreOptions,
  WatchedStore,
} from "./processor/checkpoint.js";
export { checkpointStorePromises, testCheckpointStore } from "./processor/contract.js";
export type { CheckpointStorePromise } from "./processor/contract.js";
export { EventProcessor } from "./processor/event-processor.js";
export type { ReaderHandlers } from "./processor/event-processor.js";
export { IndexedDbCheckpointStore } from "./processor/indexeddb-store.js";
export type { IndexedDbOptions } from "./processor/indexeddb-store.js";
export { MemoryCheckpointStore } from "./processor/memory-store.js";
export type {
  CloseReason,
  ErrorContext,
  ErrorHandler,
  EventProcessorOptions,
  PartitionContext,
  PartitionLag,
  PartitionReader,
  ProcessorHandlers,
  ProcessorLag,
  ProcessorOperation,
} from "./processor/options.js";
export type { AutoCheckpoint } from "./processor/progress.js";
