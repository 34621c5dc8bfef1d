import type { Target } from "../client.ts";

/** The emulator that served this page, as it describes itself. */
export interface Here {
  readonly host: string;
  readonly hubs: readonly { readonly name: string; readonly partitions: number; readonly consumerGroups: readonly string[] }[];
  /** `undefined` when it has keys of its own, which it does not give away. */
  readonly connectionString: string | undefined;
}

const WHERE = "$console/emulator.json";

/** Asks the server of this page whether it is an emulator. Any other server has no such file. */
export async function findEmulator(): Promise<Here | undefined> {
  try {
    const answer = await fetch(new URL(WHERE, document.baseURI), { cache: "no-store" });
    if (!answer.ok || !answer.headers.get("content-type")?.includes("json")) return undefined;
    const said = (await answer.json()) as { hubs: Here["hubs"]; keyName?: string; key?: string };
    const key = said.keyName && said.key ? `SharedAccessKeyName=${said.keyName};SharedAccessKey=${said.key};` : undefined;
    return {
      host: location.host,
      hubs: said.hubs,
      connectionString: key && `Endpoint=sb://${location.host};${key}UseDevelopmentEmulator=true;`,
    };
  } catch {
    return undefined;
  }
}

/** What to connect to for a hub of it. */
export function targetHere(here: Here, eventHub: string): Target | undefined {
  if (!here.connectionString) return undefined;
  const secure = location.protocol === "https:";
  return {
    connectionString: here.connectionString,
    eventHub,
    consumerGroup: "$Default",
    // The development flag means ws://, which a page that came over TLS may not use.
    ...(secure ? { endpoint: `wss://${location.host}` } : {}),
  };
}
