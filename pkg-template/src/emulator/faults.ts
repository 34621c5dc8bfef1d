// What goes wrong on purpose in an emulator.

import { wrong } from "../internal/check.js";
import type { Broker, BrokerFault } from "./broker.js";
import type { Pump } from "./pump.js";
import { now } from "../internal/tasks.js";

/**
 * Something that is to go wrong: what, where and when.
 *
 * ```ts
 * // The third publication to partition 0 is stored, and nobody is told.
 * emulator.faults.inject({ kind: "lose-ack", entity: "orders", partition: "0", after: 2, times: 1 });
 * ```
 */
export type FaultOptions = FaultKind & FaultScopeOptions & FaultTimeOptions;

/** What goes wrong. */
export type FaultKind =
  /** New connections are refused. */
  | { kind: "refuse" }
  /** Connections break without a word. */
  | { kind: "drop" }
  /** Bytes are swallowed, and the connection stays as it is: for ever, as bytes are missing then. */
  | { kind: "half-open"; direction?: FaultDirection }
  /** Bytes arrive so many milliseconds later, and up to `jitterMs` more. */
  | { kind: "delay"; delayMs: number; jitterMs?: number; direction?: FaultDirection }
  /** No more bytes than this pass in a second. */
  | { kind: "bandwidth"; bytesPerSecond: number; direction?: FaultDirection }
  /** Connections break in the middle of the next frame to the client. */
  | { kind: "cut-frame" }
  /** Publications are stored, and their sender is never told; or the connection breaks then. */
  | { kind: "lose-ack"; then?: "silence" | "drop" }
  /** Publications are stored twice. */
  | { kind: "duplicate" }
  /** The service is busy (`com.microsoft:server-busy`). */
  | { kind: "busy" }
  /** Links are detached, sessions ended, connections closed. An empty condition is none; the text is the service's. */
  | { kind: "detach" | "end" | "close"; condition?: string; description?: string }
  /** Tokens are answered with this status. Default: 401. */
  | { kind: "refuse-token"; status?: number; description?: string }
  /** Tokens run out at once. */
  | { kind: "expire-token" }
  /** Readers lose their partition to somebody with a higher epoch. */
  | { kind: "steal-link" }
  /** Partitions fall silent: readers get nothing, publications no answer. */
  | { kind: "stop-partition" }
  /** All connections break and are refused for a while; events may be lost. */
  | { kind: "restart"; downMs?: number; loseData?: boolean }
  /** Publications take so much longer to be seen and acknowledged. */
  | { kind: "slow-disk"; delayMs: number }
  /** The calendar is off when tokens are judged and events are stamped. Negative: it is behind. */
  | { kind: "skew-clock"; skewMs: number };

/** Bytes of which way. */
export type FaultDirection = "both" | "to-client" | "to-service";

/**
 * What has to happen for a fault to strike. `now` is everything that is there when it starts, once, and nothing that comes
 * later; `send` is before a publication is stored, `sent` after it was answered, `receive` and `received` before and after
 * an event is delivered; `always` is what holds as long as the fault does.
 */
export type FaultOccasion =
  "now" | "connect" | "attach" | "send" | "sent" | "receive" | "received" | "token" | "request" | "always";

/** Whom a fault concerns. */
export interface FaultScopeOptions {
  /** Only connections with this container id: the client's `identifier`. */
  client?: string;
  /** Only this hub. */
  entity?: string;
  /** Only this partition. */
  partition?: string;
  /** Only links on which clients send, or receive. */
  role?: "send" | "receive";
}

/** When a fault strikes. */
export interface FaultTimeOptions {
  /** When this happens; each kind has its own default. */
  on?: FaultOccasion;
  /** Not the first so many times. */
  after?: number;
  /** Not more often than this. */
  times?: number;
  /** Each time with this probability, from 0 to 1. */
  probability?: number;
  /** Where the dice begin: the same seed strikes the same occasions. */
  seed?: number;
  /** Only from so many milliseconds on. */
  waitMs?: number;
  /** Only for so many milliseconds. */
  lastingMs?: number;
}

/** A fault that was set. It ends when it is told to, when it is disposed of, and with its emulator. */
export interface EmulatorFault {
  /** Its number. */
  readonly id: number;
  /** How often it has struck. */
  readonly hits: number;
  /** Resolves when it has struck so often (once, if not said), or has ended; says how often it has struck. */
  untilHit(times?: number): Promise<number>;
  /** Ends it, and says how often it has struck. */
  end(): number;
  /** Ends it: `using fault = emulator.faults.inject(…)`. */
  [Symbol.dispose](): void;
}

/** What goes wrong on purpose. */
export interface EmulatorFaults {
  /**
   * Sets a fault, until its `end()`.
   *
   * @throws EventHubsError `invalid-argument` when a field is unknown or wrong; the text says which, and what was meant.
   */
  inject(fault: FaultOptions): EmulatorFault;
  /** Ends all faults. */
  clear(): void;
}

/** Runs something in the broker, and makes its refusals errors for people. */
type Do = <T>(operation: string, work: (broker: Broker) => T) => T;

/** The faults of one emulator. */
export function faultsOf(pump: Pump, run: Do): EmulatorFaults {
  const set = new Set<SetFault>();
  return {
    inject(fault) {
      if (typeof fault !== "object" || fault === null || Array.isArray(fault)) {
        throw wrong("a fault", "an object such as { kind: \"drop\" }", fault);
      }
      for (const [name, value] of Object.entries(fault) as [string, unknown][]) check(name, value);
      const id = run("inject the fault", (broker) => broker.inject(fields(pump.newFault(), fault), now(), Date.now()));
      const made = new SetFault(id, pump, (made) => set.delete(made));
      set.add(made);
      return made;
    },
    clear() {
      for (const fault of [...set]) fault.end();
    },
  };
}

class SetFault implements EmulatorFault {
  readonly id: number;
  readonly #pump: Pump;
  readonly #ended: (fault: SetFault) => void;
  #hits = 0;
  #over = false;

  constructor(id: number, pump: Pump, ended: (fault: SetFault) => void) {
    this.id = id;
    this.#pump = pump;
    this.#ended = ended;
  }

  get hits(): number {
    if (!this.#over) {
      const hits = this.#pump.look((broker) => broker.faultHits(this.id));
      if (hits === undefined) this.#over = true;
      else this.#hits = hits;
    }
    return this.#hits;
  }

  untilHit(times = 1): Promise<number> {
    return new Promise((resolve) => {
      const look = (): void => {
        const hits = this.hits;
        if (hits < times && !this.#over) return;
        this.#pump.watchers.delete(look);
        resolve(hits);
      };
      this.#pump.watchers.add(look);
      look();
    });
  }

  end(): number {
    const hits = this.hits;
    if (!this.#over) {
      this.#over = true;
      this.#ended(this);
      this.#pump.use((broker) => broker.endFault(this.id));
    }
    return hits;
  }

  [Symbol.dispose](): void {
    this.end();
  }
}

/** Whether it is a value at all; which it has to be is for the broker to say. */
function check(name: string, value: unknown): void {
  if (value === undefined || ["string", "number", "boolean"].includes(typeof value)) return;
  throw wrong(`'${name}'`, "a text, a number, true or false", value);
}

function fields(to: BrokerFault, fault: object): BrokerFault {
  for (const [name, value] of Object.entries(fault) as [string, unknown][]) {
    if (typeof value === "string") to.text(name, value);
    if (typeof value === "number") to.number(name, value);
    if (typeof value === "boolean") to.flag(name, value);
  }
  return to;
}
