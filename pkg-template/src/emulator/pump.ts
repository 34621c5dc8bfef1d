// Moves bytes between sockets and the broker, a piece in each task, so that the page stays alive and everything that
// a socket tells comes in a task of its own.

import type { Broker, BrokerFault, Started } from "./broker.js";
import { now, Tasks, Timer } from "../internal/tasks.js";

/** The client's end of a connection. The pump calls it, always from a task. */
export interface Endpoint {
  opened(): void;
  received(bytes: ArrayBuffer): void;
  closed(end: End): void;
}

/** How a connection ended. */
export interface End {
  code: number;
  reason: string;
  /** Whether both sides agreed. Otherwise an error is told first. */
  clean: boolean;
}

/** How long one task may take, in milliseconds: half a picture, at sixty of them a second. */
const TASK_MS = 8;
/** How many messages are read before answers are written, so that answers share frames. */
const MESSAGES_READ = 256;
/** What a client may send before the broker has read any of it, in bytes. Honest ones wait for credit long before. */
const MOST_UNREAD = 64 << 20;
/** How long {@link Pump.stop} waits for clients to take their goodbye, in milliseconds. */
const FAREWELL_MS = 1000;
/** How often the broker drops what retention says while nobody publishes or reads, in milliseconds. */
const SWEEP_MS = 30_000;

const GOING_AWAY: End = { code: 1001, reason: "the emulator stopped", clean: true };
const OVER: End = { code: 1000, reason: "", clean: true };
const BROKEN: End = { code: 1006, reason: "it broke on purpose", clean: false };

/** One connection. */
export class Pipe {
  readonly endpoint: Endpoint;
  /** The broker's number for it, once it is open. */
  id: number | undefined;
  /** What the client sent and the broker has not read. */
  readonly unread: Uint8Array[] = [];
  unreadBytes = 0;
  /** How it is to end, when what the client sent has been read. */
  closing: End | undefined;
  /** How it is to end, whatever is left. */
  failing: End | undefined;
  queued = false;
  timer: Timer | undefined;
  timerAt = Infinity;

  constructor(endpoint: Endpoint) {
    this.endpoint = endpoint;
  }
}

export class Pump {
  #broker: Broker | undefined;
  /** It belongs to the broker's instance, and goes with it. */
  #Fault: (new () => BrokerFault) | undefined;
  readonly #pipes = new Set<Pipe>();
  readonly #byId = new Map<number, Pipe>();
  readonly #queue: Pipe[] = [];
  readonly #tasks = new Tasks(() => this.#run());
  #sweep: Timer | undefined;
  #stopped: Promise<void> | undefined;
  #allGone: (() => void) | undefined;
  /** Why the broker can do nothing more. */
  #failure: unknown;
  /** Called after everything that may have changed something, and when there is nothing more to come. */
  readonly watchers = new Set<() => void>();

  constructor({ broker, Fault }: Started) {
    this.#broker = broker;
    this.#Fault = Fault;
  }

