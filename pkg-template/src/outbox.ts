/**
 * Store and forward: takes events whether the service can be reached or not, keeps them on disk, and sends them when it can.
 *
 * ```ts
 * import { ProducerClient } from "eventhubs";
 * import { Outbox } from "eventhubs/outbox";
 * ```
 *
 * @module
 */

export { Outbox } from "./outbox/outbox.js";
export type { DeadLetter, EnqueueOptions, OutboxOptions, OutboxState } from "./outbox/outbox.js";
