import type { EventData } from "./types.js";

/** A payload and what it is. */
export interface MessageContent {
  data: Uint8Array;
  contentType: string;
}

/** Makes messages of payloads, and payloads of messages: for serializers such as that of the schema registry. */
export interface MessageAdapter<MessageT> {
  produce: (MessageContent: MessageContent) => MessageT;
  consume: (message: MessageT) => MessageContent;
}

/** What every event that is produced has besides. */
export interface EventDataAdapterParameters {
  correlationId?: string | number | Uint8Array;
  messageId?: string | number | Uint8Array;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  properties?: { [key: string]: any };
}

/** An adapter for {@link EventData}. */
export function createEventDataAdapter(params: EventDataAdapterParameters = {}): MessageAdapter<EventData> {
  return {
    produce: ({ data: body, contentType }) => ({ ...params, body, contentType }),
    consume: ({ body, contentType }) => {
      if (body === undefined) throw new Error("Expected the body field to be defined");
      if (contentType === undefined) throw new Error("Expected the contentType field to be defined");
      return { data: typeof body === "object" ? Uint8Array.from(Object.values(body as object)) : body, contentType };
    },
  };
}
