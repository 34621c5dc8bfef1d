//! Tokens that JavaScript gives out.

use std::cell::RefCell;
use std::error::Error as StdError;
use std::fmt;

use futures::channel::oneshot;
use futures::future::BoxFuture;
use js_sys::{Array, Function, Promise};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use crate::client::{AccessToken, TokenProvider};
use crate::model::value::Timestamp;
use crate::runtime;

thread_local! {
    /// The functions of all providers: these never leave their thread, which providers have to be able to.
    static FUNCTIONS: RefCell<Vec<(u32, Function)>> = const { RefCell::new(Vec::new()) };
}

/// A function of JavaScript as a token provider, by its number.
pub(super) struct Tokens(u32);

impl Tokens {
    /// `ask` is called with an audience and resolves to `[token, expiresOn]` with `expiresOn` in
    /// milliseconds since 1970, or to the text of a shared access signature; it rejects with a text.
    pub(super) fn from_function(ask: Function) -> Self {
        FUNCTIONS.with_borrow_mut(|functions| {
            let number = functions.last().map_or(0, |(last, _)| last + 1);
            functions.push((number, ask));
            Tokens(number)
        })
    }
}

impl Drop for Tokens {
    fn drop(&mut self) {
        FUNCTIONS.with_borrow_mut(|functions| functions.retain(|(number, _)| *number != self.0));
    }
}

impl TokenProvider for Tokens {
    fn token(&self, audience: String) -> BoxFuture<'_, Result<AccessToken, Box<dyn StdError + Send + Sync>>> {
        let (answer, answered) = oneshot::channel();
        let ask = FUNCTIONS.with_borrow(|functions| {
            functions.iter().find(|(number, _)| *number == self.0).map(|(_, ask)| ask.clone())
        });
        if let Some(ask) = ask {
            // A task of its own, since what JavaScript promises cannot leave its thread. Never refused in JavaScript.
            let _ = runtime::spawn(async move {
                // Nobody listens when the connection is gone by then.
                let _ = answer.send(call(&ask, &audience).await.map_err(|error| describe(&error)));
            });
        }
        Box::pin(async move {
            let told = answered.await.unwrap_or_else(|_| Err("the token provider is gone".into()));
            told.map_err(|why| -> Box<dyn StdError + Send + Sync> { Box::new(Told(why)) })
        })
    }
}

/// What JavaScript says about a failure. Not a boxed `String`, which would print itself for programmers, with Unicode's tables.
#[derive(Debug)]
struct Told(String);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Told {}

async fn call(ask: &Function, audience: &str) -> Result<AccessToken, JsValue> {
    let answer = ask.call1(&JsValue::UNDEFINED, &audience.into())?;
    let answer = JsFuture::from(Promise::resolve(&answer)).await?;
    let invalid = |error: crate::Error| JsValue::from(error.message());
    if let Some(token) = answer.as_string() {
        return AccessToken::sas(token).map_err(invalid);
    }
    let fields: Array = answer.unchecked_into();
    let (token, expires) = (fields.get(0).as_string(), fields.get(1).as_f64());
    match (token, expires) {
        (Some(token), _) if token.starts_with("SharedAccessSignature ") => {
            AccessToken::sas(token).map_err(invalid)
        }
        (Some(token), Some(millis)) => Ok(AccessToken::jwt(token, Timestamp::from_millis(millis as i64))),
        _ => {
            Err("it gave neither a shared access signature nor a token with the time when it expires".into())
        }
    }
}

fn describe(error: &JsValue) -> String {
    error.as_string().unwrap_or_else(|| "it did not say why".into())
}
