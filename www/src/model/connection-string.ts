/** What a connection string says, for the eye. The client parses it for itself; nothing here decides anything. */
export interface ConnectionStringParts {
  /** Host and port, as the endpoint has them. */
  readonly host: string;
  readonly keyName: string | undefined;
  readonly eventHub: string | undefined;
  /** Whether there is something to authorize with. */
  readonly hasSecret: boolean;
  readonly development: boolean;
}

/** The parts of a connection string, or `undefined` when it has no endpoint. */
export function readConnectionString(text: string): ConnectionStringParts | undefined {
  const fields = new Map<string, string>();
  for (const part of text.split(";")) {
    const at = part.indexOf("=");
    if (at > 0) fields.set(part.slice(0, at).trim().toLowerCase(), part.slice(at + 1).trim());
  }
  const endpoint = fields.get("endpoint");
  if (!endpoint) return undefined;
  const host = endpoint.replace(/^[a-z]+:\/\//i, "").replace(/\/.*$/, "");
  if (!host) return undefined;
  return {
    host,
    keyName: fields.get("sharedaccesskeyname") || undefined,
    eventHub: fields.get("entitypath") || undefined,
    hasSecret: Boolean(fields.get("sharedaccesskey") || fields.get("sharedaccesssignature")),
    development: fields.get("usedevelopmentemulator")?.toLowerCase() === "true",
  };
}

/** The connection string without what opens anything: this is all that may be remembered unasked. */
export function withoutSecret(text: string): string {
  const kept = ["endpoint", "sharedaccesskeyname", "entitypath", "usedevelopmentemulator"];
  return text
    .split(";")
    .map((part) => part.trim())
    .filter((part) => kept.includes(part.split("=", 1)[0]?.trim().toLowerCase() ?? ""))
    .join(";");
}
