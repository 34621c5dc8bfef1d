// Who of a browser's tabs lives: each owner holds a Web Lock, and who wants to know when it is gone stands in line for it.

import { randomName } from "../internal/random-name.js";

type Group = readonly [string, string, string];

export class Liveness {
  readonly #prefix: string;
  /** Tells this store's locks from those of other tabs for the same owner. */
  readonly #instance = randomName();
  readonly #held = new Map<string, { name: Promise<string>; letGo: () => void }>();
  readonly #watchers = new Map<() => void, string>();
  /** The locks of others that somebody here stands in line for. */
  readonly #awaited = new Map<string, AbortController>();
  #channel: BroadcastChannel | undefined;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** Holds an owner's lock from now on; resolves to its name, or to undefined where there are none. */
  async hold(ownerId: string): Promise<string | undefined> {
    const locks = lockManager();
    if (locks === undefined) return undefined;
    const known = this.#held.get(ownerId);
    if (known !== undefined) return known.name;
    const name = `${this.#prefix}:${this.#instance}:${ownerId}`;
    let letGo = (): void => undefined;
    const over = new Promise<void>((resolve) => (letGo = resolve));
    const granted = new Promise<string>((resolve, reject) => {
      const held = (): Promise<void> => {
        resolve(name);
        return over;
      };
      locks.request(name, held).catch(reject);
    });
    this.#held.set(ownerId, { name: granted, letGo });
    // The next claim tries again.
    granted.catch(() => this.#held.delete(ownerId));
    return granted;
  }

  /** The owner is gone. */
  letGo(ownerId: string): void {
    this.#held.get(ownerId)?.letGo();
    this.#held.delete(ownerId);
  }

  /** Which locks are held by anybody; undefined where nobody knows. Whoever watches is woken when one of these is not any more. */
  async locks(names: readonly (string | undefined)[]): Promise<ReadonlySet<string> | undefined> {
    const locks = lockManager();
    const wanted = new Set(names.filter((name) => name !== undefined));
    if (locks === undefined) return undefined;
    if (wanted.size === 0) return wanted;
    const { held = [] } = await locks.query();
    const living = new Set(held.map(({ name }) => name!).filter((name) => wanted.has(name)));
    if (this.#watchers.size > 0) for (const name of living) this.#await(locks, name);
    return living;
  }

  /** Wakes everybody who watches one of the groups, here and in other tabs. */
  tell(groups: readonly Group[]): void {
    const keys = [...new Set(groups.map((group) => JSON.stringify(group)))];
    for (const key of keys) {
      this.#heard(key);
      this.#channel?.postMessage(key);
    }
  }

  watch(group: Group, wake: () => void): () => void {
    // One function may be given twice.
    const watcher = (): void => wake();
    this.#watchers.set(watcher, JSON.stringify(group));
    this.#listen();
    return () => {
      this.#watchers.delete(watcher);
      if (this.#watchers.size === 0) this.#stopListening();
    };
  }

  /** Lets go of all locks. */
  close(): void {
    this.#watchers.clear();
    this.#stopListening();
    for (const ownerId of [...this.#held.keys()]) this.letGo(ownerId);
  }

  #listen(): void {
    if (this.#channel !== undefined || typeof BroadcastChannel === "undefined") return;
    this.#channel = new BroadcastChannel(this.#prefix);
    this.#channel.onmessage = ({ data }) => this.#heard(String(data));
  }

  #stopListening(): void {
    this.#channel?.close();
    this.#channel = undefined;
    for (const controller of this.#awaited.values()) controller.abort();
    this.#awaited.clear();
  }

  #heard(group: string): void {
    for (const [watcher, watched] of this.#watchers) if (watched === group) queueMicrotask(watcher);
  }

  /** Stands in line for a lock of another: its turn comes when that one is gone. */
  #await(locks: LockManager, name: string): void {
    if (this.#awaited.has(name) || name.startsWith(`${this.#prefix}:${this.#instance}:`)) return;
    const controller = new AbortController();
    this.#awaited.set(name, controller);
    const gone = (): void => {
      if (this.#awaited.get(name) !== controller) return;
      this.#awaited.delete(name);
      for (const watcher of this.#watchers.keys()) queueMicrotask(watcher);
    };
    // Who gets it lets go at once, and holds up nobody who stands behind.
    locks.request(name, { mode: "shared", signal: controller.signal }, gone).catch(() => this.#awaited.delete(name));
  }
}

/** Not there in Node before 24, nor on pages without a secure context. */
function lockManager(): LockManager | undefined {
  return (globalThis as { navigator?: { locks?: LockManager } }).navigator?.locks;
}
