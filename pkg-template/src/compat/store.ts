import type { Checkpoint } from "../processor/checkpoint.js";
import { MemoryCheckpointStore } from "../processor/memory-store.js";
import { required } from "./errors.js";

/** Checkpoints and ownerships in memory: for tests, and for consumers that all live in one process. */
export class InMemoryCheckpointStore extends MemoryCheckpointStore {
  override async updateCheckpoint(checkpoint: Checkpoint): Promise<void> {
    required("updateCheckpoint", "sequenceNumber", checkpoint.sequenceNumber);
    required("updateCheckpoint", "offset", checkpoint.offset);
    await super.updateCheckpoint(checkpoint);
  }
}
