import type { JSX, TargetedEvent } from "preact";
import { useEffect, useState } from "preact/hooks";
import { bytes, clock, count, plural } from "../model/format.ts";
import { parseFilter } from "../model/filter.ts";
import type { Session } from "../session/session.ts";
import { ALL, where } from "../session/tail.ts";
import { app } from "./app.ts";
import { DiagnoseButton } from "./diagnosis.tsx";
import { EventList, type ListHandle } from "./event-list.tsx";
import { Icon } from "./icons.tsx";
import { POSITIONS, type PositionKind } from "./position.ts";
import { TroubleBox } from "./trouble-box.tsx";

/** The list of the tail, for shortcuts. */
export const listHandle: { current: ListHandle | null } = { current: null };

/** What is read, from where; the filter; the list; and how complete it is. */
export function TailPanel({ session }: { session: Session }): JSX.Element {
  const [following, setFollowing] = useState(true);
  const { tail } = session;
  const trouble = tail.trouble.value;
  return (
    <section class="tail" aria-label="Events">
      <div class="toolbar">
        <SeekForm session={session} />
        <span class="grow" />
        <TailButtons session={session} />
      </div>
      <Filter session={session} />
      <Connectivity session={session} />
      {trouble && (
        <TroubleBox trouble={trouble}>
          <button type="button" onClick={() => tail.goOn()}>
            Go on reading
          </button>
        </TroubleBox>
      )}
      <div class="list-head" aria-hidden="true">
        <span>Time</span>
        <span>Part.</span>
        <span>Sequence</span>
        <span>Key</span>
        <span>Body</span>
        <span>Size</span>
      </div>
      <div class="list-host">
        <EventList session={session} handle={listHandle} onFollow={setFollowing} />
        <Nothing session={session} />
        {!following && (
          <button type="button" class="to-newest" onClick={() => listHandle.current?.follow()}>
            <Icon name="newest" /> Newest
          </button>
        )}
      </div>
      <Footer session={session} />
    </section>
  );
}

function SeekForm({ session }: { session: Session }): JSX.Element {
  const { partition, position } = app.settings.value;
  const [value, setValue] = useState("");
  const [wrong, setWrong] = useState("");
  const ids = session.overview.hub.value?.partitions.map(({ id }) => id) ?? [];
  const needs = POSITIONS.find(({ kind }) => kind === position)?.needs;
  const go = (text: string): void => {
    try {
      app.startTail(text);
      setWrong("");
    } catch (error) {
      setWrong(error instanceof Error ? error.message : String(error));
    }
  };
  const field = {
    id: "seek-value",
    class: "seek-value",
    autocomplete: "off",
    spellcheck: false,
    "aria-label": needs,
    "aria-invalid": wrong !== "",
    "aria-describedby": wrong ? "seek-wrong" : undefined,
    placeholder: needs,
    value,
    onInput: (event: TargetedEvent<HTMLInputElement>) => setValue(event.currentTarget.value),
  };
  return (
    <form
      class="seek"
      aria-label="What to read"
      onSubmit={(event) => {
        event.preventDefault();
        go(value);
      }}
    >
      <label>
        <span class="lead">Read</span>
        <select
          id="seek-partition"
          aria-label="Partition to read"
          value={ids.includes(partition) ? partition : ALL}
          onChange={(event) => app.readPartition(event.currentTarget.value)}
        >
          <option value={ALL}>all partitions</option>
          {ids.map((id) => (
            <option key={id} value={id}>
              partition {id}
            </option>
          ))}
        </select>
      </label>
      <label>
        <span class="lead">from</span>
        <select
          id="seek-position"
          aria-label="Position to read from"
          value={position}
          onChange={(event) => {
            const kind = event.currentTarget.value as PositionKind;
            app.remember({ position: kind });
            setValue("");
            setWrong("");
            if (!POSITIONS.find((known) => known.kind === kind)?.needs) go("");
          }}
        >
          {POSITIONS.map(({ kind, label }) => (
            <option key={kind} value={kind}>
              {label}
            </option>
          ))}
        </select>
      </label>
      {needs && (
        <>
          {position === "time" ? <input type="datetime-local" step="1" {...field} /> : <input type="text" {...field} />}
          <button type="submit">Go</button>
        </>
      )}
      {wrong && (
        <span id="seek-wrong" class="wrong" role="alert">
          {wrong}
        </span>
      )}
    </form>
  );
}

function TailButtons({ session }: { session: Session }): JSX.Element {
  const { tail } = session;
  const state = tail.state.value;
  void tail.changes.value;
  const halted = state === "stopped" || state === "failed";
  return (
    <div class="buttons">
      {state === "paused" || halted ? (
        <button
          type="button"
          class="primary"
          title="Go on where it stopped (space)"
          onClick={() => (halted ? tail.goOn() : tail.resume())}
        >
          <Icon name="play" /> <span class="button-text">{halted ? "Start" : "Resume"}</span>
        </button>
      ) : (
        <button
          type="button"
          disabled={state !== "running"}
          title="Take no further events; the hub keeps them (space)"
          onClick={() => tail.pause()}
        >
          <Icon name="pause" /> <span class="button-text">Pause</span>
        </button>
      )}
      <button
        type="button"
        class="icon-button bordered"
        aria-label="Clear the list"
        title="Clear the list; the hub keeps its events"
        disabled={tail.log.length === 0}
        onClick={() => {
          app.selected.value = undefined;
          tail.clear();
        }}
      >
        <Icon name="clear" />
      </button>
    </div>
  );
}

