// From the arguments of the official constructors to a connection of ours.

import { engine } from "../internal/engine.js";
import { randomName } from "../internal/random-name.js";
import type { Connection, TokenProvider, WebSocketConstructor } from "../options.js";
import { engineRetry, timeoutOf } from "./retry.js";
import type { EventHubClientOptions, NamedKeyCredential, SASCredential, TokenCredential } from "./types.js";
import { sasToken } from "../wasm/eventhubs.js";

/** A connection string, taken apart. */
export interface EventHubConnectionStringProperties {
  fullyQualifiedNamespace: string;
  endpoint: string;
  eventHubName?: string;
  sharedAccessKey?: string;
  sharedAccessKeyName?: string;
  sharedAccessSignature?: string;
  /** Whether it leads to an emulator, which has no TLS. */
  useDevelopmentEmulator?: boolean;
}

/** What opens a namespace. */
export type Credential = TokenCredential | NamedKeyCredential | SASCredential;

/** What a client needs to know. */
export interface Opening {
  readonly connection: Connection;
  /** The host, as `fullyQualifiedNamespace` and checkpoints have it: without a port. */
  readonly host: string;
  readonly eventHub: string;
  readonly identifier: string;
  /** What the credential failed with last, if it did. */
  readonly failure: { error?: unknown };
}

/** With the two slashes that the official SDK asks with, so that tokens in caches are found. */
const SCOPE = "https://eventhubs.azure.net//.default";
/** How long a token that is made of a key is valid, in seconds. */
const TOKEN_LIFETIME = 3600;
const LONGEST_USER_AGENT = 512;

/**
 * Takes a connection string apart.
 *
 * @throws Error when it is none.
 */
export function parseEventHubConnectionString(connectionString: string): Readonly<EventHubConnectionStringProperties> {
  const parts = parse(String(connectionString));
  const { Endpoint: endpoint, EntityPath: hub, SharedAccessSignature: signature, SharedAccessKey: key, SharedAccessKeyName: name } = parts;
  if (!endpoint) throw new Error("Connection string should have an Endpoint key.");
  if (signature && (key || name)) {
    throw new Error("Connection string cannot have both SharedAccessSignature and SharedAccessKey keys.");
  }
  if (key && !name) throw new Error("Connection string with SharedAccessKey should have SharedAccessKeyName.");
  if (!key && name) throw new Error("Connection string with SharedAccessKeyName should have SharedAccessKey as well.");
  return {
    fullyQualifiedNamespace: /.*:\/\/([^/]*)/.exec(endpoint)?.[1] as string,
    endpoint,
    ...(hub && { eventHubName: hub }),
    ...(signature && { sharedAccessSignature: signature }),
    ...(key && name && { sharedAccessKey: key, sharedAccessKeyName: name }),
    ...(parts["UseDevelopmentEmulator"]?.toLowerCase() === "true" && { useDevelopmentEmulator: true }),
  };
}

/** Whether it is something that opens a namespace. */
export function isCredential(thing: unknown): thing is Credential {
  const { getToken, name, key, signature } = (thing ?? {}) as Record<string, unknown>;
  return typeof getToken === "function" || (typeof name === "string" && typeof key === "string") || typeof signature === "string";
}

/** The arguments as the official constructors take them. `options` are those that the overload says. */
export function openingOf(first: unknown, hub: unknown, credential: unknown, options: EventHubClientOptions | undefined): Opening {
  const place = isCredential(credential) ? byCredential(String(first), hub, credential) : byConnectionString(String(first), hub);
  const custom = options?.customEndpointAddress;
  const identifier = options?.identifier ?? randomName();
  if ((options?.userAgent?.length ?? 0) > LONGEST_USER_AGENT) {
    throw new Error(`The user-agent string cannot be more than ${LONGEST_USER_AGENT} characters in length.`);
  }
  return {
    ...place,
    // The official SDK gives checkpoints the name of the custom endpoint; those that exist are to be found.
    host: custom ? hostOf(custom) : place.host,
    identifier,
    connection: {
      ...place.connection,
      eventHub: place.eventHub,
      identifier,
      webSocket: options?.webSocketOptions?.webSocket as WebSocketConstructor | undefined,
      webSocketOptions: options?.webSocketOptions?.webSocketConstructorOptions,
      endpoint: custom ? endpointOf(custom) : undefined,
      retry: engineRetry(options?.retryOptions),
      connectTimeoutMs: timeoutOf(options?.retryOptions),
      applicationId: options?.userAgent,
    },
  };
}

