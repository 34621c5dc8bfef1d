// Which partition a key belongs to, computed as the service does.

/** The partition's number, in a hub of `count` partitions. */
export function partitionFor(key, count) {
  const [c, b] = lookup3(Buffer.from(key));
  // The low 16 bits, read as signed.
  return Math.abs((((c ^ b) << 16) >> 16) % count);
}

/** Bob Jenkins' lookup3 (`hashlittle2`) with both seeds 0. */
function lookup3(key) {
  let a = (0xdeadbeef + key.length) | 0;
  let [b, c] = [a, a];
  let start = 0;
  const add = (block) => {
    a = (a + block.readInt32LE(0)) | 0;
    b = (b + block.readInt32LE(4)) | 0;
    c = (c + block.readInt32LE(8)) | 0;
  };
  for (; key.length - start > 12; start += 12) {
    add(key.subarray(start, start + 12));
    a = ((a - c) | 0) ^ rotated(c, 4);
    c = (c + b) | 0;
    b = ((b - a) | 0) ^ rotated(a, 6);
    a = (a + c) | 0;
    c = ((c - b) | 0) ^ rotated(b, 8);
    b = (b + a) | 0;
    a = ((a - c) | 0) ^ rotated(c, 16);
    c = (c + b) | 0;
    b = ((b - a) | 0) ^ rotated(a, 19);
    a = (a + c) | 0;
    c = ((c - b) | 0) ^ rotated(b, 4);
    b = (b + a) | 0;
  }
  if (start === key.length) return [c, b];
  const last = Buffer.alloc(12);
  key.copy(last, 0, start);
  add(last);
  c = ((c ^ b) - rotated(b, 14)) | 0;
  a = ((a ^ c) - rotated(c, 11)) | 0;
  b = ((b ^ a) - rotated(a, 25)) | 0;
  c = ((c ^ b) - rotated(b, 16)) | 0;
  a = ((a ^ c) - rotated(c, 4)) | 0;
  b = ((b ^ a) - rotated(a, 14)) | 0;
  c = ((c ^ b) - rotated(b, 24)) | 0;
  return [c, b];
}

function rotated(word, by) {
  return (word << by) | (word >>> (32 - by));
}
