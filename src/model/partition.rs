//! Which partition a key belongs to, computed as the service does.

use crate::error::{Error, ErrorKind};

/// The longest partition key that the service takes, in characters.
pub const MAX_KEY_CHARS: usize = 128;

/// The service's hash of a partition key: Bob Jenkins' lookup3 over its UTF-8 bytes, folded to 16 bits.
pub fn hash(key: &str) -> i16 {
    let (c, b) = lookup3(key.as_bytes());
    // The low 16 bits, read as signed.
    (c ^ b) as i16
}

/// The index of the partition that events with `key` go to, in a hub of `count` partitions.
///
/// A count of 0 gives 0.
pub fn for_key(key: &str, count: u32) -> u32 {
    if count == 0 {
        return 0;
    }
    let hash = i64::from(hash(key));
    // The remainder truncates towards zero, and is smaller than `count`.
    (hash % i64::from(count)).unsigned_abs() as u32
}

/// Checks that `key` is one the service takes.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] when it is longer than [`MAX_KEY_CHARS`].
pub fn check_key(key: &str) -> Result<(), Error> {
    // No character is shorter than a byte, so most keys are not counted.
    if key.len() <= MAX_KEY_CHARS {
        return Ok(());
    }
    let chars = key.chars().count();
    if chars <= MAX_KEY_CHARS {
        return Ok(());
    }
    let message = format!("the partition key has {chars} characters, at most {MAX_KEY_CHARS} are allowed");
    Err(Error::new(ErrorKind::InvalidArgument, message))
}

/// lookup3 (`hashlittle2`) with both seeds 0; gives `(c, b)`.
fn lookup3(key: &[u8]) -> (u32, u32) {
    let seed = 0xDEAD_BEEF_u32.wrapping_add(key.len() as u32);
    let (mut a, mut b, mut c) = (seed, seed, seed);
    let mut rest = key;
    while rest.len() > 12 {
        let (block, behind) = rest.split_at(12);
        add_block(block, &mut a, &mut b, &mut c);
        a = a.wrapping_sub(c) ^ c.rotate_left(4);
        c = c.wrapping_add(b);
        b = b.wrapping_sub(a) ^ a.rotate_left(6);
        a = a.wrapping_add(c);
        c = c.wrapping_sub(b) ^ b.rotate_left(8);
        b = b.wrapping_add(a);
        a = a.wrapping_sub(c) ^ c.rotate_left(16);
        c = c.wrapping_add(b);
        b = b.wrapping_sub(a) ^ a.rotate_left(19);
        a = a.wrapping_add(c);
        c = c.wrapping_sub(b) ^ b.rotate_left(4);
        b = b.wrapping_add(a);
        rest = behind;
    }
    if rest.is_empty() {
        return (c, b);
    }
    let mut last = [0; 12];
    last[..rest.len()].copy_from_slice(rest);
    add_block(&last, &mut a, &mut b, &mut c);
    c = (c ^ b).wrapping_sub(b.rotate_left(14));
    a = (a ^ c).wrapping_sub(c.rotate_left(11));
    b = (b ^ a).wrapping_sub(a.rotate_left(25));
    c = (c ^ b).wrapping_sub(b.rotate_left(16));
    a = (a ^ c).wrapping_sub(c.rotate_left(4));
    b = (b ^ a).wrapping_sub(a.rotate_left(14));
    c = (c ^ b).wrapping_sub(b.rotate_left(24));
    (c, b)
}

/// Adds twelve bytes as three little-endian words.
fn add_block(block: &[u8], a: &mut u32, b: &mut u32, c: &mut u32) {
    for (word, bytes) in [a, b, c].into_iter().zip(block.chunks_exact(4)) {
        *word = word.wrapping_add(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_services_vectors_hold() {
        let long =
            "FAyAIctPeCgmiwLKbJcyswoHglHVjQdvtBowLACDNORsYvOcLddNJYDmhAVkbyLOrHTKLneMNcbgWVlasVywOByANjs";
        // Key, c, b, hash, then the partition of 2, 3, 4, 8 and 32.
        let vectors: [(&str, u32, u32, i16, [u32; 5]); 19] = [
            ("", 0xdeadbeef, 0xdeadbeef, 0, [0, 0, 0, 0, 0]),
            ("7", 0xf7ca9c57, 0xaf025836, -15263, [1, 2, 3, 7, 31]),
            ("a", 0x58d68708, 0x582647ac, -16220, [0, 2, 0, 4, 28]),
            ("$0cb", 0xf8c0625f, 0xaf2504c2, 26269, [1, 1, 1, 5, 29]),
            ("FWfAT", 0x181b8e02, 0x6d2126b9, -22341, [1, 0, 1, 5, 5]),
            ("device-1", 0x9307b98b, 0x51eed12f, 26788, [0, 1, 0, 4, 4]),
            ("device-2", 0xba2b2188, 0x9fa010c6, 12622, [0, 1, 2, 6, 14]),
            ("!c*_!I@1^c", 0xaf255ba8, 0xfdf967a4, 15372, [0, 0, 0, 4, 12]),
            ("abcdefghijkl", 0x4012f87b, 0x75b50ec0, -2373, [1, 0, 1, 5, 5]),
            ("abcdefghijklm", 0x928128f9, 0x0f04ab68, -31855, [1, 1, 3, 7, 15]),
            ("partition-key", 0x882796ad, 0xe0605296, -15301, [1, 1, 1, 5, 5]),
            ("7149583486996073602", 0xde32c14f, 0xf426f3fe, 12977, [1, 2, 1, 1, 17]),
            ("p4*!jioeO/z-!-;w:dh", 0x07bb8cfd, 0x78f77f1d, -3104, [0, 2, 0, 0, 0]),
            ("sOdeEAsyQoEuEFPGerWO", 0xdf3ee7b4, 0x7f69012d, -6503, [1, 2, 3, 7, 7]),
            ("-4189260826195535198", 0x3dee3c4a, 0x0bcb3d8f, 453, [1, 0, 1, 5, 5]),
            ("0123456789abcdefghijklmn", 0x98c9d156, 0xe5b669d9, -18289, [1, 1, 1, 1, 17]),
            (long, 0x588018c5, 0x64ec0caf, 5226, [0, 0, 2, 2, 10]),
            ("héllo", 0x1f1e1e31, 0x55e75ca0, 17041, [1, 1, 1, 1, 17]),
            ("日本語", 0x23cfb4f8, 0xf9e4103f, -23353, [1, 1, 1, 1, 25]),
        ];
        for (key, c, b, expected, partitions) in vectors {
            assert_eq!(lookup3(key.as_bytes()), (c, b), "{key}");
            assert_eq!(hash(key), expected, "{key}");
            assert_eq!([2, 3, 4, 8, 32].map(|count| for_key(key, count)), partitions, "{key}");
        }
    }

    #[test]
    fn a_key_of_128_characters_is_the_longest() {
        assert!(check_key(&"é".repeat(128)).is_ok());
        let error = check_key(&"k".repeat(129)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains("129"), "{error}");
    }

    proptest! {
        #[test]
        fn every_key_has_a_partition_of_the_hub(key in ".*", count in 1..=2000_u32) {
            prop_assert!(for_key(&key, count) < count);
        }
    }
}
