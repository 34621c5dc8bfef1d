/**
 * What of `eventhubs/processor` needs files: for Node, Deno and Bun.
 *
 * ```ts
 * import { FileCheckpointStore } from "eventhubs/processor/node";
 * ```
 *
 * @module
 */

export { FileCheckpointStore } from "./processor/file-store.js";
export type { FileOptions } from "./processor/file-store.js";
