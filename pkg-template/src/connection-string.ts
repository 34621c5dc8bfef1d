import { EventHubsError } from "./error.js";

/** A connection string, taken apart. */
export interface ConnectionStringParts {
  /** The namespace's host, with its port where one is given. */
  readonly namespace: string;
  /** The event hub (`EntityPath`). */
  readonly eventHub: string | undefined;
  readonly sharedAccessKeyName: string | undefined;
  readonly sharedAccessKey: string | undefined;
  readonly sharedAccessSignature: string | undefined;
  /** Whether it leads to an emulator, which has no TLS. */
  readonly useDevelopmentEmulator: boolean;
}

/**
 * Takes a connection string apart: names in any case and order, values with `=` in them. The engine, which does the same when it connects,
 * has the last word about what is valid.
 *
 * @throws EventHubsError `invalid-connection-string`, naming the part that is missing; never the key.
 */
export function parseConnectionString(text: string): ConnectionStringParts {
  const fail = (why: string): EventHubsError =>
    new EventHubsError("invalid-connection-string", `the connection string ${why}`, { operation: "make a client" });
  if (typeof text !== "string" || text.trim() === "") throw fail("is empty");
  const parts = new Map<string, string>();
  for (const part of text.split(";")) {
    const at = part.indexOf("=");
    if (part.trim() === "") continue;
    if (at <= 0) throw fail("has a part that is not written as Name=value");
    parts.set(part.slice(0, at).trim().toLowerCase(), part.slice(at + 1).trim());
  }
  const endpoint = parts.get("endpoint");
  if (!endpoint) throw fail("has no Endpoint");
  const host = /^(?:[a-z]+:\/\/)?([^/?#\s]+)/i.exec(endpoint)?.[1];
  if (host === undefined) throw fail("has an Endpoint that names no host");
  const optional = (name: string): string | undefined => parts.get(name) || undefined;
  const found: ConnectionStringParts = {
    namespace: host,
    eventHub: optional("entitypath"),
    sharedAccessKeyName: optional("sharedaccesskeyname"),
    sharedAccessKey: optional("sharedaccesskey"),
    sharedAccessSignature: optional("sharedaccesssignature"),
    useDevelopmentEmulator: parts.get("usedevelopmentemulator")?.toLowerCase() === "true",
  };
  if (found.sharedAccessSignature === undefined) {
    if (found.sharedAccessKeyName === undefined) throw fail("has no SharedAccessKeyName");
    if (found.sharedAccessKey === undefined) throw fail("has no SharedAccessKey");
  }
  return found;
}
