// Decides which partitions are read, and keeps it so.

import { pause } from "../internal/pause.js";
import { now } from "../internal/tasks.js";
import { claims, type Strategy } from "../processor/balance.js";
import { Sightings } from "../processor/sightings.js";
import { positionFor } from "./position.js";
import { Pump, report, type Subscribed } from "./pump.js";
import { CloseReason, type PartitionContext, type PartitionOwnership } from "./subscription.js";

/** How a processor works. */
export interface Processing extends Subscribed {
  /** One partition; all of them, shared with other consumers, where there is none. */
  readonly partitionId: string | undefined;
  readonly ownerId: string;
  /** `everything`: whoever has no checkpoint store of its own shares with nobody. */
  readonly strategy: Strategy | "everything";
  readonly intervalMs: number;
  readonly expirationMs: number;
}

/** Runs until it is stopped. */
export class Processor {
  readonly #how: Processing;
  readonly #pumps = new Map<string, Pump>();
  readonly #sightings = new Sightings();
  readonly #abort = new AbortController();
  readonly #loop: Promise<void>;
  #stopped: Promise<void> | undefined;
  #isRunning = true;

  constructor(how: Processing) {
    this.#how = how;
    this.#loop = this.#run();
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.#abort.abort();
    await this.#stopPumps();
    await this.#loop;
    // One that was made meanwhile.
    await this.#stopPumps();
    if (this.#how.partitionId === undefined) await this.#giveUp();
  }

  async #stopPumps(): Promise<void> {
    const pumps = [...this.#pumps.values()];
    this.#pumps.clear();
    await Promise.all(pumps.map((pump) => pump.stop(CloseReason.Shutdown)));
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    // Whoever subscribes has its subscription before a handler is called.
    await Promise.resolve();
    while (!signal.aborted) {
      const start = performance.now();
      try {
        await this.#round();
      } catch (error) {
        await this.#failed(error);
      }
      await pause(Math.max(this.#how.intervalMs - (performance.now() - start), 0), signal);
    }
    this.#isRunning = false;
  }

  async #round(): Promise<void> {
    const { partitionId, strategy, ownerId, expirationMs, inspector, store } = this.#how;
    const { signal } = this.#abort;
    if (partitionId !== undefined) return this.#startPump(partitionId);
    const partitionIds = await inspector.getPartitionIds({ abortSignal: signal });
    signal.throwIfAborted();
    const ownerships = await store.listOwnership(...this.#place);
    const held = new Map(ownerships.map((each) => [each.partitionId, each]));
    const mine = ownerships.filter((each) => each.ownerId === ownerId && this.#pumps.get(each.partitionId)?.isReceiving);
    const owners = this.#sightings.owners(partitionIds, held, expirationMs, { now: now(), unix: Date.now() });
    const chosen =
      strategy === "everything"
        ? partitionIds
        : claims({ me: ownerId, strategy, owners }).map(({ partition }) => partitionIds[partition]!);
    for (const id of new Set([...chosen, ...mine.map((each) => each.partitionId)])) {
      signal.throwIfAborted();
      try {
        await this.#claim(id, held.get(id)?.etag);
      } catch (error) {
        await this.#failed(error);
      }
    }
  }

  async #claim(partitionId: string, etag: string | undefined): Promise<void> {
    const [fullyQualifiedNamespace, eventHubName, consumerGroup] = this.#place;
    const claim: PartitionOwnership = { ownerId: this.#how.ownerId, partitionId, fullyQualifiedNamespace, consumerGroup, eventHubName };
    const claimed = await this.#how.store.claimOwnership([etag === undefined ? claim : { ...claim, etag }]);
    if (claimed.length > 0) await this.#startPump(partitionId);
  }

  async #startPump(partitionId: string): Promise<void> {
    if (this.#pumps.get(partitionId)?.isReceiving) return;
    const checkpoints = await this.#how.store.listCheckpoints(...this.#place);
    const checkpoint = checkpoints.find((each) => each.partitionId === partitionId);
    const start = checkpoint === undefined ? positionFor(partitionId, this.#how.options.startPosition) : { offset: checkpoint.offset };
    if (this.#abort.signal.aborted) return;
    const pump = new Pump(this.#how, partitionId, start);
    this.#pumps.set(partitionId, pump);
    await this.#unlessStopped(pump.start());
  }

  /** What was given up is taken by others at once, and need not expire. */
  async #giveUp(): Promise<void> {
    const ownerships = await this.#how.store.listOwnership(...this.#place);
    const mine = ownerships.filter((each) => each.ownerId === this.#how.ownerId);
    await this.#how.store.claimOwnership(mine.map((each) => ({ ...each, ownerId: "" })));
  }

  async #failed(error: unknown): Promise<void> {
    if ((error as Error | undefined)?.name === "AbortError") return;
    const [fullyQualifiedNamespace, eventHubName, consumerGroup] = this.#place;
    const context: PartitionContext = {
      ...{ fullyQualifiedNamespace, eventHubName, consumerGroup, partitionId: "" },
      updateCheckpoint: async () => {},
    };
    await this.#unlessStopped(report(this.#how, error, context));
  }

  /** A handler may close the subscription and wait for that: it is not waited for in turn. */
  async #unlessStopped(work: Promise<void>): Promise<void> {
    const { signal } = this.#abort;
    if (signal.aborted) return;
    let stop = (): void => {};
    const stopped = new Promise<void>((resolve) => {
      stop = resolve;
      signal.addEventListener("abort", stop);
    });
    await Promise.race([work, stopped]).finally(() => signal.removeEventListener("abort", stop));
  }

  get #place(): [string, string, string] {
    const { host, eventHub } = this.#how.inspector.opening;
    return [host, eventHub, this.#how.consumerGroup];
  }
}
