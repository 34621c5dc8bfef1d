import { EventHubsError } from "../error.js";
import { options as checkedOptions, millis, type Rule, text } from "../internal/check.js";
import { randomName } from "../internal/random-name.js";
import { checked, type Checkpoint, type CheckpointStore, type PartitionOwnership, type PartitionPlace, positionBehind, type RecordFailure, type StoreOptions } from "./checkpoint.js";
import { codeOf, type Files, locked } from "./file/lock.js";
import { decoded, digest, encoded } from "./file/names.js";
import { numberOf, recordFields, recordText, textOf } from "./file/record.js";
import { checkedClaims, decided, failed, groupOf, place } from "./rules.js";

/** How a store in files is kept. */
export interface FileOptions {
  /** How long a change waits for another process that is in the middle of one. Default: 10 000. */
  lockTimeoutMs?: number | undefined;
}

type Kind = "ownership" | "checkpoint";

/** What a file says. */
interface Found<R> {
  readonly record?: R;
  /** What is wrong, when it is no record; the version is made of what it says, so that it can be replaced by who has seen it. */
  readonly garbage?: RecordFailure;
}

const OPTIONS: Record<string, Rule> = { lockTimeoutMs: millis };
/** Records are some hundred bytes; of what is longer only this much is looked at. */
const LONGEST_RECORD = 256 * 1024;

/**
 * Keeps one small text file for each ownership and each checkpoint in a directory, in the format of the Rust crate's `FileStore`. Several
 * processes of one machine may share it. A process that is killed leaves nothing half written, and a file that cannot be understood concerns
 * its partition alone.
 *
 * Programs of both languages may go on where one of the other stopped. At the same time they should not share a directory: locks are of
 * different kinds, and one partition might then be claimed by both for a cycle.
 */
export class FileCheckpointStore implements CheckpointStore {
  readonly #directory: string;
  readonly #lockTimeoutMs: number;
  #files: Promise<Files> | undefined;

  /** A store in this directory, which is made when the first record is written. */
  constructor(directory: string, given?: FileOptions) {
    this.#directory = text(directory, "the directory of a FileCheckpointStore").replace(/(?<=.)[/\\]+$/, "");
    this.#lockTimeoutMs = checkedOptions(given, OPTIONS, "a FileCheckpointStore").lockTimeoutMs ?? 10_000;
  }

  listOwnership(namespace: string, eventHub: string, consumerGroup: string, options?: StoreOptions): Promise<PartitionOwnership[]> {
    return this.#list("ownership", [namespace, eventHub, consumerGroup], ownership, options);
  }

