//! What was published, held against what comes back.

use std::collections::HashMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::flights::Flight;
use crate::model::partition;

/// Every record that was published, and how far each key has come back.
pub(super) struct Ledger<'a> {
    flights: &'a [Flight],
    keys: HashMap<Arc<str>, Key>,
    partitions: u32,
    seen: usize,
}

struct Key {
    /// The key's records in the order of their publication.
    published: Vec<u32>,
    /// How many of them have come back.
    back: usize,
    /// Over the bodies that came back, in the order in which they came.
    digest: Sha256,
}

impl<'a> Ledger<'a> {
    pub(super) fn new(flights: &'a [Flight], partitions: u32) -> Self {
        let mut keys: HashMap<Arc<str>, Key> = HashMap::new();
        for (index, flight) in (0..).zip(flights) {
            keys.entry(flight.origin.clone())
                .or_insert_with(|| Key { published: Vec::new(), back: 0, digest: Sha256::new() })
                .published
                .push(index);
        }
        Ledger { flights, keys, partitions, seen: 0 }
    }

    /// Checks one event that came back: its key, its partition, its place in the key's order, every byte.
    pub(super) fn check(&mut self, partition: u32, key: Option<&str>, body: &[u8]) -> Result<(), String> {
        let number = self.seen + 1;
        let key = key.ok_or_else(|| format!("event {number} came back without its key"))?;
        let entry = self
            .keys
            .get_mut(key)
            .ok_or_else(|| format!("event {number} has the key '{key}', which was not published"))?;
        let home = partition::for_key(key, self.partitions);
        if partition != home {
            return Err(format!(
                "the key '{key}' belongs to partition {home}, and came back from {partition}"
            ));
        }
        let Some(&index) = entry.published.get(entry.back) else {
            return Err(format!("all {} events of '{key}' were back already, and one more came", entry.back));
        };
        let expected = &self.flights[index as usize].body;
        if expected != body {
            return Err(format!(
                "event {} of '{key}' should be {} and is {}",
                entry.back + 1,
                String::from_utf8_lossy(expected),
                String::from_utf8_lossy(&body[..body.len().min(200)])
            ));
        }
        append(&mut entry.digest, body);
        entry.back += 1;
        self.seen = number;
        Ok(())
    }

    /// How many events have come back.
    pub(super) fn seen(&self) -> usize {
        self.seen
    }

    /// How many different keys there are.
    pub(super) fn keys(&self) -> usize {
        self.keys.len()
    }

    /// The digest of all bodies that came back, made from what arrived.
    ///
    /// # Errors
    /// When something is missing, or the digest is not that of what was published.
    pub(super) fn close(self) -> Result<String, String> {
        let missing: usize = self.keys.values().map(|key| key.published.len() - key.back).sum();
        if missing > 0 {
            return Err(format!("{missing} of {} events did not come back", self.flights.len()));
        }
        let mut published: HashMap<&str, Sha256> = HashMap::new();
        for flight in self.flights {
            append(published.entry(&flight.origin).or_default(), &flight.body);
        }
        let published = combine(published.into_iter());
        let back = combine(self.keys.iter().map(|(key, entry)| (&**key, entry.digest.clone())));
        if published != back {
            return Err(format!("the digest of all bodies is {back} and should be {published}"));
        }
        Ok(back)
    }
}

/// With its length, so that no other way to cut the bytes gives the same digest.
fn append(digest: &mut Sha256, body: &[u8]) {
    digest.update((body.len() as u64).to_be_bytes());
    digest.update(body);
}

/// One digest of all keys: partitions come back in any order, keys do not.
fn combine<'a>(keys: impl Iterator<Item = (&'a str, Sha256)>) -> String {
    let mut keys: Vec<_> = keys.collect();
    keys.sort_by_key(|(key, _)| *key);
    let mut all = Sha256::new();
    for (key, digest) in keys {
        append(&mut all, key.as_bytes());
        append(&mut all, &digest.finalize());
    }
    all.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flights() -> Vec<Flight> {
        [("PHX", "1"), ("LAS", "2"), ("PHX", "3"), ("PHX", "4")]
            .map(|(origin, body)| Flight { origin: origin.into(), body: body.into() })
            .into()
    }

    fn check(ledger: &mut Ledger<'_>, key: &str, body: &str) -> Result<(), String> {
        ledger.check(partition::for_key(key, 4), Some(key), body.as_bytes())
    }

    #[test]
    fn keys_may_interleave_and_the_digest_is_the_same() {
        let flights = flights();
        let mut one = Ledger::new(&flights, 4);
        let mut two = Ledger::new(&flights, 4);
        for (key, body) in [("PHX", "1"), ("LAS", "2"), ("PHX", "3"), ("PHX", "4")] {
            check(&mut one, key, body).unwrap();
        }
        for (key, body) in [("PHX", "1"), ("PHX", "3"), ("PHX", "4"), ("LAS", "2")] {
            check(&mut two, key, body).unwrap();
        }
        assert_eq!((one.seen(), one.keys()), (4, 2));
        assert_eq!(one.close().unwrap(), two.close().unwrap());
    }

    #[test]
    fn what_is_lost_changed_swapped_or_repeated_is_found() {
        let flights = flights();
        let mut ledger = Ledger::new(&flights, 4);
        assert!(check(&mut ledger, "PHX", "3").is_err(), "out of order");
        assert!(check(&mut ledger, "PHX", "x").is_err(), "another body");
        assert!(check(&mut ledger, "SFO", "1").is_err(), "another key");
        assert!(ledger.check(0, None, b"1").is_err(), "no key");
        let elsewhere = (partition::for_key("PHX", 4) + 1) % 4;
        assert!(ledger.check(elsewhere, Some("PHX"), b"1").is_err(), "another partition");
        check(&mut ledger, "LAS", "2").unwrap();
        assert!(check(&mut ledger, "LAS", "2").is_err(), "twice");
        assert!(ledger.close().unwrap_err().starts_with("3 of 4"));
    }
}
