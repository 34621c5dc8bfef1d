//! Names as parts of paths: every file system takes them, and none makes one of two.

use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};

/// Longer ones are cut, and told apart by their hash. File systems allow 255 bytes.
const LONGEST: usize = 180;
/// The part for the empty name: no other name's begins so.
const NAMELESS: &str = "%";
/// Names that Windows keeps for devices, with any extension.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "com", "lpt"];

/// The name as a part of a path. Only lower-case letters stand for themselves, as some file systems know no case.
pub(super) fn encoded(name: &str) -> String {
    if name.is_empty() {
        return NAMELESS.to_owned();
    }
    let stem = name.split('.').next().unwrap_or_default();
    let is_device = DEVICES.iter().any(|device| {
        stem.strip_prefix(device).is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
    });
    let mut part = String::with_capacity(name.len());
    for (index, byte) in name.bytes().enumerate() {
        let is_edge = index == 0 || index + 1 == name.len();
        match byte {
            _ if is_device && index == 0 => part.push_str(&format!("%{byte:02x}")),
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => part.push(char::from(byte)),
            b'.' if !is_edge => part.push('.'),
            _ => part.push_str(&format!("%{byte:02x}")),
        }
    }
    if part.len() > LONGEST {
        let hash = Sha256::digest(name);
        part.truncate(LONGEST / 2);
        part.push('~');
        hash[..16].iter().for_each(|byte| part.push_str(&format!("{byte:02x}")));
    }
    part
}

/// The name that a part of a path stands for; of one that was cut, what is left of it.
pub(super) fn decoded(part: &str) -> String {
    if part == NAMELESS { String::new() } else { percent_decode_str(part).decode_utf8_lossy().into_owned() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_names_of_services_can_be_read() {
        assert_eq!(encoded("contoso.servicebus.windows.net"), "contoso.servicebus.windows.net");
        assert_eq!((encoded("$default"), encoded("1023")), ("%24default".into(), "1023".into()));
    }

    #[test]
    fn no_name_leads_elsewhere_or_to_a_device() {
        let names =
            ["..", ".", "", "a/b", "a\\b", "con", "com1", "nul.x", "a.", "A", "a", "%41", "%61", "Ä", "ä"];
        let parts: BTreeSet<_> = names.iter().map(|name| encoded(name).to_lowercase()).collect();
        assert_eq!(parts.len(), names.len(), "{parts:?}");
        for part in parts {
            assert!(!part.is_empty() && !part.starts_with('.') && !part.ends_with('.'), "{part}");
            assert!(!part.contains(['/', '\\', ':']) && part != "con" && !part.starts_with("nul"), "{part}");
        }
        let (long, longer) = ("x".repeat(300), "x".repeat(301));
        assert!(encoded(&long).len() <= LONGEST && encoded(&long) != encoded(&longer));
    }

    proptest! {
        #[test]
        fn every_name_is_kept_apart(a in ".{0,12}", b in "[a-zA-Z%.]{0,4}") {
            for name in [&a, &b] {
                let part = encoded(name);
                prop_assert_eq!(&part, &part.to_lowercase());
                prop_assert_eq!(&decoded(&part), name);
            }
            prop_assert_eq!(encoded(&a) == encoded(&b), a == b);
        }
    }
}
