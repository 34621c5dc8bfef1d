//! From the facade's settings to a client. The facade has checked their names and types.

use std::time::Duration;

use js_sys::Function;
use wasm_bindgen::JsValue;

use super::error::invalid;
use super::given::Given;
use super::tokens::Tokens;
use crate::client::Setup;
use crate::error::Error;
use crate::model::publishing::PublishingState;
use crate::runtime::{Constructor, Trust};

/// What JavaScript runs for a client.
pub(super) struct Hooks {
    /// A class of WebSockets other than the global one, and the third argument of its constructor.
    pub(super) web_socket: Option<Function>,
    pub(super) web_socket_options: JsValue,
    /// Gives out tokens.
    pub(super) tokens: Option<Function>,
}

/// How a client is made, in the order of `internal/settings.ts`. Durations are in milliseconds.
pub(super) fn setup(mut given: Given, hooks: Hooks) -> Result<Setup, Error> {
    let mut setup = Setup::default();
    if let Some(text) = given.text() {
        setup.connection_string(&text);
    }
    setup.namespace = given.text();
    setup.event_hub = given.text();
    setup.consumer_group = given.text();
    if let (Some(name), Some(key)) = (given.text(), given.text()) {
        setup.shared_key(name, key);
    }
    if let Some(token) = given.text() {
        setup.sas_token(token);
    }
    if let Some(ask) = hooks.tokens {
        setup.token_provider(Tokens::from_function(ask));
    }
    if let Some(class) = hooks.web_socket {
        setup.trust = Trust { constructor: Some(Constructor::new(class, hooks.web_socket_options)) };
    }
    let options = &mut setup.options;
    options.custom_endpoint = given.text();
    options.identifier = given.text();
    options.application_id = given.text();
    let retry = &mut options.retry;
    let durations = [
        &mut options.connect_timeout,
        &mut options.idle_timeout,
        &mut options.stall_timeout,
        &mut options.token_lifetime,
        &mut retry.base_delay,
        &mut retry.max_delay,
        &mut retry.attempt_timeout,
    ];
    for setting in durations {
        if let Some(millis) = given.number() {
            *setting = duration(millis)?;
        }
    }
    retry.total_deadline = given.number().map(duration).transpose()?;
    retry.max_attempts = given.number().map_or(retry.max_attempts, |count| count as u32);
    retry.jitter = given.number().unwrap_or(retry.jitter);
    setup.idempotent = given.is_set();
    for mut state in given.each() {
        let id = state.text().unwrap_or_default();
        setup.publishing.push((id, publishing_state(&mut state)));
    }
    Ok(setup)
}

/// How far an idempotent producer has come.
pub(super) fn publishing_state(given: &mut Given) -> PublishingState {
    let mut next = || given.integer().unwrap_or_default();
    PublishingState { producer_id: next(), epoch: next() as i16, sequence_number: next() as i32 }
}

/// A duration of so many milliseconds.
pub(super) fn duration(millis: f64) -> Result<Duration, Error> {
    /// Longer than anybody waits, and what `Infinity` comes to.
    const FOR_EVER: f64 = 1e12;
    if millis >= 0.0 {
        return Ok(Duration::from_micros((millis.min(FOR_EVER) * 1000.0) as u64));
    }
    Err(invalid("a duration is a number of milliseconds that is not negative"))
}
