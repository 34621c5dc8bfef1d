import { signal } from "@preact/signals";
import type { ConsumerClient } from "../client.ts";
import { type Trouble, trouble } from "../model/words.ts";

export interface Partition {
  readonly id: string;
  readonly first: number;
  readonly last: number;
  /** Events that the partition keeps. */
  readonly kept: number;
  readonly lastOffset: string;
  readonly lastTime: Date | undefined;
  /** Events a second, over the last few looks. */
  readonly rate: number;
}

export interface Hub {
  readonly name: string;
  readonly createdAt: Date;
  readonly partitions: readonly Partition[];
}

const PERIOD_MS = 1_500;
/** Each partition is a question to the service: a hub of many is looked at less often. */
const PER_PARTITION_MS = 30;
/** While events come, a look may follow the last one after this. */
const NUDGED_MS = 500;
/** Nobody looks: often enough to be right when somebody does. */
const HIDDEN_PERIOD_MS = 15_000;
/** How many partitions are asked about at a time. */
const AT_ONCE = 16;
/** The share that the newest look has in the rate shown. */
const SMOOTHING = 0.5;

/** The hub and its partitions, looked at again and again. */
export class Overview {
  readonly hub = signal<Hub | undefined>(undefined);
  readonly trouble = signal<Trouble | undefined>(undefined);
  readonly updatedAt = signal(0);
  #consumer: ConsumerClient;
  #stopped = new AbortController();
  #lookNow: (() => void) | undefined;
  #nudged: ReturnType<typeof setTimeout> | undefined;
  #seen = new Map<string, { last: number; at: number; rate: number }>();

  constructor(consumer: ConsumerClient) {
    this.#consumer = consumer;
  }

  /** Looks once, and then for as long as the session lasts. Fails when the first look does. */
  async start(): Promise<void> {
    await this.#look();
    void this.#keepLooking();
  }

  stop(): void {
    clearTimeout(this.#nudged);
    this.#stopped.abort();
  }

  /** Something has come: what is shown is old, so the next look comes soon. */
  nudge(): void {
    this.#nudged ??= setTimeout(
      () => {
        this.#nudged = undefined;
        this.#lookNow?.();
      },
      Math.max(0, this.updatedAt.peek() + NUDGED_MS - Date.now()),
    );
  }

  async #keepLooking(): Promise<void> {
    while (await this.#pause()) {
      try {
        await this.#look();
        this.trouble.value = undefined;
      } catch (error) {
        if (!this.#stopped.signal.aborted) this.trouble.value = trouble(error);
      }
    }
  }

  async #look(): Promise<void> {
    const properties = await this.#consumer.hubProperties();
    const partitions: Partition[] = [];
    for (let at = 0; at < properties.partitionIds.length; at += AT_ONCE) {
      const ids = properties.partitionIds.slice(at, at + AT_ONCE);
      partitions.push(...(await Promise.all(ids.map((id) => this.#partition(id)))));
    }
    if (this.#stopped.signal.aborted) return;
    this.hub.value = { name: properties.name, createdAt: properties.createdAt, partitions };
    this.updatedAt.value = Date.now();
  }

  async #partition(id: string): Promise<Partition> {
    const found = await this.#consumer.partitionProperties(id);
    const { beginSequenceNumber: first, lastEnqueuedSequenceNumber: last } = found;
    return {
      id,
      first,
      last,
      kept: found.isEmpty ? 0 : last - first + 1,
      lastOffset: found.lastEnqueuedOffset,
      lastTime: found.lastEnqueuedTime,
      rate: this.#rate(id, last),
    };
  }

  #rate(id: string, last: number): number {
    const now = performance.now();
    const before = this.#seen.get(id);
    const fresh = before && now > before.at ? Math.max(0, (last - before.last) / ((now - before.at) / 1_000)) : 0;
    let rate = before ? before.rate + SMOOTHING * (fresh - before.rate) : 0;
    // What is as good as nothing is shown as nothing, or it would fade for ever.
    if (fresh === 0 && rate < 0.5) rate = 0;
    this.#seen.set(id, { last, at: now, rate });
    return rate;
  }

  /** Waits for the next look; `false` when there is none. */
  #pause(): Promise<boolean> {
    const { signal: stopped } = this.#stopped;
    if (stopped.aborted) return Promise.resolve(false);
    return new Promise((resolve) => {
      const done = (): void => {
        this.#lookNow = undefined;
        clearTimeout(timer);
        document.removeEventListener("visibilitychange", seen);
        stopped.removeEventListener("abort", done);
        resolve(!stopped.aborted);
      };
      const seen = (): void => {
        if (!document.hidden) done();
      };
      // A hub of many is not asked more often because it is busy.
      if (this.#seen.size <= AT_ONCE && !document.hidden) this.#lookNow = done;
      const seenPeriod = Math.max(PERIOD_MS, this.#seen.size * PER_PARTITION_MS);
      const timer = setTimeout(done, document.hidden ? HIDDEN_PERIOD_MS : seenPeriod);
      document.addEventListener("visibilitychange", seen);
      stopped.addEventListener("abort", done);
    });
  }
}
