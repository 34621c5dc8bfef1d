// Which container, and what opens it: from URLs and connection strings. As src/checkpoint/native/blob/container.rs.

import { EventHubsError } from "../../error.js";
import { invalid } from "../../internal/check.js";
import type { TokenCredential, TokenProvider } from "../../options.js";

/** A container of blobs. */
export interface Container {
  /** Scheme, host and port, such as `https://contoso.blob.core.windows.net`. */
  readonly origin: string;
  /** From the root, as it stands in requests. */
  readonly path: string;
}

/** What opens a container. Never printed. */
export type Access =
  | { readonly kind: "sas"; readonly query: string }
  | { readonly kind: "key"; readonly account: string; readonly key: Uint8Array<ArrayBuffer> }
  | { readonly kind: "token"; readonly credential: TokenCredential | TokenProvider };

/** The account that every emulator of storage has; its key is public. */
const EMULATOR_ACCOUNT = "devstoreaccount1";
const EMULATOR_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const EMULATOR_ENDPOINT = "http://127.0.0.1:10000";
const PUBLIC_CLOUD = "core.windows.net";

/** From a URL, with what stands behind its question mark. */
export function parsed(text: unknown): { container: Container; query: string } {
  const wrong = (why: string): EventHubsError => invalid(`the container's URL ${why}`);
  let url: URL;
  try {
    url = new URL(String(text).trim());
  } catch {
    throw wrong("is no URL");
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") throw wrong(`has the scheme '${url.protocol.slice(0, 20)}', not https`);
  if (url.username !== "" || url.password !== "") throw wrong("has a user, which storage does not know");
  const path = url.pathname.replace(/^\/+|\/+$/g, "");
  if (path === "") throw wrong("names no container: it ends with the host");
  return { container: { origin: url.origin, path: `/${path}` }, query: url.search.slice(1) };
}

/** From a signed URL. */
export function signed(text: unknown): { container: Container; access: Access } {
  const { container, query } = parsed(text);
  if (!query.split("&").some((part) => part.startsWith("sig="))) {
    throw invalid(`the URL of ${named(container)} has no signature ('sig=') behind it`);
  }
  return { container, access: { kind: "sas", query } };
}

/** From a storage account's connection string. */
export function connected(text: unknown, name: unknown): { container: Container; access: Access } {
  if (typeof name !== "string" || (name !== "$root" && !/^[a-z0-9-]{3,63}$/.test(name))) {
    throw invalid("the second argument is the name of a container: 3 to 63 lower-case letters, digits and hyphens");
  }
  const parts = new Map<string, string>();
  for (const part of String(text).split(";")) {
    const [key = "", ...rest] = part.split("=");
    const value = rest.join("=").trim();
    if (value !== "") parts.set(key.trim().toLowerCase(), value);
  }
  if (parts.get("usedevelopmentstorage")?.toLowerCase() === "true") {
    const proxy = parts.get("developmentstorageproxyuri");
    const endpoint = proxy === undefined ? EMULATOR_ENDPOINT : `${proxy.replace(/\/+$/, "")}:10000`;
    const { container } = parsed(`${endpoint}/${EMULATOR_ACCOUNT}/${name}`);
    return { container, access: keyed(EMULATOR_ACCOUNT, EMULATOR_KEY) };
  }
  const [account, key, sas] = [parts.get("accountname"), parts.get("accountkey"), parts.get("sharedaccesssignature")];
  let endpoint = parts.get("blobendpoint")?.replace(/\/+$/, "");
  if (endpoint === undefined) {
    if (account === undefined) throw malformed("it has neither 'AccountName' nor 'BlobEndpoint'");
    const [scheme, suffix] = [parts.get("defaultendpointsprotocol") ?? "https", parts.get("endpointsuffix") ?? PUBLIC_CLOUD];
    endpoint = `${scheme}://${account}.blob.${suffix}`;
  }
  let container: Container;
  try {
    ({ container } = parsed(`${endpoint}/${name}`));
  } catch (error) {
    throw malformed(`its endpoint makes no sense: ${(error as Error).message}`);
  }
  if (sas !== undefined) return { container, access: { kind: "sas", query: sas.replace(/^\?/, "") } };
  if (account !== undefined && key !== undefined) return { container, access: keyed(account, key) };
  throw malformed("it has no 'AccountKey' and no 'SharedAccessSignature'");
}

/** From a URL and what gives tokens of Microsoft Entra ID. */
export function entrusted(text: unknown, credential: unknown): { container: Container; access: Access } {
  const { container } = parsed(text);
  if (typeof credential !== "function" && typeof (credential as TokenCredential | undefined)?.getToken !== "function") {
    throw invalid("the second argument is a TokenCredential, or a function that gives tokens");
  }
  const { hostname } = new URL(container.origin);
  const isHere = hostname === "localhost" || hostname === "127.0.0.1" || hostname === "[::1]";
  if (!container.origin.startsWith("https:") && !isHere) throw invalid(`${named(container)} is not encrypted: a token must not be sent there`);
  return { container, access: { kind: "token", credential: credential as TokenCredential | TokenProvider } };
}

export function named({ origin, path }: Container): string {
  return origin + path;
}

function keyed(account: string, key: string): Access {
  try {
    return { kind: "key", account, key: Uint8Array.from(atob(key), (char) => char.charCodeAt(0)) };
  } catch {
    throw malformed("its 'AccountKey' is not Base64");
  }
}

/** Never holds the text: there is a key in it. */
function malformed(why: string): EventHubsError {
  return new EventHubsError("invalid-connection-string", `the storage connection string cannot be understood: ${why}`);
}
