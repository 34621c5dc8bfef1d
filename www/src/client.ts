/** The only place that knows the package `eventhubs`: everything else of the console sees what is exported here. */
import { ConsumerClient, ProducerClient } from "eventhubs";
import type { ClientOptions, WebSocketLike } from "eventhubs";
import { Emulator } from "eventhubs/emulator";
import { uuid } from "./model/uuid.ts";

export type { ConsumerClient, EventInput, EventStream, ProducerClient, PropertyValue, ReceivedEvent, StartPosition } from "eventhubs";
export type { Emulator } from "eventhubs/emulator";

/** A browser's WebSocket class, or one in its shape. */
type Sockets = new (url: string, protocols?: string | string[]) => WebSocketLike & EventTarget;

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
  /**
   * Closes both. `watch` hears nothing any more, and is let go of: the engine keeps its class of sockets until the clients are
   * collected, which they would not be while that class leads back to them.
   */
  close(): Promise<void>;
}

/** Patient for as long as somebody looks at the page, and quick to be back. */
const RETRY = { maxAttempts: 6, baseDelayMs: 250, maxDelayMs: 4_000 };
const CONNECT_TIMEOUT_MS = 15_000;

/** The clients of a target. Nothing is connected yet; `watch` hears of the reading connection's sockets when it is. */
export function clientsOf(target: Target, watch: (change: SocketChange) => void): Clients {
  const base: Sockets = target.emulator?.WebSocket ?? globalThis.WebSocket;
  const common: ClientOptions = {
    retry: RETRY,
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
    identifier: `console-${uuid()}`,
    applicationId: "eventhubs-console",
    ...(target.endpoint ? { endpoint: target.endpoint } : {}),
  };
  const watcher: Watcher = { tell: watch };
  const producer = new ProducerClient(target.connectionString, target.eventHub, { ...common, webSocket: base });
  const consumer = new ConsumerClient(target.connectionString, target.eventHub, {
    ...common,
    webSocket: watched(base, watcher),
    consumerGroup: target.consumerGroup,
  });
  const close = async (): Promise<void> => {
    watcher.tell = undefined;
    await Promise.allSettled([consumer.close(), producer.close()]);
  };
  return { producer, consumer, close };
}

/** Starts a namespace in this page. It is gone with the page. */
export function startEmulator(): Promise<Emulator> {
  return Emulator.start({ hubs: { eh1: { partitions: 4, consumerGroups: ["cg1"] } } });
}

/** Who hears of sockets, for as long as anybody does. */
interface Watcher {
  tell: ((change: SocketChange) => void) | undefined;
}

/** A constructor of the same sockets that tells what happens to them. */
function watched(base: Sockets, watcher: Watcher): Sockets {
  function Watched(url: string, protocols?: string | string[]): InstanceType<Sockets> {
    watcher.tell?.({ state: "opening" });
    const socket = new base(url, protocols);
    socket.addEventListener("open", () => watcher.tell?.({ state: "open" }));
    socket.addEventListener("close", (event) => {
      const { code, reason } = event as CloseEvent;
      watcher.tell?.({ state: "closed", code, reason });
    });
    return socket;
  }
  return Watched as unknown as Sockets;
}
