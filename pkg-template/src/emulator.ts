/**
 * An Event Hubs namespace in this page, worker or process: no server, no account, no network.
 *
 * ```ts
 * import { Emulator } from "eventhubs/emulator";
 *
 * const emulator = await Emulator.start({ hubs: { orders: 4 } });
 * const producer = new ProducerClient(emulator.connectionString, "orders");
 * ```
 *
 * @module
 */

import { refusals, startBroker, type Broker, type Started } from "./emulator/broker.js";
import { emulatorError, EventHubsError } from "./emulator/error.js";
import { type EmulatorFaults, faultsOf } from "./emulator/faults.js";
import { checkHub, checkOptions, type EmulatorOptions, type HubOptions } from "./emulator/options.js";
import { text } from "./internal/check.js";
import { Pump } from "./emulator/pump.js";
import { socketsOf, type EmulatorWebSocketConstructor } from "./emulator/socket.js";
import { now } from "./internal/tasks.js";

export type {
  EmulatorFault,
  EmulatorFaults,
  FaultDirection,
  FaultKind,
  FaultOccasion,
  FaultOptions,
  FaultScopeOptions,
  FaultTimeOptions,
} from "./emulator/faults.js";
export type { EmulatorKey, EmulatorOptions, EmulatorRight, HubOptions } from "./emulator/options.js";
export type { EmulatorWebSocket, EmulatorWebSocketConstructor } from "./emulator/socket.js";

/** A hub of an {@link Emulator}, as it is. */
export interface EmulatorHub {
  /** Its name as it was created. */
  readonly name: string;
  /** How many partitions it has. */
  readonly partitions: number;
  /** Its consumer groups, `$Default` first. */
  readonly consumerGroups: readonly string[];
  /** When it was created. */
  readonly createdAt: Date;
}

/** Where clients of this package look for emulators: by host name, the class of the sockets that lead there. */
const REGISTRY = Symbol.for("eventhubs.emulators");

/** The key that every Azure SDK sends to an emulator. */
const DEVELOPMENT_KEY = "SAS_KEY_VALUE";

/**
 * A whole Event Hubs namespace in memory. Clients of this package find it by its connection string; the official SDK
 * is given its sockets as well: `{ webSocketOptions: { webSocket: emulator.WebSocket } }`.
 */
export class Emulator {
  /** What every client takes to connect. It holds the development key, which is no secret. */
  readonly connectionString: string;
  /** The class of the sockets that lead here, whatever their URL says. */
  readonly WebSocket: EmulatorWebSocketConstructor;
  /** What goes wrong on purpose. */
  readonly faults: EmulatorFaults;
  readonly #host: string;
  readonly #pump: Pump;
  #stopped: Promise<void> | undefined;

  private constructor(host: string, started: Started) {
    this.#host = host;
    this.#pump = new Pump(started);
    this.faults = faultsOf(this.#pump, (operation, work) => this.#do(operation, "", work));
    this.WebSocket = socketsOf(this.#pump);
    this.connectionString =
      `Endpoint=sb://${host};SharedAccessKeyName=RootManageSharedAccessKey;` +
      `SharedAccessKey=${DEVELOPMENT_KEY};UseDevelopmentEmulator=true`;
    registry().set(host, this.WebSocket);
  }

  /**
   * Starts a namespace. When the promise resolves, clients can connect.
   *
   * @throws EventHubsError `invalid-argument` when an option is unknown or wrong; the text says which and why.
   */
  static async start(options?: EmulatorOptions): Promise<Emulator> {
    const settings = checkOptions(options);
    const id = randomId();
    return new Emulator(`${id}.emulator.invalid`, await startBroker(id, settings));
  }

  /** How many connections there are. */
  get connections(): number {
    return this.#pump.connections;
  }

  /** How many bytes of events are kept; 0 when stopped. */
  get storedBytes(): number {
    return this.#stopped === undefined ? this.#do("look at the memory", "", (broker) => broker.storedBytes()) : 0;
  }

  /** All hubs, by name. */
  hubs(): EmulatorHub[] {
    const hubs = this.#do("list the hubs", "", (broker) => broker.hubs() as (Omit<EmulatorHub, "createdAt"> & { createdAt: number })[]);
    return hubs.map((hub) => ({ ...hub, createdAt: new Date(hub.createdAt) }));
  }

  /**
   * Creates a hub: with this many partitions, or with four.
   *
   * @throws EventHubsError `invalid-argument` when there is one of that name, or the name is none.
   */
  createHub(name: string, options?: number | HubOptions): void {
    const hub = checkHub(name, options, `the hub '${String(name)}'`);
    this.#do("create the hub", hub.name, (broker) =>
      broker.createHub(hub.name, hub.partitions, hub.consumerGroups, now(), Date.now()),
    );
  }

  /**
   * Deletes a hub with its events. Who sends to it or reads from it is told that it is not there.
   *
   * @throws EventHubsError `not-found`.
   */
  deleteHub(name: string): void {
    text(name, "the name of the hub");
    this.#do("delete the hub", name, (broker) => broker.deleteHub(name, now(), Date.now()));
  }

  /**
   * Creates a consumer group.
   *
   * @throws EventHubsError `not-found` for the hub; `invalid-argument` when there is one of that name.
   */
  createConsumerGroup(hub: string, consumerGroup: string): void {
    text(hub, "the name of the hub");
    text(consumerGroup, "the name of the consumer group");
    this.#do("create the consumer group", `${hub}/${consumerGroup}`, (broker) =>
      broker.createConsumerGroup(hub, consumerGroup),
    );
  }

  /**
   * Deletes a consumer group; its readers are told that it is not there.
   *
   * @throws EventHubsError `not-found`; `invalid-argument` for `$Default`.
   */
  deleteConsumerGroup(hub: string, consumerGroup: string): void {
    text(hub, "the name of the hub");
    text(consumerGroup, "the name of the consumer group");
    this.#do("delete the consumer group", `${hub}/${consumerGroup}`, (broker) =>
      broker.deleteConsumerGroup(hub, consumerGroup, now(), Date.now()),
    );
  }

  /** Says goodbye to all clients, closes their sockets, forgets all events and gives the memory back. */
  stop(): Promise<void> {
    registry().delete(this.#host);
    this.#stopped ??= this.#pump.stop();
    return this.#stopped;
  }

  /** Stops it: `await using emulator = await Emulator.start()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #do<T>(operation: string, entity: string, work: (broker: Broker) => T): T {
    if (this.#stopped !== undefined) {
      throw emulatorError("closed", `cannot ${operation}: the emulator is stopped`, { operation, entity });
    }
    try {
      return refusals(operation, entity, () => this.#pump.use(work));
    } catch (cause) {
      if (cause instanceof EventHubsError) throw cause;
      throw emulatorError("internal", `cannot ${operation}: the emulator failed`, { operation, entity, cause });
    }
  }
}

function registry(): Map<string, EmulatorWebSocketConstructor> {
  const global = globalThis as { [REGISTRY]?: Map<string, EmulatorWebSocketConstructor> };
  return (global[REGISTRY] ??= new Map());
}

function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
