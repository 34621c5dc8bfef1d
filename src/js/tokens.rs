//! Tokens that JavaScript gives out.

use std::error::Error as StdError;

use futures::channel::{mpsc, oneshot};
use futures::future::BoxFuture;
use futures::stream::StreamExt;
use js_sys::{Function, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use crate::client::{AccessToken, TokenProvider};
use crate::model::value::Timestamp;
use crate::runtime;

/// A function of JavaScript as a token provider. A task of its own calls it, since the function cannot leave its
/// thread while a provider may; the task ends with the provider.
pub(super) struct Tokens {
    questions: mpsc::UnboundedSender<Question>,
}

struct Question {
    audience: String,
    answer: oneshot::Sender<Result<AccessToken, String>>,
}

impl Tokens {
    /// `ask` is called with an audience and resolves to `{ token, expiresOn }` with `expiresOn` in
    /// milliseconds since 1970, or to the text of a shared access signature.
    pub(super) fn from_function(ask: Function) -> Self {
        let (questions, mut asked) = mpsc::unbounded::<Question>();
        // Never refused in JavaScript.
        let _ = runtime::spawn(async move {
            while let Some(question) = asked.next().await {
                let answer = call(&ask, &question.audience).await.map_err(|error| describe(&error));
                let _ = question.answer.send(answer);
            }
        });
        Tokens { questions }
    }
}

impl TokenProvider for Tokens {
    fn token(&self, audience: String) -> BoxFuture<'_, Result<AccessToken, Box<dyn StdError + Send + Sync>>> {
        let (answer, answered) = oneshot::channel();
        let asked = self.questions.unbounded_send(Question { audience, answer });
        Box::pin(async move {
            asked.map_err(|_| "the token provider is gone")?;
            Ok(answered.await.map_err(|_| "the token provider is gone")??)
        })
    }
}

async fn call(ask: &Function, audience: &str) -> Result<AccessToken, JsValue> {
    let answer = ask.call1(&JsValue::UNDEFINED, &audience.into())?;
    let answer = JsFuture::from(Promise::resolve(&answer)).await?;
    let invalid = |error: crate::Error| JsValue::from(error.to_string());
    if let Some(token) = answer.as_string() {
        return AccessToken::sas(token).map_err(invalid);
    }
    let token = Reflect::get(&answer, &"token".into())?.as_string();
    let expires = Reflect::get(&answer, &"expiresOn".into())?.as_f64();
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
    let message = error.as_string().or_else(|| {
        let error = error.dyn_ref::<js_sys::Object>()?;
        Reflect::get(error, &"message".into()).ok()?.as_string()
    });
    message.unwrap_or_else(|| "it did not say why".into())
}
