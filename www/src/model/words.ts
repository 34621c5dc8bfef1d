/** Errors in words: what happened, and what to do about it. */

export interface Trouble {
  /** One sentence without the code. */
  readonly title: string;
  /** What the reader can do. */
  readonly advice: string;
  /** The error's stable code, or its name when it is none of ours. */
  readonly code: string;
  /** What the client said, in full. */
  readonly detail: string;
  /** The page that says more, if there is one. */
  readonly page?: string;
}

const WORDS: Readonly<Record<string, readonly [title: string, advice: string]>> = {
  "invalid-argument": ["Something that was entered cannot be right.", "Correct what the message names, then try again."],
  "invalid-connection-string": [
    "The connection string cannot be understood.",
    "Copy it again from the portal (Shared access policies), or from what the emulator printed. It begins with Endpoint=sb://.",
  ],
  unauthorized: [
    "The key was not accepted.",
    "Check that the connection string's key is the current one and that its policy allows Send, Listen, or both.",
  ],
  "not-found": [
    "There is no such event hub, consumer group or partition.",
    "Check the spelling of the event hub and of the consumer group.",
  ],
  "message-too-large": ["The event is larger than the service takes.", "Make the body or the batch smaller."],
  "quota-exceeded": [
    "A quota of the service is used up.",
    "Five readers may share a partition in one consumer group: close another one, or use another consumer group.",
  ],
  "server-busy": ["The service asks to slow down.", "Wait some seconds, or send at a lower rate."],
  timeout: ["The service did not answer in time.", "Check the network; the console tries again by itself where it can."],
  "connection-lost": ["The connection broke.", "The console connects again by itself."],
  "connect-failed": [
    "No connection could be made.",
    "Check the address in the connection string, and that a proxy or firewall lets WebSockets through. For the emulator: is it running?",
  ],
  "ownership-lost": ["Another reader took the partition.", "Close the reader that asked for it with a higher owner level."],
  "invalid-position": [
    "The partition does not have that position.",
    "Start from earliest or latest, or from a number that the overview shows.",
  ],
  rejected: ["The service refused this.", "The message below is its reason."],
  closed: ["The connection was closed by this page.", "Connect again."],
  protocol: ["The other side does not speak AMQP as expected.", "Check that the address is one of Event Hubs or of its emulator."],
  internal: ["The service failed inside.", "Try again; if it stays, the tracking id in the message helps its support."],
};

/** An error as people can use it. */
export function trouble(error: unknown): Trouble {
  const page = pageOf(error);
  const said = error instanceof Error ? error.message : String(error);
  // The link stands beside it.
  const detail = page ? said.replace(`; see ${page}`, "") : said;
  const code = codeOf(error);
  const [title, advice] = WORDS[code] ?? [
    "Something unexpected happened.",
    "Try again; if it stays, reload the page and report what the message says.",
  ];
  return { title, advice, code, detail, ...(page ? { page } : {}) };
}

function pageOf(error: unknown): string | undefined {
  const page = (error as { helpUrl?: unknown } | null | undefined)?.helpUrl;
  return typeof page === "string" ? page : undefined;
}

function codeOf(error: unknown): string {
  if (typeof error === "object" && error !== null && "code" in error && typeof error.code === "string") return error.code;
  return error instanceof Error ? error.name : "unknown";
}
