/** Watches the sequence numbers of each partition: that nothing is missing and nothing comes twice is seen, not promised. */
export class Continuity {
  #last = new Map<string, number>();
  #missing = 0;
  #repeated = 0;

  /** How many numbers were left out. */
  get missing(): number {
    return this.#missing;
  }

  /** How many numbers came again. */
  get repeated(): number {
    return this.#repeated;
  }

  /** The last number of each partition. */
  get last(): ReadonlyMap<string, number> {
    return this.#last;
  }

  see(partition: string, sequenceNumber: number): void {
    const last = this.#last.get(partition);
    if (last !== undefined) {
      if (sequenceNumber <= last) {
        this.#repeated += 1;
        return;
      }
      this.#missing += sequenceNumber - last - 1;
    }
    this.#last.set(partition, sequenceNumber);
  }
}
