// What users write, with no type said that TypeScript can find out itself. Compiled as it is, and with the import changed.

import {
  CloseReason,
  EventHubBufferedProducerClient,
  EventHubConsumerClient,
  EventHubProducerClient,
  MessagingError,
  RetryMode,
  createEventDataAdapter,
  earliestEventPosition,
  latestEventPosition,
  logger,
  parseEventHubConnectionString,
} from "@azure/event-hubs";
import type {
  BufferedCloseOptions,
  BufferedFlushOptions,
  Checkpoint,
  CheckpointStore,
  CreateBatchOptions,
  EnqueueEventOptions,
  EventData,
  EventDataAdapterParameters,
  EventDataBatch,
  EventHubBufferedProducerClientOptions,
  EventHubClientOptions,
  EventHubConnectionStringProperties,
  EventHubConsumerClientOptions,
  EventHubProperties,
  EventPosition,
  GetEventHubPropertiesOptions,
  GetPartitionIdsOptions,
  GetPartitionPropertiesOptions,
  LastEnqueuedEventProperties,
  LoadBalancingOptions,
  MessageAdapter,
  MessageContent,
  OnSendEventsErrorContext,
  OnSendEventsSuccessContext,
  OperationOptions,
  PartitionContext,
  PartitionOwnership,
  PartitionProperties,
  ProcessCloseHandler,
  ProcessErrorHandler,
  ProcessEventsHandler,
  ProcessInitializeHandler,
  ReceivedEventData,
  RetryOptions,
  SendBatchOptions,
  SubscribeOptions,
  Subscription,
  SubscriptionEventHandlers,
  TokenCredential,
  TryAddOptions,
  WebSocketImpl,
  WebSocketOptions,
} from "@azure/event-hubs";

declare const text: string;
declare const credential: TokenCredential;
declare const store: CheckpointStore;

const retryOptions: RetryOptions = { maxRetries: 5, retryDelayInMs: 100, timeoutInMs: 1000, mode: RetryMode.Exponential, maxRetryDelayInMs: 10 };
const webSocketOptions: WebSocketOptions = { webSocket: WebSocket, webSocketConstructorOptions: { agent: {} } };
const clientOptions: EventHubClientOptions = { retryOptions, webSocketOptions, userAgent: "me", identifier: "x", customEndpointAddress: "sb://x" };
const loadBalancingOptions: LoadBalancingOptions = { strategy: "greedy", updateIntervalInMs: 1, partitionOwnershipExpirationIntervalInMs: 2 };
const consumerOptions: EventHubConsumerClientOptions = { ...clientOptions, loadBalancingOptions };
export const impl: WebSocketImpl = WebSocket;

/** Every way to make a client. */
export function clients(): unknown[] {
  const buffered: EventHubBufferedProducerClientOptions = {
    ...clientOptions,
    maxEventBufferLengthPerPartition: 10,
    maxWaitTimeInMs: 10,
    enableIdempotentRetries: false,
    onSendEventsSuccessHandler: ({ partitionId, events }) => console.log(partitionId.length, events.length),
    onSendEventsErrorHandler: ({ partitionId, events, error }) => console.log(partitionId, events.map((event) => event.body), error.message),
  };
  return [
    new EventHubProducerClient(text),
    new EventHubProducerClient(text, clientOptions),
    new EventHubProducerClient(text, "hub"),
    new EventHubProducerClient(text, "hub", clientOptions),
    new EventHubProducerClient("host", "hub", credential),
    new EventHubProducerClient("host", "hub", { name: "n", key: "k" }, clientOptions),
    new EventHubProducerClient("host", "hub", { signature: "s" }, {}),
    new EventHubBufferedProducerClient(text, buffered),
    new EventHubBufferedProducerClient(text, "hub", buffered),
    new EventHubBufferedProducerClient("host", "hub", credential, { onSendEventsErrorHandler: () => {} }),
    new EventHubConsumerClient("group", text),
    new EventHubConsumerClient("group", text, consumerOptions),
    new EventHubConsumerClient("group", text, store),
    new EventHubConsumerClient("group", text, store, consumerOptions),
    new EventHubConsumerClient("group", text, "hub"),
    new EventHubConsumerClient("group", text, "hub", consumerOptions),
    new EventHubConsumerClient("group", text, "hub", store),
    new EventHubConsumerClient("group", text, "hub", store, consumerOptions),
    new EventHubConsumerClient("group", "host", "hub", credential),
    new EventHubConsumerClient("group", "host", "hub", credential, consumerOptions),
    new EventHubConsumerClient("group", "host", "hub", { name: "n", key: "k" }, store),
    new EventHubConsumerClient("group", "host", "hub", { signature: "s" }, store, consumerOptions),
    EventHubConsumerClient.defaultConsumerGroupName.toUpperCase(),
  ];
}

