// wasm-bindgen names what passes between the module and its glue after Rust's paths and hashes, which do not compress.
// Here both sides get names of one or two letters; exports that Rust's authors named (`memory` too) keep theirs.

const IMPORTS = 2;
const EXPORTS = 7;

/** The module and its glue with short names for each other's functions. */
export function shortened(bytes, glue) {
  const module = new WebAssembly.Module(bytes);
  const imports = names(WebAssembly.Module.imports(module));
  const exports = names(WebAssembly.Module.exports(module).filter(({ name }) => /^(__|wasm_bindgen_)/.test(name)));
  let code = glue;
  for (const [name, short] of imports) {
    code = replaced(code, new RegExp(`^(\\s*)${quoted(name)}(?=: )`, "gm"), `$1${short}`, name);
  }
  for (const [name, short] of exports) {
    // Some are exported for other glue than this.
    code = code.replace(new RegExp(`\\bwasm\\.${quoted(name)}\\b`, "g"), () => `wasm.${short}`);
  }
  if (/\bwasm\.(__|wasm_bindgen_)/.test(code) || /\bwasm\[/.test(code)) {
    throw new Error("wasm-bindgen's glue uses exports in another way than build/names.mjs knows");
  }
  return { bytes: renamed(bytes, imports, exports), glue: code };
}

function names(list) {
  const all = [...new Set(list.map(({ name }) => name))].sort();
  return new Map(all.map((name, index) => [name, letters(index)]));
}

/** a, b … z, aa, ab … */
function letters(index) {
  const last = String.fromCharCode(97 + (index % 26));
  return index < 26 ? last : letters(Math.floor(index / 26) - 1) + last;
}

function replaced(code, pattern, replacement, name) {
  const result = code.replace(pattern, replacement);
  if (result === code) throw new Error(`wasm-bindgen's glue does not give '${name}' in a way that build/names.mjs knows`);
  return result;
}

function quoted(name) {
  return name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

/** Copies the module, with other names in the sections of imports and exports. */
function renamed(bytes, imports, exports) {
  const out = [...bytes.subarray(0, 8)];
  let at = 8;
  while (at < bytes.length) {
    const id = bytes[at];
    const size = number(bytes, at + 1);
    const body = bytes.subarray(size.end, size.end + size.value);
    const made = id === IMPORTS ? section(body, imports, importEntry) : id === EXPORTS ? section(body, exports, exportEntry) : body;
    out.push(id, ...encoded(made.length));
    for (const byte of made) out.push(byte);
    at = size.end + size.value;
  }
  return Uint8Array.from(out);
}

function section(body, short, entry) {
  const count = number(body, 0);
  const out = [...encoded(count.value)];
  let at = count.end;
  for (let index = 0; index < count.value; index += 1) at = entry(body, at, short, out);
  return out;
}

function importEntry(body, at, short, out) {
  const from = text(body, at);
  const name = text(body, from.end);
  out.push(...from.encoded, ...string(short.get(name.value)));
  const kind = body[name.end];
  // A function's type, or a table's, memory's or global's: copied to where the next entry begins.
  let end = name.end + 1;
  if (kind === 0) end = number(body, end).end;
  else if (kind === 3) end += 2;
  else {
    if (kind === 1) end += 1;
    const limits = body[end];
    end = number(body, end + 1).end;
    if (limits & 1) end = number(body, end).end;
  }
  out.push(...body.subarray(name.end, end));
  return end;
}

function exportEntry(body, at, short, out) {
  const name = text(body, at);
  const end = number(body, name.end + 1).end;
  out.push(...string(short.get(name.value) ?? name.value), ...body.subarray(name.end, end));
  return end;
}

/** An unsigned LEB128. */
function number(bytes, at) {
  let value = 0;
  let end = at;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[end++];
    value += (byte & 127) * 2 ** shift;
    if (byte < 128) return { value, end };
  }
}

function encoded(value) {
  return value < 128 ? [value] : [(value & 127) | 128, ...encoded(value >>> 7)];
}

function text(bytes, at) {
  const length = number(bytes, at);
  const end = length.end + length.value;
  return { value: new TextDecoder().decode(bytes.subarray(length.end, end)), encoded: bytes.subarray(at, end), end };
}

function string(value) {
  const bytes = new TextEncoder().encode(value);
  return [...encoded(bytes.length), ...bytes];
}
