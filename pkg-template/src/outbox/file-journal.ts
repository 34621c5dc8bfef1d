import { EventHubsError } from "../error.js";
import { builtin, type Cloner, type Files, type OpenFile, runtime } from "./files.js";
import { costOf, type Identity, type Journal, type Kept, type KeptBatch, type Letter, type Limits, takenBack, type Totals } from "./journal.js";

/** The locks that this process holds, whichever copy of this module took them. */
const HELD = ((globalThis as Record<symbol, unknown>)[Symbol.for("eventhubs.outboxes")] ??= new Set<string>()) as Set<string>;

/** A change, as it stands in the journal. */
type Change =
  | { is: "keep"; events: Kept[] }
  | { is: "identity"; identity: Identity }
  | { is: "begin"; batch: KeptBatch; identity: Identity | undefined }
  | { is: "done"; batch: KeptBatch }
  | { is: "dissolve"; batch: KeptBatch; alone: boolean }
  | { is: "bury"; letter: Letter; most: number }
  | { is: "forget"; ids: readonly number[] }
  | { is: "all"; state: State };

interface State {
  last: number;
  droppedLetters: number;
  events: Kept[];
  batches: KeptBatch[];
  identities: Identity[];
  letters: Letter[];
}

/** In front of each record, with its length and checksum behind it. */
const MARK = 0xff626fe5;
const HEAD = 12;
/** The journal is rewritten when it has more bytes than twice what is needed, and this. */
const LEAST_GARBAGE = 4 * 1024 * 1024;

/**
 * Keeps what waits in a directory: `journal`, which grows at its end and is rewritten when most of it is about events that are gone, and `lock`,
 * which names the process that owns it. What is known is what the journal says, one record after the other, and nothing else.
 */
export class FileJournal implements Journal {
  readonly place: string;
  readonly #files = builtin<Files>("node:fs/promises");
  readonly #cloner = builtin<Cloner>("node:v8");
  readonly #isSynchronised: boolean;
  #file: OpenFile | undefined;
  #length = 0;
  #hasRest = false;
  #queue: { change: Change; isUrgent: boolean; resolve: () => void; reject: (error: unknown) => void }[] = [];
  #writing: Promise<void> | undefined;
  readonly #events = new Map<number, Kept>();
  readonly #batches = new Map<string, KeptBatch>();
  readonly #identities = new Map<string, Identity>();
  #letters: Letter[] = [];
  #droppedLetters = 0;
  #last = 0;
  #bytes = 0;
  /** Events on their way into the journal. */
  #coming = { events: 0, bytes: 0 };
  #given = 0;

  private constructor(place: string, isSynchronised: boolean) {
    this.place = place;
    this.#isSynchronised = isSynchronised;
  }

  /** Takes possession of a directory, which is made if need be, and reads what is there. */
  static async open(directory: string, isSynchronised: boolean): Promise<FileJournal> {
    const journal = new FileJournal(directory, isSynchronised);
    try {
      await journal.#files.mkdir(directory, { recursive: true });
      await journal.#possess();
      await journal.#load();
    } catch (error) {
      throw journal.#broken("open", error);
    }
    return journal;
  }

