// What may be asked of an emulator, checked before anything starts.

import { hint, invalid, text, wrong } from "../internal/check.js";

/** What an {@link Emulator} is to be. */
export interface EmulatorOptions {
  /**
   * The hubs by name: how many partitions each has, or more about it. Without this there is one hub, `eh1`, with
   * four partitions and the consumer group `cg1`, as in the sample of the official emulator.
   */
  hubs?: Record<string, number | HubOptions>;
  /** Keys besides the development key `SAS_KEY_VALUE`, which opens everything under any name: what is behind each name. */
  keys?: Record<string, EmulatorKey>;
  /** Whether any Entra ID token is taken at its word, with all rights: nobody here can verify one. Default: no. */
  acceptAnyToken?: boolean;
  /** How long events are kept, in milliseconds. Default: an hour. */
  retentionMs?: number;
  /** A partition that holds more bytes than this loses its oldest events. Default: 32 MiB. */
  retentionBytes?: number;
  /** Bytes of events in all hubs together. What would go beyond is refused with `quota-exceeded`. Default: 256 MiB. */
  maxBytes?: number;
  /** The largest publication. Default: 1 MiB. */
  maxMessageBytes?: number;
  /** Connections at one time. Default: 256. */
  maxConnections?: number;
}

/** What a hub is to be. */
export interface HubOptions {
  /** How many partitions it has, for ever. Default: 4. */
  partitions?: number;
  /** Its consumer groups besides `$Default`. */
  consumerGroups?: readonly string[];
}

/** A key and what it allows, everywhere in the namespace. */
export interface EmulatorKey {
  /** The key itself. */
  key: string;
  /** What it allows. Default: `manage`, which is everything. */
  rights?: EmulatorRight | readonly EmulatorRight[];
}

/** What a key may allow. */
export type EmulatorRight = "send" | "listen" | "manage";

/** Options with nothing left to be checked. */
export interface Settings {
  hubs: HubSettings[];
  keys: { name: string; key: string; send: boolean; listen: boolean; manage: boolean }[];
  acceptAnyToken: boolean;
  retentionMs: number | undefined;
  retentionBytes: number | undefined;
  maxBytes: number | undefined;
  maxMessageBytes: number | undefined;
  maxConnections: number | undefined;
}

export interface HubSettings {
  name: string;
  partitions: number;
  consumerGroups: string[];
}

const OPTIONS = [
  "hubs",
  "keys",
  "acceptAnyToken",
  "retentionMs",
  "retentionBytes",
  "maxBytes",
  "maxMessageBytes",
  "maxConnections",
];
const HUB_OPTIONS = ["partitions", "consumerGroups"];
const KEY_OPTIONS = ["key", "rights"];
const RIGHTS: readonly string[] = ["send", "listen", "manage"];

const DEFAULT_PARTITIONS = 4;
const DEFAULT_HUBS: Record<string, HubOptions> = { eh1: { partitions: 4, consumerGroups: ["cg1"] } };

/** A page's memory ends at 4 GiB, of which events are only a part. */
const MOST_BYTES = 2 ** 31;

export function checkOptions(options: EmulatorOptions | undefined): Settings {
  const given = record(options ?? {}, "the options of Emulator.start", OPTIONS);
  const hubs = record(given["hubs"] ?? DEFAULT_HUBS, "hubs");
  return {
    hubs: Object.entries(hubs).map(([name, hub]) => checkHub(name, hub, `hubs.${name}`)),
    keys: Object.entries(record(given["keys"] ?? {}, "keys")).map(([name, key]) => checkKey(name, key)),
    acceptAnyToken: flag(given["acceptAnyToken"], "acceptAnyToken") ?? false,
    retentionMs: count(given["retentionMs"], "retentionMs", Number.MAX_SAFE_INTEGER),
    retentionBytes: count(given["retentionBytes"], "retentionBytes", MOST_BYTES),
    maxBytes: count(given["maxBytes"], "maxBytes", MOST_BYTES),
    maxMessageBytes: count(given["maxMessageBytes"], "maxMessageBytes", 20 << 20),
    maxConnections: count(given["maxConnections"], "maxConnections", 100_000),
  };
}

export function checkHub(name: unknown, options: unknown, what: string): HubSettings {
  const partitionsAlone = typeof options === "number";
  const given = partitionsAlone ? { partitions: options } : record(options ?? {}, what, HUB_OPTIONS);
  const groups = given["consumerGroups"] ?? [];
  if (!Array.isArray(groups)) throw wrong(`${what}.consumerGroups`, "an array of names", groups);
  return {
    name: text(name, "the name of the hub"),
    partitions:
      count(given["partitions"], partitionsAlone ? what : `${what}.partitions`, 2 ** 31) ?? DEFAULT_PARTITIONS,
    consumerGroups: groups.map((group, index) => text(group, `${what}.consumerGroups[${index}]`)),
  };
}

function checkKey(name: string, options: unknown): Settings["keys"][number] {
  const what = `keys.${name}`;
  const given = record(options, what, KEY_OPTIONS);
  const rights = given["rights"] ?? "manage";
  const list: unknown[] = Array.isArray(rights) ? rights : [rights];
  for (const right of list) {
    if (typeof right !== "string") throw wrong(`${what}.rights`, "send, listen or manage, or some of them", right);
    if (!RIGHTS.includes(right)) throw invalid(`${what}.rights: there is no right '${right}'${hint(right, RIGHTS)}`);
  }
  return {
    name: text(name, "the name of a key"),
    // What is wrong with a key is said without the key.
    key: typeof given["key"] === "string" && given["key"] !== "" ? given["key"] : fail(`${what}.key must be a text`),
    send: list.includes("send"),
    listen: list.includes("listen"),
    manage: list.includes("manage"),
  };
}

function record(value: unknown, what: string, known?: readonly string[]): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong(what, "an object", value);
  for (const name of known === undefined ? [] : Object.keys(value)) {
    if (!known!.includes(name)) throw invalid(`${what} has no option '${name}'${hint(name, known!)}`);
  }
  return value as Record<string, unknown>;
}

function flag(value: unknown, what: string): boolean | undefined {
  if (value !== undefined && typeof value !== "boolean") throw wrong(what, "true or false", value);
  return value;
}

function count(value: unknown, what: string, most: number): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== "number" || !Number.isInteger(value) || value < 1 || value > most) {
    throw wrong(what, `a whole number from 1 to ${most}`, value);
  }
  return value;
}

function fail(message: string): never {
  throw invalid(message);
}
