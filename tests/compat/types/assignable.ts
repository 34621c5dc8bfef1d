// Whatever theirs take ours take as well, and what ours give can stand where theirs was.

import type { AmqpAnnotatedMessage as TheirMessage } from "@azure/core-amqp";
import type { NamedKeyCredential as TheirKey, SASCredential as TheirSignature } from "@azure/core-auth";
import type * as Theirs from "@azure/event-hubs";
import type * as Ours from "eventhubs/compat";
import type * as Processor from "eventhubs/processor";
import type { FileCheckpointStore } from "eventhubs/processor/node";

/** `true` when what is made for theirs can be given to ours. */
type Takes<Their, Our> = [Their] extends [Our] ? true : { "ours does not take": Their; "it takes": Our };
/** `true` when what ours gives can stand for theirs. */
type Gives<Our, Their> = [Our] extends [Their] ? true : { "ours gives": Our; "which is no": Their };
/** `true` when it does not: an exception that is needed no longer is to be taken away. */
type Differs<Our, Their> = [Our] extends [Their] ? "it does not differ any more" : true;
/** Nothing but `true`. */
type All<Checks extends readonly true[]> = Checks;
/** The parameters of a method, as a tuple. */
type P<F> = F extends (...given: infer Given) => unknown ? Given : never;
type R<F> = F extends (...given: never[]) => Promise<infer Result> ? Result : never;
type Methods<C> = { [Name in keyof C]: C[Name] };

type TheirProducer = Methods<Theirs.EventHubProducerClient>;
type OurProducer = Methods<Ours.EventHubProducerClient>;
type TheirBuffered = Methods<Theirs.EventHubBufferedProducerClient>;
type OurBuffered = Methods<Ours.EventHubBufferedProducerClient>;
type TheirConsumer = Methods<Theirs.EventHubConsumerClient>;
type OurConsumer = Methods<Ours.EventHubConsumerClient>;

/** Names that theirs exports at run time are exported by ours. */
export type Names = All<[Takes<keyof typeof Theirs, keyof typeof Ours>]>;

/** E.1 to E.6: what users hand over. */
export type Inputs = All<[
  Takes<Theirs.BufferedCloseOptions, Ours.BufferedCloseOptions>,
  Takes<Theirs.BufferedFlushOptions, Ours.BufferedFlushOptions>,
  Takes<Theirs.Checkpoint, Ours.Checkpoint>,
  Takes<Theirs.CheckpointStore, Ours.CheckpointStore>,
  Takes<Theirs.CreateBatchOptions, Ours.CreateBatchOptions>,
  Takes<Theirs.EnqueueEventOptions, Ours.EnqueueEventOptions>,
  Takes<Theirs.EventData, Ours.EventData>,
  Takes<Theirs.EventDataAdapterParameters, Ours.EventDataAdapterParameters>,
  Takes<Theirs.EventDataBatch, Ours.EventDataBatch>,
  Takes<Theirs.EventHubBufferedProducerClientOptions, Ours.EventHubBufferedProducerClientOptions>,
  Takes<Theirs.EventHubClientOptions, Ours.EventHubClientOptions>,
  Takes<Theirs.EventHubConsumerClientOptions, Ours.EventHubConsumerClientOptions>,
  Takes<Theirs.EventPosition, Ours.EventPosition>,
  Takes<Theirs.GetEventHubPropertiesOptions, Ours.GetEventHubPropertiesOptions>,
  Takes<Theirs.GetPartitionIdsOptions, Ours.GetPartitionIdsOptions>,
  Takes<Theirs.GetPartitionPropertiesOptions, Ours.GetPartitionPropertiesOptions>,
  Takes<Theirs.LoadBalancingOptions, Ours.LoadBalancingOptions>,
  Takes<Theirs.MessageContent, Ours.MessageContent>,
  Takes<Theirs.OperationOptions, Ours.OperationOptions>,
  Takes<Theirs.PartitionOwnership, Ours.PartitionOwnership>,
  Takes<Theirs.ReceivedEventData, Ours.ReceivedEventData>,
  Takes<Theirs.RetryOptions, Ours.RetryOptions>,
  Takes<Theirs.RetryMode, Ours.RetryMode>,
  Takes<Theirs.SendBatchOptions, Ours.SendBatchOptions>,
  Takes<Theirs.SubscribeOptions, Ours.SubscribeOptions>,
  Takes<Omit<Theirs.SubscriptionEventHandlers, "processEvents">, Omit<Ours.SubscriptionEventHandlers, "processEvents">>,
  Takes<Theirs.TokenCredential, Ours.TokenCredential>,
  Takes<Theirs.TryAddOptions, Ours.TryAddOptions>,
  Takes<Theirs.WebSocketImpl, Ours.WebSocketImpl>,
  Takes<Theirs.WebSocketOptions, Ours.WebSocketOptions>,
  Takes<TheirKey, Ours.NamedKeyCredential>,
  Takes<TheirSignature, Ours.SASCredential>,
  Takes<TheirMessage, Ours.AmqpAnnotatedMessage>,
]>;

