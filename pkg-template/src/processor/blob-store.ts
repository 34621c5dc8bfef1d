import { EventHubsError } from "../error.js";
import { atLeastOne, millis, options as checkedOptions, type Rule } from "../internal/check.js";
import type { RetryOptions, TokenCredential, TokenProvider } from "../options.js";
import { type Answered, type Call, Caller, type Limits } from "./blob/call.js";
import { type Access, connected, type Container, entrusted, named, signed } from "./blob/container.js";
import { httpTime, type Item, page, unquoted } from "./blob/listing.js";
import { checkpointHeaders, checkpointOf, type Kind, nameOf, OWNER, ownerHeaders, ownershipOf, prefixOf, SEQUENCE_NUMBER } from "./blob/records.js";
import { Versions, type Version } from "./blob/versions.js";
import { type Checkpoint, type CheckpointStore, hasNumber, type PartitionOwnership, type PartitionPlace, type RecordFailure, type StoreOptions } from "./checkpoint.js";
import { checkedClaims, failed, groupOf, keyOf, place } from "./rules.js";

/** How a store in Azure Blob Storage is used. */
export interface BlobOptions {
  /** Default: 4 attempts of 10 s, 30 s over all. */
  retry?: RetryOptions | undefined;
  /**
   * Also reads checkpoints whose blobs are named in the case that is given here, as clients write that do not fold names (Java's, the official
   * one for Rust up to 0.9). Of two checkpoints of a partition the one that is further on counts; what is written is in lower case.
   */
  readNamesInOtherCases?: boolean | undefined;
  /** Default: the global one. */
  fetch?: typeof globalThis.fetch | undefined;
}

/** So many claims are on their way at the same time. */
const AT_ONCE = 16;
/** As many blobs a page as storage gives. */
const PAGE = 5000;
/** How often a checkpoint is tried in place of a version that somebody else has just written. */
const WRITES = 4;
const OPTIONS: Record<string, Rule> = { retry: "object", readNamesInOtherCases: "boolean", fetch: "function" };
const RETRY: Record<string, Rule> = {
  maxAttempts: atLeastOne,
  baseDelayMs: millis,
  maxDelayMs: millis,
  jitter: "number",
  attemptTimeoutMs: millis,
  totalDeadlineMs: millis,
};
const RETRIES = { maxAttempts: 4, baseDelayMs: 250, maxDelayMs: 5000, jitter: 0.2, attemptTimeoutMs: 10_000, totalDeadlineMs: 30_000 };

/**
 * Keeps everything in a container of Azure Blob Storage, to the letter as the official clients of all languages do: their members can share
 * a group, and a checkpoint of one is continued by another. Uses `fetch` alone.
 *
 * In a page, the storage account has to allow it (CORS): the page's origin, the methods GET, HEAD and PUT, all headers, and all headers of
 * answers exposed.
 */
export class BlobCheckpointStore implements CheckpointStore {
  readonly #caller: Caller;
  readonly #readsOtherCases: boolean;
  readonly #versions = new Versions();

  private constructor({ container, access }: { container: Container; access: Access }, given: BlobOptions | undefined) {
    const { retry, readNamesInOtherCases = false, fetch } = checkedOptions(given, OPTIONS, "a BlobCheckpointStore");
    const asked = Object.entries(checkedOptions(retry, RETRY, "retry")).filter(([, value]) => value !== undefined);
    this.#caller = new Caller(container, access, { ...RETRIES, ...Object.fromEntries(asked) }, fetch);
    this.#readsOtherCases = readNamesInOtherCases;
  }

  /**
   * A store in the container that a signed URL opens, such as `https://contoso.blob.core.windows.net/checkpoints?sv=…&sig=…`. The signature
   * has to allow reading, writing and listing (`sp=rwl`).
   *
   * @throws EventHubsError `invalid-argument`; the message never holds the signature.
   */
  static fromSasUrl(url: string | URL, options?: BlobOptions): BlobCheckpointStore {
    return new BlobCheckpointStore(signed(url), options);
  }

  /**
   * A store in a container of the account that a connection string names: with a key, with a signature, or `UseDevelopmentStorage=true` for
   * Azurite on this machine. An account's key belongs in no page.
   *
   * @throws EventHubsError `invalid-connection-string`; the message never holds the key.
   */
  static fromConnectionString(connectionString: string, container: string, options?: BlobOptions): BlobCheckpointStore {
    return new BlobCheckpointStore(connected(connectionString, container), options);
  }

