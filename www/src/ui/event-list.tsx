import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { bytes, clock, count } from "../model/format.ts";
import { type Entry, bodyOf, isValue } from "../session/entry.ts";
import type { Session } from "../session/session.ts";
import { app } from "./app.ts";
import { VirtualList } from "./virtual-list.ts";

const ROW_HEIGHT = 28;
/** Bytes of a body that a row can show. */
const PREVIEW = 240;
const CELLS = ["time", "partition", "sequence", "key", "body", "size"] as const;

/** What others may ask of the list. */
export interface ListHandle {
  follow(): void;
  /** Goes that many rows down from the chosen event (up when negative), and chooses what is there. */
  step(rows: number): void;
  focus(): void;
}

interface Props {
  session: Session;
  handle: { current: ListHandle | null };
  onFollow: (following: boolean) => void;
}

/** The events, one row each. */
export function EventList({ session, handle, onFollow }: Props): JSX.Element {
  const scroller = useRef<HTMLDivElement>(null);
  const list = useRef<VirtualList | null>(null);
  const { tail } = session;
  const changes = tail.changes.value;
  const selected = app.selected.value?.index;

  useEffect(() => {
    const element = scroller.current;
    if (!element) return undefined;
    const made = new VirtualList({
      scroller: element,
      rowHeight: ROW_HEIGHT,
      rows: tail.matches,
      make: makeRow,
      fill: (row, index, at) => fillRow(row, tail.log.get(index), index, at, tail.matches.length),
      onFollow,
    });
    list.current = made;
    handle.current = {
      follow: () => made.follow(),
      focus: () => element.focus(),
      step: (rows) => step(session, made, rows),
    };
    made.update();
    return () => {
      made.destroy();
      handle.current = null;
    };
  }, [session]);

  useEffect(() => list.current?.update(), [changes]);
  useEffect(() => list.current?.refill(), [selected]);

  return (
    <div
      ref={scroller}
      class="event-list"
      role="listbox"
      tabIndex={0}
      aria-label="Events, oldest first"
      aria-activedescendant={selected === undefined ? undefined : `event-${selected}`}
      onClick={(event) => {
        const row = (event.target as Element).closest<HTMLElement>(".row");
        if (row?.dataset.index) app.select(Number(row.dataset.index));
      }}
      onKeyDown={(event) => move(event, session, list.current)}
    />
  );
}

function makeRow(): HTMLElement {
  const row = document.createElement("div");
  row.className = "row";
  row.setAttribute("role", "option");
  for (const cell of CELLS) {
    const element = document.createElement("span");
    element.className = `cell cell-${cell}`;
    row.append(element);
  }
  return row;
}

function fillRow(row: HTMLElement, entry: Entry | undefined, index: number, at: number, length: number): void {
  if (!entry) return;
  const { event } = entry;
  const [time, partition, sequence, key, body, size] = row.children as unknown as HTMLElement[];
  row.id = `event-${index}`;
  row.dataset.index = String(index);
  row.setAttribute("aria-selected", String(app.selected.peek()?.index === index));
  row.setAttribute("aria-posinset", String(at + 1));
  row.setAttribute("aria-setsize", String(length));
  if (time) time.textContent = clock(event.enqueuedTime);
  if (partition) partition.textContent = event.partitionId;
  if (sequence) sequence.textContent = count(event.sequenceNumber);
  if (key) key.textContent = event.partitionKey ?? "";
  const data = bodyOf(event);
  if (body) body.textContent = data.length > 0 ? preview(data) : isValue(event) ? "(an AMQP value)" : "(empty)";
  if (size) size.textContent = bytes(data.length);
}

const UTF8 = new TextDecoder();

/** The beginning of a body on one line; bytes that are no text are said to be that. */
function preview(data: Uint8Array): string {
  const text = UTF8.decode(data.subarray(0, PREVIEW)).replace(/\s+/g, " ");
  const odd = text.match(/[\u0000-\u001f\ufffd]/g)?.length ?? 0;
  // One odd character at the end may be half of one that goes on behind the preview.
  if (odd <= 1 || odd * 10 < text.length) return text;
  return Array.from(data.subarray(0, 48), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

function move(event: KeyboardEvent, session: Session, list: VirtualList | null): void {
  if (!list || event.ctrlKey || event.metaKey || event.altKey) return;
  const steps: Record<string, number> = {
    ArrowDown: 1,
    ArrowUp: -1,
    PageDown: list.page,
    PageUp: -list.page,
    Home: -Infinity,
  };
  const by = steps[event.key];
  if (event.key === "End") list.follow();
  else if (event.key === "Enter" && app.selected.peek()) app.view.value = "side";
  else if (by === undefined) return;
  if (by !== undefined || event.key === "End") step(session, list, by ?? Infinity);
  event.preventDefault();
}

function step(session: Session, list: VirtualList, by: number): void {
  const { matches } = session.tail;
  if (matches.length === 0) return;
  const chosen = app.selected.peek();
  const from = chosen ? matches.rowOf(chosen.index) : by > 0 ? -1 : matches.length;
  const row = Math.min(matches.length - 1, Math.max(0, from + by));
  app.select(matches.indexAt(row), false);
  list.reveal(row);
}
