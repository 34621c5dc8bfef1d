import { computed, signal } from "@preact/signals";
import type { SocketChange } from "../client.ts";
import { duration } from "../model/format.ts";
import { closeReason } from "../model/words.ts";
import type { Journal } from "./journal.ts";

export type Connection =
  | { readonly state: "connecting" }
  | { readonly state: "connected"; readonly resumed?: string }
  | { readonly state: "reconnecting"; readonly since: number; readonly attempts: number; readonly why: string }
  | { readonly state: "closed" };

/** How long it is said that a connection is back. */
const RESUMED_SHOWN_MS = 10_000;

/** Whether the reading connection stands, as its sockets and the answers that come over them tell. */
export class Status {
  readonly connection = signal<Connection>({ state: "connecting" });
  readonly connected = computed(() => this.connection.value.state === "connected");
  #journal: Journal;
  #fades: ReturnType<typeof setTimeout> | undefined;

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  /** A socket was opened, is open, or is closed. */
  socket(change: SocketChange): void {
    const now = this.connection.value;
    if (now.state === "closed") return;
    if (change.state === "opening" && now.state === "reconnecting") {
      this.connection.value = { ...now, attempts: now.attempts + 1 };
    } else if (change.state === "closed" && now.state === "connected") {
      const why = closeReason(change.code, change.reason);
      this.connection.value = { state: "reconnecting", since: Date.now(), attempts: 0, why };
      this.#journal.say(`Connection lost: ${why}. Reconnecting.`, "bad");
    }
  }

  /** The service answered. Only this makes a connection one: an open socket may still be refused. */
  answered(host: string): void {
    const now = this.connection.value;
    if (now.state === "connected" || now.state === "closed") return;
    clearTimeout(this.#fades);
    if (now.state === "connecting") {
      this.connection.value = { state: "connected" };
      this.#journal.say(`Connected to ${host}.`, "good");
      return;
    }
    const attempts = now.attempts === 1 ? "1 attempt" : `${now.attempts} attempts`;
    const resumed = `Resumed after ${duration(Date.now() - now.since)} (${attempts}).`;
    this.#journal.say(resumed, "good");
    this.connection.value = { state: "connected", resumed };
    this.#fades = setTimeout(() => {
      if (this.connection.peek().state === "connected") this.connection.value = { state: "connected" };
    }, RESUMED_SHOWN_MS);
  }

  closed(): void {
    clearTimeout(this.#fades);
    this.connection.value = { state: "closed" };
  }
}
