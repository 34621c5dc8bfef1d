// What a Node program has and a page has not, reached without an import that a page's bundler would stumble over.

import { EventHubsError } from "../error.js";

/** An open file. */
export interface OpenFile {
  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesRead: number }>;
  write(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesWritten: number }>;
  truncate(length: number): Promise<void>;
  datasync(): Promise<void>;
  sync(): Promise<void>;
  stat(): Promise<{ size: number }>;
  close(): Promise<void>;
}

/** What is used of `node:fs/promises`. */
export interface Files {
  open(path: string, flags: string): Promise<OpenFile>;
  mkdir(path: string, options: { recursive: true }): Promise<unknown>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  copyFile(from: string, to: string): Promise<void>;
  readFile(path: string, encoding: "utf8"): Promise<string>;
}

/** What is used of `node:v8`: values as structured clones, in bytes. */
export interface Cloner {
  serialize(value: unknown): Uint8Array;
  deserialize(bytes: Uint8Array): unknown;
}

interface Runtime {
  readonly pid: number;
  kill(pid: number, signal: 0): boolean;
  getBuiltinModule?(name: string): unknown;
}

/** This process; undefined in a page. */
export function runtime(): Runtime | undefined {
  return (globalThis as { process?: Runtime }).process;
}

/** A module of the runtime's own. */
export function builtin<T>(name: string): T {
  const module = runtime()?.getBuiltinModule?.(name);
  if (module !== undefined) return module as T;
  const message = `an outbox in a directory needs '${name}', which this runtime does not have: Node 20.16, 22.3 or newer does`;
  throw new EventHubsError("invalid-argument", message);
}