type Place = Pick<Opening, "connection" | "host" | "eventHub" | "failure">;

function byConnectionString(text: string, hub: unknown): Place {
  const parsed = parseEventHubConnectionString(text);
  const named = typeof hub === "string" && hub !== "" ? hub : undefined;
  const eventHub = named ?? parsed.eventHubName;
  if (eventHub === undefined) {
    throw new TypeError(
      `Either provide "eventHubName" or the "connectionString": "${shown(text)}", must contain "EntityPath=<your-event-hub-name>".`,
    );
  }
  if (parsed.eventHubName !== undefined && parsed.eventHubName !== eventHub) {
    throw new TypeError(
      `The entity path "${parsed.eventHubName}" in connectionString: "${shown(text)}" doesn't match with eventHubName: "${eventHub}".`,
    );
  }
  if (parsed.sharedAccessSignature === undefined && parsed.sharedAccessKeyName === undefined) {
    throw new TypeError("Missing 'sharedAccessKeyName' in configuration");
  }
  if (parsed.fullyQualifiedNamespace === undefined) throw new TypeError("Missing 'host' in configuration");
  return { connection: { connectionString: text }, host: hostOf(parsed.endpoint), eventHub, failure: {} };
}

function byCredential(host: string, hub: unknown, credential: Credential): Place {
  if (!hub) throw new TypeError('"eventHubName" is missing');
  const failure: Opening["failure"] = {};
  const tokenProvider: TokenProvider = async (audience) => {
    try {
      const token = await tokenOf(credential, audience);
      delete failure.error;
      return token;
    } catch (error) {
      failure.error = error;
      throw error;
    }
  };
  const namespace = host.replace(/\/+$/, "");
  return { connection: { namespace, tokenProvider }, host: hostOf(`sb://${namespace}`), eventHub: String(hub), failure };
}

async function tokenOf(credential: Credential, audience: string): Promise<string | { token: string; expiresOn: number }> {
  if ("getToken" in credential) {
    const token = await credential.getToken(SCOPE);
    if (token === null) throw new Error("The credential gave no token.");
    return { token: token.token, expiresOn: token.expiresOnTimestamp };
  }
  if ("signature" in credential) return credential.signature;
  await engine();
  return sasToken(audience, credential.name, credential.key, Math.floor(Date.now() / 1000) + TOKEN_LIFETIME);
}

function parse(text: string): Record<string, string | undefined> {
  const parts: Record<string, string> = {};
  for (const part of text.trim().split(";").map((part) => part.trim())) {
    if (part === "") continue;
    const at = part.indexOf("=");
    if (at < 0) throw new Error("Connection string malformed: each part of the connection string must have an `=` assignment.");
    const name = part.slice(0, at).trim();
    if (name === "") throw new Error("Connection string malformed: missing key for assignment");
    parts[name] = part.slice(at + 1).trim();
  }
  return parts;
}

/** Errors are written to logs, where a key does not belong. */
function shown(text: string): string {
  return text.replace(/(SharedAccess(?:Key|Signature)\s*=)[^;]*/gi, "$1<hidden>");
}

function hostOf(endpoint: string): string {
  const named = /.*:\/\/(\[[^\]]*\]|[^/:]*)/.exec(endpoint)?.[1];
  if (named === undefined) throw new TypeError(`Invalid endpoint missing host: ${endpoint}`);
  return named.replace(/^\[|\]$/g, "");
}

/** Schemes of AMQP over TCP lead to the same host; what carries AMQP here is a WebSocket. */
function endpointOf(custom: string): string {
  return custom.replace(/^(amqps?|https?):\/\//i, "sb://");
}
