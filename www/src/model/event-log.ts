/** What the list needs to know of an entry to keep within its bounds. */
export interface Sized {
  /** Bytes that the entry keeps alive, about. */
  readonly size: number;
}

/**
 * The events of the list, oldest first, bounded by number and by bytes: what is too much is let go of at the old end,
 * and counted. An entry keeps its index for as long as it is there.
 */
export class EventLog<T extends Sized> {
  #items: (T | undefined)[] = [];
  /** Where the oldest entry is in `#items`; what is before it was let go of. */
  #head = 0;
  /** The index of `#items[0]`. */
  #base = 0;
  #bytes = 0;
  #dropped = 0;

  constructor(
    public maxEntries: number,
    public maxBytes: number,
  ) {}

  /** The index of the oldest entry. */
  get first(): number {
    return this.#base + this.#head;
  }

  /** One more than the index of the newest entry. */
  get end(): number {
    return this.#base + this.#items.length;
  }

  get length(): number {
    return this.#items.length - this.#head;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** How many entries were let go of since the list was cleared. */
  get dropped(): number {
    return this.#dropped;
  }

  get(index: number): T | undefined {
    return index < this.first ? undefined : this.#items[index - this.#base];
  }

  push(entries: readonly T[]): void {
    for (const entry of entries) {
      this.#items.push(entry);
      this.#bytes += entry.size;
    }
    // The newest stays, however large it is.
    while (this.length > 1 && (this.length > this.maxEntries || this.#bytes > this.maxBytes)) this.#drop();
    this.#compact();
  }

  /** Lets go of everything. Indices go on, so that no old one means a new entry. */
  clear(): void {
    this.#base = this.end;
    this.#items = [];
    this.#head = 0;
    this.#bytes = 0;
    this.#dropped = 0;
  }

  #drop(): void {
    this.#bytes -= this.#items[this.#head]?.size ?? 0;
    this.#items[this.#head] = undefined;
    this.#head += 1;
    this.#dropped += 1;
  }

  /** Gives the room of what was let go of back, seldom enough that it costs nothing per entry. */
  #compact(): void {
    if (this.#head < 4096 || this.#head < this.#items.length / 2) return;
    this.#items = this.#items.slice(this.#head);
    this.#base += this.#head;
    this.#head = 0;
  }
}
