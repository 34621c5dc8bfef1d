// Which partition a key belongs to, computed as the service does: Bob Jenkins' lookup3 over its UTF-8 bytes.

/** The index of the partition that events with `key` go to, in a hub of `count` partitions. */
export function partitionOf(key: string, count: number): number {
  return Math.abs(hash(new TextEncoder().encode(key)) % count);
}

function hash(bytes: Uint8Array): number {
  let a = (0xdeadbeef + bytes.length) | 0;
  let b = a;
  let c = a;
  let at = 0;
  const add = (block: DataView): void => {
    a = (a + block.getUint32(0, true)) | 0;
    b = (b + block.getUint32(4, true)) | 0;
    c = (c + block.getUint32(8, true)) | 0;
  };
  for (; bytes.length - at > 12; at += 12) {
    add(new DataView(bytes.buffer, bytes.byteOffset + at, 12));
    a = ((a - c) | 0) ^ turned(c, 4);
    c = (c + b) | 0;
    b = ((b - a) | 0) ^ turned(a, 6);
    a = (a + c) | 0;
    c = ((c - b) | 0) ^ turned(b, 8);
    b = (b + a) | 0;
    a = ((a - c) | 0) ^ turned(c, 16);
    c = (c + b) | 0;
    b = ((b - a) | 0) ^ turned(a, 19);
    a = (a + c) | 0;
    c = ((c - b) | 0) ^ turned(b, 4);
    b = (b + a) | 0;
  }
  if (at < bytes.length) {
    const last = new Uint8Array(12);
    last.set(bytes.subarray(at));
    add(new DataView(last.buffer));
    c = ((c ^ b) - turned(b, 14)) | 0;
    a = ((a ^ c) - turned(c, 11)) | 0;
    b = ((b ^ a) - turned(a, 25)) | 0;
    c = ((c ^ b) - turned(b, 16)) | 0;
    a = ((a ^ c) - turned(c, 4)) | 0;
    b = ((b ^ a) - turned(a, 14)) | 0;
    c = ((c ^ b) - turned(b, 24)) | 0;
  }
  // The low 16 bits, read as signed.
  return ((c ^ b) << 16) >> 16;
}

function turned(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}
