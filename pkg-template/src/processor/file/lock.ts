// One change at a time in a directory, among processes: a file that says who is at it. Node has no locks of the system.

import { EventHubsError } from "../../error.js";
import { pause } from "../../internal/pause.js";
import { randomName } from "../../internal/random-name.js";
import { now } from "../../internal/tasks.js";

/** What is used of `node:fs/promises`. Its types are not asked for: pages have none of Node. */
export interface Files {
  mkdir(path: string, options: { recursive: true }): Promise<unknown>;
  readdir(path: string): Promise<string[]>;
  readFile(path: string): Promise<Uint8Array<ArrayBuffer>>;
  writeFile(path: string, text: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  link(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  open(path: string, how: string): Promise<{ writeFile(text: string): Promise<void>; sync(): Promise<void>; close(): Promise<void> }>;
}

/** Who waits for whom in this thread: the same lock is asked for once. */
const turns = new Map<string, Promise<unknown>>();

/** Does `work` while nobody else holds the lock. */
export function locked<R>(files: Files, path: string, timeoutMs: number, work: () => Promise<R>): Promise<R> {
  const before = turns.get(path) ?? Promise.resolve();
  const done = before.then(async () => {
    const release = await acquired(files, path, timeoutMs);
    try {
      return await work();
    } finally {
      await release();
    }
  });
  const turn: Promise<unknown> = done.catch(() => undefined).then(() => turns.get(path) === turn && turns.delete(path));
  turns.set(path, turn);
  return done;
}

async function acquired(files: Files, path: string, timeoutMs: number): Promise<() => Promise<void>> {
  const { hostname }: { hostname(): string } = await import("node:os" as string);
  const { pid } = (globalThis as unknown as { process: { pid: number } }).process;
  const mine = `${path}-${randomName()}`;
  // Linked when it says who it is: a lock is never half written.
  await files.writeFile(mine, `${pid} ${hostname()}`);
  try {
    const deadline = now() + timeoutMs;
    for (let wait = 1; ; wait = Math.min(wait * 2, 20)) {
      try {
        await files.link(mine, path);
        return () => removed(files, path);
      } catch (error) {
        if (codeOf(error) !== "EEXIST") throw error;
      }
      const holder = await said(files, path);
      if (holder !== undefined && isGone(holder, hostname())) await broken(files, path, holder, mine);
      else if (now() >= deadline) throw overdue(path, holder, timeoutMs);
      else await pause(wait);
    }
  } finally {
    await removed(files, mine);
  }
}

/** Takes the lock of a process that is no more out of the way. */
async function broken(files: Files, path: string, holder: string, mine: string): Promise<void> {
  const aside = `${mine}-broken`;
  try {
    await files.rename(path, aside);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return;
    throw error;
  }
  // Somebody else was quicker, and this is the lock of a living process: it gets it back.
  if ((await said(files, aside)) !== holder) await files.link(aside, path).catch(() => undefined);
  await removed(files, aside);
}

async function said(files: Files, path: string): Promise<string | undefined> {
  try {
    return new TextDecoder().decode(await files.readFile(path));
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Whether the process that holds a lock is no more. Of other machines nobody knows. */
function isGone(holder: string, here: string): boolean {
  const [pid, host] = holder.split(" ");
  if (host !== here || !/^\d+$/.test(pid ?? "")) return false;
  try {
    (globalThis as unknown as { process: { kill(pid: number, signal: number): void } }).process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    return codeOf(error) === "ESRCH";
  }
}

async function removed(files: Files, path: string): Promise<void> {
  try {
    await files.unlink(path);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
  }
}

export function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | undefined)?.code;
}

function overdue(path: string, holder: string | undefined, timeoutMs: number): EventHubsError {
  const [pid, host] = (holder ?? "").split(" ");
  const who = holder === undefined ? "another process" : `the process ${pid} on ${host}`;
  const message = `${who} has held the lock ${path} for ${timeoutMs / 1000} s; it may be stopped, or remove the file if it is gone`;
  return new EventHubsError("timeout", message, { retryable: true });
}