/** The parameters of every method; of overloaded ones samples.ts has all, here is the last. */
export type Parameters = All<[
  Takes<P<TheirProducer["createBatch"]>, P<OurProducer["createBatch"]>>,
  Takes<P<TheirProducer["sendBatch"]>, P<OurProducer["sendBatch"]>>,
  Takes<P<TheirProducer["close"]>, P<OurProducer["close"]>>,
  Takes<P<TheirProducer["getEventHubProperties"]>, P<OurProducer["getEventHubProperties"]>>,
  Takes<P<TheirProducer["getPartitionIds"]>, P<OurProducer["getPartitionIds"]>>,
  Takes<P<TheirProducer["getPartitionProperties"]>, P<OurProducer["getPartitionProperties"]>>,
  Takes<P<TheirBuffered["enqueueEvent"]>, P<OurBuffered["enqueueEvent"]>>,
  Takes<P<TheirBuffered["enqueueEvents"]>, P<OurBuffered["enqueueEvents"]>>,
  Takes<P<TheirBuffered["flush"]>, P<OurBuffered["flush"]>>,
  Takes<P<TheirBuffered["close"]>, P<OurBuffered["close"]>>,
  Takes<P<TheirBuffered["getEventHubProperties"]>, P<OurBuffered["getEventHubProperties"]>>,
  Takes<P<TheirBuffered["getPartitionIds"]>, P<OurBuffered["getPartitionIds"]>>,
  Takes<P<TheirBuffered["getPartitionProperties"]>, P<OurBuffered["getPartitionProperties"]>>,
  Takes<P<TheirConsumer["subscribe"]>[0 | 2], P<OurConsumer["subscribe"]>[0 | 2]>,
  Takes<P<TheirConsumer["close"]>, P<OurConsumer["close"]>>,
  Takes<P<TheirConsumer["getEventHubProperties"]>, P<OurConsumer["getEventHubProperties"]>>,
  Takes<P<TheirConsumer["getPartitionIds"]>, P<OurConsumer["getPartitionIds"]>>,
  Takes<P<TheirConsumer["getPartitionProperties"]>, P<OurConsumer["getPartitionProperties"]>>,
  Takes<P<Theirs.EventDataBatch["tryAdd"]>, P<Ours.EventDataBatch["tryAdd"]>>,
  Takes<P<Theirs.PartitionContext["updateCheckpoint"]>, P<Ours.PartitionContext["updateCheckpoint"]>>,
  Takes<P<typeof Theirs.parseEventHubConnectionString>, P<typeof Ours.parseEventHubConnectionString>>,
  Takes<P<typeof Theirs.createEventDataAdapter>, P<typeof Ours.createEventDataAdapter>>,
  Takes<ConstructorParameters<typeof Theirs.EventHubProducerClient>, ConstructorParameters<typeof Ours.EventHubProducerClient>>,
  Takes<ConstructorParameters<typeof Theirs.EventHubConsumerClient>, ConstructorParameters<typeof Ours.EventHubConsumerClient>>,
  Takes<ConstructorParameters<typeof Theirs.EventHubBufferedProducerClient>, ConstructorParameters<typeof Ours.EventHubBufferedProducerClient>>,
  Takes<ConstructorParameters<typeof Theirs.MessagingError>, ConstructorParameters<typeof Ours.MessagingError>>,
]>;

/** Ids of bytes are a `Uint8Array` here, which is no `Buffer`. */
type Ids = "messageId" | "correlationId" | "getRawAmqpMessage";

