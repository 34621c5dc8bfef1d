/** What the console remembers in this browser. The key is not part of it: it has an entry of its own, made on request. */
export interface Settings {
  theme: "system" | "light" | "dark";
  /** The connection string last used, without its key. */
  connection: string;
  eventHub: string;
  consumerGroup: string;
  partition: string;
  position: "latest" | "recent" | "earliest" | "sequence" | "offset" | "time";
  bodyFormat: "auto" | "json" | "text" | "hex";
  /** How many events the list holds before it lets go of the oldest. */
  listLimit: number;
  composer: {
    contentType: string;
    route: "any" | "key" | "partition";
    batch: number;
    rate: number;
  };
}

export const DEFAULTS: Settings = {
  theme: "system",
  connection: "",
  eventHub: "",
  consumerGroup: "$Default",
  partition: "all",
  position: "latest",
  bodyFormat: "auto",
  listLimit: 100_000,
  composer: { contentType: "application/json", route: "any", batch: 1, rate: 10 },
};

const SETTINGS = "eventhubs.console.settings";
/** The only place where a key is ever written, and only when asked for. */
const SECRET = "eventhubs.console.connection-string";

/** What was remembered, with defaults for the rest. A browser that keeps nothing, or nonsense, gives the defaults. */
export function loadSettings(storage: Storage | undefined): Settings {
  try {
    const stored = JSON.parse(storage?.getItem(SETTINGS) ?? "{}") as Partial<Settings>;
    return merge(DEFAULTS, stored);
  } catch {
    return structuredClone(DEFAULTS);
  }
}

export function saveSettings(storage: Storage | undefined, settings: Settings): void {
  attempt(() => storage?.setItem(SETTINGS, JSON.stringify(settings)));
}

/** The connection string with its key, if it was to be kept. */
export function loadSecret(storage: Storage | undefined): string | undefined {
  return attempt(() => storage?.getItem(SECRET)) ?? undefined;
}

export function keepSecret(storage: Storage | undefined, connectionString: string): void {
  attempt(() => storage?.setItem(SECRET, connectionString));
}

export function forgetSecret(storage: Storage | undefined): void {
  attempt(() => storage?.removeItem(SECRET));
}

/** The browser's storage, where it lets pages have one. */
export function browserStorage(): Storage | undefined {
  return attempt(() => globalThis.localStorage);
}

/** Takes from `stored` what has the type that `defaults` has: an older or a foreign entry does no harm. */
function merge<T extends object>(defaults: T, stored: Partial<T>): T {
  const merged = structuredClone(defaults);
  for (const key of Object.keys(defaults) as (keyof T)[]) {
    const value = stored[key];
    const known = defaults[key];
    if (typeof value !== typeof known || value === null || value === undefined) continue;
    merged[key] = typeof known === "object" ? (merge(known as object, value as object) as T[keyof T]) : value;
  }
  return merged;
}

/** Storage can be full, or forbidden. Neither is a reason to stop. */
function attempt<T>(use: () => T): T | undefined {
  try {
    return use();
  } catch {
    return undefined;
  }
}
