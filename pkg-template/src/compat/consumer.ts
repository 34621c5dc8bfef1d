import { ConsumerClient } from "../consumer.js";
import { type Credential, isCredential, type Opening, openingOf } from "./connection.js";
import { HubInspector } from "./inspector.js";
import { validatePositions } from "./position.js";
import { Processor, type Processing } from "./processor.js";
import { InMemoryCheckpointStore } from "./store.js";
import type { CheckpointStore, SubscribeOptions, Subscription, SubscriptionEventHandlers } from "./subscription.js";
import type {
  EventHubConsumerClientOptions,
  EventHubProperties,
  GetEventHubPropertiesOptions,
  GetPartitionIdsOptions,
  GetPartitionPropertiesOptions,
  LoadBalancingOptions,
  NamedKeyCredential,
  PartitionProperties,
  SASCredential,
  TokenCredential,
} from "./types.js";

/** The name under which all partitions are subscribed to. */
const ALL = "all";

/**
 * Reads events of a hub, as that of `@azure/event-hubs` does.
 *
 * ```ts
 * const consumer = new EventHubConsumerClient("$Default", connectionString, "orders");
 * const subscription = consumer.subscribe({
 *   processEvents: async (events, context) => console.log(context.partitionId, events.map((event) => event.body)),
 *   processError: async (error) => console.error(error),
 * }, { startPosition: earliestEventPosition });
 * ```
 */
export class EventHubConsumerClient {
  /** The consumer group that every hub has. */
  static defaultConsumerGroupName: string = "$default";
  /** How the client is called in the service's logs, and as an owner of partitions. */
  readonly identifier: string;
  readonly #consumerGroup: string;
  readonly #inspector: HubInspector<ConsumerClient>;
  readonly #store: CheckpointStore;
  readonly #hasOwnStore: boolean;
  readonly #balancing: Required<LoadBalancingOptions>;
  readonly #subscriptions = new Map<string, Subscription>();

