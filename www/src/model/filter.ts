/** The filter over the list: words that must all match, written as people write them in a search field. */

/** What of an event a filter looks at. */
export interface Filterable {
  readonly partitionId: string;
  readonly sequenceNumber: number;
  readonly partitionKey: string | undefined;
  readonly properties: Readonly<Record<string, unknown>>;
  text(): string;
}

export type Predicate = (event: Filterable) => boolean;

/**
 * Reads a filter: `word` or `"two words"` in the body or key, `key:word`, `partition:2`, `name:value` for an application
 * property (`name:` for any value); `-` in front of any of them turns it round. `undefined` when nothing is filtered.
 */
export function parseFilter(text: string): Predicate | undefined {
  const terms = [...text.matchAll(/(-?)(?:([^\s":]+):)?(?:"([^"]*)"?|(\S*))/g)]
    .filter((match) => match[0] !== "" && match[0] !== "-")
    .map((match) => term(match[2], (match[3] ?? match[4] ?? "").toLowerCase(), match[1] === "-"));
  if (terms.length === 0) return undefined;
  return (event) => terms.every((matches) => matches(event));
}

function term(field: string | undefined, wanted: string, negated: boolean): Predicate {
  const matches = positive(field, wanted);
  return negated ? (event) => !matches(event) : matches;
}

function positive(field: string | undefined, wanted: string): Predicate {
  const has = (value: string): boolean => value.toLowerCase().includes(wanted);
  switch (field?.toLowerCase()) {
    case undefined:
      return (event) => has(event.partitionKey ?? "") || has(textOf(event));
    case "body":
      return (event) => has(textOf(event));
    case "key":
      return (event) => event.partitionKey !== undefined && has(event.partitionKey);
    case "partition":
      return (event) => event.partitionId === wanted;
    case "seq":
      return (event) => String(event.sequenceNumber) === wanted;
    default:
      return (event) => property(event, field ?? "", wanted);
  }
}

function property(event: Filterable, name: string, wanted: string): boolean {
  for (const [key, value] of Object.entries(event.properties)) {
    if (key.toLowerCase() !== name.toLowerCase()) continue;
    return (value instanceof Date ? value.toISOString() : String(value)).toLowerCase().includes(wanted);
  }
  // What looks like a field may be a piece of the body: `"id":7` or a time of day.
  return textOf(event).toLowerCase().includes(`${name.toLowerCase()}:${wanted}`);
}

/** A body that is an AMQP value has no text, and so has no word either. */
function textOf(event: Filterable): string {
  try {
    return event.text();
  } catch {
    return "";
  }
}
