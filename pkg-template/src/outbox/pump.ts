// Sends what waits. Each partition is a lane with one batch under way at a time, so that order is kept whatever is sent again.

import { addTo, type RawBatch } from "../batch.js";
import { EventHubsError } from "../error.js";
import { toError } from "../internal/call.js";
import { Bell, pause, within } from "../internal/pause.js";
import type { ProducerClient } from "../producer.js";
import type { Identity, Journal, Kept, KeptBatch } from "./journal.js";
import { partitionOf } from "./key-hash.js";

/** Events in a batch at most. */
const MAX_BATCH_EVENTS = 1000;
/** Events that are read ahead of what is sent. */
const AHEAD = 2000;
/** Keyless events that go to one partition before the next one's turn. */
const SPREAD = 200;
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 15_000;
/** How long what is under way may take when the outbox is closed. */
const CLOSING_PATIENCE_MS = 5000;
const NUMBERS = 2 ** 31;

/** What the pump tells. */
export interface Told {
  /** The service has so many more. */
  sent(count: number): void;
  /** Nothing can be sent: why. */
  failed(error: EventHubsError): void;
  /** An event was given up. */
  buried(): void;
}

interface Lane {
  readonly queue: Kept[];
  /** The batch that is under way, as the journal has it. */
  under: KeptBatch | undefined;
  isBusy: boolean;
}

/** Sends until it is stopped. */
export class Pump {
  readonly #journal: Journal;
  readonly #producer: ProducerClient;
  readonly #told: Told;
  readonly #maxLetters: number;
  readonly #lanes = new Map<string, Lane>();
  /** The hub's, as it was looked at last. */
  #partitions: readonly string[] = [];
  /** Events for partitions that are not known; the hub may have got them. */
  readonly #lost: Kept[] = [];
  #isFinding = false;
  readonly #stop = new AbortController();
  /** Something came, or may go on. */
  readonly #bell = new Bell();
  readonly #working = new Set<Promise<void>>();
  /** Partitions of which the producer has been told who publishes. */
  readonly #known = new Set<string>();
  /**
   * Partitions of whose producer it is known which numbers are used. Under those of another goes the batch that is under way, but nothing new, which the
   * service would take for what it has. All that are found in the journal are such: it may be a copy, or have been put back from one (a directory, the
   * profile of a browser), and the numbers have been used since.
   */
  readonly #own = new Set<string>();
  #hurry = new AbortController();
  #cursor = 0;
  #turn = 0;
  #ahead = 0;
  #isNew = true;

  constructor(journal: Journal, producer: ProducerClient, maxLetters: number, told: Told) {
    this.#journal = journal;
    this.#producer = producer;
    this.#maxLetters = maxLetters;
    this.#told = told;
  }

  /** Something may have come. */
  wake(): void {
    this.#isNew = true;
    this.#bell.ring();
  }

  /** What waits before it is tried again is tried now. */
  hurry(): void {
    if (this.#stop.signal.aborted) return;
    this.#hurry.abort();
    this.#hurry = new AbortController();
    this.wake();
  }

  async run(): Promise<void> {
    const under = await this.#again(() => this.#journal.batches());
    const skip = new Set(under?.flatMap(({ events }) => events));
    const partitions = await this.#wanted();
    if (partitions === undefined || under === undefined) return;
    this.#partitions = partitions;
    for (const { partition } of under) this.#start(partition);
    this.#isNew = true;
    while (!this.#stop.signal.aborted) {
      if (this.#isNew && this.#ahead < AHEAD / 2) {
        this.#isNew = false;
        const events = await this.#again(() => this.#journal.read(this.#cursor, AHEAD));
        if (events === undefined) break;
        this.#isNew ||= events.length === AHEAD;
        this.#cursor = events.at(-1)?.id ?? this.#cursor;
        this.#route(events.filter(({ id }) => !skip.delete(id)));
        continue;
      }
      await this.#bell.wait();
    }
    // What is under way is answered, if that does not take long, so that it need not be sent again.
    await within(CLOSING_PATIENCE_MS, Promise.all(this.#working));
  }

  /** Has {@link run} come to its end. */
  stop(): void {
    this.#stop.abort();
    this.#hurry.abort();
    this.#bell.ring();
  }

  /** The hub's partitions, asked for when the first event waits. */
  async #wanted(): Promise<string[] | undefined> {
    while (!this.#stop.signal.aborted) {
      this.#isNew = false;
      const totals = await this.#again(() => this.#journal.totals());
      if ((totals?.events ?? 0) > 0) return this.#look();
      // It may have come while the journal was looked at.
      if (!this.#isNew && !this.#stop.signal.aborted) await this.#bell.wait();
    }
    return undefined;
  }

  #look(): Promise<string[] | undefined> {
    return this.#again(() => this.#producer.partitionIds({ signal: this.#stop.signal }));
  }

  #route(events: readonly Kept[]): void {
    let spread = 0;
    for (const event of events) {
      let partition = event.partition;
      const partitions = this.#partitions;
      if (partition !== undefined && !partitions.includes(partition)) {
        this.#lost.push(event);
        continue;
      }
      if (event.key !== undefined) partition ??= partitions[partitionOf(event.key, partitions.length)];
      if (partition === undefined) {
        spread += 1;
        if (spread % SPREAD === 0) this.#turn += 1;
        partition = partitions[this.#turn % partitions.length] ?? "0";
      }
      this.#lane(partition).queue.push(event);
      this.#ahead += 1;
    }
    if (spread > 0) this.#turn += 1;
    for (const [partition, lane] of this.#lanes) if (lane.queue.length > 0) this.#start(partition);
    if (this.#lost.length > 0 && !this.#isFinding) {
      this.#isFinding = true;
      this.#aside(this.#find().finally(() => (this.#isFinding = false)));
    }
  }

  /** Looks, while the others go on, whether the hub has by now the partitions that events are for; those that have none are given up. */
  async #find(): Promise<void> {
    while (this.#lost.length > 0) {
      const lost = this.#lost.splice(0);
      const partitions = await this.#look();
      if (partitions === undefined) return;
      this.#partitions = partitions;
      for (const event of lost) {
        const partition = event.partition ?? "";
        const reason = `the event hub has no partition '${partition}', only ${partitions.join(", ")}`;
        if (partitions.includes(partition)) this.#route([event]);
        else await this.#again(() => this.#bury(event, new EventHubsError("invalid-argument", reason)));
      }
    }
  }

  #lane(partition: string): Lane {
    let lane = this.#lanes.get(partition);
    if (lane === undefined) this.#lanes.set(partition, (lane = { queue: [], under: undefined, isBusy: false }));
    return lane;
  }

  #start(partition: string): void {
    const lane = this.#lane(partition);
    if (lane.isBusy) return;
    lane.isBusy = true;
    this.#aside(this.#drain(partition, lane).finally(() => (lane.isBusy = false)));
  }

