// What was published, held against what comes back: the ledger of `eventhubs demo`, with the same digest.

import { createHash } from "node:crypto";

import { partitionFor } from "./partition.mjs";

export class Ledger {
  /** How many events have come back. */
  seen = 0;
  #flights;
  #partitions;
  /** By key: its records in the order of their publication, how many are back, and the digest of those. */
  #keys = new Map();

  constructor(flights, partitions) {
    this.#flights = flights;
    this.#partitions = partitions;
    for (const { origin, body } of flights) {
      let key = this.#keys.get(origin);
      if (key === undefined) {
        key = { home: partitionFor(origin, partitions), published: [], back: 0, digest: createHash("sha256") };
        this.#keys.set(origin, key);
      }
      key.published.push(body);
    }
  }

  /** How many different keys there are. */
  get keys() {
    return this.#keys.size;
  }

  /** Checks one event that came back: its key, its partition, its place in the key's order, every byte. */
  check(partition, name, body) {
    const number = this.seen + 1;
    if (name === undefined) throw new Error(`event ${number} came back without its key`);
    const key = this.#keys.get(name);
    if (key === undefined) throw new Error(`event ${number} has the key '${name}', which was not published`);
    if (partition !== key.home) throw new Error(`the key '${name}' belongs to partition ${key.home}, and came back from ${partition}`);
    const expected = key.published[key.back];
    if (expected === undefined) throw new Error(`all ${key.back} events of '${name}' were back already, and one more came`);
    if (!expected.equals(body)) {
      throw new Error(`event ${key.back + 1} of '${name}' should be ${expected} and is ${Buffer.from(body.subarray(0, 200))}`);
    }
    append(key.digest, body);
    key.back += 1;
    this.seen = number;
  }

  /** The digest of all bodies that came back; throws when something is missing, or when it is not that of what was published. */
  close() {
    const missing = this.#flights.length - this.seen;
    if (missing > 0) throw new Error(`${missing} of ${this.#flights.length} events did not come back`);
    const published = new Map();
    for (const { origin, body } of this.#flights) {
      if (!published.has(origin)) published.set(origin, createHash("sha256"));
      append(published.get(origin), body);
    }
    const expected = combined(published);
    const digest = combined(new Map([...this.#keys].map(([name, key]) => [name, key.digest])));
    if (digest !== expected) throw new Error(`the digest of all bodies is ${digest} and should be ${expected}`);
    return digest;
  }
}

const LENGTH = Buffer.alloc(8);

/** With its length, so that no other way to cut the bytes gives the same digest. */
function append(digest, body) {
  LENGTH.writeUInt32BE(body.byteLength, 4);
  digest.update(LENGTH).update(body);
}

/** One digest of all keys: partitions come back in any order, keys do not. */
function combined(keys) {
  const all = createHash("sha256");
  const byBytes = ([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b));
  for (const [name, digest] of [...keys].sort(byBytes)) {
    append(all, Buffer.from(name));
    append(all, digest.digest());
  }
  return all.digest("hex");
}