export async function produce(producer: EventHubProducerClient): Promise<void> {
  const signal = new AbortController().signal;
  const create: CreateBatchOptions = { partitionKey: "k", maxSizeInBytes: 1000, abortSignal: signal };
  const batch: EventDataBatch = await producer.createBatch(create);
  const adding: TryAddOptions = {};
  const events: EventData[] = [
    { body: "x" },
    { body: new Uint8Array(), contentType: "a/b", messageId: 5, correlationId: "c", properties: { a: 1, b: new Date() } },
  ];
  for (const event of events) {
    if (!batch.tryAdd(event, adding)) throw new Error(`${batch.count} ${batch.sizeInBytes} ${batch.maxSizeInBytes} ${batch.partitionId} ${batch.partitionKey}`);
  }
  batch.tryAdd({ body: [1], bodyType: "sequence", applicationProperties: { a: 1 }, properties: { subject: "s" }, header: { timeToLive: 5 } });
  const sending: SendBatchOptions = { partitionId: "0" };
  const any: OperationOptions = { abortSignal: signal, tracingOptions: {} };
  await producer.sendBatch(batch);
  await producer.sendBatch(batch, any);
  await producer.sendBatch(events, sending);
  await producer.sendBatch([{ body: 1, bodyType: "value" }], { partitionKey: "k" });
  const forHub: GetEventHubPropertiesOptions = any;
  const forIds: GetPartitionIdsOptions = any;
  const forPartition: GetPartitionPropertiesOptions = any;
  const hub: EventHubProperties = await producer.getEventHubProperties(forHub);
  const ids: string[] = await producer.getPartitionIds(forIds);
  const partition: PartitionProperties = await producer.getPartitionProperties(ids[0] ?? "0", forPartition);
  console.log(hub.name.length, hub.createdOn.getTime(), hub.partitionIds.length, hub.isGeoDrEnabled === true, producer.identifier.length);
  console.log(partition.lastEnqueuedOnUtc.getTime(), partition.lastEnqueuedSequenceNumber + 1, partition.isEmpty === false, partition.lastEnqueuedOffset.length);
  console.log(producer.eventHubName.length, producer.fullyQualifiedNamespace.length);
  await producer.close();
}

export async function buffer(client: EventHubBufferedProducerClient): Promise<void> {
  const enqueue: EnqueueEventOptions = { partitionKey: "k" };
  const flush: BufferedFlushOptions = {};
  const close: BufferedCloseOptions = { flush: false };
  const count: number = await client.enqueueEvent({ body: 1 }, enqueue);
  const more: number = await client.enqueueEvents([{ body: 1 }, { body: count }], enqueue);
  await client.enqueueEvent({ body: more, bodyType: "value" });
  await client.flush(flush);
  await client.getPartitionIds();
  await client.close(close);
}

