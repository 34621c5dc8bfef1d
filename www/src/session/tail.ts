import { signal } from "@preact/signals";
import type { ConsumerClient, EventStream, ReceivedEvent, StartPosition } from "../client.ts";
import { Continuity } from "../model/continuity.ts";
import { EventLog } from "../model/event-log.ts";
import { Matches } from "../model/matches.ts";
import type { Meter } from "../model/meter.ts";
import { type Trouble, trouble } from "../model/words.ts";
import { type Entry, entryOf } from "./entry.ts";
import type { Journal } from "./journal.ts";

export type TailState = "stopped" | "opening" | "running" | "paused" | "failed";

/** Where reading begins: the same for all partitions, or one for each. */
export type From = StartPosition | { readonly each: Readonly<Record<string, StartPosition>> };

/** Where a tail reads, and from where on. */
export interface Seek {
  readonly partition: string;
  readonly from: From;
  /** The position in words, for the journal. */
  readonly words: string;
}

/** All partitions at once. */
export const ALL = "all";
/** What the list may keep alive, whatever the number of events. */
export const MAX_BYTES = 256 * 1024 * 1024;
/** Events taken from the stream at a time. */
const TAKEN_AT_ONCE = 1_000;
/** How long taking events may keep the page from drawing and from hearing its user. */
const SLICE_MS = 8;

export interface TailOptions {
  readonly meter: Meter;
  readonly journal: Journal;
  /** How many events the list may hold. */
  readonly limit: number;
  /** Told when the tail runs, and what it then takes. */
  readonly heard: (events: readonly ReceivedEvent[]) => void;
  /** The ids of the hub's partitions. */
  readonly partitions: () => string[];
}

/** Reads events into the list, until stopped. Pausing takes no further events: the service keeps them, and none is lost. */
export class Tail {
  readonly state = signal<TailState>("stopped");
  readonly trouble = signal<Trouble | undefined>(undefined);
  /** Goes up whenever the list has changed, once a frame at most. */
  readonly changes = signal(0);
  readonly seek = signal<Seek | undefined>(undefined);
  readonly log: EventLog<Entry>;
  readonly matches: Matches<Entry>;
  continuity = new Continuity();
  #consumer: ConsumerClient;
  #meter: Meter;
  #journal: Journal;
  #heard: (events: readonly ReceivedEvent[]) => void;
  #partitions: () => string[];
  #stream: EventStream | undefined;
  #resume: (() => void) | undefined;
  #frame = 0;
  /** Events that were enqueued before this was, or after it is, say nothing about how fast delivery is. */
  #startedAt = 0;

  constructor(consumer: ConsumerClient, options: TailOptions) {
    this.#consumer = consumer;
    this.#meter = options.meter;
    this.#journal = options.journal;
    this.#heard = options.heard;
    this.#partitions = options.partitions;
    this.log = new EventLog<Entry>(options.limit, MAX_BYTES);
    this.matches = new Matches(this.log);
  }

  /** Reads from a position on, with an empty list. What was read before is let go of. */
  start(seek: Seek): void {
    this.clear();
    this.continuity = new Continuity();
    this.seek.value = seek;
    this.#journal.say(`Tail of ${where(seek.partition)} from ${seek.words}.`);
    this.#open(seek, {});
  }

  /** Reads on behind what was read, after the tail ended with an error. The list stays. */
  goOn(): void {
    const seek = this.seek.peek();
    if (!seek) return;
    const behind: Record<string, StartPosition> = {};
    for (const [partition, sequenceNumber] of this.continuity.last) behind[partition] = { sequenceNumber };
    this.#journal.say(`Tail of ${where(seek.partition)} goes on.`);
    this.#open(seek, behind);
  }

  pause(): void {
    if (this.state.value === "running") this.state.value = "paused";
  }

  resume(): void {
    if (this.state.value !== "paused") return;
    this.state.value = "running";
    this.#startedAt = Date.now();
    this.#resume?.();
  }

  stop(): void {
    this.#close();
    this.state.value = "stopped";
  }

  /** How many events the list may hold from now on. */
  setLimit(events: number): void {
    this.log.maxEntries = events;
    this.log.push([]);
    this.changed();
  }

  clear(): void {
    this.log.clear();
    this.changed();
  }

  /** Says that the list is to be drawn again, with the next frame. */
  changed(): void {
    // A hidden page draws no frames; the list is drawn when it is looked at again.
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      if (this.matches.work(performance.now() + SLICE_MS)) this.changed();
      this.changes.value += 1;
    });
  }

  /** Opens a stream at the seek's position, or behind what is known of a partition. */
  #open(seek: Seek, behind: Record<string, StartPosition>): void {
    this.#close();
    this.trouble.value = undefined;
    this.state.value = "opening";
    const { partition } = seek;
    const stream =
      partition === ALL
        ? this.#consumer.receiveAll({ from: this.#everywhere(seek.from, behind) })
        : this.#consumer.receive(partition, { from: behind[partition] ?? of(seek.from, partition) });
    this.#stream = stream;
    void this.#run(stream);
  }

  /** A position for each partition: those that had nothing yet are read from where the tail began. */
  #everywhere(from: From, behind: Record<string, StartPosition>): StartPosition | Record<string, StartPosition> {
    const same = typeof from === "string" || !("each" in from);
    if (same && Object.keys(behind).length === 0) return from;
    return Object.fromEntries(this.#partitions().map((id) => [id, behind[id] ?? of(from, id)]));
  }

  get #paused(): boolean {
    return this.state.value === "paused";
  }

  #close(): void {
    const stream = this.#stream;
    this.#stream = undefined;
    this.#resume?.();
    // Whatever closing fails with, there is nothing left to read from it.
    stream?.close().catch(() => {});
  }

  async #run(stream: EventStream): Promise<void> {
    const current = (): boolean => this.#stream === stream;
    try {
      await stream.ready();
      if (!current()) return;
      this.state.value = "running";
      this.#startedAt = Date.now();
      this.#heard([]);
      let rested = performance.now();
      while (current()) {
        const events = await stream.nextBatch({ maxCount: TAKEN_AT_ONCE });
        // What arrives while paused was already taken: it waits here, and is shown first.
        while (this.#paused && current()) await new Promise<void>((go) => (this.#resume = go));
        if (!current()) return;
        this.#take(events);
        if (performance.now() - rested > SLICE_MS) {
          await rest();
          rested = performance.now();
        }
      }
    } catch (error) {
      if (!current()) return;
      this.#stream = undefined;
      this.trouble.value = trouble(error);
      this.state.value = "failed";
      this.#journal.say(`The tail ended: ${this.trouble.value.title}`, "bad");
    }
  }

  #take(events: Awaited<ReturnType<EventStream["nextBatch"]>>): void {
    if (events.length === 0) return;
    for (const event of events) this.continuity.see(event.partitionId, event.sequenceNumber);
    this.log.push(events.map(entryOf));
    this.#meter.received(events.length);
    const newest = events[events.length - 1]?.enqueuedTime.getTime() ?? 0;
    if (newest >= this.#startedAt) this.#meter.deliveryDelay(Date.now() - newest);
    this.#heard(events);
    this.changed();
  }
}

function of(from: From, partition: string): StartPosition {
  return typeof from === "object" && "each" in from ? (from.each[partition] ?? "earliest") : from;
}

export function where(partition: string): string {
  return partition === ALL ? "all partitions" : `partition ${partition}`;
}

/** Lets the page draw and hear its user: a task, not a promise, because only tasks let others in. */
function rest(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}
