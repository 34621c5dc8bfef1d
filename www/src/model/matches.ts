import type { EventLog } from "./event-log.ts";
import type { Filterable, Predicate } from "./filter.ts";

/** How many entries are looked at between two looks at the clock. */
const STRIDE = 64;

/**
 * Which entries of a log pass the filter. A new filter goes over the whole log in slices, so that a long log does not stop
 * the page; what comes in the meantime is behind what is left to look at.
 */
export class Matches<T extends { readonly size: number; readonly event: Filterable }> {
  #log: EventLog<T>;
  #predicate: Predicate | undefined;
  #found: number[] = [];
  /** Where in `#found` the first entry is that the log still has. */
  #head = 0;
  /** The next entry to be looked at. */
  #next = 0;

  constructor(log: EventLog<T>) {
    this.#log = log;
    this.#next = log.first;
  }

  get filtered(): boolean {
    return this.#predicate !== undefined;
  }

  /** How many entries are shown. */
  get length(): number {
    return this.#predicate ? this.#found.length - this.#head : this.#log.length;
  }

  /** How many entries are still to be looked at. */
  get pending(): number {
    return this.#predicate ? this.#log.end - Math.max(this.#next, this.#log.first) : 0;
  }

  /** The log's index of the entry in a row. */
  indexAt(row: number): number {
    return this.#predicate ? (this.#found[this.#head + row] ?? -1) : this.#log.first + row;
  }

  at(row: number): T | undefined {
    return this.#log.get(this.indexAt(row));
  }

  /** The row of an entry, or of the next one that is shown. */
  rowOf(index: number): number {
    if (!this.#predicate) return index - this.#log.first;
    let low = this.#head;
    let high = this.#found.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#found[middle] ?? 0) < index) low = middle + 1;
      else high = middle;
    }
    return low - this.#head;
  }

  setFilter(predicate: Predicate | undefined): void {
    this.#predicate = predicate;
    this.#found = [];
    this.#head = 0;
    this.#next = this.#log.first;
  }

  /** Looks at entries that were not looked at yet, until `deadline` (by `performance.now()`). Returns whether any is left. */
  work(deadline: number): boolean {
    const { first, end } = this.#log;
    while (this.#head < this.#found.length && (this.#found[this.#head] ?? 0) < first) this.#head += 1;
    if (this.#head > 4096 && this.#head > this.#found.length / 2) {
      this.#found = this.#found.slice(this.#head);
      this.#head = 0;
    }
    if (!this.#predicate) return false;
    let next = Math.max(this.#next, first);
    while (next < end) {
      const stop = Math.min(end, next + STRIDE);
      for (; next < stop; next++) {
        const entry = this.#log.get(next);
        if (entry && this.#predicate(entry.event)) this.#found.push(next);
      }
      if (performance.now() >= deadline) break;
    }
    this.#next = next;
    return next < end;
  }
}
