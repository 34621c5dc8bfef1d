// What producers and consumers have in common.

import type { DiagnoseOptions, Diagnosis } from "../diagnosis.js";
import { EventHubsError } from "../error.js";
import type { HubProperties, PartitionProperties } from "../properties.js";
import { Board, type Health, type StatusStream } from "../status.js";
import type { Hub } from "../wasm/eventhubs.js";
import { abortReason, call, type CallOptions, raced, toError } from "./call.js";
import { millis, options, type Rule, signal, text } from "./check.js";
import { diagnose } from "./diagnose.js";
import { connect, Hooks, type Target, target } from "./settings.js";

const CALL: Record<string, Rule> = { signal };
const DIAGNOSE: Record<string, Rule> = { ...CALL, timeoutMs: millis };

/** A client of one hub. */
export abstract class HubClient {
  /** The namespace's host. */
  readonly namespace: string;
  readonly eventHub: string;
  /** How the client is called in the service's logs. */
  readonly identifier: string;
  readonly #target: Target;
  readonly #sends: boolean;
  readonly #hooks: Hooks;
  readonly #board = new Board();
  #raw: Promise<Hub> | undefined;
  #closed: Promise<void> | undefined;

  /** @internal */
  protected constructor(what: string, given: readonly unknown[], own: Record<string, Rule>, sends: boolean) {
    this.#target = target(what, given, own);
    this.#sends = sends;
    this.#hooks = new Hooks(this.#target);
    ({ namespace: this.namespace, eventHub: this.eventHub, identifier: this.identifier } = this.#target);
  }

  /**
   * The properties of the hub.
   *
   * @throws EventHubsError
   */
  async hubProperties(given?: CallOptions): Promise<HubProperties> {
    const { signal } = options(given, CALL, "hubProperties");
    const raw = await this.raw(signal);
    const [name, created, partitionIds, georeplicationFactor] = await call<RawHubProperties>(signal, (ticket) => raw.hubProperties(ticket));
    return { name, createdAt: new Date(created), partitionIds, georeplicationFactor };
  }

  /**
   * The ids of the hub's partitions.
   *
   * @throws EventHubsError
   */
  async partitionIds(given?: CallOptions): Promise<string[]> {
    return [...(await this.hubProperties(given)).partitionIds];
  }

  /**
   * The properties of a partition.
   *
   * @throws EventHubsError
   */
  async partitionProperties(partitionId: string, given?: CallOptions): Promise<PartitionProperties> {
    const id = text(partitionId, "the partition's id");
    const { signal } = options(given, CALL, "partitionProperties");
    const raw = await this.raw(signal);
    return partitionOf(await call<RawPartitionProperties>(signal, (ticket) => raw.partitionProperties(id, ticket)));
  }

  /**
   * What happens to the connection, its links and tokens from now on, beginning with how it is at present. Neither connects nor keeps a
   * connection. `signal` ends it.
   *
   * ```ts
   * for await (const status of client.status()) {
   *   if (status.type === "disconnected") console.warn(status.cause?.message ?? "idle");
   * }
   * ```
   */
  status(given?: CallOptions): StatusStream {
    const { signal } = options(given, CALL, "status");
    return this.#board.status(signal);
  }

  /** How the client is doing at this moment: for probes. Asks nobody. */
  health(): Health {
    return this.#board.health();
  }

  /**
   * Finds out what works, and what does not, on the way to the hub: each step with a verdict and what to do about it. Makes connections of
   * its own, sends and takes no event, and ends within half a minute, whatever hangs.
   *
   * @throws EventHubsError when the client was closed or its engine cannot be loaded; what the way to the hub fails with is in the answer.
   */
  async diagnose(given?: DiagnoseOptions & CallOptions): Promise<Diagnosis> {
    const { timeoutMs = Infinity, signal } = options(given, DIAGNOSE, "diagnose");
    await this.raw(signal);
    return diagnose(this.#target, this.#hooks, this.#sends, timeoutMs, signal);
  }

  /** Closes the connection. Calls that are under way fail with `closed`; await them first. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  /** The same as {@link close}: for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The engine's half, made by the first call. @internal */
  protected raw(signal?: AbortSignal): Promise<Hub> {
    if (this.#closed !== undefined) return Promise.reject(new EventHubsError("closed", "the client was closed"));
    if (signal?.aborted) return Promise.reject(abortReason(signal));
    this.#raw ??= this.#start();
    return raced(this.#raw, signal);
  }

  async #start(): Promise<Hub> {
    try {
      const raw = await connect(this.#target, this.#hooks);
      this.#board.runs(raw);
      return raw;
    } catch (thrown) {
      // Another try may fare better: the module may load then.
      this.#raw = undefined;
      const error = toError(thrown);
      this.#board.failed(error);
      throw error;
    }
  }

  async #close(): Promise<void> {
    const raw = await this.#raw?.catch(() => undefined);
    this.#board.closed();
    // Freed by the garbage collector: a call that was made before may be about to use it.
    await raw?.close();
    this.#hooks.drop();
  }
}

/** As src/js/list.rs has them. */
type RawHubProperties = readonly [name: string, created: number, partitionIds: string[], georeplicationFactor: number];
type RawPartitionProperties = readonly [
  eventHub: string,
  partitionId: string,
  beginSequenceNumber: number,
  lastEnqueuedSequenceNumber: number,
  lastEnqueuedOffset: string,
  lastEnqueued: number | undefined,
  isEmpty: boolean,
];

function partitionOf(fields: RawPartitionProperties): PartitionProperties {
  const [eventHub, partitionId, beginSequenceNumber, lastEnqueuedSequenceNumber, lastEnqueuedOffset, lastEnqueued, isEmpty] = fields;
  const lastEnqueuedTime = lastEnqueued === undefined ? undefined : new Date(lastEnqueued);
  return { eventHub, partitionId, beginSequenceNumber, lastEnqueuedSequenceNumber, lastEnqueuedOffset, lastEnqueuedTime, isEmpty };
}
