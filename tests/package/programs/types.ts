// What users write, for the type checker alone: every mode of resolution reads this file, with no types but the DOM's.
import {
  ConsumerClient,
  EventHubsError,
  ProducerClient,
  bytes,
  json,
  text,
  type Codec,
  type EventInput,
  type Check,
  type ConnectionStatus,
  type Diagnosis,
  type Health,
  type ReceivedEvent,
  type StartPosition,
  type Status,
  type StatusStream,
} from "eventhubs";
import {
  EventProcessor,
  IndexedDbCheckpointStore,
  MemoryCheckpointStore,
  testCheckpointStore,
  type CheckpointStore,
  type CloseReason,
  type ErrorContext,
  type PartitionContext,
  type PartitionReader,
} from "eventhubs/processor";

interface Order {
  id: number;
}

export async function publish(connectionString: string, signal: AbortSignal): Promise<number> {
  const producer = new ProducerClient(connectionString, "orders", { retry: { maxAttempts: 3 }, webSocket: WebSocket });
  const codec: Codec<Order> = json<Order>();
  const input: EventInput = { body: "x", properties: { a: 1, b: 2n, c: true, d: new Date(), e: new Uint8Array(), f: null } };
  let sent = await producer.send(["one", new Uint8Array(2), input], { partitionKey: "k", signal });
  sent += await producer.send("alone");
  const batch = await producer.createBatch({ partitionId: "0" });
  const fits: boolean = batch.tryAdd(input);
  if (fits) await producer.sendBatch(batch, { signal });
  const ids: string[] = await producer.partitionIds();
  const { lastEnqueuedTime, isEmpty } = await producer.partitionProperties(ids[0] ?? "0");
  const at: Date | undefined = lastEnqueuedTime;
  console.log(at, isEmpty, codec.contentType, text(), bytes());
  await producer.close();
  return sent;
}

export async function consume(connectionString: string): Promise<void> {
  const consumer = new ConsumerClient(connectionString, "orders", { consumerGroup: "$Default" });
  const from: StartPosition = { enqueuedTime: new Date() };
  for await (const event of consumer.receive("0", { from, codec: json<Order>() })) {
    const order: Order = event.body;
    const number: number = event.sequenceNumber;
    console.log(order.id, number, event.offset.length, event.enqueuedTime.getTime());
    break;
  }
  const stream = consumer.receiveAll({ from: "earliest" });
  const some: ReceivedEvent[] = await stream.nextBatch({ maxCount: 10, maxWaitMs: 100 });
  const body: Uint8Array | undefined = some[0]?.body;
  const readable: ReadableStream<ReceivedEvent> = stream.readable();
  console.log(body, readable);
  try {
    await stream.close();
  } catch (error) {
    if (error instanceof EventHubsError) {
      const code: string = error.code;
      const retryable: boolean = error.retryable;
      console.log(code, retryable);
    }
  }
  // @ts-expect-error: a body that is no text and no bytes needs a codec
  const wrong: EventInput = { body: { id: 1 } };
  // @ts-expect-error: an unknown option
  new ConsumerClient(connectionString, "orders", { consumerGroop: "x" });
  console.log(wrong);
}

/** Every status, with what it carries: a type that is added or renamed does not compile here. */
function told(status: Status): string | number | undefined {
  switch (status.type) {
    case "connecting":
      return status.attempt.toFixed();
    case "disconnected":
      return status.cause?.code;
    case "reconnecting":
      return status.attempt + status.delayMs + status.cause.attempts;
    case "detached":
      return status.entity + (status.cause?.message ?? "");
    case "attached":
      return status.entity;
    case "throttled":
      return status.entity.length + status.delayMs;
    case "token-refreshed":
      return status.audience.length + status.expiresAt.getTime();
    case "token-refresh-failed":
      return status.audience + status.cause.message + (status.retryInMs?.toFixed() ?? "");
    case "stalled":
      return status.partition;
    case "resumed": {
      const position: StartPosition = status.position;
      return status.partition + JSON.stringify(position);
    }
    case "connected":
    case "closed":
      // @ts-expect-error: nothing went wrong
      return status.cause;
    default: {
      const nothing: never = status;
      return nothing;
    }
  }
}