  async claimOwnership(claims: PartitionOwnership[], options?: StoreOptions): Promise<PartitionOwnership[]> {
    const won: PartitionOwnership[] = [];
    for (const [folder, asked] of await this.#byFolder(checkedClaims(claims))) {
      const files = await this.#node();
      await this.#during("make", `${folder}/ownership`, () => files.mkdir(`${folder}/ownership`, { recursive: true }));
      await locked(files, `${folder}/ownership.lock-js`, this.#lockTimeoutMs, async () => {
        for (const claim of asked) {
          if (options?.abortSignal?.aborted) throw new EventHubsError("timeout", "claiming partitions was given up on", { retryable: true });
          try {
            const record = await this.#decide(files, folder, claim);
            if (record !== undefined) won.push(record);
          } catch (error) {
            failed({ partitionId: claim.partitionId, error: error as EventHubsError }, options);
          }
        }
      });
    }
    return won;
  }

  listCheckpoints(namespace: string, eventHub: string, consumerGroup: string, options?: StoreOptions): Promise<Checkpoint[]> {
    return this.#list("checkpoint", [namespace, eventHub, consumerGroup], checkpointOf, options);
  }

  async updateCheckpoint(given: Checkpoint, options?: StoreOptions): Promise<void> {
    const { partitionId, offset, sequenceNumber } = checked(given);
    const fields: [string, string][] = [["partition", partitionId]];
    if (offset !== "") fields.push(["offset", offset]);
    if (!Number.isNaN(sequenceNumber)) fields.push(["sequence-number", String(sequenceNumber)]);
    const folder = `${await this.#folder(given.fullyQualifiedNamespace, given.eventHubName, given.consumerGroup)}/checkpoint`;
    const files = await this.#node();
    await this.#during("make", folder, () => files.mkdir(folder, { recursive: true }));
    if (options?.abortSignal?.aborted) throw new EventHubsError("timeout", "writing a checkpoint was given up on", { retryable: true });
    // Survives the end of the machine, not only of the process.
    await this.#write(files, `${folder}/${await encoded(partitionId)}`, recordText("checkpoint", fields), true);
  }

  async #decide(files: Files, folder: string, claim: PartitionOwnership): Promise<PartitionOwnership | undefined> {
    const path = `${folder}/ownership/${await encoded(claim.partitionId)}`;
    const { record, garbage } = await this.#read(files, "ownership", `${path}.txt`, claim.partitionId, claim, ownership);
    const won = decided(claim, record ?? (garbage?.etag === undefined ? undefined : { etag: garbage.etag }));
    if (won === undefined) return undefined;
    const fields: [string, string][] = [
      ["partition", won.partitionId],
      ["owner", won.ownerId],
      ["modified", String(won.lastModifiedTimeInMs)],
      ["etag", won.etag!],
    ];
    // After a power cut all owners are gone, and a file that lost its content is claimed like any other.
    await this.#write(files, path, recordText("ownership", fields), false);
    return won;
  }

  async #list<R>(
    kind: Kind,
    group: [string, string, string],
    understand: (fields: ReadonlyMap<string, string>, where: Omit<PartitionPlace, "partitionId">) => R & { partitionId: string },
    options: StoreOptions | undefined,
  ): Promise<R[]> {
    const [fullyQualifiedNamespace, eventHubName, consumerGroup] = group;
    const folder = `${await this.#folder(...group)}/${kind}`;
    const files = await this.#node();
    const names = await this.#during("read", folder, () => files.readdir(folder));
    const records: R[] = [];
    for (const name of (names ?? []).filter((name) => name.endsWith(".txt"))) {
      const partition = decoded(name.slice(0, -4));
      try {
        const where = { fullyQualifiedNamespace, eventHubName, consumerGroup };
        const { record, garbage } = await this.#read(files, kind, `${folder}/${name}`, partition, where, understand);
        if (garbage !== undefined) failed(garbage, options);
        else if (record !== undefined) records.push(record);
      } catch (error) {
        failed({ partitionId: partition, error: error as EventHubsError }, options);
      }
    }
    return records;
  }

  async #read<R>(
    files: Files,
    kind: Kind,
    path: string,
    partitionId: string,
    where: Omit<PartitionPlace, "partitionId">,
    understand: (fields: ReadonlyMap<string, string>, where: Omit<PartitionPlace, "partitionId">) => R & { partitionId: string },
  ): Promise<Found<R>> {
    const whole = await this.#during("read", path, () => files.readFile(path));
    if (whole === undefined) return {};
    const bytes = whole.subarray(0, LONGEST_RECORD);
    try {
      const record = understand(recordFields(bytes, kind), where);
      if (!path.endsWith(`/${await encoded(record.partitionId)}.txt`)) {
        throw new Error(`it is the record of partition '${record.partitionId.slice(0, 40)}'`);
      }
      return { record };
    } catch (error) {
      const message = `the file ${path} cannot be understood: ${(error as Error).message}; repair or remove it`;
      const etag = `unreadable-${await digest(Uint8Array.from(bytes), 12)}`;
      return { garbage: { partitionId, etag, error: new EventHubsError("protocol", message, { entity: path }) } };
    }
  }

  /** Puts a file in place of another. */
  async #write(files: Files, path: string, content: string, isSynced: boolean): Promise<void> {
    const beside = `${path}.${randomName()}.new`;
    await this.#during("write", beside, async () => {
      const file = await files.open(beside, "wx");
      try {
        await file.writeFile(content);
        if (isSynced) await file.sync();
      } finally {
        await file.close();
      }
    });
    await this.#during("replace", `${path}.txt`, () => files.rename(beside, `${path}.txt`));
    if (!isSynced) return;
    try {
      const folder = await files.open(path.slice(0, path.lastIndexOf("/")), "r");
      await folder.sync().finally(() => folder.close());
    } catch {
      // Where directories cannot be synchronised, renaming is what there is.
      return;
    }
  }

  async #byFolder(claims: PartitionOwnership[]): Promise<Map<string, PartitionOwnership[]>> {
    const folders = new Map<string, PartitionOwnership[]>();
    for (const claim of claims) {
      const folder = await this.#folder(claim.fullyQualifiedNamespace, claim.eventHubName, claim.consumerGroup);
      folders.set(folder, [...(folders.get(folder) ?? []), claim]);
    }
    return folders;
  }

  async #folder(namespace: string, eventHub: string, consumerGroup: string): Promise<string> {
    const parts = await Promise.all(groupOf(namespace, eventHub, consumerGroup).map(encoded));
    return [this.#directory, ...parts].join("/");
  }

  #node(): Promise<Files> {
    this.#files ??= import("node:fs/promises" as string) as Promise<Files>;
    return this.#files;
  }

  /** What work on a path comes to; undefined when there is nothing there. */
  async #during<R>(what: string, path: string, work: () => Promise<R>): Promise<R | undefined> {
    try {
      return await work();
    } catch (error) {
      if (what === "read" && codeOf(error) === "ENOENT") return undefined;
      const message = `cannot ${what} ${path}: ${String((error as Error | undefined)?.message ?? error)}`;
      throw new EventHubsError("internal", message, { operation: what, entity: path, retryable: true, cause: error });
    }
  }
}

function ownership(fields: ReadonlyMap<string, string>, where: Omit<PartitionPlace, "partitionId">): PartitionOwnership {
  return {
    ...place({ ...where, partitionId: textOf(fields, "partition") }),
    ownerId: textOf(fields, "owner"),
    lastModifiedTimeInMs: numberOf(fields, "modified"),
    etag: textOf(fields, "etag"),
  };
}

function checkpointOf(fields: ReadonlyMap<string, string>, where: Omit<PartitionPlace, "partitionId">): Checkpoint {
  const offset = fields.get("offset") ?? "";
  const sequenceNumber = fields.has("sequence-number") ? numberOf(fields, "sequence-number") : NaN;
  if (positionBehind({ offset, sequenceNumber }) === undefined) throw new Error("it has neither an offset nor a sequence number");
  return { ...place({ ...where, partitionId: textOf(fields, "partition") }), offset, sequenceNumber };
}
