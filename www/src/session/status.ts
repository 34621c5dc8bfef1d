import { computed, signal } from "@preact/signals";
import type { ConsumerClient, ProducerClient, ReceivedEvent, Status as ClientStatus } from "../client.ts";
import { duration } from "../model/format.ts";
import { partitionOf, reason, said } from "../model/status-words.ts";
import type { Journal } from "./journal.ts";

export type Connection =
  | { readonly state: "connecting"; readonly attempt: number }
  | { readonly state: "connected"; readonly resumed?: string }
  | { readonly state: "reconnecting"; readonly since: number; readonly attempt: number; readonly why: string }
  /** Nothing is wrong: the next call connects. */
  | { readonly state: "idle" }
  | { readonly state: "closed" };

/** What is to be known about a partition that is being read, beyond its events. */
export type Flow = "down" | "stalled" | "resumed";

/** How long it is said that a connection or a partition is back. */
const RESUMED_SHOWN_MS = 10_000;
/** A partition that has stalled and neither gets an event nor stalls again, for longer than the client's patience, had nothing to get. */
const STALLED_SHOWN_MS = 180_000;

/** How the connections are, as the clients tell. What is shown is the one that is read from; both go into the journal. */
export class Status {
  readonly connection = signal<Connection>({ state: "idle" });
  readonly connected = computed(() => this.connection.value.state === "connected");
  /** By partition: those that there is something to say about. */
  readonly flows = signal<ReadonlyMap<string, Flow>>(new Map());
  readonly #journal: Journal;
  readonly #stop = new AbortController();
  /** By partition: how often something was said about it. */
  readonly #said = new Map<string, number>();
  #hasStalled = false;
  readonly #fading = new Set<ReturnType<typeof setTimeout>>();

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  /** Listens for as long as the clients live. */
  listen(consumer: ConsumerClient, producer: ProducerClient): void {
    void this.#follow(consumer, (status) => this.#reading(status));
    void this.#follow(producer, (status) => this.#note(status, "Sending: "));
  }

  /** Events that have come: their partitions have not stalled any more. */
  arrived(events: readonly ReceivedEvent[]): void {
    if (!this.#hasStalled) return;
    for (const { partitionId } of events) {
      if (this.flows.peek().get(partitionId) === "stalled") this.#resumed(partitionId);
    }
    this.#hasStalled = [...this.flows.peek().values()].includes("stalled");
  }

  closed(): void {
    this.#stop.abort();
    for (const timer of this.#fading) clearTimeout(timer);
    this.connection.value = { state: "closed" };
  }

  async #follow(client: ConsumerClient | ProducerClient, heard: (status: ClientStatus) => void): Promise<void> {
    const statuses = client.status();
    this.#stop.signal.addEventListener("abort", () => void statuses.return());
    let isFirst = true;
    let missed = 0;
    for await (const status of statuses) {
      // The present state is no news.
      if (!isFirst) heard(status);
      isFirst = false;
      if (statuses.missed > missed) this.#journal.say(`${statuses.missed - missed} things happened too fast to be told.`, "bad");
      missed = statuses.missed;
    }
  }

  #reading(status: ClientStatus): void {
    this.#show(status);
    this.#note(status, "");
  }

  #note(status: ClientStatus, of: string): void {
    // Disconnecting is said by who does it.
    if (status.type === "closed") return;
    const { text, tone } = said(status);
    this.#journal.say(`${of}${text}`, tone);
  }

  #show(status: ClientStatus): void {
    const now = this.connection.peek();
    switch (status.type) {
      case "connecting":
        if (now.state === "reconnecting") this.connection.value = { ...now, attempt: status.attempt };
        else this.connection.value = { state: "connecting", attempt: status.attempt };
        return;
      case "connected":
        this.#connected(now);
        return;
      case "disconnected":
        this.connection.value = status.cause ? this.#lost(now, status.cause, 0) : { state: "idle" };
        return;
      case "reconnecting":
        this.connection.value = this.#lost(now, status.cause, status.attempt);
        return;
      case "stalled":
        this.#hasStalled = true;
        this.#flow(status.partition, "stalled", STALLED_SHOWN_MS);
        return;
      case "detached": {
        const partition = partitionOf(status.entity);
        if (partition !== undefined && status.cause) this.#flow(partition, "down");
        return;
      }
      case "resumed":
        // A link that was made anew is not yet one that brings what did not arrive.
        if (this.flows.peek().get(status.partition) !== "stalled") this.#resumed(status.partition);
        return;
    }
  }

  /** A connection that was never up is being made still. */
  #lost(now: Connection, cause: Error, attempt: number): Connection {
    if (now.state === "reconnecting") return { ...now, attempt: Math.max(attempt, now.attempt), why: reason(cause) };
    if (now.state === "connecting") return { state: "connecting", attempt: Math.max(attempt, now.attempt) };
    return { state: "reconnecting", since: Date.now(), attempt, why: reason(cause) };
  }

  #connected(now: Connection): void {
    if (now.state !== "reconnecting") {
      this.connection.value = { state: "connected" };
      return;
    }
    const attempts = now.attempt <= 1 ? "1 attempt" : `${now.attempt} attempts`;
    const resumed = `Resumed after ${duration(Date.now() - now.since)} (${attempts}).`;
    this.#journal.say(resumed, "good");
    const shown: Connection = { state: "connected", resumed };
    this.connection.value = shown;
    this.#later(RESUMED_SHOWN_MS, () => {
      if (this.connection.peek() === shown) this.connection.value = { state: "connected" };
    });
  }

  #resumed(partition: string): void {
    this.#flow(partition, "resumed", RESUMED_SHOWN_MS);
  }

  /** Says something about a partition, until something else is to be said or its time is over. */
  #flow(partition: string, flow: Flow, shownMs?: number): void {
    const said = (this.#said.get(partition) ?? 0) + 1;
    this.#said.set(partition, said);
    this.flows.value = new Map(this.flows.peek()).set(partition, flow);
    if (shownMs === undefined) return;
    this.#later(shownMs, () => {
      if (this.#said.get(partition) !== said) return;
      const flows = new Map(this.flows.peek());
      flows.delete(partition);
      this.flows.value = flows;
    });
  }

  #later(delayMs: number, work: () => void): void {
    const timer = setTimeout(() => {
      this.#fading.delete(timer);
      work();
    }, delayMs);
    this.#fading.add(timer);
  }
}
