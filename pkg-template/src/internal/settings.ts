// From what a user says about a connection to what the engine takes.

import { parseConnectionString } from "../connection-string.js";
import { EventHubsError } from "../error.js";
import type { Connection, PublishingState, TokenProvider, WebSocketConstructor } from "../options.js";
import { atLeastOne, invalid, millis, options, type Rule, text, wrong } from "./check.js";
import { encoded } from "./amqp.js";
import { engine, spareWebSocket } from "./engine.js";
import { randomName } from "./random-name.js";
import type { Hub } from "../wasm/eventhubs.js";

const RETRY: Record<string, Rule> = {
  maxAttempts: atLeastOne,
  baseDelayMs: millis,
  maxDelayMs: millis,
  jitter: [(value) => typeof value === "number" && value >= 0 && value <= 1, "a number from 0 to 1"],
  attemptTimeoutMs: millis,
  totalDeadlineMs: millis,
};

const CLIENT: Record<string, Rule> = {
  webSocket: "function",
  webSocketOptions: "any",
  endpoint: "string",
  retry: "object",
  connectTimeoutMs: millis,
  idleTimeoutMs: millis,
  stallTimeoutMs: millis,
  identifier: "string",
  applicationId: "string",
  tokenLifetimeMs: millis,
};

const CONNECTION: Record<string, Rule> = {
  connectionString: "string",
  namespace: "string",
  eventHub: "string",
  credential: "object",
  tokenProvider: "function",
  ...CLIENT,
};

const SETTINGS = [
  ...["connectionString", "namespace", "eventHub", "consumerGroup", "keyName", "key", "sasToken", "endpoint", "identifier"],
  ...["applicationId", "connectTimeoutMs", "idleTimeoutMs", "stallTimeoutMs", "tokenLifetimeMs", "baseDelayMs", "maxDelayMs"],
  ...["attemptTimeoutMs", "totalDeadlineMs", "maxAttempts", "jitter", "idempotent"],
];

/** Entra ID knows Event Hubs by this name. */
const SCOPE = "https://eventhubs.azure.net/.default";

/** What there is to know about a client before it connects. */
export interface Target {
  readonly namespace: string;
  readonly eventHub: string;
  readonly identifier: string;
  readonly connectTimeoutMs: number | undefined;
  /** For the engine; `own` take the place of what was given. */
  settings(own?: Record<string, unknown>): Uint8Array;
  readonly webSocket: WebSocketConstructor | undefined;
  readonly webSocketOptions: unknown;
  readonly tokens: ((audience: string) => Promise<unknown>) | undefined;
}

/** `own`: the options that only this kind of client has. */
export function target(what: string, given: readonly unknown[], own: Record<string, Rule>): Target {
  const connection = oneObject(what, given, own);
  const { webSocket, webSocketOptions, credential, tokenProvider, connectionString, ...rest } = connection;
  options(rest.retry, RETRY, "'retry'");
  const named = connectionString === undefined ? undefined : parseConnectionString(connectionString);
  if (named !== undefined && rest.namespace !== undefined) {
    throw invalid("both a namespace and a connection string are given: leave one out");
  }
  const namespace = named?.namespace ?? rest.namespace;
  if (namespace === undefined) throw invalid(`${what} needs a connection string, or a namespace and what opens it`);
  const eventHub = rest.eventHub ?? named?.eventHub;
  if (eventHub === undefined || eventHub === "") {
    throw invalid(`${what} needs the name of an event hub: the connection string has no EntityPath`);
  }
  const identifier = rest.identifier ?? randomName();
  const { key, tokens } = opening(credential, tokenProvider);
  if (named === undefined && key === undefined && tokens === undefined) {
    throw invalid(`${what} needs a 'credential' or a 'tokenProvider' besides the namespace`);
  }
  return {
    namespace,
    eventHub,
    identifier,
    connectTimeoutMs: rest.connectTimeoutMs,
    settings: (own) => settingsOf({ ...rest, ...rest.retry, ...key, connectionString, eventHub, identifier, ...own }),
    webSocket: webSocket ?? inPage(namespace),
    webSocketOptions,
    tokens,
  };
}

/** A user's functions, for as long as the client is open: the engine lives longer, until it is collected. */
export class Hooks {
  #target: Target | undefined;

  constructor(target: Target) {
    this.#target = target;
  }

