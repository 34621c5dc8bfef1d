// The API without a way to find the engine: index, slim and inline differ in that alone.

export { EventBatch } from "./batch.js";
export { BufferedProducerClient, Receipt } from "./buffered.js";
export type { BufferedCloseOptions, BufferedProducerOptions, EnqueueOptions, SendOutcome } from "./buffered.js";
export { bytes, json, text } from "./codec.js";
export type { Body, Codec } from "./codec.js";
export { parseConnectionString } from "./connection-string.js";
export type { ConnectionStringParts } from "./connection-string.js";
export { ConsumerClient } from "./consumer.js";
export type { ConsumerOptions } from "./consumer.js";
export type { Check, CheckName, DiagnoseOptions, Diagnosis, Verdict } from "./diagnosis.js";
export { EventHubsError } from "./error.js";
export type { ErrorCode, ErrorDetails } from "./error.js";
export type { EventInput, PropertyValue, SendOptions } from "./event.js";
export type { CallOptions } from "./internal/call.js";
export type {
  ClientOptions,
  Connection,
  NamedKeyCredential,
  ProducerOptions,
  PublishingState,
  ReceiveOptions,
  RetryOptions,
  SasCredential,
  StartPosition,
  TokenCredential,
  TokenProvider,
  WebSocketConstructor,
  WebSocketLike,
} from "./options.js";
export { ProducerClient } from "./producer.js";
export type { HubProperties, PartitionProperties } from "./properties.js";
export { ReceivedEvent } from "./received.js";
export type { AmqpMessage, AmqpProperties, Decoded, LastEnqueued } from "./received.js";
export { StatusStream } from "./status.js";
export type { ConnectionStatus, Health, Status } from "./status.js";
export { EventStream } from "./stream.js";
export type { BatchOptions } from "./stream.js";
