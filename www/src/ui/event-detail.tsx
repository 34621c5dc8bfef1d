import type { ComponentChildren, JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import type { ReceivedEvent } from "../client.ts";
import { showBody } from "../model/body.ts";
import { bytes, count, dateTime, hexDump } from "../model/format.ts";
import { jsonTokens } from "../model/json-tokens.ts";
import type { Settings } from "../model/settings.ts";
import { bodyOf, isValue } from "../session/entry.ts";
import { type Selected, app } from "./app.ts";
import { Icon } from "./icons.tsx";
import { listHandle } from "./tail-panel.tsx";

/** Bytes of the encoded message that are shown. */
const MOST_ENCODED = 16 * 1024;
const FORMATS: readonly Settings["bodyFormat"][] = ["auto", "json", "text", "hex"];

/** One event: decoded for reading, or as the AMQP message that it is. */
export function EventDetail({ selected }: { selected: Selected }): JSX.Element {
  const { event } = selected.entry;
  const [raw, setRaw] = useState(false);
  return (
    <article class="event" aria-label={`Event ${event.sequenceNumber} of partition ${event.partitionId}`}>
      <header class="event-head">
        <button type="button" class="icon-button back" aria-label="Back to the list" onClick={() => (app.view.value = "events")}>
          <Icon name="back" />
        </button>
        <h2>
          <span class="event-number">{count(event.sequenceNumber)}</span>
          <span class="event-partition">partition {event.partitionId}</span>
        </h2>
        <span class="grow" />
        <button
          type="button"
          class="icon-button"
          aria-label="Previous event"
          title="Previous event (k)"
          onClick={() => listHandle.current?.step(-1)}
        >
          <Icon name="up" />
        </button>
        <button
          type="button"
          class="icon-button"
          aria-label="Next event"
          title="Next event (j)"
          onClick={() => listHandle.current?.step(1)}
        >
          <Icon name="down" />
        </button>
        <button
          type="button"
          class="icon-button"
          aria-label="Close the event"
          title="Close the event (Esc)"
          onClick={() => app.unselect()}
        >
          <Icon name="close" />
        </button>
      </header>
      <div class="segmented" role="radiogroup" aria-label="How the event is shown">
        <Segment name="view" label="Decoded" checked={!raw} onChoose={() => setRaw(false)} />
        <Segment name="view" label="Raw" checked={raw} onChoose={() => setRaw(true)} />
      </div>
      {raw ? <Raw event={event} /> : <Decoded event={event} />}
    </article>
  );
}

function Segment(props: { name: string; label: string; checked: boolean; onChoose: () => void }): JSX.Element {
  const { name, label, checked, onChoose } = props;
  return (
    <label>
      <input type="radio" name={name} checked={checked} onChange={onChoose} />
      <span>{label}</span>
    </label>
  );
}

function Decoded({ event }: { event: ReceivedEvent }): JSX.Element {
  const properties = Object.entries(event.properties);
  const facts: (readonly [string, unknown])[] = [
    ["Enqueued", dateTime(event.enqueuedTime)],
    ["Offset", event.offset],
    ["Key", event.partitionKey],
    ["Message id", event.messageId],
    ["Correlation id", event.correlationId],
    ["Subject", event.subject],
    ["Content type", event.contentType],
    ["Encoding", event.contentEncoding],
  ];
  return (
    <>
      <Facts entries={facts.filter(([, value]) => value !== undefined && value !== null)} />
      {properties.length > 0 && (
        <section>
          <h3>Properties</h3>
          <Facts entries={properties} typed />
        </section>
      )}
      <Body event={event} />
    </>
  );
}

function Body({ event }: { event: ReceivedEvent }): JSX.Element {
  const format = app.settings.value.bodyFormat;
  const data = bodyOf(event);
  const shown = useMemo(() => showBody(data, format), [event, format]);
  return (
    <section class="body">
      <header class="section-head">
        <h3>Body</h3>
        <span class="figure">{bytes(data.length)}</span>
        <span class="grow" />
        <select
          aria-label="Format of the body"
          class="small"
          value={format}
          onChange={(change) => app.remember({ bodyFormat: change.currentTarget.value as Settings["bodyFormat"] })}
        >
          {FORMATS.map((name) => (
            <option key={name} value={name}>
              {name === "auto" ? `auto (${shown.format})` : name}
            </option>
          ))}
        </select>
        <CopyButton label="Copy the body" text={() => (shown.format === "hex" ? shown.text : event.text())} />
      </header>
      {shown.note && <p class="hint">{shown.note}</p>}
      {data.length === 0 ? (
        <p class="hint">{isValue(event) ? "The body is an AMQP value: the raw view shows it." : "The body is empty."}</p>
      ) : (
        <pre class={shown.format} tabIndex={0} role="region" aria-label="Body">
          {shown.format === "json"
            ? jsonTokens(shown.text).map(({ kind, text }, at) => (kind === "plain" ? text : <span key={at} class={kind}>{text}</span>))
            : shown.text}
        </pre>
      )}
      {shown.hidden > 0 && <p class="hint">{count(shown.hidden)} more bytes are not shown. Copy has all of them.</p>}
    </section>
  );
}

const SECTIONS = [
  ["header", "Header"],
  ["deliveryAnnotations", "Delivery annotations"],
  ["messageAnnotations", "Message annotations"],
  ["properties", "Properties"],
  ["applicationProperties", "Application properties"],
] as const;

function Raw({ event }: { event: ReceivedEvent }): JSX.Element {
  const message = event.raw();
  const encoded = event.encoded;
  const shown = encoded.subarray(0, MOST_ENCODED);
  return (
    <div class="raw">
      {SECTIONS.map(([field, name]) => (
        <section key={field}>
          <h3>{name}</h3>
          <SectionValue value={message[field]} />
        </section>
      ))}
      <section>
        <h3>Body</h3>
        <RawBody event={event} />
      </section>
      <section>
        <h3>Footer</h3>
        <SectionValue value={message.footer} />
      </section>
      <section>
        <header class="section-head">
          <h3>Encoded</h3>
          <span class="figure">{bytes(encoded.length)}</span>
          <span class="grow" />
          <CopyButton label="Copy the encoded message as hexadecimal" text={() => hexDump(encoded)} />
        </header>
        <pre class="hex" tabIndex={0} role="region" aria-label="Encoded message">
          {hexDump(shown)}
        </pre>
        {shown.length < encoded.length && <p class="hint">{count(encoded.length - shown.length)} more bytes are not shown.</p>}
      </section>
    </div>
  );
}

/** The body as AMQP has it: data, one value, or sequences. */
function RawBody({ event }: { event: ReceivedEvent }): JSX.Element {
  const { data, value, sequence } = event.raw();
  const sections: (readonly [string, unknown])[] = [
    ...(data ?? []).map((bytes, at) => [data && data.length > 1 ? `data ${at + 1}` : "data", bytes] as const),
    ...(sequence ?? []).map((items, at) => [`sequence ${at + 1}`, items] as const),
    ...(value === undefined ? [] : [["value", value] as const]),
  ];
  if (sections.length === 0) return <p class="hint">empty</p>;
  return <Facts entries={sections} typed />;
}

function SectionValue({ value }: { value: unknown }): JSX.Element {
  if (value === undefined || value === null) return <p class="hint">not there</p>;
  if (typeof value === "object" && !ArrayBuffer.isView(value) && !(value instanceof Date)) {
    const entries = value instanceof Map ? [...value.entries()] : Object.entries(value);
    const there = entries.filter(([, item]) => item !== undefined) as [unknown, unknown][];
    if (there.length === 0) return <p class="hint">empty</p>;
    return <Facts entries={there.map(([key, item]) => [String(key), item] as const)} typed />;
  }
  return <p class="mono">{written(value)}</p>;
}

function Facts({ entries, typed = false }: { entries: readonly (readonly [string, unknown])[]; typed?: boolean }): JSX.Element {
  return (
    <dl class="facts">
      {entries.map(([name, value]) => (
        <Fact key={name} name={name} wide={value instanceof Uint8Array && value.length > 8}>
          {typed && <span class="kind">{kindOf(value)}</span>}
          <span class="mono">{written(value)}</span>
        </Fact>
      ))}
    </dl>
  );
}

function Fact(props: { name: string; wide: boolean; children: ComponentChildren }): JSX.Element {
  const { name, wide, children } = props;
  return (
    <div class={wide ? "wide" : undefined}>
      <dt title={name}>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (value instanceof Date) return "time";
  if (ArrayBuffer.isView(value)) return "bytes";
  if (Array.isArray(value)) return "list";
  return typeof value === "object" ? "map" : typeof value === "bigint" ? "integer" : typeof value;
}

/** Bytes of a value that are written out. */
const WRITTEN = 256;

function written(value: unknown): string {
  if (value === null || value === undefined) return "";
  if (value instanceof Date) return dateTime(value);
  if (value instanceof Uint8Array) {
    const hex = Array.from(value.subarray(0, WRITTEN), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
    return value.length > WRITTEN ? `${hex} … (${count(value.length)} bytes)` : hex || "(empty)";
  }
  if (value instanceof Map) return written(Object.fromEntries(value));
  if (typeof value === "object") {
    return JSON.stringify(value, (_, item: unknown) =>
      typeof item === "bigint" ? item.toString() : item instanceof Uint8Array ? written(item) : item,
    );
  }
  return String(value);
}

function CopyButton({ label, text }: { label: string; text: () => string }): JSX.Element {
  const [said, setSaid] = useState("");
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text());
      setSaid("Copied");
    } catch {
      setSaid("The browser allows no copying here");
    }
  };
  return (
    <>
      <button type="button" class="icon-button" aria-label={label} title={label} onClick={() => void copy()} onBlur={() => setSaid("")}>
        <Icon name="copy" />
      </button>
      <span class="said" role="status">
        {said}
      </span>
    </>
  );
}
