//! One request to storage: signed, tried again while that can help, and over by its deadline.

use std::time::{Duration, SystemTime};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::container::{Access, Container};
use super::sign::Signed;
use crate::client::AccessToken;
use crate::error::{Error, ErrorKind, shown};
use crate::model::moment::Moment;
use crate::model::retry::RetryOptions;
use crate::runtime::{DialError, now, random_bytes, within};
use crate::runtime::{HttpAnswer, HttpClient, HttpRequest, Trust};

/// Old enough for every storage and emulator of it, new enough to encode odd names in listings.
const VERSION: &str = "2021-12-02";
/// What tokens for storage are asked for.
const AUDIENCE: &str = "https://storage.azure.com/";
/// Tokens are renewed so long before they end.
const RENEW_BEFORE: Duration = Duration::from_secs(300);
/// A page of five thousand blobs with a kilobyte of metadata each.
const LONGEST_ANSWER: usize = 16 << 20;
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A container, and the way to it.
pub(super) struct Caller {
    pub(super) container: Container,
    pub(super) access: Access,
    pub(super) retry: RetryOptions,
    http: HttpClient,
}

/// What is asked of the container, or of one of its blobs.
#[derive(Clone, Default)]
pub(super) struct Call {
    pub(super) method: &'static str,
    /// `None` for the container itself.
    pub(super) blob: Option<String>,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) headers: Vec<(&'static str, String)>,
    /// The codes of answers that are answers, besides success.
    pub(super) expected: &'static [&'static str],
}

/// An answer.
pub(super) struct Answered {
    pub(super) http: HttpAnswer,
    /// Which of the expected codes it has; `None` for success.
    pub(super) code: Option<&'static str>,
    /// Whether an earlier attempt may have been carried out without an answer.
    pub(super) may_be_second: bool,
}

impl Caller {
    pub(super) fn new(container: Container, access: Access, retry: RetryOptions, trust: Trust) -> Self {
        let http = HttpClient::new(container.server.clone(), trust);
        Caller { container, access, retry, http }
    }

    pub(super) async fn call(&self, call: &Call, deadline: Moment) -> Result<Answered, Error> {
        let (mut failed, mut may_be_second) = (0, false);
        loop {
            let left = (deadline - now()).min(self.retry.attempt_timeout);
            let outcome = match within(left, self.attempt(call)).await {
                Some(outcome) => outcome,
                None => {
                    let message = format!("no answer within {:.1} s", left.as_secs_f32());
                    Err((Error::new(ErrorKind::Timeout, message), true))
                }
            };
            let (error, is_ambiguous) = match outcome {
                Ok((http, code)) => return Ok(Answered { http, code, may_be_second }),
                Err(failed) => failed,
            };
            failed += 1;
            may_be_second |= is_ambiguous;
            let random = f64::from(u32::from_ne_bytes(random_bytes())) / (f64::from(u32::MAX) + 1.0);
            let is_busy = error.kind() == ErrorKind::ServerBusy;
            let pause = self.retry.delay(failed, random, is_busy).filter(|_| error.is_transient());
            match pause {
                Some(pause) if now() + pause < deadline => {
                    within(pause, std::future::pending::<()>()).await;
                }
                _ => return Err(error.with_attempts(failed)),
            }
        }
    }

    /// One attempt; on failure, whether it may have been carried out.
    async fn attempt(&self, call: &Call) -> Result<(HttpAnswer, Option<&'static str>), (Error, bool)> {
        let request = self.request(call).await.map_err(|error| (error, false))?;
        let answer = self.http.send(request, LONGEST_ANSWER).await;
        let answer = answer.map_err(|error| (self.unreachable(&error), true))?;
        if (200..300).contains(&answer.status) {
            return Ok((answer, None));
        }
        let code = answer.header("x-ms-error-code").unwrap_or_default().to_owned();
        if let Some(code) = call.expected.iter().find(|expected| is_code(&answer, &code, expected)) {
            return Ok((answer, Some(code)));
        }
        if answer.status == 401
            && let Access::Token { last, .. } = &self.access
        {
            *last.lock().await = None;
        }
        let is_ambiguous = answer.status >= 500;
        Err((self.refused(&answer, &code), is_ambiguous))
    }

