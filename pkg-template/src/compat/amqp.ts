/** The header of an AMQP message. */
export interface AmqpMessageHeader {
  firstAcquirer?: boolean;
  deliveryCount?: number;
  timeToLive?: number;
  durable?: boolean;
  priority?: number;
}

/** The properties of an AMQP message. Times in milliseconds since 1970. */
export interface AmqpMessageProperties {
  messageId?: string | number | Uint8Array;
  replyTo?: string;
  to?: string;
  correlationId?: string | number | Uint8Array;
  contentType?: string;
  contentEncoding?: string;
  absoluteExpiryTime?: number;
  creationTime?: number;
  groupId?: string;
  groupSequence?: number;
  replyToGroupId?: string;
  subject?: string;
}

/**
 * An AMQP message. Sent where an event has `body` and `bodyType`: the header's `timeToLive`, the properties, the application properties, the
 * annotations and the body. The service makes headers and delivery annotations of its own.
 */
export interface AmqpAnnotatedMessage {
  header?: AmqpMessageHeader;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  footer?: { [key: string]: any };
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  messageAnnotations?: { [key: string]: any };
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  deliveryAnnotations?: { [key: string]: any };
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  applicationProperties?: { [key: string]: any };
  properties?: AmqpMessageProperties;
  /** Bytes, or what becomes JSON (`data`); a list (`sequence`); any AMQP value (`value`). */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  body: any;
  /** Default: `data`. */
  bodyType?: "data" | "sequence" | "value";
}
