// What is known of checkpoints' blobs by what was read or written here last: each checkpoint is written in place of the version that is known, so
// that one that is late puts no group back. As src/checkpoint/native/blob/checkpoints.rs.

import { type Item, unquoted } from "./listing.js";

/** What a checkpoint is written in place of: a version; nothing (`null`); whatever is there, where nobody has looked (`undefined`). */
export type Version = string | null | undefined;

export class Versions {
  readonly #etags = new Map<string, string>();
  /** Beginnings of names that were listed: what is not known of these was not there. */
  readonly #listed = new Set<string>();

  of(blob: string): Version {
    return this.#etags.get(blob) ?? (this.#listed.has(beginning(blob)) ? null : undefined);
  }

  note(blob: string, etag: string | null): void {
    if (etag === null) this.#etags.delete(blob);
    else this.#etags.set(blob, unquoted(etag));
  }

  /** Everything whose name begins so was listed. */
  listed(prefix: string, items: readonly Item[]): void {
    for (const blob of [...this.#etags.keys()]) if (beginning(blob) === prefix) this.#etags.delete(blob);
    for (const { name, etag } of items) if (etag !== undefined) this.#etags.set(name, etag);
    this.#listed.add(prefix);
  }
}

function beginning(blob: string): string {
  return blob.slice(0, blob.lastIndexOf("/") + 1);
}
