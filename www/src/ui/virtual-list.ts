/** What a list of rows is made from. */
export interface Rows {
  /** How many rows there are. */
  readonly length: number;
  /** What a row shows now, as a number that stays with it when rows above it go. */
  indexAt(row: number): number;
  /** The row of an index, or of the next one that is shown. */
  rowOf(index: number): number;
}

export interface ListOptions {
  readonly scroller: HTMLElement;
  readonly rowHeight: number;
  readonly rows: Rows;
  /** Makes an empty row. */
  readonly make: () => HTMLElement;
  /** Fills a row. */
  readonly fill: (element: HTMLElement, index: number, row: number) => void;
  /** Hears whether the newest row is in view and followed. */
  readonly onFollow: (following: boolean) => void;
}

/** Rows drawn above and below what is seen. */
const OVERSCAN = 6;

/**
 * Draws only the rows that are seen, whatever their number. Elements are used again: a row has the element that is its
 * number modulo the size of the pool, so that scrolling by one row fills one element.
 *
 * It follows the newest row until the user scrolls up, and again when the user is back at the end. While it does not follow,
 * what the user looks at stays where it is, whatever comes below or goes above.
 */
export class VirtualList {
  #options: ListOptions;
  #canvas: HTMLElement;
  #pool: { element: HTMLElement; index: number; row: number; stamp: number }[] = [];
  #following = true;
  #frame = 0;
  /** The height of the view when it was last drawn. */
  #height = 0;
  /** The index of the topmost row in view, and where in it the view begins. */
  #anchor = { index: 0, within: 0 };
  /** Goes up when every row has to be filled again. */
  #stamp = 0;
  #resized: ResizeObserver;

  constructor(options: ListOptions) {
    this.#options = options;
    this.#canvas = document.createElement("div");
    this.#canvas.className = "rows";
    this.#canvas.setAttribute("role", "presentation");
    options.scroller.append(this.#canvas);
    options.scroller.addEventListener("scroll", this.#scrolled, { passive: true });
    options.scroller.addEventListener("wheel", this.#wheeled, { passive: true });
    this.#resized = new ResizeObserver(() => this.update());
    this.#resized.observe(options.scroller);
  }

  get following(): boolean {
    return this.#following;
  }

  destroy(): void {
    cancelAnimationFrame(this.#frame);
    this.#resized.disconnect();
    this.#options.scroller.removeEventListener("scroll", this.#scrolled);
    this.#options.scroller.removeEventListener("wheel", this.#wheeled);
    this.#canvas.remove();
  }

  /** The rows have changed: their number, or what is above. Everything is measured and drawn again, at once. */
  update(): void {
    const { scroller, rowHeight, rows } = this.#options;
    this.#canvas.style.height = `${rows.length * rowHeight}px`;
    if (this.#following) scroller.scrollTop = rows.length * rowHeight;
    else scroller.scrollTop = rows.rowOf(this.#anchor.index) * rowHeight + this.#anchor.within;
    this.#draw();
  }

  /** Fills every row in view again, because what rows show has changed. */
  refill(): void {
    this.#stamp += 1;
    this.#draw();
  }

  /** Goes to the newest row and stays there. */
  follow(): void {
    this.#follow(true);
    this.update();
  }

  /** Brings a row into view. */
  reveal(row: number): void {
    const { scroller, rowHeight, rows } = this.#options;
    const top = row * rowHeight;
    const bottom = top + rowHeight;
    if (row < rows.length - 1) this.#follow(false);
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    else if (bottom > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = bottom - scroller.clientHeight;
    this.#draw();
  }

  /** How many whole rows are in view. */
  get page(): number {
    return Math.max(1, Math.floor(this.#options.scroller.clientHeight / this.#options.rowHeight) - 1);
  }

  readonly #wheeled = (event: WheelEvent): void => {
    // Before the position says it: a small step would be taken back by the next event that arrives.
    if (event.deltaY < 0) this.#follow(false);
  };

  readonly #scrolled = (): void => {
    const { scroller, rowHeight } = this.#options;
    // A window that became smaller moves the end out of sight, and nobody scrolled.
    if (scroller.clientHeight === this.#height) {
      this.#follow(scroller.scrollTop + scroller.clientHeight >= scroller.scrollHeight - rowHeight);
    }
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  };

  #follow(following: boolean): void {
    if (following === this.#following) return;
    this.#following = following;
    this.#options.onFollow(following);
  }

  #draw(): void {
    const { scroller, rowHeight, rows, make, fill } = this.#options;
    const top = scroller.scrollTop;
    this.#height = scroller.clientHeight;
    const seen = Math.ceil(scroller.clientHeight / rowHeight) + 1;
    const first = Math.max(0, Math.floor(top / rowHeight) - OVERSCAN);
    const last = Math.min(rows.length, first + seen + 2 * OVERSCAN);
    const topRow = Math.floor(top / rowHeight);
    this.#anchor = { index: rows.indexAt(topRow), within: top - topRow * rowHeight };
    while (this.#pool.length < seen + 2 * OVERSCAN) {
      const element = make();
      element.hidden = true;
      this.#canvas.append(element);
      this.#pool.push({ element, index: -1, row: -1, stamp: -1 });
    }
    const size = this.#pool.length;
    const used = new Set<number>();
    for (let row = first; row < last; row++) {
      const place = this.#pool[row % size];
      if (!place) continue;
      used.add(row % size);
      const index = rows.indexAt(row);
      if (place.row !== row) {
        place.element.style.transform = `translateY(${row * rowHeight}px)`;
        if (place.row < 0) place.element.hidden = false;
        place.row = row;
      }
      if (place.index !== index || place.stamp !== this.#stamp) {
        fill(place.element, index, row);
        place.index = index;
        place.stamp = this.#stamp;
      }
    }
    this.#pool.forEach((place, at) => {
      if (used.has(at) || place.row < 0) return;
      place.element.hidden = true;
      place.row = -1;
      place.index = -1;
    });
  }
}
