//! How records lie in blobs: names and metadata, as the official clients write and read them.

use super::listing::Item;
use crate::checkpoint::RecordFailure;
use crate::error::{Error, ErrorKind, shown};
use crate::model::checkpoint::{Checkpoint, ConsumerGroup, Ownership};
use crate::runtime::HttpAnswer;

pub(super) const OWNER: &str = "x-ms-meta-ownerid";
const OFFSET: &str = "x-ms-meta-offset";
const SEQUENCE_NUMBER: &str = "x-ms-meta-sequencenumber";

/// What some clients write for a value that they do not have.
const ABSENT: [&str; 5] = ["", "no offset", "none", "null", "undefined"];
/// Names of blobs have at most so many characters.
const LONGEST_NAME: usize = 1024;

/// The two kinds of records, as they are called in names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ownership,
    Checkpoint,
}

impl Kind {
    /// What the names of a group's blobs begin with.
    pub(super) fn prefix(self, group: &ConsumerGroup) -> Result<String, Error> {
        for part in [&group.namespace, &group.event_hub, &group.name] {
            check_part(part)?;
        }
        let kind = match self {
            Kind::Ownership => "ownership",
            Kind::Checkpoint => "checkpoint",
        };
        Ok(format!("{}/{}/{}/{kind}/", group.namespace, group.event_hub, group.name))
    }

    pub(super) fn name(self, group: &ConsumerGroup, partition_id: &str) -> Result<String, Error> {
        check_part(partition_id)?;
        let name = format!("{}{partition_id}", self.prefix(group)?);
        match name.chars().count() {
            length if length > LONGEST_NAME => {
                let message = format!(
                    "the blob's name would have {length} characters, at most {LONGEST_NAME} are allowed"
                );
                Err(Error::new(ErrorKind::InvalidArgument, message))
            }
            _ => Ok(name),
        }
    }
}

/// The owner as metadata.
pub(super) fn of_ownership(record: &Ownership) -> Result<Vec<(&'static str, String)>, Error> {
    Ok(vec![(OWNER, metadata("owner", &record.owner_id)?)])
}

/// Offset and sequence number as metadata. Both keys are written always, as some clients read nothing without.
pub(super) fn of_checkpoint(record: &Checkpoint) -> Result<Vec<(&'static str, String)>, Error> {
    record.position()?;
    let offset = record.offset.as_deref().unwrap_or_default();
    if record.offset.is_some() && is_absent(offset) {
        let message = format!("the offset '{}' would be read as none", shown(offset, 40));
        return Err(Error::new(ErrorKind::InvalidArgument, message));
    }
    let number = record.sequence_number.map(|number| number.to_string()).unwrap_or_default();
    Ok(vec![(OFFSET, metadata("offset", offset)?), (SEQUENCE_NUMBER, number)])
}

/// Who owns a partition by its blob.
pub(super) fn ownership(item: &Item, partition_id: &str) -> Result<Ownership, RecordFailure> {
    let Some(etag) = &item.etag else { return Err(failure(item, partition_id, "it has no etag")) };
    let Some(owner) = item.metadata("ownerid") else {
        return Err(failure(item, partition_id, "its metadata has no 'ownerid'"));
    };
    Ok(Ownership {
        partition_id: partition_id.to_owned(),
        owner_id: owner.to_owned(),
        last_modified: item.last_modified,
        etag: Some(etag.clone()),
    })
}

/// How far a partition was read by its blob.
pub(super) fn checkpoint(item: &Item, partition_id: &str) -> Result<Checkpoint, RecordFailure> {
    let present = |name| item.metadata(name).filter(|text| !is_absent(text));
    let sequence_number = match present("sequencenumber").map(|text| (text, text.trim().parse())) {
        None => None,
        Some((_, Ok(number))) => Some(number),
        Some((text, Err(_))) => {
            let reason = format!("its 'sequencenumber' is '{}', which is no number", shown(text, 40));
            return Err(failure(item, partition_id, &reason));
        }
    };
    let offset = present("offset").map(str::to_owned);
    if offset.is_none() && sequence_number.is_none() {
        let reason = "its metadata has neither an 'offset' nor a 'sequencenumber'";
        return Err(failure(item, partition_id, reason));
    }
    Ok(Checkpoint { partition_id: partition_id.to_owned(), offset, sequence_number })
}

/// The sequence number of a checkpoint by its blob's headers, where there is one that can be understood.
pub(super) fn sequence_number_of(answer: &HttpAnswer) -> Option<i64> {
    answer.header(SEQUENCE_NUMBER)?.trim().parse().ok()
}

fn failure(item: &Item, partition_id: &str, reason: &str) -> RecordFailure {
    let message =
        format!("the blob '{}' cannot be understood: {reason}; repair or delete it", shown(&item.name, 1024));
    RecordFailure {
        partition_id: partition_id.to_owned(),
        etag: item.etag.clone(),
        error: Error::new(ErrorKind::Protocol, message),
    }
}

fn is_absent(text: &str) -> bool {
    ABSENT.iter().any(|absent| text.trim().eq_ignore_ascii_case(absent))
}

/// A part of a blob's name: what storage would change, or take for two, is refused.
fn check_part(part: &str) -> Result<(), Error> {
    let why = match part {
        "" => "is empty",
        _ if part.contains(['/', '\\']) => "has a slash in it",
        _ if part.chars().any(char::is_control) => "has a control character in it",
        _ if part.ends_with('.') => "ends with a full stop",
        _ => return Ok(()),
    };
    let message = format!("'{}' {why}, which the name of a blob cannot hold", shown(part, 80));
    Err(Error::new(ErrorKind::InvalidArgument, message))
}

/// A value of metadata: it travels as a header.
fn metadata(what: &str, text: &str) -> Result<String, Error> {
    let is_plain = text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && text.trim() == text;
    if is_plain {
        return Ok(text.to_owned());
    }
    let message = format!(
        "the {what} '{}' cannot be kept in a blob's metadata, which takes ASCII without blanks around it",
        shown(text, 80)
    );
    Err(Error::new(ErrorKind::InvalidArgument, message))
}
