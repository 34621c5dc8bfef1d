import { signal } from "@preact/signals";
import { type Clients, type Target, clientsOf } from "../client.ts";
import { Meter } from "../model/meter.ts";
import type { Journal } from "./journal.ts";
import { Overview } from "./overview.ts";
import { Sender } from "./sender.ts";
import { Status } from "./status.ts";
import { Tail } from "./tail.ts";

/** One connection to one hub, with everything that lives as long as it does. */
export class Session {
  readonly status: Status;
  readonly overview: Overview;
  readonly tail: Tail;
  readonly sender: Sender;
  readonly meter = new Meter(Date.now());
  /** Goes up every second, when the meter has a new value. */
  readonly seconds = signal(0);
  #clients: Clients;
  #timer: ReturnType<typeof setInterval>;

  private constructor(
    readonly target: Target,
    /** The other side, as the eye wants it. */
    readonly host: string,
    journal: Journal,
    listLimit: number,
  ) {
    this.status = new Status(journal);
    this.#clients = clientsOf(target);
    const { consumer, producer } = this.#clients;
    this.status.listen(consumer, producer);
    this.overview = new Overview(consumer);
    this.tail = new Tail(consumer, {
      meter: this.meter,
      journal,
      limit: listLimit,
      heard: (events) => {
        this.status.arrived(events);
        this.overview.nudge();
      },
      partitions: () => this.overview.hub.peek()?.partitions.map(({ id }) => id) ?? [],
    });
    this.sender = new Sender(producer, this.meter);
    this.#timer = setInterval(() => {
      if (this.meter.tick(Date.now())) this.seconds.value += 1;
    }, 250);
  }

  /** Connects, and waits for the service's first answer. */
  static async open(target: Target, host: string, journal: Journal, listLimit: number): Promise<Session> {
    const session = new Session(target, host, journal, listLimit);
    try {
      await session.overview.start();
      return session;
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.status.closed();
    this.overview.stop();
    this.sender.stop();
    this.tail.stop();
    await this.#clients.close();
  }
}