  async append(events: readonly Omit<Kept, "id">[], limits: Limits): Promise<boolean> {
    const bytes = events.reduce((sum, event) => sum + costOf(event), 0);
    const { events: count, bytes: coming } = this.#coming;
    if (this.#events.size + count + events.length > limits.maxEvents || this.#bytes + coming + bytes > limits.maxBytes) return false;
    this.#given = Math.max(this.#given, this.#last);
    // Its bytes are the caller's, who may change them as soon as this is called.
    const kept = events.map((event) => ({ ...event, body: event.body.slice(), id: (this.#given += 1) }));
    this.#coming = { events: count + events.length, bytes: coming + bytes };
    try {
      await this.#change({ is: "keep", events: kept }, this.#isSynchronised);
    } finally {
      this.#coming = { events: this.#coming.events - events.length, bytes: this.#coming.bytes - bytes };
    }
    return true;
  }

  async totals(): Promise<Totals> {
    return { events: this.#events.size, bytes: this.#bytes, letters: this.#letters.length, droppedLetters: this.#droppedLetters };
  }

  async ends(): Promise<{ oldest: Kept | undefined; last: number }> {
    const [oldest] = this.#events.values();
    return { oldest, last: this.#last };
  }

  async letters(): Promise<Letter[]> {
    return [...this.#letters];
  }

  removeLetters(ids: readonly number[]): Promise<void> {
    return this.#change({ is: "forget", ids }, true);
  }

  async batches(): Promise<KeptBatch[]> {
    return [...this.#batches.values()];
  }

  async read(after: number, limit: number): Promise<Kept[]> {
    const found: Kept[] = [];
    for (const event of this.#events.values()) {
      if (event.id > after) found.push(event);
      if (found.length === limit) break;
    }
    return found;
  }

  async get(ids: readonly number[]): Promise<Kept[]> {
    return ids.map((id) => this.#events.get(id)).filter((event) => event !== undefined);
  }

  async identity(partition: string): Promise<Identity | undefined> {
    return this.#identities.get(partition);
  }

  setIdentity(identity: Identity): Promise<void> {
    return this.#change({ is: "identity", identity }, true);
  }

  begin(batch: KeptBatch, identity: Identity | undefined): Promise<void> {
    return this.#change({ is: "begin", batch, identity }, true);
  }

  done(batch: KeptBatch): Promise<void> {
    // Whether it outlives a power cut makes no difference: the service swallows what it has.
    return this.#change({ is: "done", batch }, false);
  }

  dissolve(batch: KeptBatch, alone: boolean): Promise<void> {
    return this.#change({ is: "dissolve", batch, alone }, true);
  }

  bury(letter: Letter, most: number): Promise<void> {
    return this.#change({ is: "bury", letter, most }, true);
  }

  async close(): Promise<void> {
    await this.#writing;
    const file = this.#file;
    if (file === undefined) return;
    this.#file = undefined;
    await file.close();
    await this.#files.unlink(`${this.place}/lock`).catch(() => undefined);
    HELD.delete(`${this.place}/lock`);
  }

  /** Ready when it is written. Everything that came while something else was written goes with one write. */
  #change(change: Change, isUrgent: boolean): Promise<void> {
    if (this.#file === undefined) return Promise.reject(new EventHubsError("closed", "the outbox was closed"));
    return new Promise((resolve, reject) => {
      this.#queue.push({ change, isUrgent, resolve, reject });
      this.#writing ??= this.#write().finally(() => (this.#writing = undefined));
    });
  }

  async #write(): Promise<void> {
    while (this.#queue.length > 0) {
      const group = this.#queue.splice(0);
      try {
        await this.#put(group.map(({ change }) => this.#record(change)), group.some(({ isUrgent }) => isUrgent));
        for (const { change, resolve } of group) {
          this.#apply(change);
          resolve();
        }
      } catch (error) {
        const broken = this.#broken("write", error);
        for (const { reject } of group) reject(broken);
      }
      if (this.#length > 2 * this.#bytes + LEAST_GARBAGE) await this.#rewrite().catch(() => undefined);
    }
  }

  async #put(records: readonly Uint8Array[], isUrgent: boolean): Promise<void> {
    const file = this.#file;
    if (file === undefined) throw new EventHubsError("closed", "the outbox was closed");
    const bytes = joined(records);
    if (this.#hasRest) {
      await file.truncate(this.#length);
      this.#hasRest = false;
    }
    // How much of it is there when this fails, nobody knows. It must not be found later.
    this.#hasRest = true;
    await writeAll(file, bytes, this.#length);
    if (isUrgent) await file.datasync();
    this.#hasRest = false;
    this.#length += bytes.byteLength;
  }

  async #rewrite(): Promise<void> {
    const state = {
      last: this.#last,
      droppedLetters: this.#droppedLetters,
      events: [...this.#events.values()],
      batches: [...this.#batches.values()],
      identities: [...this.#identities.values()],
      letters: this.#letters,
    };
    const bytes = this.#record({ is: "all", state });
    const beside = `${this.place}/journal.new`;
    const file = await this.#files.open(beside, "w+");
    try {
      await writeAll(file, bytes, 0);
      await file.sync();
      await this.#files.rename(beside, `${this.place}/journal`);
      await this.#syncNames();
    } catch (error) {
      await file.close();
      throw error;
    }
    const old = this.#file;
    this.#file = file;
    this.#length = bytes.byteLength;
    await old?.close();
  }

  /** What the directory says outlives a power cut. Where directories cannot be synchronised, renaming is what there is. */
  async #syncNames(): Promise<void> {
    const directory = await this.#files.open(this.place, "r").catch(() => undefined);
    await directory?.sync().catch(() => undefined);
    await directory?.close().catch(() => undefined);
  }

  #record(change: Change): Uint8Array {
    const content = this.#cloner.serialize(change);
    const head = new DataView(new ArrayBuffer(HEAD));
    head.setUint32(0, MARK, true);
    head.setUint32(4, content.byteLength, true);
    head.setUint32(8, crc32(content), true);
    return joined([new Uint8Array(head.buffer), content]);
  }

  #apply(change: Change): void {
    switch (change.is) {
      case "keep":
        for (const event of change.events) this.#add(event);
        break;
      case "identity":
        this.#identities.set(change.identity.partition, change.identity);
        break;
      case "begin":
        this.#batches.set(change.batch.partition, change.batch);
        if (change.identity !== undefined) this.#identities.set(change.identity.partition, change.identity);
        break;
      case "done":
        this.#batches.delete(change.batch.partition);
        for (const id of change.batch.events) this.#remove(id);
        break;
      case "dissolve": {
        this.#batches.delete(change.batch.partition);
        const identity = takenBack(this.#identities.get(change.batch.partition), change.batch);
        if (identity !== undefined) this.#identities.set(identity.partition, identity);
        for (const id of change.alone ? change.batch.events : []) {
          const event = this.#events.get(id);
          if (event !== undefined) this.#events.set(id, { ...event, alone: true });
        }
        break;
      }
      case "bury": {
        this.#remove(change.letter.event.id);
        this.#letters.push(change.letter);
        const tooMany = Math.max(0, this.#letters.length - change.most);
        this.#letters.splice(0, tooMany);
        this.#droppedLetters += tooMany;
        break;
      }
      case "forget":
        this.#letters = this.#letters.filter(({ event }) => !change.ids.includes(event.id));
        break;
      case "all":
        for (const map of [this.#events, this.#batches, this.#identities]) map.clear();
        this.#bytes = 0;
        for (const event of change.state.events) this.#add(event);
        for (const batch of change.state.batches) this.#batches.set(batch.partition, batch);
        for (const identity of change.state.identities) this.#identities.set(identity.partition, identity);
        this.#letters = [...change.state.letters];
        this.#droppedLetters = change.state.droppedLetters;
        this.#last = Math.max(this.#last, change.state.last);
    }
  }

  #add(event: Kept): void {
    this.#events.set(event.id, event);
    this.#bytes += costOf(event);
    this.#last = Math.max(this.#last, event.id);
  }

  #remove(id: number): void {
    const event = this.#events.get(id);
    if (event === undefined) return;
    this.#events.delete(id);
    this.#bytes -= costOf(event);
  }

  /** One process owns the directory at a time. A lock whose process is gone is nobody's. */
  async #possess(): Promise<void> {
    const path = `${this.place}/lock`;
    const process = runtime();
    for (let attempt = 0; attempt < 5; attempt += 1) {
      try {
        const lock = await this.#files.open(path, "wx");
        await writeAll(lock, new TextEncoder().encode(String(process?.pid)), 0);
        await lock.close();
        HELD.add(path);
        return;
      } catch (error) {
        if ((error as { code?: string }).code !== "EEXIST") throw error;
      }
      const owner = Number(await this.#files.readFile(path, "utf8").catch(() => ""));
      // In a container every process may have the same number: one of this number that does not hold it here is another, and gone.
      const isMine = owner === process?.pid;
      if (isMine ? HELD.has(path) : owner > 0 && lives(owner)) {
        const message = `the outbox in ${this.place} is in use by process ${owner}; one process owns an outbox at a time: give each its own directory (or, if that process is another program that got its number, remove ${path})`;
        throw new EventHubsError("invalid-argument", message, { retryable: true });
      }
      await this.#files.unlink(path).catch(() => undefined);
    }
    throw new EventHubsError("invalid-argument", `${path} is made and removed by others all the time`, { retryable: true });
  }

  async #load(): Promise<void> {
    const path = `${this.place}/journal`;
    // Made when it is missing, and never emptied.
    await (await this.#files.open(path, "a")).close();
    await this.#syncNames();
    const file = await this.#files.open(path, "r+");
    this.#file = file;
    const bytes = await readAll(file);
    const { records, end, isDamaged } = found(bytes);
    for (const content of records) {
      const change = this.#understood(content);
      if (change !== undefined) this.#apply(change);
    }
    this.#length = end;
    this.#hasRest = end < bytes.byteLength;
    if (!isDamaged && !this.#hasRest) return;
    if (isDamaged) {
      // The news that numbers were used may be among what is missing.
      this.#batches.clear();
      this.#identities.clear();
      await this.#files.copyFile(path, `${this.place}/damaged-${Date.now()}`);
    }
    await this.#rewrite();
    this.#hasRest = false;
  }

  #understood(content: Uint8Array): Change | undefined {
    try {
      return this.#cloner.deserialize(content) as Change;
    } catch {
      return undefined;
    }
  }

  #broken(what: string, error: unknown): EventHubsError {
    if (error instanceof EventHubsError) return error;
    const { code, message } = error as { code?: string; message?: string };
    const kind = code === "ENOSPC" ? "quota-exceeded" : code === "EACCES" || code === "EROFS" ? "unauthorized" : "internal";
    const text = `cannot ${what} the outbox in ${this.place}: ${message}`;
    return new EventHubsError(kind, text, { operation: what, entity: this.place, retryable: kind !== "unauthorized", cause: error });
  }
}

/** The contents of whole records, wherever they are. */
function found(bytes: Uint8Array): { records: Uint8Array[]; end: number; isDamaged: boolean } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const records: Uint8Array[] = [];
  let [at, end, isDamaged] = [0, 0, false];
  while (at + HEAD <= bytes.byteLength) {
    const behind = at + HEAD + view.getUint32(at + 4, true);
    const content = bytes.subarray(at + HEAD, behind);
    const isWhole = view.getUint32(at, true) === MARK && behind <= bytes.byteLength && crc32(content) === view.getUint32(at + 8, true);
    if (!isWhole) {
      at += 1;
      continue;
    }
    isDamaged ||= at > end;
    records.push(content);
    [at, end] = [behind, behind];
  }
  return { records, end, isDamaged };
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.byteLength;
  }
  return bytes;
}

async function writeAll(file: OpenFile, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.byteLength; ) {
    at += (await file.write(bytes, at, bytes.byteLength - at, position + at)).bytesWritten;
  }
}

async function readAll(file: OpenFile): Promise<Uint8Array> {
  const bytes = new Uint8Array((await file.stat()).size);
  let at = 0;
  while (at < bytes.byteLength) {
    const { bytesRead } = await file.read(bytes, at, bytes.byteLength - at, at);
    if (bytesRead === 0) break;
    at += bytesRead;
  }
  return bytes.subarray(0, at);
}

function lives(pid: number): boolean {
  try {
    return runtime()?.kill(pid, 0) ?? false;
  } catch (error) {
    return (error as { code?: string }).code === "EPERM";
  }
}

const TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let crc = index;
  for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? 0xedb88320 ^ (crc >>> 1) : crc >>> 1;
  return crc;
});

/** CRC-32 as in zip. */
function crc32(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}
