import type { JSX } from "preact";
import { ago, clock, count, dateTime, plural, short } from "../model/format.ts";
import type { Hub, Partition } from "../session/overview.ts";
import type { Session } from "../session/session.ts";
import type { Flow } from "../session/status.ts";
import { ALL } from "../session/tail.ts";
import { app } from "./app.ts";
import { Charts } from "./charts.tsx";
import { DiagnoseButton } from "./diagnosis.tsx";
import { Icon } from "./icons.tsx";
import { TroubleBox } from "./trouble-box.tsx";

/** The hub, its partitions, the charts, and what happened. */
export function HubRail({ session }: { session: Session }): JSX.Element {
  const { overview } = session;
  const hub = overview.hub.value;
  const trouble = overview.trouble.value;
  const reconnecting = session.status.connection.value.state === "reconnecting";
  return (
    <aside class="rail" aria-label="Hub">
      {hub && <Partitions session={session} hub={hub} />}
      {trouble && !reconnecting && <TroubleBox trouble={trouble} />}
      <Charts session={session} />
      <Activity session={session} />
    </aside>
  );
}

function Partitions({ session, hub }: { session: Session; hub: Hub }): JSX.Element {
  const kept = hub.partitions.reduce((sum, partition) => sum + partition.kept, 0);
  const rate = hub.partitions.reduce((sum, partition) => sum + partition.rate, 0);
  const most = Math.max(1, ...hub.partitions.map((partition) => partition.kept));
  const now = session.overview.updatedAt.value;
  const read = session.tail.seek.value?.partition;
  return (
    <section class="panel partitions" aria-labelledby="partitions-title">
      <header class="panel-head">
        <h2 id="partitions-title">Partitions</h2>
        <p class="figure" title={`Created ${dateTime(hub.createdAt)}`}>
          {plural(kept, "event")} · {short(rate)}/s
        </p>
      </header>
      <ul class="partition-list">
        {hub.partitions.map((partition) => (
          <PartitionRow
            key={partition.id}
            partition={partition}
            share={partition.kept / most}
            now={now}
            read={read === partition.id || read === ALL}
            only={read === partition.id}
            behind={behind(session, partition)}
            flow={session.status.flows.value.get(partition.id)}
          />
        ))}
      </ul>
    </section>
  );
}

interface RowProps {
  partition: Partition;
  share: number;
  now: number;
  read: boolean;
  only: boolean;
  behind: number | undefined;
  flow: Flow | undefined;
}

/** What there is to say about reading a partition. */
const FLOWS: Readonly<Record<Flow, readonly [tone: string, text: string, meaning: string]>> = {
  down: ["bad", "link down", "The link to this partition is down; it is made anew, and reading goes on behind the last event"],
  stalled: ["bad", "stalled", "Events of this partition do not arrive; its link is made anew"],
  resumed: ["good", "resumed", "Reading this partition goes on behind the last event"],
};

function PartitionRow({ partition, share, now, read, only, behind, flow }: RowProps): JSX.Element {
  const { id, first, last, kept, lastTime, rate } = partition;
  return (
    <li>
      <button
        type="button"
        class="partition"
        data-partition={id}
        aria-pressed={only}
        title={only ? "Read all partitions again" : "Read only this partition"}
        onClick={() => app.readPartition(only ? ALL : id)}
      >
        <span class={`partition-id${read ? " read" : ""}`}>
          <span class="sr-only">Partition </span>
          {id}
        </span>
        <span class="partition-kept">{kept === 0 ? "empty" : count(kept)}</span>
        <span class="partition-rate">{rate > 0 ? `${short(rate)}/s` : ""}</span>
        <span class="partition-range">
          {kept === 0 ? (last < 0 ? "nothing yet" : `next ${count(last + 1)}`) : `${count(first)} – ${count(last)}`}
        </span>
        {flow ? (
          <FlowBadge flow={flow} />
        ) : (
          <span class="partition-when">
            {behind ? `${short(behind)} behind` : lastTime ? ago(lastTime, Math.max(now, lastTime.getTime())) : ""}
          </span>
        )}
        <span class="partition-bar" aria-hidden="true">
          <span style={{ transform: `scaleX(${share})` }} />
        </span>
      </button>
    </li>
  );
}

function FlowBadge({ flow }: { flow: Flow }): JSX.Element {
  const [tone, text, meaning] = FLOWS[flow];
  return (
    <span class={`partition-when flow ${tone}`} title={meaning}>
      {tone === "bad" && <Icon name="warn" />}
      {text}
    </span>
  );
}

/** How many events of a partition were not read yet by the tail; `undefined` when it does not read it. */
function behind(session: Session, partition: Partition): number | undefined {
  const last = session.tail.continuity.last.get(partition.id);
  return last === undefined ? undefined : Math.max(0, partition.last - last);
}

function Activity({ session }: { session: Session }): JSX.Element {
  const notes = app.journal.notes.value;
  return (
    <section class="panel activity" aria-labelledby="activity-title">
      <header class="panel-head">
        <h2 id="activity-title">Activity</h2>
        <DiagnoseButton target={session.target} host={session.host} />
      </header>
      <div class="notes" role="log" aria-live="polite" aria-labelledby="activity-title" tabIndex={0}>
        <ol>
          {[...notes].reverse().map((note) => (
            <li key={note.id} class={note.tone}>
              <time dateTime={note.at.toISOString()}>{clock(note.at, false)}</time>
              <span>{note.text}</span>
            </li>
          ))}
        </ol>
      </div>
    </section>
  );
}
