/** How numbers, sizes, times and bytes are written in the console. */

const GROUPED = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });

/** 12 345 with thin spaces between the groups. */
export function count(value: number): string {
  return GROUPED.format(value).replaceAll(",", "\u202f");
}

/** Few digits, for figures that change all the time: 950, 12.4 k, 1.2 M. */
export function short(value: number): string {
  const size = Math.abs(value);
  if (size < 10 && !Number.isInteger(value)) return value.toFixed(1);
  if (size < 1_000) return value.toFixed(0);
  if (size < 1_000_000) return `${(value / 1_000).toFixed(size < 100_000 ? 1 : 0)}\u202fk`;
  return `${(value / 1_000_000).toFixed(1)}\u202fM`;
}

/** 12 B, 3.4 kB, 5.6 MB. */
export function bytes(value: number): string {
  if (value < 1_000) return `${value}\u202fB`;
  if (value < 1_000_000) return `${(value / 1_000).toFixed(1)}\u202fkB`;
  return `${(value / 1_000_000).toFixed(1)}\u202fMB`;
}

/** 0.4 ms, 12 ms, 3.2 s, 5 min. */
export function duration(ms: number): string {
  if (ms < 10) return `${ms.toFixed(1)}\u202fms`;
  if (ms < 1_000) return `${ms.toFixed(0)}\u202fms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)}\u202fs`;
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)}\u202fmin`;
  if (ms < 86_400_000) return `${Math.round(ms / 3_600_000)}\u202fh`;
  return `${Math.round(ms / 86_400_000)}\u202fd`;
}

/** How long ago a moment was, in one unit. */
export function ago(moment: Date, now: number): string {
  const ms = now - moment.getTime();
  if (ms < 1_500) return "just now";
  return `${duration(ms < 60_000 ? Math.round(ms / 1_000) * 1_000 : ms).replace(".0", "")} ago`;
}

/** 14:03:07.123 of the local day. */
export function clock(moment: Date, millis = true): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  const time = `${two(moment.getHours())}:${two(moment.getMinutes())}:${two(moment.getSeconds())}`;
  return millis ? `${time}.${String(moment.getMilliseconds()).padStart(3, "0")}` : time;
}

/** 2026-03-04 14:03:07.123, local time. */
export function dateTime(moment: Date): string {
  if (Number.isNaN(moment.getTime())) return "never";
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())} ${clock(moment)}`;
}

/** Offset, sixteen bytes, and what of them is ASCII, one line for sixteen bytes. */
export function hexDump(data: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < data.length; at += 16) {
    let hex = "";
    let ascii = "";
    for (let i = at; i < at + 16; i++) {
      const byte = data[i];
      if (i % 8 === 0 && i > at) hex += " ";
      hex += byte === undefined ? "   " : `${byte.toString(16).padStart(2, "0")} `;
      if (byte !== undefined) ascii += byte > 0x1f && byte < 0x7f ? String.fromCharCode(byte) : "·";
    }
    lines.push(`${at.toString(16).padStart(8, "0")}  ${hex} ${ascii}`);
  }
  return lines.join("\n");
}

/** "1 event", "2 events". */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}