  /**
   * A store in the container at a URL such as `https://contoso.blob.core.windows.net/checkpoints`, opened by tokens of Microsoft Entra ID. The
   * role that is needed is "Storage Blob Data Contributor".
   *
   * @throws EventHubsError `invalid-argument`
   */
  static fromTokenCredential(url: string | URL, credential: TokenCredential | TokenProvider, options?: BlobOptions): BlobCheckpointStore {
    return new BlobCheckpointStore(entrusted(url, credential), options);
  }

  /**
   * Makes the container, unless it is there.
   *
   * @throws EventHubsError
   */
  async createContainer(): Promise<void> {
    const call: Call = { method: "PUT", query: [["restype", "container"]], expected: ["ContainerAlreadyExists"] };
    await this.#caller.call(call, this.#caller.limits(undefined));
  }

  async listOwnership(namespace: string, eventHub: string, consumerGroup: string, options?: StoreOptions): Promise<PartitionOwnership[]> {
    return this.#records("ownership", [namespace, eventHub, consumerGroup], true, ownershipOf, options);
  }

  async claimOwnership(claims: PartitionOwnership[], options?: StoreOptions): Promise<PartitionOwnership[]> {
    const limits = this.#caller.limits(options);
    const won: PartitionOwnership[] = [];
    const failures: RecordFailure[] = [];
    const left = checkedClaims(claims).values();
    const work = async (): Promise<void> => {
      for (const claim of left) {
        try {
          const record = await this.#claim(claim, limits);
          if (record !== undefined) won.push(record);
        } catch (error) {
          failures.push({ partitionId: claim.partitionId, error: error as EventHubsError });
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    if (failures.length > 0 && failures.length === claims.length) throw failures[0]!.error;
    for (const failure of failures) failed(failure, options);
    return won;
  }

  async listCheckpoints(namespace: string, eventHub: string, consumerGroup: string, options?: StoreOptions): Promise<Checkpoint[]> {
    const group = [namespace, eventHub, consumerGroup] as const;
    const all = await this.#records("checkpoint", group, true, checkpointOf, options, (prefix, items) => this.#versions.listed(prefix, items));
    if (!this.#readsOtherCases || group.join() === groupOf(...group).join()) return all;
    const merged = new Map(all.map((checkpoint) => [checkpoint.partitionId, checkpoint]));
    for (const other of await this.#records("checkpoint", group, false, checkpointOf, options)) {
      const known = merged.get(other.partitionId);
      if (known === undefined || (hasNumber(known) && hasNumber(other) && known.sequenceNumber < other.sequenceNumber)) merged.set(other.partitionId, other);
    }
    return [...merged.values()];
  }

  async updateCheckpoint(checkpoint: Checkpoint, options?: StoreOptions): Promise<void> {
    const limits = this.#caller.limits(options);
    const [headers, blob] = [checkpointHeaders(checkpoint), nameOf("checkpoint", keyOf(checkpoint))];
    let known = this.#versions.of(blob);
    for (let writes = 0; writes < WRITES; writes++) {
      const { code, headers: answer } = await this.#caller.call(writeCall(blob, headers, known), limits);
      if (code === undefined) {
        this.#versions.note(blob, answer.get("etag"));
        return;
      }
      const found = code === "BlobNotFound" ? undefined : await this.#look(blob, limits);
      // What is known stays known: who writes nothing must not put the next one in place of it.
      if (found !== undefined && hasNumber(checkpoint) && checkpoint.sequenceNumber < found.sequenceNumber) return;
      known = found?.etag ?? null;
    }
    throw new EventHubsError("server-busy", `others wrote the checkpoint of partition '${checkpoint.partitionId}' each time`, { retryable: true });
  }

  /** The version of a checkpoint's blob and the sequence number in it (`NaN` when there is none to be understood), if there is one. */
  async #look(blob: string, limits: Limits): Promise<{ etag: string; sequenceNumber: number } | undefined> {
    const answered = await this.#caller.call({ method: "HEAD", blob, expected: ["BlobNotFound"] }, limits);
    if (answered.code !== undefined) return undefined;
    const text = answered.headers.get(SEQUENCE_NUMBER)?.trim() ?? "";
    return { etag: this.#etag(answered), sequenceNumber: text === "" ? NaN : Number(text) };
  }

  async #claim(claim: PartitionOwnership, limits: Limits): Promise<PartitionOwnership | undefined> {
    const [owner, blob] = [ownerHeaders(claim), nameOf("ownership", keyOf(claim))];
    let call: Call;
    if (claim.etag !== undefined) {
      // Storage never named a version otherwise: it is not that of any record.
      if (!/^[!-~]+$/.test(claim.etag)) return undefined;
      const headers = { ...owner, "if-match": `"${unquoted(claim.etag)}"` };
      call = { method: "PUT", blob, query: [["comp", "metadata"]], headers, expected: ["ConditionNotMet", "BlobNotFound"] };
    } else {
      const headers = { ...owner, "if-none-match": "*", "x-ms-blob-type": "BlockBlob" };
      call = { method: "PUT", blob, headers, expected: ["BlobAlreadyExists", "ConditionNotMet"] };
    }
    const answered = await this.#caller.call(call, limits);
    if (answered.code === undefined) return this.#version(claim, answered);
    return answered.mayBeSecond ? this.#isOursAlready(claim, blob, limits) : undefined;
  }

  /** Whether a claim that looks lost was won by an attempt whose answer never came. */
  async #isOursAlready(claim: PartitionOwnership, blob: string, limits: Limits): Promise<PartitionOwnership | undefined> {
    const answered = await this.#caller.call({ method: "HEAD", blob, expected: ["BlobNotFound"] }, limits);
    if (answered.code !== undefined || (answered.headers.get(OWNER) ?? "") !== claim.ownerId) return undefined;
    const record = this.#version(claim, answered);
    return record.etag === (claim.etag && unquoted(claim.etag)) ? undefined : record;
  }

  /** What was claimed, with the version that storage gave it. */
  #version(claim: PartitionOwnership, answered: Answered): PartitionOwnership {
    const time = httpTime(answered.headers.get("last-modified"));
    return { ...place(claim), ownerId: claim.ownerId, etag: this.#etag(answered), ...(time !== undefined && { lastModifiedTimeInMs: time }) };
  }

  #etag({ headers }: Answered): string {
    const etag = headers.get("etag");
    if (etag !== null) return unquoted(etag);
    throw this.#wrong("answered without an etag; in a page, its CORS rules have to expose all headers");
  }

  async #records<R extends PartitionPlace>(
    kind: Kind,
    group: readonly [string, string, string],
    isFolded: boolean,
    read: (item: Item, where: PartitionPlace) => R | RecordFailure,
    options: StoreOptions | undefined,
    seen: (prefix: string, items: readonly Item[]) => void = () => undefined,
  ): Promise<R[]> {
    const prefix = prefixOf(kind, isFolded ? groupOf(...group) : group);
    const [fullyQualifiedNamespace, eventHubName, consumerGroup] = group;
    const records: R[] = [];
    const listed = await this.#list(prefix, this.#caller.limits(options));
    seen(prefix, listed.map(([item]) => item));
    for (const [item, partitionId] of listed) {
      const record = read(item, { fullyQualifiedNamespace, eventHubName, consumerGroup, partitionId });
      if ("error" in record) failed(record, options);
      else records.push(record);
    }
    return records;
  }

