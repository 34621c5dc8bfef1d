/** Figures of the last minutes, one value a second. */

/** How many seconds are kept. */
export const WINDOW = 180;
/** How many delays of one second are kept: enough for a median that means something. */
const SAMPLES = 512;

export interface Second {
  /** Unix time in seconds. */
  readonly at: number;
  readonly received: number;
  readonly sent: number;
  /** Milliseconds from `send` to the service's answer: the median. */
  readonly sendDelay: number | null;
  /** Milliseconds from the service's clock to this page's: the median. */
  readonly deliveryDelay: number | null;
}

/** Counts what happens, and makes a value of it when a second is over. */
export class Meter {
  #received = 0;
  #sent = 0;
  #sendDelays: number[] = [];
  #deliveryDelays: number[] = [];
  #closed: number;
  readonly seconds: Second[] = [];

  constructor(now: number) {
    this.#closed = Math.floor(now / 1_000);
  }

  received(events: number): void {
    this.#received += events;
  }

  deliveryDelay(ms: number): void {
    if (this.#deliveryDelays.length < SAMPLES) this.#deliveryDelays.push(Math.max(0, ms));
  }

  sent(events: number, ms: number): void {
    this.#sent += events;
    if (this.#sendDelays.length < SAMPLES) this.#sendDelays.push(ms);
  }

  /** Closes the seconds that are over. Returns whether there was any. */
  tick(now: number): boolean {
    const second = Math.floor(now / 1_000);
    if (second <= this.#closed) return false;
    // A page that slept has seconds without anything in them; more than the window nobody sees.
    for (let at = Math.max(this.#closed + 1, second - WINDOW); at <= second; at++) {
      this.seconds.push({
        at,
        received: this.#received,
        sent: this.#sent,
        sendDelay: median(this.#sendDelays),
        deliveryDelay: median(this.#deliveryDelays),
      });
      this.#received = 0;
      this.#sent = 0;
      this.#sendDelays = [];
      this.#deliveryDelays = [];
    }
    this.#closed = second;
    if (this.seconds.length > WINDOW) this.seconds.splice(0, this.seconds.length - WINDOW);
    return true;
  }
}

function median(values: number[]): number | null {
  if (values.length === 0) return null;
  values.sort((a, b) => a - b);
  return values[values.length >> 1] ?? null;
}