/** What users get. */
export type Outputs = All<[
  Gives<Ours.EventHubProperties, Theirs.EventHubProperties>,
  Gives<Ours.PartitionProperties, Theirs.PartitionProperties>,
  Gives<Ours.LastEnqueuedEventProperties, Theirs.LastEnqueuedEventProperties>,
  Gives<Ours.EventDataBatch, Theirs.EventDataBatch>,
  Gives<Ours.Subscription, Theirs.Subscription>,
  Gives<Ours.PartitionContext, Theirs.PartitionContext>,
  Gives<Ours.Checkpoint, Theirs.Checkpoint>,
  Gives<Ours.PartitionOwnership, Theirs.PartitionOwnership>,
  Gives<Ours.CheckpointStore, Theirs.CheckpointStore>,
  Gives<Ours.InMemoryCheckpointStore, Theirs.CheckpointStore>,
  Gives<Ours.EventHubConnectionStringProperties, Theirs.EventHubConnectionStringProperties>,
  Gives<Ours.MessageContent, Theirs.MessageContent>,
  Gives<Ours.MessagingError, Theirs.MessagingError>,
  Gives<Ours.EventPosition, Theirs.EventPosition>,
  Gives<Ours.CloseReason, Theirs.CloseReason>,
  Gives<typeof Ours.logger, typeof Theirs.logger>,
  Gives<Omit<Ours.ReceivedEventData, Ids>, Omit<Theirs.ReceivedEventData, Ids>>,
  Gives<Omit<Ours.AmqpAnnotatedMessage, "properties">, Omit<TheirMessage, "properties">>,
  Gives<R<OurProducer["createBatch"]>, R<TheirProducer["createBatch"]>>,
  Gives<R<OurProducer["sendBatch"]>, R<TheirProducer["sendBatch"]>>,
  Gives<R<OurProducer["getEventHubProperties"]>, R<TheirProducer["getEventHubProperties"]>>,
  Gives<R<OurProducer["getPartitionIds"]>, R<TheirProducer["getPartitionIds"]>>,
  Gives<R<OurProducer["getPartitionProperties"]>, R<TheirProducer["getPartitionProperties"]>>,
  Gives<R<OurBuffered["enqueueEvent"]>, R<TheirBuffered["enqueueEvent"]>>,
  Gives<R<OurBuffered["enqueueEvents"]>, R<TheirBuffered["enqueueEvents"]>>,
  Gives<R<OurConsumer["getPartitionIds"]>, R<TheirConsumer["getPartitionIds"]>>,
  Gives<ReturnType<OurConsumer["subscribe"]>, ReturnType<TheirConsumer["subscribe"]>>,
]>;

/** Exceptions, each with its reason. */
export type Exceptions = All<[
  // Ids of bytes: `Uint8Array`, where theirs says `Buffer`. Types without Node have no `Buffer`.
  Differs<Ours.ReceivedEventData, Theirs.ReceivedEventData>,
  Differs<Ours.AmqpAnnotatedMessage, TheirMessage>,
  Differs<ReturnType<Ours.ReceivedEventData["getRawAmqpMessage"]>, ReturnType<Theirs.ReceivedEventData["getRawAmqpMessage"]>>,
  // So a handler that says the official type of its events takes theirs alone; one that takes its types from the import takes ours.
  Differs<Theirs.SubscriptionEventHandlers, Ours.SubscriptionEventHandlers>,
  // Classes with private members are known by their declaration: a program has one of the two packages.
  Differs<Ours.EventHubProducerClient, Theirs.EventHubProducerClient>,
  Differs<Ours.EventHubConsumerClient, Theirs.EventHubConsumerClient>,
  Differs<Ours.EventHubBufferedProducerClient, Theirs.EventHubBufferedProducerClient>,
]>;

/** Stores of theirs can be given to our processor, and ours to their client. */
export type Stores = All<[
  Takes<Theirs.CheckpointStore, Processor.CheckpointStore>,
  Takes<Ours.CheckpointStore, Processor.CheckpointStore>,
  Gives<Processor.CheckpointStore, Theirs.CheckpointStore>,
  Gives<Processor.MemoryCheckpointStore, Theirs.CheckpointStore>,
  Gives<Processor.IndexedDbCheckpointStore, Theirs.CheckpointStore>,
  Gives<Processor.BlobCheckpointStore, Theirs.CheckpointStore>,
  Gives<FileCheckpointStore, Theirs.CheckpointStore>,
  Gives<Processor.MemoryCheckpointStore, Ours.CheckpointStore>,
]>;
