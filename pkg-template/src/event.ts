import type { Body } from "./codec.js";

/**
 * A value of a property. A whole number is sent as an AMQP `int` or `long`, any other as a `double`, a `bigint` as a `long` or
 * `ulong`, a `Date` as a `timestamp`.
 */
export type PropertyValue = string | number | bigint | boolean | Date | Uint8Array | null;

/** An event to send. */
export interface EventInput<B = Body> {
  /** The payload: text (sent as UTF-8) or bytes; with a codec, whatever that takes. */
  body: B;
  /** What the application says about the event. */
  properties?: Readonly<Record<string, PropertyValue | undefined>> | undefined;
  /** Events with the same key go to the same partition and stay in order. Not together with a partition id. */
  partitionKey?: string | undefined;
  messageId?: string | number | bigint | Uint8Array | undefined;
  correlationId?: string | number | bigint | Uint8Array | undefined;
  /** A MIME type. */
  contentType?: string | undefined;
  contentEncoding?: string | undefined;
  subject?: string | undefined;
  to?: string | undefined;
  replyTo?: string | undefined;
  userId?: string | Uint8Array | undefined;
  groupId?: string | undefined;
  groupSequence?: number | undefined;
  replyToGroupId?: string | undefined;
  creationTime?: Date | number | undefined;
  absoluteExpiryTime?: Date | number | undefined;
  /** Message annotations, for those who talk to other AMQP software. */
  annotations?: Readonly<Record<string, unknown>> | undefined;
}

/** Where events go. Without either, the service spreads them over the partitions. */
export interface SendOptions {
  /** Chooses the partition by its hash. Not together with `partitionId`. */
  partitionKey?: string | undefined;
  /** The partition. */
  partitionId?: string | undefined;
}
