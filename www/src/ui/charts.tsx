import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { duration, short } from "../model/format.ts";
import { type Second, WINDOW } from "../model/meter.ts";
import type { Session } from "../session/session.ts";
import { app } from "./app.ts";

const HEIGHT = 104;

interface Line {
  readonly name: string;
  readonly color: string;
  readonly of: (second: Second) => number | null;
}

const THROUGHPUT: readonly Line[] = [
  { name: "received", color: "--chart-a", of: (second) => second.received },
  { name: "sent", color: "--chart-b", of: (second) => second.sent },
];
const DELAY: readonly Line[] = [
  { name: "delivery", color: "--chart-a", of: (second) => second.deliveryDelay },
  { name: "send", color: "--chart-b", of: (second) => second.sendDelay },
];

/** Throughput and delay of the last three minutes, in figures and as curves. */
export function Charts({ session }: { session: Session }): JSX.Element {
  return (
    <>
      <Chart session={session} id="throughput" title="Throughput" hint="Events per second." lines={THROUGHPUT} unit={(value) => `${short(value)}/s`} />
      <Chart
        session={session}
        id="delay"
        title="Delay"
        hint="delivery: from the service's clock to this page's, for events read as they come; send: until the service's answer. Medians of a second."
        lines={DELAY}
        unit={(value) => duration(value)}
      />
    </>
  );
}

interface ChartProps {
  session: Session;
  id: string;
  title: string;
  hint?: string;
  lines: readonly Line[];
  unit: (value: number) => string;
}

function Chart({ session, id, title, hint, lines, unit }: ChartProps): JSX.Element {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const dark = app.dark.value;
  const tick = session.seconds.value;
  const latest = session.meter.seconds.at(-1);

  useEffect(() => {
    const element = host.current;
    if (!element) return undefined;
    const made = new uPlot(options(element.clientWidth, lines, unit), data(session, lines), element);
    plot.current = made;
    const observer = new ResizeObserver(() => {
      if (element.clientWidth > 0) made.setSize({ width: element.clientWidth, height: HEIGHT });
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [session, dark]);

  useEffect(() => {
    plot.current?.setData(data(session, lines));
  }, [tick]);

  const figures = lines.map((line) => {
    const value = latest && line.of(latest);
    return { ...line, text: value === null || value === undefined ? "–" : unit(value) };
  });
  const said = figures.map(({ name, text }) => `${name} ${text}`).join(", ");
  return (
    <section class="panel chart" aria-labelledby={`${id}-title`}>
      <header class="panel-head">
        <h2 id={`${id}-title`} title={hint}>
          {title}
        </h2>
        <p class="figure legend">
          {figures.map(({ name, color, text }) => (
            <span key={name}>
              <i style={{ background: `var(${color})` }} aria-hidden="true" />
              {name} <b>{text}</b>
            </span>
          ))}
        </p>
      </header>
      <div ref={host} class="plot" role="img" aria-label={`${title}, last three minutes; now ${said}`} />
    </section>
  );
}

function data(session: Session, lines: readonly Line[]): uPlot.AlignedData {
  const { seconds } = session.meter;
  // The window is full from the start, so that the curve moves and does not stretch.
  const end = seconds.at(-1)?.at ?? Math.floor(Date.now() / 1_000);
  const at = Array.from({ length: WINDOW }, (_, index) => end - WINDOW + 1 + index);
  const known = new Map(seconds.map((second) => [second.at, second]));
  return [
    at,
    ...lines.map((line) =>
      at.map((time) => {
        const second = known.get(time);
        return second ? line.of(second) : null;
      }),
    ),
  ];
}

function options(width: number, lines: readonly Line[], unit: (value: number) => string): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const color = (name: string): string => style.getPropertyValue(name).trim();
  const font = `11px ${style.getPropertyValue("--sans")}`;
  const axis = { stroke: color("--faint"), font, ticks: { show: false } };
  return {
    width,
    height: HEIGHT,
    padding: [6, 2, 0, 0],
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: { time: true },
      y: { range: (_, __, max) => [0, Math.max(1, (max || 0) * 1.1)] },
    },
    axes: [
      {
        ...axis,
        size: 18,
        gap: 2,
        space: 70,
        grid: { show: false },
        values: (plot, splits) => splits.map((at) => minute(at, plot)),
        incrs: [60, 120],
      },
      {
        ...axis,
        size: 46,
        gap: 4,
        space: 30,
        grid: { stroke: color("--line"), width: 1 },
        values: (_, splits) => splits.map((value) => unit(value)),
      },
    ],
    series: [
      {},
      ...lines.map((line) => ({
        label: line.name,
        stroke: color(line.color),
        fill: `color-mix(in srgb, ${color(line.color)} 10%, transparent)`,
        width: 1.5,
        spanGaps: false,
        points: { show: true, size: 3, filter: lonely },
      })),
    ],
  };
}

/** Seconds at either end of the axis in which a label would be cut off, or run into another one. */
const MARGIN = 14;

function minute(at: number, plot: uPlot): string {
  const { min = 0, max = 0 } = plot.scales.x ?? {};
  if (at - (min ?? 0) < MARGIN || (max ?? 0) - at < MARGIN) return "";
  return new Date(at * 1_000).toTimeString().slice(0, 5);
}

/** A value without neighbours makes no line: it is shown as a point. */
function lonely(plot: uPlot, series: number): number[] {
  const values = plot.data[series] ?? [];
  const found: number[] = [];
  for (let at = 0; at < values.length; at++) {
    if (values[at] != null && values[at - 1] == null && values[at + 1] == null) found.push(at);
  }
  return found;
}