  /** What is to go wrong, to be filled in. */
  newFault(): BrokerFault {
    if (this.#Fault === undefined) throw new Error("the emulator is stopped");
    return new this.#Fault();
  }

  /** The broker, for what is not about connections. What it gives others to say is said. */
  use<T>(work: (broker: Broker) => T): T {
    const result = this.#guard(work);
    this.#wake();
    this.#tell();
    return result;
  }

  /** As {@link use}, for what changes nothing; `undefined` when there is no broker any more. */
  look<T>(work: (broker: Broker) => T): T | undefined {
    return this.#broker === undefined || this.#failure !== undefined ? undefined : this.#guard(work);
  }

  /** Connections that are there. */
  get connections(): number {
    return this.#pipes.size;
  }

  /** Connects; the endpoint hears of the outcome. `refusal` says why not, if that is known already. */
  connect(endpoint: Endpoint, refusal?: string): Pipe {
    const pipe = new Pipe(endpoint);
    if (this.#stopped !== undefined) {
      // Nobody waits for it: who connects again and again would keep the emulator from ever being stopped.
      Timer.start(() => endpoint.closed({ code: 1006, reason: "it is stopped", clean: false }), 0);
      return pipe;
    }
    this.#pipes.add(pipe);
    if (refusal !== undefined) pipe.failing = { code: 1006, reason: refusal, clean: false };
    else if (this.#failure !== undefined) pipe.failing = failed(this.#failure);
    this.#schedule(pipe);
    return pipe;
  }

  /** Takes a message from the client; it is the pump's from now on. */
  send(pipe: Pipe, bytes: Uint8Array): void {
    if (pipe.closing !== undefined || pipe.failing !== undefined) return;
    pipe.unread.push(bytes);
    pipe.unreadBytes += bytes.byteLength;
    if (pipe.unreadBytes > MOST_UNREAD) {
      this.fail(pipe, { code: 1006, reason: `it did not read the last ${MOST_UNREAD} bytes yet`, clean: false });
    }
    this.#schedule(pipe);
  }

  /** Ends a connection behind what the client sent. */
  close(pipe: Pipe, end: End): void {
    pipe.closing ??= end;
    this.#schedule(pipe);
  }

  /** Ends a connection, whatever is left. */
  fail(pipe: Pipe, end: End): void {
    pipe.failing ??= end;
    this.#schedule(pipe);
  }

  /** Says goodbye to everybody, closes what is left soon after, and gives the broker's memory back. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    if (this.#failure === undefined) this.use((broker) => broker.shutdown(now(), Date.now()));
    const patience = Timer.start(() => this.#failAll(GOING_AWAY), FAREWELL_MS);
    if (this.#pipes.size > 0) await new Promise<void>((resolve) => (this.#allGone = resolve));
    patience.stop();
    this.#sweep?.stop();
    this.#sweep = undefined;
    this.#tasks.close();
    const broker = this.#broker;
    this.#broker = undefined;
    this.#Fault = undefined;
    if (this.#failure === undefined) broker?.free();
    this.#tell();
  }

  #tell(): void {
    for (const watcher of this.watchers) watcher();
  }

  #schedule(pipe: Pipe): void {
    if (pipe.queued || !this.#pipes.has(pipe)) return;
    pipe.queued = true;
    this.#queue.push(pipe);
    this.#tasks.post();
  }

  /** One task. */
  #run(): void {
    const end = now() + TASK_MS;
    for (;;) {
      const pipe = this.#queue.shift();
      if (pipe === undefined) return;
      pipe.queued = false;
      let told = false;
      try {
        told = this.#step(pipe, end);
      } catch (error) {
        // Everything ends then; that was arranged when it failed.
        if (error !== this.#failure) throw error;
      } finally {
        this.#tell();
        if (this.#queue.length > 0) this.#tasks.post();
      }
      if (told || now() >= end) return;
    }
  }

  /** Whether the endpoint was told something: promises that hang on it get their turn before the next is told. */
  #step(pipe: Pipe, end: number): boolean {
    if (pipe.failing !== undefined) return this.#end(pipe, pipe.failing);
    if (pipe.id === undefined) return this.#open(pipe);
    this.#read(pipe, pipe.id, end);
    const rest = pipe.unread.length > 0 && this.#guard((broker) => broker.isListening(pipe.id!));
    if (pipe.closing !== undefined && !rest) return this.#end(pipe, pipe.closing);
    const output = this.#guard((broker) => broker.takeOutput(pipe.id!, now(), Date.now()));
    this.#wake();
    if (output === undefined && this.#guard((broker) => broker.isFinished(pipe.id!))) {
      return this.#end(pipe, this.#guard((broker) => broker.wasDropped(pipe.id!)) ? BROKEN : OVER);
    }
    // Without output there is nothing to do but to read on; where even that is not possible, a deadline ends it.
    if (output !== undefined || rest) this.#schedule(pipe);
    this.#watch(pipe, pipe.id);
    if (output === undefined || pipe.closing !== undefined) return false;
    pipe.endpoint.received(output.buffer as ArrayBuffer);
    return true;
  }

  #open(pipe: Pipe): boolean {
    try {
      pipe.id = this.#guard((broker) => broker.connect(now(), Date.now()));
    } catch (refused) {
      if (typeof refused !== "string") throw refused;
      return this.#end(pipe, { code: 1006, reason: refused.replace(/^refused: /, ""), clean: false });
    }
    this.#byId.set(pipe.id, pipe);
    this.#schedule(pipe);
    this.#sweepLater();
    pipe.endpoint.opened();
    return true;
  }

  #read(pipe: Pipe, id: number, end: number): void {
    this.#guard((broker) => {
      const time = now();
      if (time >= pipe.timerAt) this.#disarm(pipe);
      if ((broker.nextDeadline(id) ?? Infinity) <= time) broker.tick(id, time, Date.now());
      let read = 0;
      while (read < MESSAGES_READ && read < pipe.unread.length && broker.isListening(id)) {
        const bytes = pipe.unread[read]!;
        read += 1;
        pipe.unreadBytes -= bytes.byteLength;
        broker.feed(id, bytes, now(), Date.now());
        if (now() >= end) break;
      }
      pipe.unread.splice(0, read);
    });
  }

  /** Schedules whoever got something to say by what was done to somebody else. */
  #wake(): void {
    for (;;) {
      const id = this.#guard((broker) => broker.nextWoken());
      if (id === undefined) return;
      const pipe = this.#byId.get(id);
      if (pipe !== undefined) this.#schedule(pipe);
    }
  }

  /** Sees to it that a deadline is met. The timer may go off too early, which is cheaper than moving it each time. */
  #watch(pipe: Pipe, id: number): void {
    const deadline = this.#guard((broker) => broker.nextDeadline(id)) ?? Infinity;
    if (deadline >= pipe.timerAt) return;
    pipe.timer?.stop();
    pipe.timerAt = deadline;
    pipe.timer = Timer.start(() => {
      this.#disarm(pipe);
      this.#schedule(pipe);
    }, deadline - now());
  }

  #disarm(pipe: Pipe): void {
    pipe.timer?.stop();
    pipe.timer = undefined;
    pipe.timerAt = Infinity;
  }

  #end(pipe: Pipe, end: End): boolean {
    this.#disarm(pipe);
    this.#pipes.delete(pipe);
    pipe.unread.length = 0;
    pipe.unreadBytes = 0;
    if (pipe.id !== undefined) {
      const id = pipe.id;
      this.#byId.delete(id);
      if (this.#failure === undefined) {
        this.#guard((broker) => broker.disconnect(id));
        this.#wake();
      }
    }
    pipe.endpoint.closed(end);
    if (this.#pipes.size === 0) this.#allGone?.();
    return true;
  }

  #sweepLater(): void {
    if (this.#sweep !== undefined || this.#broker === undefined) return;
    this.#sweep = Timer.start(() => {
      this.#sweep = undefined;
      if (this.#failure !== undefined) return;
      const stored = this.use((broker) => {
        broker.sweep(now(), Date.now());
        return broker.storedBytes();
      });
      if (stored > 0 || this.#pipes.size > 0) this.#sweepLater();
    }, SWEEP_MS).unref();
  }

  /** Runs what enters the wasm instance. A failure there, such as no memory left, is the end of the emulator. */
  #guard<T>(work: (broker: Broker) => T): T {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#broker === undefined) throw new Error("the emulator is stopped");
    try {
      return work(this.#broker);
    } catch (error) {
      // Texts are what the broker refuses.
      if (typeof error === "string") throw error;
      this.#failure = error;
      this.#failAll(failed(error));
      throw error;
    }
  }

  #failAll(end: End): void {
    for (const pipe of this.#pipes) this.fail(pipe, end);
  }
}

function failed(error: unknown): End {
  return { code: 1011, reason: `it failed: ${String(error)}`, clean: false };
}