export async function watch(client: ProducerClient | ConsumerClient, signal: AbortSignal): Promise<number> {
  const statuses: StatusStream = client.status({ signal });
  for await (const status of statuses) {
    const each: Status = status;
    console.log(told(each));
    // @ts-expect-error: only some say why
    console.log(status.cause);
    // @ts-expect-error: statuses are told, not made
    status.type = "closed";
    break;
  }
  const { state, since, lastError, tokenExpiresAt, isHealthy, linksLive, linksWanted, linksFailing }: Health = client.health();
  const connection: ConnectionStatus = state;
  const times: (Date | undefined)[] = [since, tokenExpiresAt];
  const unknown: boolean | undefined = lastError?.outcomeUnknown;
  const pause: number | undefined = lastError?.retryAfterMs;
  // @ts-expect-error: a partition that stalled is not how the connection is
  const none = state.type === "stalled";
  console.log(connection, times, isHealthy, unknown, pause, none);
  return statuses.missed + linksLive + linksWanted + linksFailing;
}

export async function examine(client: ProducerClient | ConsumerClient, signal: AbortSignal): Promise<string[]> {
  const diagnosis: Diagnosis = await client.diagnose({ signal, timeoutMs: 5000 });
  // @ts-expect-error: a misspelt option
  await client.diagnose({ timeout: 5000 });
  const failed = diagnosis.checks.filter((check: Check) => check.verdict === "failed");
  // @ts-expect-error: there is no such verdict
  const none = diagnosis.checks.filter(({ verdict }) => verdict === "good");
  // @ts-expect-error: there is no such check
  const named = diagnosis.checks.find(({ name }) => name === "proxy");
  const hint: string | undefined = failed[0]?.hint;
  const help: string = new EventHubsError("closed", "x").helpUrl;
  return [diagnosis.endpoint, diagnosis.eventHub, String(diagnosis.isOk), hint ?? help, ...failed.map(({ tookMs }) => tookMs.toFixed()), String([none, named])];
}

export async function share(consumer: ConsumerClient, signal: AbortSignal): Promise<void> {
  const stores: CheckpointStore[] = [new MemoryCheckpointStore(), new IndexedDbCheckpointStore({ database: "mine" })];
  const kept: string[] = await testCheckpointStore(() => stores[0]!);
  await using processor = new EventProcessor(consumer, stores[1]!, {
    codec: json<Order>(),
    from: { "0": "earliest", "1": { sequenceNumber: 7 } },
    autoCheckpoint: { everyEvents: 100, everyMs: 5000, onClose: true },
    strategy: "greedy",
  });
  await processor.run(
    {
      process: async (events: ReceivedEvent<Order>[], partition: PartitionContext) => {
        const last = events.at(-1);
        if (last !== undefined) await partition.checkpoint(last);
        console.log(events.map((event) => event.body.id), kept.length, await partition.lag());
      },
      initialize: (partition) => (partition.startingCheckpoint === undefined ? "earliest" : undefined),
      close: (reason: CloseReason) => console.log(reason),
      error: (error: unknown, { operation, partitionId }: ErrorContext) => console.error(operation, partitionId, error),
    },
    { signal },
  );
}

export async function readers(consumer: ConsumerClient): Promise<void> {
  const processor = new EventProcessor(consumer, new MemoryCheckpointStore());
  for await (const partition of processor.partitions({ error: console.error })) void drain(partition);
  const { events }: { readonly events: number } = await processor.lag();
  console.log(events);
}

async function drain(partition: PartitionReader): Promise<CloseReason> {
  for await (const event of partition) console.log(event.body.byteLength);
  return partition.closed;
}
