// What examples/soak does natively, through the npm package: publishes and reads for a long time and keeps a ledger.
// `cargo xtask soak --node` runs it against an emulator in which things go wrong.
//
// usage: EVENTHUB_CONNECTION_STRING=… node soak.mjs <seconds>

import { ConsumerClient, ProducerClient } from "eventhubs";
import { WebSocket } from "ws";

/** The memories of all wasm instances, to be measured. */
const memories = new Set();
function measure(instance) {
  for (const each of Object.values(instance.exports)) if (each instanceof WebAssembly.Memory) memories.add(each);
  return instance;
}
for (const name of ["instantiate", "instantiateStreaming"]) {
  const original = WebAssembly[name];
  WebAssembly[name] = async (...args) => {
    const made = await original(...args);
    measure(made.instance ?? made);
    return made;
  };
}
WebAssembly.Instance = new Proxy(WebAssembly.Instance, { construct: (target, args) => measure(new target(...args)) });

const [seconds = "60"] = process.argv.slice(2);
const PARTITIONS = 4;
const PACE_MS = 20;
const BURST = 10;
const BODY = 512;
const VISIT_MS = 5_000;
const DRAIN_MS = 60_000;
const FILLER = ".".repeat(BODY);
const connectionString = process.env.EVENTHUB_CONNECTION_STRING;

/** The same rules as examples/soak/ledger.rs. */
class Ledger {
  sent = 0;
  acknowledgedTo = 0;
  next = 0;
  taken = 0;
  lastSequence = undefined;
  unsure = [];
  verdict = { acknowledged: 0, failed: 0, lost: 0, repeated: 0, disordered: 0, storedAgain: 0 };

  published(count, error) {
    const first = this.sent;
    this.sent += count;
    if (error === undefined) {
      this.acknowledgedTo = this.sent;
      this.verdict.acknowledged += count;
    } else {
      this.verdict.failed += 1;
      this.unsure.push([first, first + count]);
    }
  }

  received(event) {
    const sequence = Number(event.sequenceNumber);
    if (this.lastSequence !== undefined) {
      if (sequence <= this.lastSequence) return void (this.verdict.repeated += 1);
      this.verdict.lost += sequence - this.lastSequence - 1;
    }
    this.lastSequence = sequence;
    const number = Number.parseInt(new TextDecoder().decode(event.body.subarray(0, 16)), 10);
    if (Number.isNaN(number)) return void (this.verdict.disordered += 1);
    this.taken += 1;
    if (number < this.next) {
      this.verdict[this.next - number <= 16 ? "storedAgain" : "disordered"] += 1;
      return;
    }
    for (let missing = this.next; missing < number; missing += 1) {
      if (!this.unsure.some(([from, to]) => from <= missing && missing < to)) this.verdict.lost += 1;
    }
    this.next = number + 1;
  }

  get outstanding() {
    return Math.max(0, this.acknowledgedTo - this.next);
  }
}

const ledgers = Array.from({ length: PARTITIONS }, () => new Ledger());
const counts = { connected: 0, visits: 0, failedVisits: 0 };
let stopping = false;
const started = performance.now();
const elapsed = () => (performance.now() - started) / 1000;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

const options = { webSocket: WebSocket, idleTimeoutMs: 4_000, retry: { maxAttempts: 1000, maxDelayMs: 1000 } };
const clients = [];
const writers = [];
const readers = [];
const reading = new AbortController();
for (let half = 0; half < 2; half += 1) {
  const producer = new ProducerClient({ connectionString, ...options });
  const consumer = new ConsumerClient({ connectionString, ...options });
  clients.push(producer, consumer);
  for (const client of [producer, consumer]) countConnections(client).catch(() => {});
  for (let partition = half; partition < PARTITIONS; partition += 2) {
    writers.push(write(producer, partition, ledgers[partition]));
    readers.push(read(consumer, partition, ledgers[partition]));
  }
}
const visitor = visit();
while (elapsed() < Number(seconds)) {
  await pause(1000);
  say();
}
stopping = true;
await Promise.all([...writers, visitor]);
for (const until = performance.now() + DRAIN_MS; performance.now() < until; await pause(100)) {
  if (ledgers.every((ledger) => ledger.outstanding === 0)) break;
}
reading.abort();
await Promise.all(readers);
await Promise.all(clients.map((client) => client.close()));
const verdict = { outstanding: ledgers.reduce((sum, ledger) => sum + ledger.outstanding, 0) };
for (const ledger of ledgers) {
  for (const [name, count] of Object.entries(ledger.verdict)) verdict[name] = (verdict[name] ?? 0) + count;
}
const good = verdict.lost + verdict.repeated + verdict.disordered + verdict.outstanding === 0 && verdict.acknowledged > 0;
say({ verdict: { good, ...verdict } });
process.exitCode = good ? 0 : 1;

async function write(producer, partition, ledger) {
  const partitionId = String(partition);
  const event = (number) => ({ body: String(number) + FILLER.slice(String(number).length) });
  while (!stopping) {
    await pause(PACE_MS);
    const first = ledger.sent;
    const list = () => Array.from({ length: BURST }, (_, index) => event(first + index));
    let count = BURST;
    try {
      const turn = Math.floor(first / BURST) % 3;
      if (turn === 0) {
        count = 1;
        await producer.send(event(first), { partitionId });
      } else if (turn === 1) {
        await producer.send(list(), { partitionId });
      } else {
        const batch = await producer.createBatch({ partitionId });
        for (const each of list()) batch.tryAdd(each);
        await producer.sendBatch(batch);
      }
      ledger.published(count);
    } catch (error) {
      ledger.published(count, error);
      console.error(`partition ${partition}: ${error.message}`);
    }
  }
}

async function read(consumer, partition, ledger) {
  while (!reading.signal.aborted) {
    const from = ledger.lastSequence === undefined ? "earliest" : { sequenceNumber: ledger.lastSequence };
    try {
      for await (const event of consumer.receive(String(partition), { from, signal: reading.signal })) ledger.received(event);
    } catch (error) {
      if (reading.signal.aborted) return;
      console.error(`reader of partition ${partition}: ${error.message}`);
      await pause(200);
    }
  }
}

async function visit() {
  while (!stopping) {
    await pause(VISIT_MS);
    const consumer = new ConsumerClient({ connectionString, webSocket: WebSocket });
    try {
      await consumer.hubProperties();
      for await (const _ of consumer.receive("0", { from: "earliest", signal: AbortSignal.timeout(VISIT_MS) })) break;
      counts.visits += 1;
    } catch {
      counts.failedVisits += 1;
    } finally {
      await consumer.close();
    }
  }
}

async function countConnections(client) {
  if (typeof client.status !== "function") return;
  for await (const status of client.status()) if (status.type === "connected") counts.connected += 1;
}

function say(more) {
  const sum = (of) => ledgers.reduce((total, ledger) => total + of(ledger), 0);
  const usage = process.memoryUsage();
  const line = {
    seconds: Math.floor(elapsed()),
    sent: sum((ledger) => ledger.sent),
    received: sum((ledger) => ledger.taken),
    tasks: process.getActiveResourcesInfo().length,
    ...counts,
    wasmBytes: [...memories].reduce((total, memory) => total + memory.buffer.byteLength, 0),
    heapBytes: usage.heapUsed,
    externalBytes: usage.external,
    handles: process._getActiveHandles().length,
    ...more,
  };
  console.log(JSON.stringify(line));
}
