// What all clients have in common: they tell about their hub, and they are closed.

import type { HubClient } from "../internal/hub-client.js";
import { operation } from "./call.js";
import type { Opening } from "./connection.js";
import { CLOSED, MessagingError, required, translated } from "./errors.js";
import type { RetryOptions } from "./retry.js";
import type { EventHubProperties, OperationOptions, PartitionProperties } from "./types.js";

/** A client of the engine, for operations with the official options and errors. */
export class HubInspector<Client extends HubClient> {
  readonly opening: Opening;
  readonly client: Client;
  readonly retry: RetryOptions | undefined;
  #isClosed = false;

  constructor(opening: Opening, client: Client, retry: RetryOptions | undefined) {
    this.opening = opening;
    this.client = client;
    this.retry = retry;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Runs an operation, unless the client was closed. */
  async use<T>(
    options: OperationOptions | undefined,
    work: (client: Client, signal: AbortSignal | undefined) => Promise<T>,
  ): Promise<T> {
    if (this.#isClosed) throw new Error(CLOSED);
    try {
      return await operation(options?.abortSignal, (signal) => work(this.client, signal));
    } catch (error) {
      throw this.explained(error);
    }
  }

  async getEventHubProperties(options: OperationOptions): Promise<EventHubProperties> {
    const found = await this.use(options, (client, signal) => client.hubProperties({ signal }));
    return {
      name: found.name,
      createdOn: found.createdAt,
      partitionIds: [...found.partitionIds],
      isGeoDrEnabled: found.georeplicationFactor > 1,
    };
  }

  async getPartitionIds(options: OperationOptions): Promise<string[]> {
    return (await this.getEventHubProperties(options)).partitionIds;
  }

  async getPartitionProperties(partitionId: string, options: OperationOptions): Promise<PartitionProperties> {
    const found = await this.use(options, (client, signal) => {
      required("getPartitionProperties", "partitionId", partitionId);
      return client.partitionProperties(String(partitionId), { signal });
    });
    return {
      eventHubName: found.eventHub,
      partitionId: found.partitionId,
      beginningSequenceNumber: found.beginSequenceNumber,
      lastEnqueuedSequenceNumber: found.lastEnqueuedSequenceNumber,
      lastEnqueuedOffset: found.lastEnqueuedOffset,
      // The year 1 where nothing was ever enqueued is what the service says.
      lastEnqueuedOnUtc: found.lastEnqueuedTime ?? new Date(NEVER),
      isEmpty: found.isEmpty,
    };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.client.close();
  }

  /** What users see of an error. A credential that failed is what they are told about. */
  explained(thrown: unknown): unknown {
    const error = translated(thrown);
    const { failure } = this.opening;
    const isRefused = error instanceof MessagingError && error.code === "UnauthorizedError";
    return isRefused && failure.error !== undefined ? failure.error : error;
  }
}

/** The service's time for never: 0001-01-01. */
const NEVER = -62_135_596_800_000;