function Filter({ session }: { session: Session }): JSX.Element {
  const { tail } = session;
  const text = app.filter.value;
  const active = tail.matches.filtered;
  void tail.changes.value;
  useEffect(() => {
    tail.matches.setFilter(parseFilter(text));
    tail.changed();
  }, [session, text]);
  return (
    <div class="filter" role="search">
      <Icon name="search" />
      <input
        id="filter"
        type="search"
        autocomplete="off"
        spellcheck={false}
        aria-label="Filter the list"
        aria-describedby="filter-says"
        placeholder="Filter: words, key:…, partition:…, property:…"
        value={text}
        onInput={(event) => (app.filter.value = event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key !== "Escape" || text === "") return;
          app.filter.value = "";
          event.stopPropagation();
        }}
      />
      <span id="filter-says" class="figure">
        {active && `${count(tail.matches.length)} of ${count(tail.log.length)}${tail.matches.pending > 0 ? "…" : ""}`}
      </span>
    </div>
  );
}

/** The connection's trouble, and the end of it, where it is looked at. */
function Connectivity({ session }: { session: Session }): JSX.Element | null {
  const connection = session.status.connection.value;
  if (connection.state === "connected" && connection.resumed) {
    return (
      <div class="banner good" role="status">
        <span class="dot good" aria-hidden="true" />
        <p>
          <strong>{connection.resumed}</strong> The tail goes on behind the last event it took.
        </p>
      </div>
    );
  }
  if (connection.state !== "reconnecting") return null;
  return (
    <div class="banner bad" role="status">
      <span class="spinner" aria-hidden="true" />
      <p>
        <strong>Connection lost</strong> at {clock(new Date(connection.since), false)}: {connection.why}.{" "}
        {connection.attempt > 1 ? `Reconnecting, attempt ${connection.attempt}.` : "Reconnecting."} The tail goes on behind
        the last event it took.
      </p>
      <span class="grow" />
      <DiagnoseButton target={session.target} host={session.host} />
    </div>
  );
}

function Nothing({ session }: { session: Session }): JSX.Element | null {
  const { tail } = session;
  void tail.changes.value;
  if (tail.matches.length > 0) return null;
  const state = tail.state.value;
  const seek = tail.seek.value;
  const filtered = tail.matches.filtered && tail.log.length > 0;
  if (filtered) {
    return (
      <div class="empty">
        <p class="empty-title">{tail.matches.pending > 0 ? "Searching…" : "No event matches"}</p>
        <p>None of the {plural(tail.log.length, "event")} in the list has it.</p>
        <button type="button" onClick={() => (app.filter.value = "")}>
          Show all
        </button>
      </div>
    );
  }
  if (state === "failed") return <div class="empty" />;
  if (state === "opening") {
    return (
      <div class="empty">
        <p class="empty-title">Opening…</p>
      </div>
    );
  }
  const kept = session.overview.hub.value?.partitions.reduce((sum, partition) => sum + partition.kept, 0) ?? 0;
  return (
    <div class="empty">
      <p class="empty-title">{state === "paused" ? "Paused" : "Waiting for events"}</p>
      <p>
        Reading {where(seek?.partition ?? ALL)} from {seek?.words}.
      </p>
      <div class="empty-actions">
        <button
          type="button"
          onClick={() => {
            app.pane.value = "send";
            app.view.value = "side";
            document.getElementById("composer-body")?.focus();
          }}
        >
          Send one
        </button>
        {kept > 0 && seek?.from === "latest" && (
          <>
            <button type="button" onClick={() => readFrom("recent")}>
              Show the last 100
            </button>
            <button type="button" onClick={() => readFrom("earliest")}>
              Read from the beginning
            </button>
          </>
        )}
      </div>
    </div>
  );
}

function readFrom(position: PositionKind): void {
  app.remember({ position });
  app.startTail();
}

function Footer({ session }: { session: Session }): JSX.Element {
  const { tail } = session;
  // The log is no signal; this is what says that it has changed.
  void tail.changes.value;
  const { log, continuity } = tail;
  const { missing, repeated } = continuity;
  const whole = missing === 0 && repeated === 0;
  const paused = tail.state.value === "paused";
  return (
    <footer class="tail-foot">
      <span>{plural(log.length, "event")}</span>
      {log.length > 0 && <span title="What the list holds in memory, about">{bytes(log.bytes)}</span>}
      {log.dropped > 0 && (
        <span title={`The list keeps ${count(log.maxEntries)} events and ${bytes(log.maxBytes)} at most. The hub still has them.`}>
          {count(log.dropped)} older dropped from the list
        </span>
      )}
      {continuity.last.size > 0 && (
        <span class={whole ? "good" : "bad"} title="Seen by the sequence numbers of each partition">
          {whole ? "no gaps, no repeats" : [missing && `${count(missing)} missing`, repeated && `${count(repeated)} repeated`].filter(Boolean).join(", ")}
        </span>
      )}
      <span class="grow" />
      <span role="status">{paused ? "Paused: the hub keeps what comes" : ""}</span>
    </footer>
  );
}
