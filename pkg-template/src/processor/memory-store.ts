import { checked, type Checkpoint, type PartitionOwnership, type WatchedStore } from "./checkpoint.js";
import { checkedClaims, decided, groupOf, keyOf } from "./rules.js";

/**
 * Checkpoints and ownerships in memory: for tests, and for processors that all live in one program. They have to be given the same store.
 */
export class MemoryCheckpointStore implements WatchedStore {
  readonly #ownerships = new Map<string, PartitionOwnership>();
  readonly #checkpoints = new Map<string, Checkpoint>();
  readonly #watchers = new Map<() => void, string>();

  async listOwnership(namespace: string, eventHub: string, consumerGroup: string): Promise<PartitionOwnership[]> {
    return listed(this.#ownerships, namespace, eventHub, consumerGroup);
  }

  async claimOwnership(claims: PartitionOwnership[]): Promise<PartitionOwnership[]> {
    const won: PartitionOwnership[] = [];
    for (const claim of checkedClaims(claims)) {
      const key = JSON.stringify(keyOf(claim));
      const known = this.#ownerships.get(key);
      const record = decided(claim, known);
      if (record === undefined) continue;
      this.#ownerships.set(key, record);
      won.push({ ...record });
      if (known?.ownerId !== record.ownerId) this.#wake(groupKey(claim.fullyQualifiedNamespace, claim.eventHubName, claim.consumerGroup));
    }
    return won;
  }

  async listCheckpoints(namespace: string, eventHub: string, consumerGroup: string): Promise<Checkpoint[]> {
    return listed(this.#checkpoints, namespace, eventHub, consumerGroup);
  }

  async updateCheckpoint(checkpoint: Checkpoint): Promise<void> {
    this.#checkpoints.set(JSON.stringify(keyOf(checkpoint)), checked(checkpoint));
  }

  watch(namespace: string, eventHub: string, consumerGroup: string, _ownerId: string, wake: () => void): () => void {
    // One function may be given twice.
    const watcher = (): void => wake();
    this.#watchers.set(watcher, groupKey(namespace, eventHub, consumerGroup));
    return () => this.#watchers.delete(watcher);
  }

  #wake(group: string): void {
    for (const [watcher, watched] of this.#watchers) if (watched === group) queueMicrotask(watcher);
  }
}

function groupKey(namespace: string, eventHub: string, consumerGroup: string): string {
  return JSON.stringify(groupOf(namespace, eventHub, consumerGroup)).slice(0, -1);
}

function listed<R>(records: Map<string, R>, namespace: string, eventHub: string, consumerGroup: string): R[] {
  const group = `${groupKey(namespace, eventHub, consumerGroup)},`;
  return [...records].filter(([key]) => key.startsWith(group)).map(([, record]) => ({ ...record }));
}