  /** Lets go of what the user gave: it may lead back to the client. */
  drop(): void {
    this.#target = undefined;
  }

  /** A constructor that makes the user's sockets. */
  webSocket(spare: unknown): unknown {
    const given = (): WebSocketConstructor | undefined => this.#target?.webSocket ?? (spare as WebSocketConstructor | undefined);
    if (given() === undefined) return undefined;
    return function (...rest: ConstructorParameters<WebSocketConstructor>): object {
      const Class = given();
      if (Class === undefined) throw new EventHubsError("closed", "the client was closed");
      return new Class(...rest);
    };
  }

  tokens(): ((audience: string) => Promise<unknown>) | undefined {
    if (this.#target?.tokens === undefined) return undefined;
    return async (audience) => {
      try {
        return await this.#target?.tokens?.(audience);
      } catch (error) {
        // The engine is told a text.
        const message = typeof error === "string" ? error : (error as { message?: unknown } | undefined)?.message;
        throw typeof message === "string" ? message : undefined;
      }
    };
  }
}

/** Makes the engine's half of a client. */
export async function connect(target: Target, hooks: Hooks, own?: Record<string, unknown>): Promise<Hub> {
  const running = await engine();
  const spare = target.webSocket === undefined && typeof WebSocket === "undefined" ? await spareWebSocket() : undefined;
  const { Hub } = running;
  return new Hub(target.settings(own), hooks.webSocket(spare) as never, target.webSocketOptions, hooks.tokens() as never);
}

function oneObject(what: string, given: readonly unknown[], own: Record<string, Rule>): Connection {
  const [first, second, third] = given;
  if (typeof first === "object" && first !== null) {
    if (given.length > 1 && second !== undefined) throw invalid(`${what} takes one object, or a connection string and more`);
    return options(first as Connection, { ...CONNECTION, ...own }, what);
  }
  if (typeof first !== "string") throw wrong(`the first argument of ${what}`, "a connection string or an object", first);
  const hasHub = typeof second === "string";
  const rest = options((hasHub || second === undefined ? third : second) as Connection | undefined, { ...CLIENT, ...own }, what);
  return { ...rest, connectionString: first, ...(hasHub ? { eventHub: text(second, "the event hub's name") } : {}) };
}

interface Opening {
  key?: { keyName: string; key: string } | { sasToken: string };
  tokens?: (audience: string) => Promise<unknown>;
}

/** What a credential is, is told by what it has: there are several copies of every class in the world. */
function opening(credential: Connection["credential"], provider: TokenProvider | undefined): Opening {
  if (credential !== undefined && provider !== undefined) {
    throw invalid("both a credential and a token provider are given: leave one out");
  }
  if (provider !== undefined) return { tokens: async (audience) => normal(await provider(audience)) };
  if (credential === undefined) return {};
  if ("getToken" in credential && typeof credential.getToken === "function") {
    return {
      tokens: async () => {
        const token = await credential.getToken(SCOPE);
        if (token === null) throw new EventHubsError("unauthorized", "the credential gave no token");
        return [token.token, token.expiresOnTimestamp];
      },
    };
  }
  if ("signature" in credential && typeof credential.signature === "string") {
    return { key: { sasToken: credential.signature } };
  }
  if ("key" in credential && typeof credential.key === "string" && typeof credential.name === "string") {
    return { key: { keyName: credential.name, key: credential.key } };
  }
  throw invalid("the credential has neither getToken(), nor a key and its name, nor a signature");
}

function normal(answer: Awaited<ReturnType<TokenProvider>>): unknown {
  return typeof answer === "string" ? answer : [answer.token, Number(answer.expiresOn)];
}

/** In the order of src/js/settings.rs. */
function settingsOf(given: Record<string, unknown>): Uint8Array {
  const states = Object.entries((given["publishingState"] ?? {}) as Record<string, PublishingState>);
  return encoded([
    ...SETTINGS.map((name) => given[name]),
    states.map(([id, { producerId, epoch, sequenceNumber }]) => [id, producerId, epoch, sequenceNumber]),
  ]);
}

/** Emulators of this page are found by their name; see emulator.ts. */
function inPage(namespace: string): WebSocketConstructor | undefined {
  const emulators = (globalThis as Record<symbol, unknown>)[Symbol.for("eventhubs.emulators")];
  return (emulators as Map<string, WebSocketConstructor> | undefined)?.get(namespace);
}
