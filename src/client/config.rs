//! A client's configuration, checked.

use std::time::Duration;

use super::credential::TokenSource;
use crate::dialect::address::Address;
use crate::model::retry::RetryOptions;
use crate::runtime::{Endpoint, Trust};

/// Everything a connection needs to know.
#[derive(Clone)]
pub(crate) struct Config {
    /// Where to dial.
    pub(crate) endpoint: Endpoint,
    pub(crate) trust: Trust,
    /// The namespace's host, as `open` names it.
    pub(crate) host: String,
    /// The namespace as it stands in audiences: the host, with its port where one is given.
    pub(crate) authority: String,
    pub(crate) hub: String,
    pub(crate) tokens: TokenSource,
    pub(crate) retry: RetryOptions,
    pub(crate) connect_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) stall_timeout: Duration,
    pub(crate) identifier: String,
    pub(crate) application_id: Option<String>,
}

impl Config {
    /// What a token has to be for, so that a link to `address` is allowed. Coarser than the address, so that
    /// few tokens serve many links: the hub for sending and reading properties, the consumer group for receiving.
    pub(super) fn audience(&self, address: &Address) -> String {
        match address {
            Address::Receiver { group, .. } => format!("{}/ConsumerGroups/{group}", self.hub_audience()),
            _ => self.hub_audience(),
        }
    }

    /// What a token has to be for to send to the hub, and to read its properties.
    pub(super) fn hub_audience(&self) -> String {
        format!("sb://{}/{}", self.authority, self.hub)
    }
}
