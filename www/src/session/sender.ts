import { signal } from "@preact/signals";
import type { ProducerClient } from "../client.ts";
import { type Draft, DraftError, eventsOf } from "../model/draft.ts";
import type { Meter } from "../model/meter.ts";
import { type Trouble, trouble } from "../model/words.ts";

/** Sends that may wait for their answer at a time, when they are repeated. */
const IN_FLIGHT = 8;
/** How often repeating looks whether a send is due. */
const TICK_MS = 20;
/** What is overdue by more than this is left out: a page that slept does not make up for it. */
const MOST_OVERDUE_MS = 500;

/** Sends what the composer holds: once, or again and again. */
export class Sender {
  readonly repeating = signal(false);
  readonly sending = signal(0);
  readonly sent = signal(0);
  readonly trouble = signal<Trouble | undefined>(undefined);
  /** The field that has to be corrected before anything can be sent. */
  readonly wrongField = signal<string | undefined>(undefined);
  /** Whether repeating falls behind, because answers do not come fast enough. */
  readonly behind = signal(false);
  /** How long the last send took, in milliseconds. */
  readonly lastDelay = signal<number | undefined>(undefined);
  #producer: ProducerClient;
  #meter: Meter;
  #next = 1;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(producer: ProducerClient, meter: Meter) {
    this.#producer = producer;
    this.#meter = meter;
  }

  /** Sends once. Returns how many events went; 0 when something was wrong, which `trouble` says. */
  async send(draft: Draft): Promise<number> {
    this.trouble.value = undefined;
    this.wrongField.value = undefined;
    let started = 0;
    try {
      const events = eventsOf(draft, this.#next, new Date());
      this.#next += events.length;
      this.sending.value += 1;
      started = performance.now();
      const sent = await this.#producer.send(events, {
        ...(draft.route === "key" ? { partitionKey: draft.key } : {}),
        ...(draft.route === "partition" ? { partitionId: draft.partition } : {}),
      });
      const took = performance.now() - started;
      this.sent.value += sent;
      this.lastDelay.value = took;
      this.#meter.sent(sent, took);
      return sent;
    } catch (error) {
      if (error instanceof DraftError) this.wrongField.value = error.field;
      this.trouble.value =
        error instanceof DraftError
          ? { title: error.message, advice: "", code: "", detail: "" }
          : trouble(error);
      this.stop();
      return 0;
    } finally {
      if (started) this.sending.value -= 1;
    }
  }

  /** Sends `rate` times a second until stopped, or until a send fails. */
  repeat(draft: Draft, rate: number): void {
    this.stop();
    this.trouble.value = undefined;
    this.repeating.value = true;
    const period = 1_000 / rate;
    let due = performance.now();
    const tick = (): void => {
      const now = performance.now();
      if (now - due > MOST_OVERDUE_MS) due = now - MOST_OVERDUE_MS;
      let waits = false;
      while (due <= now && this.repeating.value) {
        waits = this.sending.value >= IN_FLIGHT;
        if (waits) break;
        due += period;
        void this.send(draft);
      }
      this.behind.value = waits;
    };
    this.#timer = setInterval(tick, TICK_MS);
    tick();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.repeating.value = false;
    this.behind.value = false;
  }
}