  #aside(work: Promise<void>): void {
    const done = work.finally(() => {
      this.#working.delete(done);
      this.#bell.ring();
    });
    this.#working.add(done);
  }

  async #drain(partition: string, lane: Lane): Promise<void> {
    lane.under = (await this.#again(() => this.#journal.batches()))?.find((batch) => batch.partition === partition);
    for (;;) {
      const gone = await this.#again(async () => {
        // A batch that was begun goes on being tried; only its end makes room for another.
        const raw = lane.under === undefined ? await this.#begin(partition, lane) : await this.#encoded(lane.under);
        if (lane.under === undefined) return true;
        await this.#send(lane.under, raw, lane);
        this.#bell.ring();
        return false;
      });
      if (gone !== false && (gone === undefined || lane.queue.length === 0)) return;
    }
  }

  /** Has a batch kept of what waits, and under way from then on. */
  async #begin(partition: string, lane: Lane): Promise<RawBatch | undefined> {
    if (lane.queue.length === 0) return undefined;
    const identity = this.#producer.isIdempotent ? await this.#identity(partition) : undefined;
    const raw = await this.#producer.keyedBatch(partition);
    const events: Kept[] = [];
    let hopeless: [Kept, EventHubsError] | undefined;
    for (const event of lane.queue) {
      if (events.length >= MAX_BATCH_EVENTS || (event.alone && events.length > 0)) break;
      const refused = added(raw, event);
      if (refused !== undefined) {
        if (events.length === 0) hopeless = [event, refused];
        break;
      }
      events.push(event);
      if (event.alone) break;
    }
    if (hopeless !== undefined) {
      raw.free();
      await this.#buryFirst(partition, lane, ...hopeless);
      return this.#begin(partition, lane);
    }
    const batch = { partition, first: identity?.next, events: events.map(({ id }) => id) };
    const next = identity === undefined ? undefined : { ...identity, next: (identity.next + events.length) % NUMBERS };
    try {
      await this.#journal.begin(batch, next);
    } catch (error) {
      raw.free();
      throw error;
    }
    lane.under = batch;
    this.#take(lane, events.length);
    return raw;
  }

  #take(lane: Lane, count: number): void {
    lane.queue.splice(0, count);
    this.#ahead -= count;
  }

  /** The events of a batch that was begun before; undefined when they do not fit any more. */
  async #encoded(batch: KeptBatch): Promise<RawBatch | undefined> {
    const events = await this.#journal.get(batch.events);
    if (events.length !== batch.events.length || (batch.first !== undefined) !== this.#producer.isIdempotent) return undefined;
    const raw = await this.#producer.keyedBatch(batch.partition);
    if (events.every((event) => added(raw, event) === undefined)) return raw;
    raw.free();
    return undefined;
  }

  async #send(batch: KeptBatch, raw: RawBatch | undefined, lane: Lane): Promise<void> {
    if (raw === undefined) return this.#dissolve(batch, false, lane);
    try {
      const identity = batch.first === undefined ? undefined : await this.#journal.identity(batch.partition);
      if (identity !== undefined && batch.first !== undefined) await this.#publishAs(identity, batch.first);
      await this.#producer.sendRaw(raw, batch.first);
    } catch (thrown) {
      const error = toError(thrown) as EventHubsError;
      const fate = fateOf(error);
      if (fate === "waits") throw error;
      await this.#dissolve(batch, fate === "refused", lane);
      if (fate === "renews") {
        this.#own.delete(batch.partition);
        throw error;
      }
      const [event] = lane.queue;
      if (batch.events.length === 1 && event !== undefined) await this.#buryFirst(batch.partition, lane, event, error);
      return;
    } finally {
      raw.free();
    }
    await this.#journal.done(batch);
    lane.under = undefined;
    this.#told.sent(batch.events.length);
  }

  async #dissolve(batch: KeptBatch, alone: boolean, lane: Lane): Promise<void> {
    const events = await this.#journal.get(batch.events);
    await this.#journal.dissolve(batch, alone);
    // From here on it is no batch, whatever else fails.
    lane.under = undefined;
    lane.queue.unshift(...events.map((event) => ({ ...event, alone: event.alone || alone })));
    this.#ahead += events.length;
  }

  /** The same numbers of another producer would be other events. */
  async #publishAs(identity: Identity, first: number): Promise<void> {
    const isIt = async (): Promise<boolean> => {
      const state = await this.#producer.publishingState(identity.partition);
      return state.producerId === identity.producerId && state.epoch === identity.epoch;
    };
    if (this.#known.has(identity.partition) && (await isIt())) return;
    this.#known.add(identity.partition);
    await this.#producer.publishAs(identity.partition, { ...identity, sequenceNumber: first - 1 });
    if (await isIt()) return;
    const condition = "com.microsoft:out-of-order-sequence";
    throw new EventHubsError("rejected", "the service does not know the producer of these events any more", { condition });
  }

  async #identity(partition: string): Promise<Identity> {
    const known = this.#own.has(partition) ? await this.#journal.identity(partition) : undefined;
    return known ?? this.#renew(partition);
  }

  /** Another producer for a partition. */
  async #renew(partition: string): Promise<Identity> {
    await this.#producer.publishAs(partition, undefined);
    this.#known.add(partition);
    const { producerId, epoch, sequenceNumber } = await this.#producer.publishingState(partition);
    const identity = { partition, producerId, epoch, next: (sequenceNumber + 1) % NUMBERS };
    await this.#journal.setIdentity(identity);
    this.#own.add(partition);
    return identity;
  }

  /**
   * Gives up the event that is in front of its partition's others.
   *
   * Should the service have it after all, the acknowledgement of an earlier attempt having been lost, then it has it under a number that the event behind it
   * would get, which would vanish as one that the service knows: so what comes gets numbers of another producer.
   */
  async #buryFirst(partition: string, lane: Lane, event: Kept, error: EventHubsError): Promise<void> {
    await this.#bury(event, error);
    this.#own.delete(partition);
    this.#take(lane, 1);
  }

  async #bury(event: Kept, error: EventHubsError): Promise<void> {
    await this.#journal.bury({ event, givenUpAt: Date.now(), code: error.code, reason: error.message }, this.#maxLetters);
    this.#told.buried();
  }

  /** Until it succeeds; undefined when the pump is stopped before. */
  async #again<R>(work: () => Promise<R>): Promise<R | undefined> {
    for (let failed = 0; !this.#stop.signal.aborted; failed += 1) {
      try {
        return await work();
      } catch (thrown) {
        if (this.#stop.signal.aborted) break;
        const error = toError(thrown);
        this.#told.failed(error instanceof EventHubsError ? error : new EventHubsError("internal", String(error), { cause: error }));
        const longest = Math.min(FIRST_PAUSE_MS * 2 ** Math.min(failed, 10), LONGEST_PAUSE_MS);
        await pause(longest * (0.8 + 0.4 * Math.random()), this.#hurry.signal);
      }
    }
    return undefined;
  }
}

/** What keeps an event out of a batch. */
function added(raw: RawBatch, event: Kept): EventHubsError | undefined {
  try {
    if (addTo(raw, event.body, event.meta)) return undefined;
    return new EventHubsError("message-too-large", `it has ${event.body.byteLength} bytes, a batch may have ${raw.maxSize}`);
  } catch (thrown) {
    return toError(thrown) as EventHubsError;
  }
}

/** What a failure means for a batch: only what is wrong with an event is held against it. */
export function fateOf(error: EventHubsError): "waits" | "refused" | "renews" {
  const condition = error.condition ?? "";
  if (["com.microsoft:out-of-order-sequence", "com.microsoft:producer-epoch-stolen"].includes(condition)) return "renews";
  if (error.retryable) return "waits";
  if (error.code === "message-too-large" || error.code === "invalid-argument") return "refused";
  // What is refused for another reason (the hub is disabled, sending is not allowed) may be allowed tomorrow.
  const isItself = ["", "amqp:decode-error", "amqp:invalid-field"].includes(condition);
  return error.code === "rejected" && isItself ? "refused" : "waits";
}
