//! When a claim is won and what the record then says: the same for every store that decides it by itself.

use crate::model::checkpoint::Ownership;
use crate::model::value::Timestamp;

/// The version of a record as it is now.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Version<'a> {
    /// `None` when there is no record.
    pub(super) etag: Option<&'a str>,
    pub(super) last_modified: Option<Timestamp>,
}

impl<'a> Version<'a> {
    pub(super) fn of(known: Option<&'a Ownership>) -> Self {
        let etag = known.and_then(|known| known.etag.as_deref());
        Version { etag, last_modified: known.and_then(|known| known.last_modified) }
    }

    /// What the record says from now on when the claim is won.
    ///
    /// Its time never goes back, even if the machine's clock does: others tell by it who is alive.
    pub(super) fn claimed(self, claim: &Ownership, now: Timestamp, etag: String) -> Option<Ownership> {
        if claim.etag.as_deref() != self.etag {
            return None;
        }
        let earliest = self.last_modified.map_or(i64::MIN, |before| before.as_millis().saturating_add(1));
        Some(Ownership {
            last_modified: Some(Timestamp::from_millis(now.as_millis().max(earliest))),
            etag: Some(etag),
            ..claim.clone()
        })
    }
}

/// A version that no other record ever had.
pub(super) fn fresh_etag() -> String {
    let bytes: [u8; 12] = crate::runtime::random_bytes();
    bytes.iter().fold(String::new(), |mut text, byte| {
        for half in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(u32::from(half), 16));
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(etag: &str, millis: i64) -> Ownership {
        Ownership {
            etag: Some(etag.into()),
            last_modified: Some(Timestamp::from_millis(millis)),
            ..Ownership::new("0", "a")
        }
    }

    fn claim(known: Option<&Ownership>, etag: Option<&str>, now: i64) -> Option<Ownership> {
        let claim = Ownership { etag: etag.map(str::to_owned), ..Ownership::new("0", "b") };
        Version::of(known).claimed(&claim, Timestamp::from_millis(now), "new".into())
    }

    #[test]
    fn the_etag_decides() {
        let record = known("1", 5);
        assert_eq!(
            claim(Some(&record), Some("1"), 9),
            Some(Ownership { owner_id: "b".into(), ..known("new", 9) })
        );
        assert_eq!(claim(Some(&record), Some("0"), 9), None);
        assert_eq!(claim(Some(&record), None, 9), None);
        assert_eq!(claim(None, Some("1"), 9), None);
        assert!(claim(None, None, 9).is_some());
    }

    #[test]
    fn a_clock_that_goes_backwards_moves_no_record_back() {
        let renewed = claim(Some(&known("1", 1_000)), Some("1"), 400).unwrap();
        assert_eq!(renewed.last_modified, Some(Timestamp::from_millis(1_001)));
        let end = claim(Some(&known("1", i64::MAX)), Some("1"), 400).unwrap();
        assert_eq!(end.last_modified, Some(Timestamp::from_millis(i64::MAX)));
    }

    #[test]
    fn etags_differ() {
        assert_ne!(fresh_etag(), fresh_etag());
        assert_eq!(fresh_etag().len(), 24);
    }
}
