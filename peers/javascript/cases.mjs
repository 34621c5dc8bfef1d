// What is measured, for Node and pages alike. An `sdk` is ours.mjs or official.mjs.

/** Sends that await their outcome. */
const IN_FLIGHT = 4;
/** Events that are sent as one list: about as much as a batch holds. */
const LIST = 1000;
/** Events of a batch that is received, at most. */
export const BATCH = 500;
/** Events that may lie ready, at most. */
export const PREFETCH = 2000;

const CASES = { send, list, receive, each, first };

/**
 * Runs `job.case`. `warmup` events come before the clock starts, so that what is measured is steady: code that is compiled, links that are
 * attached, credit that flows.
 */
export async function measure(sdk, job) {
  return CASES[job.case](sdk, job);
}

/** Batches to the partition, several in flight. */
async function send(sdk, { warmup, count, size, ...job }) {
  const producer = sdk.producer(job);
  const event = { body: sdk.body(size) };
  const sendBatches = async (events) => {
    const waiting = [];
    for (let sent = 0; sent < events; ) {
      const batch = await producer.createBatch({ partitionId: job.partition });
      while (sent < events && batch.tryAdd(event)) sent += 1;
      waiting.push(producer.sendBatch(batch));
      if (waiting.length >= IN_FLIGHT) await waiting.shift();
    }
    await Promise.all(waiting);
  };
  await sendBatches(warmup);
  const start = performance.now();
  await sendBatches(count);
  const result = since(start, count);
  await producer.close();
  return result;
}

/** Lists of events, several in flight: the client fills the batches. */
async function list(sdk, { warmup, count, size, ...job }) {
  const producer = sdk.producer(job);
  const event = { body: sdk.body(size) };
  const sendLists = async (events) => {
    const waiting = [];
    for (let sent = 0; sent < events; ) {
      const list = new Array(Math.min(LIST, events - sent)).fill(event);
      sent += list.length;
      waiting.push(producer.send(list, { partitionId: job.partition }));
      if (waiting.length >= IN_FLIGHT) await waiting.shift();
    }
    await Promise.all(waiting);
  };
  await sendLists(warmup);
  const start = performance.now();
  await sendLists(count);
  const result = since(start, count);
  await producer.close();
  return result;
}

/** Events from the start of the partition, in batches. */
async function receive(sdk, job) {
  const clock = new Clock(job);
  await sdk.receive(job, (events) => {
    for (const event of events) clock.check(event, job.size);
    return clock.seen(events.length);
  });
  return clock.result();
}

/** The same, one by one. */
async function each(sdk, job) {
  const clock = new Clock(job);
  await sdk.receiveEach(job, (event) => {
    clock.check(event, job.size);
    return clock.seen(1);
  });
  return clock.result();
}

/** From `job.started`, before the import, to the first event. */
async function first(sdk, job) {
  await sdk.first(job);
  return since(job.started, 1);
}

/** Counts received events, and runs from the one that ends the warm-up to the last. */
class Clock {
  #job;
  #seen = 0;
  #start;
  #before = 0;
  #end;
  #next;

  constructor(job) {
    this.#job = job;
  }

  /** Whoever receives looks at the body and at the number, and finds that nothing is missing. */
  check(event, size) {
    if (event.body.length !== size) throw new Error(`an event of ${event.body.length} bytes instead of ${size}`);
    const number = event.sequenceNumber;
    if (this.#next !== undefined && number !== this.#next) throw new Error(`event ${number} came instead of ${this.#next}`);
    this.#next = number + 1;
  }

  /** Whether more are wanted. */
  seen(events) {
    this.#seen += events;
    if (this.#start === undefined && this.#seen >= this.#job.warmup) {
      [this.#start, this.#before] = [performance.now(), this.#seen];
    }
    const isOver = this.#seen >= this.#job.warmup + this.#job.count;
    if (isOver) this.#end ??= performance.now();
    return !isOver;
  }

  result() {
    return { events: this.#seen - this.#before, seconds: (this.#end - this.#start) / 1000 };
  }
}

function since(start, events) {
  return { events, seconds: (performance.now() - start) / 1000 };
}
