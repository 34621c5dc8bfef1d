// The shapes of `@azure/event-hubs` 6 that are no classes. Where it says `Buffer`, this says `Uint8Array`, which a `Buffer` is.

import type { AmqpAnnotatedMessage } from "./amqp.js";
import type { RetryOptions } from "./retry.js";

/** What is like an `AbortSignal`. */
export interface AbortSignalLike {
  readonly aborted: boolean;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  addEventListener(type: "abort", listener: (this: AbortSignalLike, ev: any) => any, options?: any): void;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  removeEventListener(type: "abort", listener: (this: AbortSignalLike, ev: any) => any, options?: any): void;
}

/** A place for values that tracing carries along. */
export interface TracingContext {
  setValue(key: symbol, value: unknown): TracingContext;
  getValue(key: symbol): unknown;
  deleteValue(key: symbol): TracingContext;
}

/** Accepted, and not used: nothing is traced. */
export interface OperationTracingOptions {
  tracingContext?: TracingContext;
}

/** What every operation takes. */
export interface OperationOptions {
  /** Gives up on the operation, which then fails with an `AbortError`. */
  abortSignal?: AbortSignalLike;
  /** Accepted, and not used: nothing is traced. */
  tracingOptions?: OperationTracingOptions;
}

/** Options of `getEventHubProperties`. */
export interface GetEventHubPropertiesOptions extends OperationOptions {}
/** Options of `getPartitionProperties`. */
export interface GetPartitionPropertiesOptions extends OperationOptions {}
/** Options of `getPartitionIds`. */
export interface GetPartitionIdsOptions extends OperationOptions {}

/** Where events are sent. Not both; without either the service chooses. */
export interface SendBatchOptions extends OperationOptions {
  partitionId?: string;
  partitionKey?: string;
}

/** What a batch is for, and how large it may become. */
export interface CreateBatchOptions extends OperationOptions {
  partitionKey?: string;
  partitionId?: string;
  /** Default: what the service takes at once. */
  maxSizeInBytes?: number;
}

/** Options of `tryAdd`. */
export interface TryAddOptions {
  /** Accepted, and not used. */
  tracingOptions?: OperationTracingOptions;
}

/** An instance of a class of WebSockets. */
export interface WebSocketInstance {
  send: Function;
  close: Function;
  onmessage: Function | null;
  onopen: Function | null;
  onclose: Function | null;
  onerror: Function | null;
}

/** A class of WebSockets: the browser's, `ws`, or one of your own. */
export interface WebSocketImpl {
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  new (url: string, protocols?: string | string[], options?: any): WebSocketInstance;
}

/** Which WebSockets are used. There is nothing else than WebSockets here, also without these options. */
export interface WebSocketOptions {
  /** Default: the global class, else the package `ws`. */
  webSocket?: WebSocketImpl;
  /** The third argument of its constructor, such as `{ agent }` for `ws` behind a proxy. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  webSocketConstructorOptions?: any;
}

/** How a client behaves. */
export interface EventHubClientOptions {
  /** Another place to connect to than the namespace, such as `sb://gateway.example.com:443`. */
  customEndpointAddress?: string;
  retryOptions?: RetryOptions;
  webSocketOptions?: WebSocketOptions;
  /** Your application's name, sent along when a connection is opened. */
  userAgent?: string;
  /** How the client is called in the service's logs. Default: a random name. */
  identifier?: string;
}

/** How consumers share a hub's partitions. */
export interface LoadBalancingOptions {
  /** `balanced` claims one partition at a time, `greedy` its whole share at once. Default: `balanced`. */
  strategy?: "balanced" | "greedy";
  /** Default: 10 000. */
  updateIntervalInMs?: number;
  /** After how long a silent owner loses a partition. Default: 60 000. */
  partitionOwnershipExpirationIntervalInMs?: number;
}

/** How a consumer behaves. */
export interface EventHubConsumerClientOptions extends EventHubClientOptions {
  loadBalancingOptions?: LoadBalancingOptions;
}

/** An event to send. */
export interface EventData {
  /** Bytes are sent as they are, everything else as JSON. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  body: any;
  contentType?: string;
  correlationId?: string | number | Uint8Array;
  /** At most 128 characters. */
  messageId?: string | number | Uint8Array;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  properties?: { [key: string]: any };
}

/** An event that arrived. */
export interface ReceivedEventData {
  /** The body parsed as JSON; its bytes where it is none, or with `skipParsingBodyAsJson`. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  body: any;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  properties?: { [key: string]: any };
  enqueuedTimeUtc: Date;
  /** The key that it was sent with. */
  partitionKey: string | null;
  offset: string;
  sequenceNumber: number;
  /** Annotations and AMQP properties. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  systemProperties?: { [key: string]: any };
  contentType?: string;
  correlationId?: string | number | Uint8Array;
  messageId?: string | number | Uint8Array;
  /** The whole AMQP message. */
  getRawAmqpMessage(): AmqpAnnotatedMessage;
}

/** Events that are sent together. */
export interface EventDataBatch {
  readonly partitionKey?: string;
  readonly partitionId?: string;
  readonly sizeInBytes: number;
  readonly count: number;
  readonly maxSizeInBytes: number;
  /** Adds an event; false when it does not fit. */
  tryAdd(eventData: EventData | AmqpAnnotatedMessage, options?: TryAddOptions): boolean;
}

/** What there is to know about a hub. */
export interface EventHubProperties {
  name: string;
  createdOn: Date;
  partitionIds: string[];
  isGeoDrEnabled: boolean;
}

/** What there is to know about a partition. */
export interface PartitionProperties {
  eventHubName: string;
  partitionId: string;
  beginningSequenceNumber: number;
  lastEnqueuedSequenceNumber: number;
  lastEnqueuedOffset: string;
  lastEnqueuedOnUtc: Date;
  isEmpty: boolean;
}

/** The newest event of a partition, as the service last told. */
export interface LastEnqueuedEventProperties {
  sequenceNumber?: number;
  enqueuedOn?: Date;
  offset?: string;
  retrievedOn?: Date;
}

/** A token of Microsoft Entra ID. */
export interface AccessToken {
  token: string;
  expiresOnTimestamp: number;
  refreshAfterTimestamp?: number;
  tokenType?: "Bearer" | "pop";
}

/** What a credential is asked with. */
export interface GetTokenOptions {
  abortSignal?: AbortSignalLike;
  requestOptions?: { timeout?: number };
  tracingOptions?: { tracingContext?: TracingContext };
  claims?: string;
  enableCae?: boolean;
  tenantId?: string;
}

/** A credential of `@azure/identity`, or whatever else gives tokens of Microsoft Entra ID. */
export interface TokenCredential {
  getToken(scopes: string | string[], options?: GetTokenOptions): Promise<AccessToken | null>;
}

/** A key with its name, such as an `AzureNamedKeyCredential`. It is asked for each token, so it may be rotated. */
export interface NamedKeyCredential {
  readonly key: string;
  readonly name: string;
}

/** A shared access signature, such as an `AzureSASCredential`. It is asked for each connection, so it may be renewed. */
export interface SASCredential {
  readonly signature: string;
}
