import type { Codec } from "./codec.js";

/** A class of WebSockets: the browser's, Node's, `ws`, or one of your own. */
// Its sockets are used by their events and methods alone, so any class that has them will do.
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type WebSocketConstructor = new (url: string, protocols?: string | string[], ...rest: never[]) => WebSocketLike;

/** What a WebSocket needs to have. */
export interface WebSocketLike {
  binaryType: string;
  readonly bufferedAmount: number;
  readonly protocol: string;
  onopen: unknown;
  onmessage: unknown;
  onerror: unknown;
  onclose: unknown;
  send(data: Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
}

/** How often and how fast an operation that failed for a passing reason is tried again. */
export interface RetryOptions {
  /** How often it is tried at all, the first time included. Default: 4. */
  maxAttempts?: number | undefined;
  /** The pause before the second attempt; it doubles from then on. Default: 800. */
  baseDelayMs?: number | undefined;
  /** The longest pause. Default: 60 000. */
  maxDelayMs?: number | undefined;
  /** By which share a pause is made longer or shorter at random: 0 to 1. Default: 0.2. */
  jitter?: number | undefined;
  /** How long one attempt may take. Default: 60 000. */
  attemptTimeoutMs?: number | undefined;
  /** How long it may take over all. Default: no end but `maxAttempts`. */
  totalDeadlineMs?: number | undefined;
}

/** How a client behaves. */
export interface ClientOptions {
  /** Default: the global one; the package `ws` where there is none, as on Node 20. */
  webSocket?: WebSocketConstructor | undefined;
  /** What that class gets as its third argument: `ws` takes headers or an agent for a proxy there. */
  webSocketOptions?: unknown;
  /** Another place to connect to than the namespace, such as `ws://127.0.0.1:5672` or a gateway of your own. Tokens still name the namespace. */
  endpoint?: string | undefined;
  retry?: RetryOptions | undefined;
  /** How long a connection may take to be made. Default: 20 000. */
  connectTimeoutMs?: number | undefined;
  /** The silence after which the service is asked for a sign of life; after twice as long the connection counts as lost. Default: 30 000. */
  idleTimeoutMs?: number | undefined;
  /**
   * After how long a partition that is read and has events that do not arrive counts as stalled, and its link is made anew. Default:
   * 30 000.
   */
  stallTimeoutMs?: number | undefined;
  /** How the client is called in the service's logs. Default: a random name. */
  identifier?: string | undefined;
  /** Your application's name, sent along when a connection is opened. */
  applicationId?: string | undefined;
  /** How long a token made from a key is valid; it is renewed after four fifths of this. Default: an hour. */
  tokenLifetimeMs?: number | undefined;
}

/** A key with its name, as `AzureNamedKeyCredential` of `@azure/core-auth` is. */
export interface NamedKeyCredential {
  readonly name: string;
  readonly key: string;
}

/** A shared access signature, as `AzureSASCredential` of `@azure/core-auth` is. */
export interface SasCredential {
  readonly signature: string;
}

/** A credential of `@azure/identity`, or whatever else gives tokens of Microsoft Entra ID. */
export interface TokenCredential {
  getToken(
    scopes: string | string[],
    options?: object,
  ): Promise<{ readonly token: string; readonly expiresOnTimestamp: number } | null>;
}

/** Where to connect, what opens it, and how to behave: the one argument of a client instead of a connection string. */
export interface Connection extends ClientOptions {
  /** Instead of `namespace` and `credential`. */
  connectionString?: string | undefined;
  /** The namespace's host, such as `contoso.servicebus.windows.net`. */
  namespace?: string | undefined;
  eventHub?: string | undefined;
  credential?: TokenCredential | NamedKeyCredential | SasCredential | undefined;
  /**
   * Asks your server for a token, so that no key is in the page: called when a connection is made, and well before a token expires. Resolves
   * to a shared access signature, or to a token of Entra ID with the time when it expires.
   */
  tokenProvider?: TokenProvider | undefined;
}

/** Gives out a token for an audience, such as `sb://contoso.servicebus.windows.net/orders`. */
export type TokenProvider = (
  audience: string,
) => string | { token: string; expiresOn: Date | number } | Promise<string | { token: string; expiresOn: Date | number }>;

/** Where reading starts: behind an event, or with it when `inclusive`; or with the first event enqueued after a time. */
export type StartPosition =
  | "earliest"
  | "latest"
  | { readonly offset: string; readonly inclusive?: boolean | undefined }
  | { readonly sequenceNumber: number; readonly inclusive?: boolean | undefined }
  | { readonly enqueuedTime: Date | number };

/** How partitions are read. */
export interface ReceiveOptions<T = Uint8Array> {
  /** Default: `latest`, what is enqueued from now on. */
  from?: StartPosition | undefined;
  /** What `body` of the events is. Default: bytes. */
  codec?: Codec<T> | undefined;
  /** Reads alone: readers with a lower level, or none, are disconnected. */
  ownerLevel?: number | undefined;
  /** Has the service tell about the partition's newest event with each event. */
  trackLastEnqueued?: boolean | undefined;
  /** How many events may lie ready, at most. Default: 2000 for a partition. */
  prefetch?: number | undefined;
  /** How many bytes may lie ready, about. Default: 8 MiB for a partition. */
  prefetchBytes?: number | undefined;
  /** Ends the stream. */
  signal?: AbortSignal | undefined;
}

/** How a producer behaves. */
export interface ProducerOptions extends ClientOptions {
  /**
   * Numbers events, so that the service stores none twice, however often it has to be sent. Every send then names a partition. Default: false.
   */
  idempotent?: boolean | undefined;
  /** Goes on where another idempotent producer ended, by partition. */
  publishingState?: Readonly<Record<string, PublishingState>> | undefined;
}

/**
 * How far an idempotent producer has come in one partition.
 *
 * Never go on with an old state, such as one from a backup: what is new would get numbers that were used, and the service would accept it as what it has, and
 * store nothing.
 */
export interface PublishingState {
  /** Which producer this is, as the service named it. */
  readonly producerId: bigint;
  /** Of two clients that are the same producer, the service listens to the one with the higher epoch, and to the newer one when they are equal. */
  readonly epoch: number;
  /** The number of the last event that is known to be stored; -1 when there is none. */
  readonly sequenceNumber: number;
}
