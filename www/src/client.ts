/** The only place that knows the package `eventhubs`: everything else of the console sees what is exported here. */
import { ConsumerClient, ProducerClient } from "eventhubs";
import type { ClientOptions } from "eventhubs";
import { Emulator } from "eventhubs/emulator";

export type { ConsumerClient, EventInput, EventStream, ProducerClient, PropertyValue, ReceivedEvent, StartPosition } from "eventhubs";
export type { Emulator } from "eventhubs/emulator";

type WebSocketConstructor = NonNullable<ClientOptions["webSocket"]>;

/** What a user wants to be connected to. */
export interface Target {
  readonly connectionString: string;
  readonly eventHub: string;
  readonly consumerGroup: string;
  /** Where to connect to, if that is not what the connection string names. */
  readonly endpoint?: string;
  /** The emulator of this page, if it is that. */
  readonly emulator?: Emulator;
}

/** What happens to a connection's sockets. */
export type SocketChange =
  | { readonly state: "opening" }
  | { readonly state: "open" }
  | { readonly state: "closed"; readonly code: number; readonly reason: string };

export interface Clients {
  readonly producer: ProducerClient;
  readonly consumer: ConsumerClient;
}

/** Patient for as long as somebody looks at the page, and quick to be back. */
const RETRY = { maxAttempts: 6, baseDelayMs: 250, maxDelayMs: 4_000 };
const CONNECT_TIMEOUT_MS = 15_000;

/** The clients of a target. Nothing is connected yet; `watch` hears of the reading connection's sockets when it is. */
export function clientsOf(target: Target, watch: (change: SocketChange) => void): Clients {
  const base = target.emulator?.WebSocket ?? globalThis.WebSocket;
  const common: ClientOptions = {
    retry: RETRY,
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
    applicationId: "eventhubs-console",
    ...(target.endpoint ? { endpoint: target.endpoint } : {}),
  };
  return {
    producer: new ProducerClient(target.connectionString, target.eventHub, { ...common, webSocket: base }),
    consumer: new ConsumerClient(target.connectionString, target.eventHub, {
      ...common,
      webSocket: watched(base, watch),
      consumerGroup: target.consumerGroup,
    }),
  };
}

/** Starts a namespace in this page. It is gone with the page. */
export function startEmulator(): Promise<Emulator> {
  return Emulator.start({ hubs: { eh1: { partitions: 4, consumerGroups: ["cg1"] } } });
}

/** A constructor of the same sockets that tells what happens to them. */
function watched(base: WebSocketConstructor, tell: (change: SocketChange) => void): WebSocketConstructor {
  function Watched(url: string, protocols?: string | string[]): InstanceType<WebSocketConstructor> {
    tell({ state: "opening" });
    const socket = new base(url, protocols);
    socket.addEventListener("open", () => tell({ state: "open" }));
    socket.addEventListener("close", (event: { code: number; reason: string }) => {
      tell({ state: "closed", code: event.code, reason: event.reason });
    });
    return socket;
  }
  return Watched as unknown as WebSocketConstructor;
}
