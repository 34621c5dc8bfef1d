// Values that say their AMQP type, as the `types` of rhea make them: the official SDK sends them, and so does this package.

interface Typed {
  readonly type: { readonly name: string; readonly typecode: number };
  readonly value: unknown;
}

/** The value without its type, which is chosen by the value here: a whole number is an `int` or a `long`. */
export function plain(given: unknown): unknown {
  if (!isTyped(given)) return given;
  const { type, value } = given;
  if (/^(List|Array)/.test(type.name)) return ((value as unknown[] | null) ?? []).map(plain);
  if (/^Map/.test(type.name)) return fromPairs((value as unknown[]).map(plain));
  if (type.name === "Timestamp") return new Date(Number(value));
  return value;
}

/** The same for every value of an object. */
export function plainValues(given: Record<string, unknown>): Record<string, unknown> {
  if (!Object.values(given).some(isTyped)) return given;
  return Object.fromEntries(Object.entries(given).map(([name, value]) => [name, plain(value)]));
}

function isTyped(given: unknown): given is Typed {
  if (typeof given !== "object" || given === null) return false;
  const { type } = given as Partial<Typed>;
  return typeof type?.typecode === "number" && "value" in given;
}

function fromPairs(items: unknown[]): Record<string, unknown> {
  const pairs: Record<string, unknown> = {};
  for (let at = 0; at + 1 < items.length; at += 2) pairs[String(items[at])] = items[at + 1];
  return pairs;
}
