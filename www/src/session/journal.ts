import { signal } from "@preact/signals";

/** Something that happened to the connection or the tail, in words. */
export interface Note {
  readonly id: number;
  readonly at: Date;
  readonly tone: "plain" | "good" | "bad";
  readonly text: string;
}

/** How many notes are kept. */
const KEPT = 100;

/** What happened, newest last. It outlives a session, so that its end can be read. */
export class Journal {
  readonly notes = signal<readonly Note[]>([]);
  #next = 0;

  say(text: string, tone: Note["tone"] = "plain"): void {
    const note = { id: this.#next++, at: new Date(), tone, text };
    this.notes.value = [...this.notes.value, note].slice(-KEPT);
  }
}
