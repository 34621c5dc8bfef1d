/** The only place that knows the package `eventhubs`: everything else of the console sees what is exported here. */
import { ConsumerClient, ProducerClient } from "eventhubs";
import type { ClientOptions } from "eventhubs";
import { Emulator } from "eventhubs/emulator";
import { uuid } from "./model/uuid.ts";

export type {
  Check,
  ConsumerClient,
  Diagnosis,
  EventInput,
  EventStream,
  ProducerClient,
  PropertyValue,
  ReceivedEvent,
  StartPosition,
  Status,
  Verdict,
} from "eventhubs";
export type { Emulator } from "eventhubs/emulator";

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

export interface Clients {
  readonly producer: ProducerClient;
  readonly consumer: ConsumerClient;
  close(): Promise<void>;
}

/** Patient for as long as somebody looks at the page, and quick to be back. */
const RETRY = { maxAttempts: 6, baseDelayMs: 250, maxDelayMs: 4_000 };
const CONNECT_TIMEOUT_MS = 15_000;
/** Somebody looks: a partition that has stopped is said earlier than a program would be told. */
const STALL_TIMEOUT_MS = 10_000;

/** The clients of a target. Nothing is connected yet. */
export function clientsOf(target: Target): Clients {
  const common: ClientOptions = {
    retry: RETRY,
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
    stallTimeoutMs: STALL_TIMEOUT_MS,
    identifier: `console-${uuid()}`,
    applicationId: "eventhubs-console",
    ...(target.endpoint ? { endpoint: target.endpoint } : {}),
  };
  const producer = new ProducerClient(target.connectionString, target.eventHub, common);
  const consumer = new ConsumerClient(target.connectionString, target.eventHub, {
    ...common,
    consumerGroup: target.consumerGroup,
  });
  const close = async (): Promise<void> => {
    await Promise.allSettled([consumer.close(), producer.close()]);
  };
  return { producer, consumer, close };
}

/** Starts a namespace in this page. It is gone with the page. */
export function startEmulator(): Promise<Emulator> {
  return Emulator.start({ hubs: { eh1: { partitions: 4, consumerGroups: ["cg1"] } } });
}