  /** The blobs whose names begin so, with the partitions that they are for. */
  async #list(prefix: string, limits: Limits): Promise<[Item, string][]> {
    const items: [Item, string][] = [];
    const query: [string, string][] = [
      ["restype", "container"],
      ["comp", "list"],
      ["prefix", prefix],
      ["include", "metadata"],
      ["maxresults", String(PAGE)],
    ];
    for (let marker: string | undefined; ; ) {
      const { body } = await this.#caller.call({ method: "GET", query: marker === undefined ? query : [...query, ["marker", marker]] }, limits);
      const { items: listed, next } = this.#page(body);
      for (const item of listed) {
        // Accounts with a hierarchy list directories among blobs, and what lies deeper is not a group's.
        const partition = item.name.startsWith(prefix) ? item.name.slice(prefix.length) : "";
        if (partition === "" || partition.includes("/") || item.metadata.get("hdi_isfolder")?.toLowerCase() === "true") continue;
        items.push([item, partition]);
      }
      if (next === undefined) return items;
      if (next === marker) throw this.#wrong("names the same next page for ever");
      marker = next;
    }
  }

  #page(body: string): ReturnType<typeof page> {
    try {
      return page(body);
    } catch (error) {
      throw this.#wrong(`answered with what is no listing: ${(error as Error).message}`);
    }
  }

  #wrong(why: string): EventHubsError {
    return new EventHubsError("protocol", `the storage at ${named(this.#caller.container)} ${why}`);
  }
}

/** Writes a checkpoint in place of what is known to be there. */
function writeCall(blob: string, headers: Record<string, string>, known: Version): Call {
  const call = { method: "PUT", blob, expected: ["BlobNotFound", "ConditionNotMet", "BlobAlreadyExists"] } as const;
  if (known === null) return { ...call, headers: { ...headers, "if-none-match": "*", "x-ms-blob-type": "BlockBlob" } };
  // Changing what is there costs less than replacing it where storage keeps old versions.
  const query = [["comp", "metadata"]] as const;
  return { ...call, query, headers: known === undefined ? headers : { ...headers, "if-match": `"${known}"` } };
}
