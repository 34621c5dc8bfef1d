/** What happens to a client, in words for the log. */
import type { StartPosition, Status } from "../client.ts";
import { clock, duration } from "./format.ts";

export interface Said {
  readonly tone: "plain" | "good" | "bad";
  readonly text: string;
}

/** One sentence for a status. */
export function said(status: Status): Said {
  switch (status.type) {
    case "connecting":
      return plain(status.attempt > 1 ? `Connecting, attempt ${status.attempt}.` : "Connecting.");
    case "connected":
      return { tone: "good", text: "Connected." };
    case "disconnected":
      return status.cause ? bad(`Connection lost: ${reason(status.cause)}.`) : plain("No connection: nothing needs one.");
    case "reconnecting":
      return bad(`Attempt ${status.attempt} ${status.delayMs < 1 ? "at once" : `in ${duration(status.delayMs)}`}.`);
    case "detached":
      return status.cause
        ? bad(`The link to ${place(status.entity)} is down: ${reason(status.cause)}.`)
        : plain(`The link to ${place(status.entity)} was let go: nothing used it.`);
    case "attached":
      return { tone: "good", text: `The link to ${place(status.entity)} is up again.` };
    case "throttled":
      return bad(`The service asks to slow down: nothing goes to ${place(status.entity)} for ${duration(status.delayMs)}.`);
    case "token-refreshed":
      return plain(`The token for ${path(status.audience)} was taken; it is valid until ${clock(status.expiresAt, false)}.`);
    case "token-refresh-failed": {
      const again = status.retryInMs === undefined ? "" : ` Next try in ${duration(status.retryInMs)}.`;
      return bad(`No new token for ${path(status.audience)}: ${reason(status.cause)}.${again}`);
    }
    case "stalled":
      return bad(`Partition ${status.partition} stalled: its events do not arrive. Its link is made anew.`);
    case "resumed":
      return { tone: "good", text: `Partition ${status.partition} goes on ${from(status.position)}.` };
    case "closed":
      return plain("Closed.");
  }
}

/** Why, without the code and the address of its page, which the error's text ends with, and without a full stop. */
export function reason(error: Error): string {
  return error.message.replace(/ \([a-z-]+(, [a-z0-9 ]+)*\)(; see https:\S+)?$/, "").replace(/\.$/, "");
}

/** The partition at the end of a link's address, if it leads to one. */
export function partitionOf(entity: string): string | undefined {
  return /\/Partitions\/([^/]+)$/i.exec(entity)?.[1];
}

/** What an audience names in its namespace. */
function path(audience: string): string {
  return /^\w+:\/\/[^/]+\/(.+?)\/?$/.exec(audience)?.[1] ?? audience;
}

function place(entity: string): string {
  const partition = partitionOf(entity);
  return partition === undefined ? entity : `partition ${partition}`;
}

function from(position: StartPosition): string {
  if (position === "earliest") return "from the beginning";
  if (position === "latest") return "with what comes next";
  if ("enqueuedTime" in position) return `from ${clock(new Date(position.enqueuedTime))}`;
  const where = "offset" in position ? `offset ${position.offset}` : `sequence number ${position.sequenceNumber}`;
  return `${position.inclusive ? "with" : "behind"} ${where}`;
}

function plain(text: string): Said {
  return { tone: "plain", text };
}

function bad(text: string): Said {
  return { tone: "bad", text };
}