    async fn request(&self, call: &Call) -> Result<HttpRequest, Error> {
        let mut path = self.container.path.clone();
        if let Some(blob) = &call.blob {
            path.push('/');
            let parts: Vec<String> = blob.split('/').map(percent).collect();
            path.push_str(&parts.join("/"));
        }
        let mut headers = call.headers.clone();
        headers.push(("x-ms-version", VERSION.to_owned()));
        headers.push(("x-ms-date", httpdate::fmt_http_date(SystemTime::now())));
        let mut query: Vec<String> =
            call.query.iter().map(|(name, value)| format!("{name}={}", percent(value))).collect();
        match &self.access {
            Access::Sas(signed) => query.push(signed.clone()),
            Access::Key { account, key } => {
                let signed =
                    Signed { method: call.method, path: &path, query: &call.query, headers: &headers };
                headers.push(("authorization", signed.authorization(account, key)));
            }
            Access::Token { .. } => {
                headers.push(("authorization", format!("Bearer {}", self.token().await?)));
            }
        }
        let target = if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) };
        Ok(HttpRequest { method: call.method, target, headers })
    }

    async fn token(&self) -> Result<String, Error> {
        let Access::Token { provider, last } = &self.access else { return Ok(String::new()) };
        // Who comes meanwhile waits for the same token.
        let mut last = last.lock().await;
        if let Some(token) = last.as_ref().filter(|token| token.remaining() > RENEW_BEFORE) {
            return Ok(token.text().to_owned());
        }
        let token = match (provider.token(AUDIENCE.to_owned()).await, last.as_ref()) {
            (Ok(token), _) => token,
            (Err(_), Some(old)) if old.remaining() > Duration::ZERO => return Ok(old.text().to_owned()),
            (Err(error), _) => {
                let message = format!("the token provider failed: {error}");
                return Err(Error::new(ErrorKind::Unauthorized, message).with_transient(true));
            }
        };
        let text = bearer(&token)?;
        *last = Some(token);
        Ok(text)
    }

    fn unreachable(&self, error: &DialError) -> Error {
        let message = format!("the storage at {} cannot be reached: {error}", self.container);
        Error::new(ErrorKind::ConnectFailed, message).with_transient(error.transient)
    }

    fn refused(&self, answer: &HttpAnswer, code: &str) -> Error {
        let (kind, can_pass) = match (answer.status, code) {
            (401, _) => (ErrorKind::Unauthorized, matches!(self.access, Access::Token { .. })),
            (403, _) => (ErrorKind::Unauthorized, false),
            (404, _) => (ErrorKind::NotFound, false),
            (408, _) => (ErrorKind::Timeout, true),
            (429 | 503, _) => (ErrorKind::ServerBusy, true),
            (500.., _) => (ErrorKind::Internal, true),
            (409, "ContainerBeingDeleted") => (ErrorKind::NotFound, true),
            _ => (ErrorKind::Rejected, false),
        };
        let said = if code.is_empty() { String::new() } else { format!(" {}", shown(code, 80)) };
        let hint = match code {
            "ContainerNotFound" => "; make the container, or call `create_container`",
            "AuthenticationFailed" => "; key, signature or this machine's clock may be wrong",
            "AuthorizationPermissionMismatch" => "; the role 'Storage Blob Data Contributor' is needed",
            _ => "",
        };
        let message = format!("the storage at {} answered {}{said}{hint}", self.container, answer.status);
        let mut error = Error::new(kind, message).with_transient(can_pass);
        if !code.is_empty() {
            error = error.with_condition(shown(code, 80));
        }
        match answer.header("x-ms-request-id") {
            Some(id) => error.with_tracking_id(shown(id, 80)),
            None => error,
        }
    }
}

/// Answers to HEAD have no room for a code everywhere, so their status has to do.
fn is_code(answer: &HttpAnswer, code: &str, expected: &str) -> bool {
    let status = match expected {
        "ConditionNotMet" => 412,
        "BlobAlreadyExists" | "ContainerAlreadyExists" => 409,
        _ => 404,
    };
    answer.status == status && (code == expected || code.is_empty())
}

fn bearer(token: &AccessToken) -> Result<String, Error> {
    match token.text().bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(token.text().to_owned()),
        false => {
            let message = "the token provider gave a token for storage that cannot be sent: it is no JWT";
            Err(Error::new(ErrorKind::Unauthorized, message))
        }
    }
}

fn percent(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}
