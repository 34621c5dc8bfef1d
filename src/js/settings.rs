//! From the facade's settings to a client. The facade has checked their names and types.

use std::time::Duration;

use js_sys::Function;
use wasm_bindgen::JsValue;

use super::error::invalid;
use super::options::Options;
use super::publishing;
use super::tokens::Tokens;
use crate::client::Setup;
use crate::error::Error;
use crate::runtime::{Constructor, Trust};

/// What JavaScript runs for a client.
pub(super) struct Hooks {
    /// A class of WebSockets other than the global one, and the third argument of its constructor.
    pub(super) web_socket: Option<Function>,
    pub(super) web_socket_options: JsValue,
    /// Gives out tokens.
    pub(super) tokens: Option<Function>,
}

/// How a client is made. Durations are in milliseconds.
pub(super) fn setup(settings: &Options, hooks: Hooks) -> Result<Setup, Error> {
    let mut setup = Setup::default();
    if let Some(text) = settings.text("connectionString") {
        setup.connection_string(&text);
    }
    setup.namespace = settings.text("namespace");
    setup.event_hub = settings.text("eventHub");
    setup.consumer_group = settings.text("consumerGroup");
    if let (Some(name), Some(key)) = (settings.text("keyName"), settings.text("key")) {
        setup.shared_key(name, key);
    }
    if let Some(token) = settings.text("sasToken") {
        setup.sas_token(token);
    }
    if let Some(ask) = hooks.tokens {
        setup.token_provider(Tokens::from_function(ask));
    }
    if let Some(class) = hooks.web_socket {
        setup.trust = Trust { constructor: Some(Constructor::new(class, hooks.web_socket_options)) };
    }
    setup.idempotent = settings.is_set("idempotent");
    if let Some(states) = settings.value("publishingState") {
        setup.publishing = publishing::read_all(states)?;
    }
    let options = &mut setup.options;
    options.custom_endpoint = settings.text("endpoint");
    options.identifier = settings.text("identifier");
    options.application_id = settings.text("applicationId");
    replace(&mut options.connect_timeout, settings, "connectTimeoutMs")?;
    replace(&mut options.idle_timeout, settings, "idleTimeoutMs")?;
    replace(&mut options.stall_timeout, settings, "stallTimeoutMs")?;
    replace(&mut options.token_lifetime, settings, "tokenLifetimeMs")?;
    if let Some(given) = settings.inner("retry") {
        let retry = &mut options.retry;
        retry.max_attempts = given.number("maxAttempts").map_or(retry.max_attempts, |count| count as u32);
        retry.jitter = given.number("jitter").unwrap_or(retry.jitter);
        replace(&mut retry.base_delay, &given, "baseDelayMs")?;
        replace(&mut retry.max_delay, &given, "maxDelayMs")?;
        replace(&mut retry.attempt_timeout, &given, "attemptTimeoutMs")?;
        retry.total_deadline = given.number("totalDeadlineMs").map(duration).transpose()?;
    }
    Ok(setup)
}

fn replace(setting: &mut Duration, settings: &Options, name: &str) -> Result<(), Error> {
    if let Some(millis) = settings.number(name) {
        *setting = duration(millis)?;
    }
    Ok(())
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
