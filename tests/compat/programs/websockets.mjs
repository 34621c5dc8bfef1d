// Over WebSockets, with a class of one's own and what its constructor takes.

import { EventHubConsumerClient, EventHubProducerClient, earliestEventPosition } from "@azure/event-hubs";
import { WebSocket } from "ws";
import { connectionString, consumerGroup, eventHubName, options, receive, say } from "./support.mjs";

const opened = [];
class Watched extends WebSocket {
  constructor(url, protocols, more) {
    super(url, protocols, more);
    opened.push([new URL(url).pathname, [protocols].flat(), more?.headers]);
  }
}
const webSocketOptions = { webSocket: Watched, webSocketConstructorOptions: { headers: { "x-why": "a test" } } };
const producer = new EventHubProducerClient(connectionString, eventHubName, { ...options, webSocketOptions });
await producer.sendBatch([{ body: "over a WebSocket" }], { partitionId: "0" });
const consumer = new EventHubConsumerClient(consumerGroup, connectionString, eventHubName, { ...options, webSocketOptions });
const received = await receive(consumer, 1, (handlers) => consumer.subscribe("0", handlers, { startPosition: earliestEventPosition }));
say("received", received.map(([id, event]) => [id, event.body]));
say("opened", opened);
await consumer.close();
await producer.close();