  constructor(consumerGroup: string, connectionString: string, options?: EventHubConsumerClientOptions);
  constructor(
    consumerGroup: string,
    connectionString: string,
    checkpointStore: CheckpointStore,
    options?: EventHubConsumerClientOptions,
  );
  constructor(consumerGroup: string, connectionString: string, eventHubName: string, options?: EventHubConsumerClientOptions);
  constructor(
    consumerGroup: string,
    connectionString: string,
    eventHubName: string,
    checkpointStore: CheckpointStore,
    options?: EventHubConsumerClientOptions,
  );
  constructor(
    consumerGroup: string,
    fullyQualifiedNamespace: string,
    eventHubName: string,
    credential: TokenCredential | NamedKeyCredential | SASCredential,
    options?: EventHubConsumerClientOptions,
  );
  constructor(
    consumerGroup: string,
    fullyQualifiedNamespace: string,
    eventHubName: string,
    credential: TokenCredential | NamedKeyCredential | SASCredential,
    checkpointStore: CheckpointStore,
    options?: EventHubConsumerClientOptions,
  );
  constructor(consumerGroup: string, first: string, ...rest: unknown[]) {
    const { hub, credential, store, options } = overload(rest);
    this.#consumerGroup = String(consumerGroup || EventHubConsumerClient.defaultConsumerGroupName);
    const opening: Opening = openingOf(first, hub, credential, options);
    this.identifier = opening.identifier;
    const client = new ConsumerClient({ ...opening.connection, consumerGroup: this.#consumerGroup });
    this.#inspector = new HubInspector(opening, client, options?.retryOptions);
    this.#hasOwnStore = store !== undefined;
    this.#store = store ?? new InMemoryCheckpointStore();
    const { strategy, updateIntervalInMs, partitionOwnershipExpirationIntervalInMs } = options?.loadBalancingOptions ?? {};
    this.#balancing = {
      strategy: strategy ?? "balanced",
      updateIntervalInMs: updateIntervalInMs ?? 10_000,
      partitionOwnershipExpirationIntervalInMs: partitionOwnershipExpirationIntervalInMs ?? 60_000,
    };
  }

  get eventHubName(): string {
    return this.#inspector.opening.eventHub;
  }

  /** The namespace's host. */
  get fullyQualifiedNamespace(): string {
    return this.#inspector.opening.host;
  }

  /** Closes the subscriptions and the connection. */
  async close(): Promise<void> {
    try {
      await Promise.all([...this.#subscriptions.values()].map((subscription) => subscription.close()));
    } finally {
      await this.#inspector.close();
    }
  }

  getPartitionIds(options: GetPartitionIdsOptions = {}): Promise<Array<string>> {
    return this.#inspector.getPartitionIds(options);
  }

  getPartitionProperties(partitionId: string, options: GetPartitionPropertiesOptions = {}): Promise<PartitionProperties> {
    return this.#inspector.getPartitionProperties(partitionId, options);
  }

  getEventHubProperties(options: GetEventHubPropertiesOptions = {}): Promise<EventHubProperties> {
    return this.#inspector.getEventHubProperties(options);
  }

  /** Reads all partitions; with a checkpoint store a fair share of them. Everything that fails later goes to `processError`. */
  subscribe(handlers: SubscriptionEventHandlers, options?: SubscribeOptions): Subscription;
  /** Reads one partition. */
  subscribe(partitionId: string, handlers: SubscriptionEventHandlers, options?: SubscribeOptions): Subscription;
  subscribe(first: string | SubscriptionEventHandlers, second?: SubscriptionEventHandlers | SubscribeOptions, third?: SubscribeOptions): Subscription {
    if (isHandlers(first)) return this.#subscribe(undefined, first, second as SubscribeOptions | undefined);
    if (isHandlers(second)) return this.#subscribe(String(first), second, third);
    throw new TypeError("Unhandled subscribe() overload");
  }

  #subscribe(partitionId: string | undefined, handlers: SubscriptionEventHandlers, given: SubscribeOptions | undefined): Subscription {
    const options = { ...given };
    validatePositions(options.startPosition);
    for (const name of ["maxBatchSize", "prefetchCount", "maxWaitTimeInSeconds"] as const) atLeast(name, options[name]);
    const name = partitionId ?? ALL;
    if ((name === ALL && this.#subscriptions.size > 0) || this.#subscriptions.has(name) || this.#subscriptions.has(ALL)) {
      throw new Error("Partition already has a subscriber.");
    }
    const ownerLevel = options.ownerLevel || (this.#hasOwnStore ? 0 : undefined);
    const strategy: Processing["strategy"] = this.#hasOwnStore ? (this.#balancing.strategy === "greedy" ? "greedy" : "balanced") : "everything";
    const processor = new Processor({
      ...{ inspector: this.#inspector, consumerGroup: this.#consumerGroup, handlers, store: this.#store, partitionId, strategy },
      options: { ...options, ownerLevel } as SubscribeOptions,
      keepsCheckpoints: this.#hasOwnStore || partitionId === undefined,
      ownerId: this.identifier,
      intervalMs: this.#balancing.updateIntervalInMs,
      expirationMs: this.#balancing.partitionOwnershipExpirationIntervalInMs,
    });
    const subscription: Subscription = {
      get isRunning() {
        return processor.isRunning;
      },
      close: () => {
        if (this.#subscriptions.get(name) === subscription) this.#subscriptions.delete(name);
        return processor.stop();
      },
    };
    this.#subscriptions.set(name, subscription);
    return subscription;
  }
}

interface Overload {
  hub: string | undefined;
  credential: Credential | undefined;
  store: CheckpointStore | undefined;
  options: EventHubConsumerClientOptions | undefined;
}

/** What follows the consumer group and the connection string or namespace. */
function overload([third, fourth, fifth, sixth]: unknown[]): Overload {
  const withStore = (store: unknown, behind: unknown): Pick<Overload, "store" | "options"> =>
    isStore(store)
      ? { store, options: (behind as EventHubConsumerClientOptions | null) ?? undefined }
      : { store: undefined, options: (store as EventHubConsumerClientOptions | null) ?? undefined };
  if (isCredential(fourth)) return { hub: third as string, credential: fourth, ...withStore(fifth, sixth) };
  if (typeof third === "string") return { hub: third, credential: undefined, ...withStore(fourth, fifth) };
  return { hub: undefined, credential: undefined, ...withStore(third, fourth) };
}

function isStore(possible: unknown): possible is CheckpointStore {
  const methods = ["claimOwnership", "listCheckpoints", "listOwnership", "updateCheckpoint"];
  return Boolean(possible) && methods.every((name) => typeof (possible as Record<string, unknown>)[name] === "function");
}

function isHandlers(possible: unknown): possible is SubscriptionEventHandlers {
  return typeof (possible as SubscriptionEventHandlers | undefined | null)?.processEvents === "function";
}

/** What is no number, or too small, would read nothing for ever. */
function atLeast(name: string, value: unknown): void {
  const least = name === "maxBatchSize" ? 1 : 0;
  const isFine = typeof value === "number" && value >= least && (name === "maxWaitTimeInSeconds" || Number.isInteger(value));
  if (value !== undefined && value !== null && !isFine) {
    throw new TypeError(`Invalid '${name}': expected a number of at least ${least}, but received '${String(value)}'.`);
  }
}
