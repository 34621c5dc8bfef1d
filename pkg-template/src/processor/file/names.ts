// Names as parts of paths: every file system takes them, and none makes one of two. As src/checkpoint/native/file/names.rs.

/** Longer ones are cut, and told apart by their hash. File systems allow 255 bytes. */
const LONGEST = 180;
/** The part for the empty name: no other name's begins so. */
const NAMELESS = "%";
/** Names that Windows keeps for devices, with any extension. */
const DEVICE = /^(con|prn|aux|nul|com|lpt)[0-9]*$/;

/** The name as a part of a path. Only lower-case letters stand for themselves, as some file systems know no case. */
export async function encoded(name: string): Promise<string> {
  if (name === "") return NAMELESS;
  const isDevice = DEVICE.test(name.split(".")[0]!);
  const bytes = new TextEncoder().encode(name);
  let part = "";
  for (const [index, byte] of bytes.entries()) {
    const char = String.fromCharCode(byte);
    const isEdge = index === 0 || index + 1 === bytes.length;
    const isPlain = /[a-z0-9_-]/.test(char) || (char === "." && !isEdge);
    part += isPlain && !(isDevice && index === 0) ? char : `%${hex(byte)}`;
  }
  if (part.length <= LONGEST) return part;
  return `${part.slice(0, LONGEST / 2)}~${await digest(bytes, 16)}`;
}

/** The name that a part of a path stands for; of one that was cut, what is left of it. */
export function decoded(part: string): string {
  return part === NAMELESS ? "" : unescaped(part);
}

/** Text whose percent signs stand for bytes. What is no UTF-8 is replaced, or an error where that is `fatal`. */
export function unescaped(text: string, fatal = false): string {
  const bytes: number[] = [];
  for (const [piece, code] of text.matchAll(/%([0-9a-fA-F]{2})|[^%]+|%/g)) {
    if (code !== undefined) bytes.push(parseInt(code, 16));
    else bytes.push(...new TextEncoder().encode(piece));
  }
  return new TextDecoder("utf-8", { fatal, ignoreBOM: true }).decode(Uint8Array.from(bytes));
}

/** The first bytes of the SHA-256, in hexadecimal digits. */
export async function digest(bytes: Uint8Array<ArrayBuffer>, length: number): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...hash.subarray(0, length)].map(hex).join("");
}

export function hex(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}
