// A page of the answer to List Blobs. As src/checkpoint/native/blob/listing.rs; workers and Node have no parser of XML.

/** What a listing says of a blob. */
export interface Item {
  name: string;
  /** Without quotation marks. */
  etag: string | undefined;
  lastModified: number | undefined;
  /** By names in lower case: headers know no case. */
  metadata: Map<string, string>;
}

/** Blobs, and where the next page begins. */
export interface Page {
  readonly items: Item[];
  next: string | undefined;
}

const TOKEN = /<!--[^]*?-->|<\?[^]*?\?>|<!\[CDATA\[([^]*?)\]\]>|<(\/?)([^\s<>/]+)((?:[^<>"']|"[^"]*"|'[^']*')*?)(\/?)>|([^<]+)|</g;
const ENTITIES: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };

/**
 * Reads a page.
 *
 * @throws Error that says why it is none.
 */
export function page(xml: string): Page {
  const result: Page = { items: [], next: undefined };
  const path: string[] = [];
  let content = "";
  let isEncoded = false;
  let isListing = false;
  const begin = (name: string): void => {
    path.push(name);
    isListing = true;
    if (path[0] !== "EnumerationResults") throw new Error(`it begins with '${path[0]!.slice(0, 40)}'`);
    if (path.join("/") === "EnumerationResults/Blobs/Blob") {
      result.items.push({ name: "", etag: undefined, lastModified: undefined, metadata: new Map() });
    }
  };
  for (const [token, data, closing, name, attributes = "", empty, text] of xml.replace(/^\ufeff/, "").matchAll(TOKEN)) {
    if (token === "<") throw new Error("it is no XML");
    if (data !== undefined) content += data;
    else if (text !== undefined) content += unescaped(text);
    else if (name === undefined) continue;
    else if (closing === "/") {
      if (path.at(-1) !== name) throw new Error(`its '${name.slice(0, 40)}' ends without a beginning`);
      end(result, path, isEncoded ? decoded(content) : content);
      [content, isEncoded] = ["", false];
      path.pop();
    } else {
      [content, isEncoded] = ["", /\bEncoded\s*=\s*["']true["']/i.test(attributes)];
      begin(name);
      if (empty !== "/") continue;
      end(result, path, "");
      path.pop();
    }
  }
  // An answer of something else must not look like a group without checkpoints.
  if (!isListing) throw new Error("it is no XML");
  if (path.length > 0) throw new Error("its end is missing");
  return result;
}

/** An etag as records have it: some answers quote it, some do not. */
export function unquoted(etag: string): string {
  return /^".*"$/.test(etag) ? etag.slice(1, -1) : etag;
}

export function httpTime(text: string | null): number | undefined {
  const time = text === null ? NaN : Date.parse(text);
  return Number.isNaN(time) ? undefined : time;
}

function end(result: Page, path: readonly string[], content: string): void {
  const where = path.slice(1).join("/");
  const item = result.items.at(-1);
  if (where === "NextMarker" && content !== "") result.next = content;
  else if (item === undefined) return;
  else if (where === "Blobs/Blob/Name") item.name = content;
  else if (where === "Blobs/Blob/Properties/Etag") item.etag = unquoted(content);
  else if (where === "Blobs/Blob/Properties/Last-Modified") item.lastModified = httpTime(content);
  else if (path.length === 5 && where.startsWith("Blobs/Blob/Metadata/")) item.metadata.set(path[4]!.toLowerCase(), content);
}

function unescaped(text: string): string {
  return text.replace(/&(#x?)?([^;\s&]*);?/gi, (_, number: string | undefined, name: string) => {
    if (number !== undefined) return String.fromCodePoint(parseInt(name, number.length === 2 ? 16 : 10));
    const known = ENTITIES[name];
    if (known === undefined) throw new Error("it holds an unknown entity");
    return known;
  });
}

/** Names that XML cannot hold come percent-encoded, and say so. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
