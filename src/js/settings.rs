//! From the facade's settings to a builder. The facade has checked their names and types.

use std::time::Duration;

use js_sys::Function;
use serde::Deserialize;
use wasm_bindgen::JsValue;

use super::error::{invalid, thrown};
use super::tokens::Tokens;
use crate::client::ClientBuilder;
use crate::error::Error;
use crate::runtime::{Constructor, Trust};

/// How a client is made. Durations are in milliseconds.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Settings {
    connection_string: Option<String>,
    namespace: Option<String>,
    event_hub: Option<String>,
    pub(super) consumer_group: Option<String>,
    endpoint: Option<String>,
    key_name: Option<String>,
    key: Option<String>,
    sas_token: Option<String>,
    identifier: Option<String>,
    application_id: Option<String>,
    connect_timeout_ms: Option<f64>,
    idle_timeout_ms: Option<f64>,
    token_lifetime_ms: Option<f64>,
    #[serde(default)]
    retry: Retry,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Retry {
    max_attempts: Option<u32>,
    base_delay_ms: Option<f64>,
    max_delay_ms: Option<f64>,
    jitter: Option<f64>,
    attempt_timeout_ms: Option<f64>,
    total_deadline_ms: Option<f64>,
}

/// What JavaScript runs for a client.
pub(super) struct Hooks {
    /// A class of WebSockets other than the global one, and the third argument of its constructor.
    pub(super) web_socket: Option<Function>,
    pub(super) web_socket_options: JsValue,
    /// Gives out tokens.
    pub(super) tokens: Option<Function>,
}

impl Settings {
    pub(super) fn parse(settings: JsValue) -> Result<Self, JsValue> {
        serde_wasm_bindgen::from_value(settings)
            .map_err(|error| thrown(&invalid(format!("the options cannot be used: {error}"))))
    }

    /// Fills `builder` in.
    pub(super) fn apply<C>(
        self,
        mut builder: ClientBuilder<C>,
        hooks: Hooks,
    ) -> Result<ClientBuilder<C>, Error> {
        if let Some(text) = self.connection_string {
            builder = builder.connection_string(text);
        }
        if let Some(host) = self.namespace {
            builder = builder.namespace(host);
        }
        if let Some(hub) = self.event_hub {
            builder = builder.event_hub(hub);
        }
        if let Some(url) = self.endpoint {
            builder = builder.custom_endpoint(url);
        }
        if let (Some(name), Some(key)) = (self.key_name, self.key) {
            builder = builder.shared_key(name, key);
        }
        if let Some(token) = self.sas_token {
            builder = builder.sas_token(token);
        }
        if let Some(identifier) = self.identifier {
            builder = builder.identifier(identifier);
        }
        if let Some(ask) = hooks.tokens {
            builder = builder.token_provider(Tokens::from_function(ask));
        }
        let constructor = hooks.web_socket.map(|class| Constructor::new(class, hooks.web_socket_options));
        let mut options = builder.chosen().clone();
        options.application_id = self.application_id;
        replace(&mut options.connect_timeout, self.connect_timeout_ms)?;
        replace(&mut options.idle_timeout, self.idle_timeout_ms)?;
        replace(&mut options.token_lifetime, self.token_lifetime_ms)?;
        let retry = &mut options.retry;
        retry.max_attempts = self.retry.max_attempts.unwrap_or(retry.max_attempts);
        retry.jitter = self.retry.jitter.unwrap_or(retry.jitter);
        replace(&mut retry.base_delay, self.retry.base_delay_ms)?;
        replace(&mut retry.max_delay, self.retry.max_delay_ms)?;
        replace(&mut retry.attempt_timeout, self.retry.attempt_timeout_ms)?;
        retry.total_deadline = self.retry.total_deadline_ms.map(duration).transpose()?;
        Ok(builder.options(options).trust(Trust { constructor }))
    }
}

fn replace(setting: &mut Duration, millis: Option<f64>) -> Result<(), Error> {
    if let Some(millis) = millis {
        *setting = duration(millis)?;
    }
    Ok(())
}

/// A duration of so many milliseconds.
pub(super) fn duration(millis: f64) -> Result<Duration, Error> {
    /// Longer than anybody waits, and what `Infinity` comes to.
    const FOR_EVER: f64 = 1e12;
    Duration::try_from_secs_f64(millis.min(FOR_EVER) / 1000.0)
        .map_err(|_| invalid(format!("{millis} is not a number of milliseconds")))
}
