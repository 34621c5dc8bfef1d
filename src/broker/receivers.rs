//! Who reads a partition: epochs, stealing, and five readers at most.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::sync::{Mailbox, lock};
use crate::amqp::LinkId;

/// Receivers without an epoch that a consumer group may have on a partition.
const MAX_RECEIVERS: usize = 5;

/// The receivers of one partition.
pub(super) struct Receivers {
    claims: Mutex<Vec<Claim>>,
    last_id: AtomicU64,
}

/// A receiver that wants to read.
pub(super) struct Claim {
    /// Its consumer group, in lower case.
    pub(super) group: String,
    /// Its owner level, if it has one. Zero is one.
    pub(super) epoch: Option<i64>,
    /// The name it gives itself.
    pub(super) name: Option<String>,
    /// Its connection.
    pub(super) mailbox: Arc<Mailbox>,
    /// Its link.
    pub(super) link: LinkId,
    /// Which claim on the partition this is; given by [`Receivers::claim`].
    pub(super) id: u64,
}

/// A receiver that has to make room, and the text it is told.
pub(super) struct Displaced {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) link: LinkId,
    pub(super) text: String,
}

/// Why a receiver may not read, in the service's words.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ClaimRefused {
    /// A receiver with an epoch is in the way.
    Stolen(String),
    /// There are five already.
    Quota(String),
}

impl Receivers {
    pub(super) fn new() -> Self {
        Receivers { claims: Mutex::new(Vec::new()), last_id: AtomicU64::new(0) }
    }

    /// Takes the place of a receiver, and says who has lost theirs by it.
    pub(super) fn claim(&self, mut new: Claim) -> Result<(u64, Vec<Displaced>), ClaimRefused> {
        let mut claims = lock(&self.claims);
        let mut others: Vec<&Claim> = claims.iter().filter(|c| c.group == new.group).collect();
        let highest = others.iter().filter(|c| c.epoch.is_some()).max_by_key(|c| c.epoch).copied();
        match (new.epoch, highest.and_then(|c| Some((c, c.epoch?)))) {
            (Some(epoch), Some((holder, held))) if held > epoch => {
                let (holder, new) = (shown(holder), shown(&new));
                return Err(ClaimRefused::Stolen(format!(
                    "Receiver '{holder}' with a higher epoch '{held}' already exists. Receiver '{new}' with \
                     epoch {epoch} cannot be created. Make sure you are creating receiver with increasing \
                     epoch value to ensure connectivity, or ensure all old epoch receivers are closed or \
                     disconnected."
                )));
            }
            (None, Some((_, held))) => {
                return Err(ClaimRefused::Stolen(format!(
                    "At least one receiver for the endpoint is created with epoch of '{held}', and so \
                     non-epoch receiver is not allowed. Either reconnect with a higher epoch, or make sure \
                     all epoch receivers are closed or disconnected."
                )));
            }
            (None, None) if others.len() >= MAX_RECEIVERS => {
                let mut text = format!(
                    "Exceeded the maximum number of allowed receivers per partition in a consumer group \
                     which is {MAX_RECEIVERS}. List of connected receivers - "
                );
                for (i, other) in others.iter().enumerate() {
                    let _ = write!(text, "{}{}", if i == 0 { "" } else { ", " }, shown(other));
                }
                text.push('.');
                return Err(ClaimRefused::Quota(text));
            }
            (None, None) => others.clear(),
            (Some(_), _) => {}
        }
        let displaced = others.into_iter().map(|old| displaced(old, &new)).collect();
        if new.epoch.is_some() {
            claims.retain(|c| c.group != new.group);
        }
        new.id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let id = new.id;
        claims.push(new);
        Ok((id, displaced))
    }

    /// What a receiver is told when somebody with a higher epoch takes its place, who does not exist.
    pub(super) fn stolen(&self, id: u64) -> Option<String> {
        let claims = lock(&self.claims);
        let old = claims.iter().find(|claim| claim.id == id)?;
        Some(displaced_text("nil", old.epoch.unwrap_or(-1).saturating_add(1), old))
    }

    /// Gives a place back.
    pub(super) fn release(&self, id: u64) {
        lock(&self.claims).retain(|claim| claim.id != id);
    }
}

/// The receiver's name as the service shows it.
fn shown(claim: &Claim) -> &str {
    claim.name.as_deref().unwrap_or("nil")
}

fn displaced(old: &Claim, new: &Claim) -> Displaced {
    let text = displaced_text(shown(new), new.epoch.unwrap_or(-1), old);
    Displaced { mailbox: old.mailbox.clone(), link: old.link, text }
}

fn displaced_text(new: &str, epoch: i64, old: &Claim) -> String {
    format!(
        "New receiver '{new}' with higher epoch of '{epoch}' is created hence current receiver '{}' with epoch '{}' is \
         getting disconnected. If you are recreating the receiver, make sure a higher epoch is used.",
        shown(old),
        old.epoch.unwrap_or(-1),
    )
}
