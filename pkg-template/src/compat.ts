/**
 * The names, overloads, defaults and error codes of `@azure/event-hubs` 6: change the import, and keep your code. What differs, on purpose, is
 * in this package's README.
 *
 * @module
 */

import load, { webSocket } from "#load";
import { useSource } from "./internal/engine.js";

useSource({ module: load, webSocket });

export { createEventDataAdapter } from "./compat/adapter.js";
export type { EventDataAdapterParameters, MessageAdapter, MessageContent } from "./compat/adapter.js";
export type { AmqpAnnotatedMessage, AmqpMessageHeader, AmqpMessageProperties } from "./compat/amqp.js";
export { EventHubBufferedProducerClient } from "./compat/buffered.js";
export type {
  BufferedCloseOptions,
  BufferedFlushOptions,
  EnqueueEventOptions,
  EventHubBufferedProducerClientOptions,
  OnSendEventsErrorContext,
  OnSendEventsSuccessContext,
} from "./compat/buffered.js";
export { parseEventHubConnectionString } from "./compat/connection.js";
export type { EventHubConnectionStringProperties } from "./compat/connection.js";
export { EventHubConsumerClient } from "./compat/consumer.js";
export { AbortError, MessagingError } from "./compat/errors.js";
export { logger } from "./compat/logger.js";
export type { AzureLogger, Debugger } from "./compat/logger.js";
export { earliestEventPosition, latestEventPosition } from "./compat/position.js";
export type { EventPosition } from "./compat/position.js";
export { EventHubProducerClient } from "./compat/producer.js";
export { RetryMode } from "./compat/retry.js";
export type { RetryOptions } from "./compat/retry.js";
export { InMemoryCheckpointStore } from "./compat/store.js";
export { CloseReason } from "./compat/subscription.js";
export type {
  Checkpoint,
  CheckpointStore,
  PartitionContext,
  PartitionOwnership,
  ProcessCloseHandler,
  ProcessErrorHandler,
  ProcessEventsHandler,
  ProcessInitializeHandler,
  SubscribeOptions,
  Subscription,
  SubscriptionEventHandlers,
} from "./compat/subscription.js";
export type {
  AbortSignalLike,
  AccessToken,
  CreateBatchOptions,
  EventData,
  EventDataBatch,
  EventHubClientOptions,
  EventHubConsumerClientOptions,
  EventHubProperties,
  GetEventHubPropertiesOptions,
  GetPartitionIdsOptions,
  GetPartitionPropertiesOptions,
  GetTokenOptions,
  LastEnqueuedEventProperties,
  LoadBalancingOptions,
  NamedKeyCredential,
  OperationOptions,
  OperationTracingOptions,
  PartitionProperties,
  ReceivedEventData,
  SASCredential,
  SendBatchOptions,
  TokenCredential,
  TracingContext,
  TryAddOptions,
  WebSocketImpl,
  WebSocketInstance,
  WebSocketOptions,
} from "./compat/types.js";
