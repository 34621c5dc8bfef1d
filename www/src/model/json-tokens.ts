/** JSON in pieces that can be coloured. */
export interface Token {
  readonly kind: "key" | "string" | "number" | "word" | "plain";
  readonly text: string;
}

const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|\b(true|false|null)\b/g;

/** The pieces of a JSON text, in order; together they are the text. */
export function jsonTokens(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  const add = (kind: Token["kind"], piece: string): void => {
    if (piece) tokens.push({ kind, text: piece });
  };
  for (const match of text.matchAll(TOKEN)) {
    const [whole, string, colon, number] = match;
    add("plain", text.slice(at, match.index));
    if (string !== undefined) {
      add(colon === undefined ? "string" : "key", string);
      add("plain", colon ?? "");
    } else {
      add(number === undefined ? "word" : "number", whole);
    }
    at = match.index + whole.length;
  }
  add("plain", text.slice(at));
  return tokens;
}