export async function consume(consumer: EventHubConsumerClient): Promise<void> {
  const handlers: SubscriptionEventHandlers = {
    processInitialize: async (context) => console.log(context.partitionId.length, context.consumerGroup, context.eventHubName),
    processEvents: async (events, context) => {
      for (const event of events) {
        console.log(event.body, event.offset.length, event.sequenceNumber + 1, event.enqueuedTimeUtc.getTime(), event.partitionKey?.length);
        console.log(event.properties?.["x"], event.systemProperties?.["y"], event.contentType, event.getRawAmqpMessage().bodyType);
      }
      const last: LastEnqueuedEventProperties | undefined = context.lastEnqueuedEventProperties;
      console.log(last?.sequenceNumber, last?.enqueuedOn?.getTime(), last?.offset, last?.retrievedOn);
      if (events.length > 0) await context.updateCheckpoint(events[events.length - 1]!);
    },
    processError: async (error, context) => {
      if (error instanceof MessagingError && error.code === "ReceiverDisconnectedError") return;
      console.log(error.name, error.message, context.partitionId, (error as MessagingError).retryable);
    },
    processClose: async (reason, context) => console.log(reason === CloseReason.Shutdown, context.partitionId),
  };
  const position: EventPosition = { enqueuedOn: new Date(), isInclusive: true };
  const options: SubscribeOptions = {
    startPosition: { 0: earliestEventPosition, 1: latestEventPosition, 2: position, 3: { sequenceNumber: 5 }, 4: { offset: "@latest" } },
    maxBatchSize: 10,
    maxWaitTimeInSeconds: 5,
    trackLastEnqueuedEventProperties: true,
    ownerLevel: 1,
    skipParsingBodyAsJson: true,
    prefetchCount: 30,
  };
  const subscriptions: Subscription[] = [
    consumer.subscribe(handlers),
    consumer.subscribe(handlers, options),
    consumer.subscribe("0", handlers),
    consumer.subscribe("0", handlers, { startPosition: position }),
    consumer.subscribe({ processEvents: async (events) => console.log(events[0]?.body), processError: async (error) => console.log(error.stack) }),
  ];
  for (const subscription of subscriptions) if (subscription.isRunning) await subscription.close();
  await consumer.close();
}

/** A store of one's own. */
export class Store implements CheckpointStore {
  checkpoints: Checkpoint[] = [];
  ownerships: PartitionOwnership[] = [];

  async listOwnership(fullyQualifiedNamespace: string, eventHubName: string, consumerGroup: string, options?: OperationOptions): Promise<PartitionOwnership[]> {
    return options?.abortSignal?.aborted ? [] : this.ownerships.filter((each) => each.eventHubName === eventHubName && each.consumerGroup === consumerGroup && each.fullyQualifiedNamespace === fullyQualifiedNamespace);
  }

  async claimOwnership(claims: PartitionOwnership[]): Promise<PartitionOwnership[]> {
    return claims.map((claim) => ({ ...claim, etag: "1", lastModifiedTimeInMs: Date.now() }));
  }

  async updateCheckpoint(checkpoint: Checkpoint): Promise<void> {
    this.checkpoints.push({ ...checkpoint, sequenceNumber: checkpoint.sequenceNumber, offset: checkpoint.offset });
  }

  async listCheckpoints(): Promise<Checkpoint[]> {
    return this.checkpoints;
  }
}

export const eventsHandler: ProcessEventsHandler = async (events: ReceivedEventData[], context: PartitionContext) => console.log(events, context);
export const errorHandler: ProcessErrorHandler = async (error) => console.log(error.message);
export const initializeHandler: ProcessInitializeHandler = async (context) => console.log(context.partitionId);
export const closeHandler: ProcessCloseHandler = async (reason) => console.log(reason === CloseReason.OwnershipLost);
export const succeeded = (context: OnSendEventsSuccessContext): string => context.partitionId;
export const failed = (context: OnSendEventsErrorContext): string => context.error.message;

const parameters: EventDataAdapterParameters = { messageId: "m", properties: { a: 1 } };
const adapter: MessageAdapter<EventData> = createEventDataAdapter(parameters);
const content: MessageContent = adapter.consume(adapter.produce({ data: new Uint8Array(), contentType: "x/y" }));
export const parsed: EventHubConnectionStringProperties = parseEventHubConnectionString(text);
export const length: number = content.data.byteLength + parsed.endpoint.length + (parsed.eventHubName?.length ?? 0);
logger.info("hello");
logger.warning.enabled = true;
const error = new MessagingError("text");
error.code = "ServerBusyError";
error.info = {};
