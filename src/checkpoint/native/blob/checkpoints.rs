//! Checkpoints in blobs: each is written in place of the version that is known here, so that one that is late puts no group back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::call::Call;
use super::listing::{Item, unquoted};
use super::records::{self, Kind, of_checkpoint, sequence_number_of};
use super::{BlobStore, Records};
use crate::error::{Error, ErrorKind};
use crate::model::checkpoint::{Checkpoint, ConsumerGroup};
use crate::model::moment::Moment;

/// How often a checkpoint is tried in place of a version that somebody else has just written.
const WRITES: u32 = 4;

/// What is known of checkpoints' blobs by what was read or written here last.
#[derive(Clone, Default)]
pub(super) struct Versions(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    etags: BTreeMap<String, String>,
    /// Beginnings of names that were listed: what is not known of these was not there.
    listed: BTreeSet<String>,
}

/// What a checkpoint is written in place of.
enum Known {
    /// Nobody has looked: of whatever is there.
    Nothing,
    Absent,
    Version(String),
}

impl BlobStore {
    /// Puts a checkpoint in place of the version that is known. Where another is found there, it depends: one that is further on
    /// somebody else has written meanwhile, and stays; any other is replaced. A request that was held up on its way and arrives when
    /// others have written since changes nothing.
    pub(super) async fn write(&self, group: &ConsumerGroup, checkpoint: &Checkpoint) -> Result<(), Error> {
        let (headers, deadline) = (of_checkpoint(checkpoint)?, self.deadline());
        let name = Kind::Checkpoint.name(group, &checkpoint.partition_id)?;
        let mut known = self.versions.of(&Kind::Checkpoint.prefix(group)?, &name);
        for _ in 0..WRITES {
            let answered = self.caller.call(&write_call(&name, &headers, known), deadline).await?;
            known = match answered.code {
                None => {
                    self.versions.note(name, answered.http.header("etag"));
                    return Ok(());
                }
                Some("BlobNotFound") => Known::Absent,
                Some(_) => match self.look(&name, deadline).await? {
                    // What is known stays known: who writes nothing must not put the next one in place of it.
                    Some((_, Some(number))) if checkpoint.sequence_number.is_some_and(|own| own < number) => {
                        return Ok(());
                    }
                    Some((etag, _)) => Known::Version(etag),
                    None => Known::Absent,
                },
            };
        }
        let message =
            format!("others wrote the checkpoint of partition '{}' each time", checkpoint.partition_id);
        Err(Error::new(ErrorKind::ServerBusy, message))
    }

    pub(super) async fn checkpoints(&self, group: &ConsumerGroup) -> Result<Records<Checkpoint>, Error> {
        let (folded, deadline) = (group.folded(), self.deadline());
        let prefix = Kind::Checkpoint.prefix(&folded)?;
        let items = self.list(&prefix, deadline).await?;
        self.versions.listed(prefix, &items);
        let read = |(item, partition): &(Item, String)| records::checkpoint(item, partition);
        let mut all: Records<Checkpoint> = items.iter().map(read).collect();
        if self.reads_other_cases && *group != folded {
            let items = self.list(&Kind::Checkpoint.prefix(group)?, deadline).await?;
            for other in items.iter().map(read) {
                match other {
                    Ok(other) => merge(&mut all.records, other),
                    Err(failure) => all.failures.push(failure),
                }
            }
        }
        Ok(all)
    }

    /// The version of a checkpoint's blob and the sequence number in it, if there is one.
    async fn look(&self, name: &str, deadline: Moment) -> Result<Option<(String, Option<i64>)>, Error> {
        let expected = &["BlobNotFound"];
        let call = Call { method: "HEAD", blob: Some(name.to_owned()), expected, ..Call::default() };
        let found = self.caller.call(&call, deadline).await?;
        if found.code.is_some() {
            return Ok(None);
        }
        let etag = self.etag(&found.http)?.to_owned();
        Ok(Some((etag, sequence_number_of(&found.http))))
    }
}

fn write_call(name: &str, headers: &[(&'static str, String)], known: Known) -> Call {
    let mut headers = headers.to_vec();
    // Changing what is there costs less than replacing it where storage keeps old versions.
    let mut query = vec![("comp", "metadata".into())];
    match known {
        Known::Nothing => {}
        Known::Version(etag) => headers.push(("if-match", format!("\"{etag}\""))),
        Known::Absent => {
            headers.extend([("if-none-match", "*".into()), ("x-ms-blob-type", "BlockBlob".into())]);
            query.clear();
        }
    }
    let expected = &["BlobNotFound", "ConditionNotMet", "BlobAlreadyExists"];
    Call { method: "PUT", blob: Some(name.to_owned()), query, headers, expected }
}

impl Versions {
    fn of(&self, prefix: &str, name: &str) -> Known {
        let state = self.lock();
        match state.etags.get(name) {
            Some(etag) => Known::Version(etag.clone()),
            None if state.listed.contains(prefix) => Known::Absent,
            None => Known::Nothing,
        }
    }

    fn note(&self, name: String, etag: Option<&str>) {
        match etag {
            Some(etag) => drop(self.lock().etags.insert(name, unquoted(etag).to_owned())),
            None => drop(self.lock().etags.remove(&name)),
        }
    }

    /// Everything whose name begins so was listed.
    fn listed(&self, prefix: String, items: &[(Item, String)]) {
        let mut state = self.lock();
        state.etags.retain(|name, _| !name.starts_with(&prefix));
        let versions = items.iter().filter_map(|(item, _)| Some((item.name.clone(), item.etag.clone()?)));
        state.etags.extend(versions);
        state.listed.insert(prefix);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds a checkpoint, unless there is one of its partition that is not behind it.
fn merge(records: &mut Vec<Checkpoint>, other: Checkpoint) {
    match records.iter_mut().find(|known| known.partition_id == other.partition_id) {
        Some(known) if known.is_behind(&other) => *known = other,
        Some(_) => {}
        None => records.push(other),
    }
}
