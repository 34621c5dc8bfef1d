// Requests signed with an account's key ("Shared Key"). As src/checkpoint/native/blob/sign.rs.

/** What of a request is signed. */
export interface Signed {
  readonly method: string;
  /** As it stands in the request. */
  readonly path: string;
  /** Decoded. */
  readonly query: readonly (readonly [string, string])[];
  readonly headers: Readonly<Record<string, string>>;
}

/** The value of the header `authorization`. */
export async function authorization(signed: Signed, account: string, key: Uint8Array<ArrayBuffer>): Promise<string> {
  const imported = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const mac = await crypto.subtle.sign("HMAC", imported, new TextEncoder().encode(signedText(signed, account)));
  return `SharedKey ${account}:${btoa(String.fromCharCode(...new Uint8Array(mac)))}`;
}

function signedText({ method, path, query, headers }: Signed, account: string): string {
  // Encoding, language, length (empty for none), MD5, type, date (`x-ms-date` stands for it), if-modified-since.
  let text = `${method}\n\n\n\n\n\n\n\n`;
  text += `${headers["if-match"] ?? ""}\n${headers["if-none-match"] ?? ""}\n`;
  // If-unmodified-since, range.
  text += "\n\n";
  const own = Object.entries(headers).filter(([name]) => name.startsWith("x-ms-"));
  for (const [name, value] of own.sort(byName)) text += `${name}:${value.trim()}\n`;
  text += `/${account}${path}`;
  for (const [name, value] of [...query].sort(byName)) text += `\n${name}:${value}`;
  return text;
}

function byName([a]: readonly [string, string], [b]: readonly [string, string]): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
