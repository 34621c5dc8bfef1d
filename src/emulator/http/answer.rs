//! Answers as the service words them.

use std::fmt::Write as _;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

/// An answer of a given type.
pub(super) fn with_type(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // The service says nothing of the kind; without it no page could use the emulator.
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    answer
}

/// What is wrong with a request.
#[derive(Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) detail: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Refusal { status, detail: detail.into() }
    }

    /// The refusal in the service's XML.
    pub(super) fn answer(&self) -> Response<Full<Bytes>> {
        error(self.status, &self.detail)
    }
}

/// An error in the service's XML.
pub(super) fn error(status: StatusCode, detail: &str) -> Response<Full<Bytes>> {
    let body = format!("<Error><Code>{}</Code><Detail>{}</Detail></Error>", status.as_u16(), escape(detail));
    with_type(status, "application/xml; charset=utf-8", body)
}

/// Text as it stands between XML tags or in double quotes. Apostrophes stay: clients look for texts of the service
/// that contain them.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            // Not allowed in XML 1.0, escaped or not.
            c if c.is_control() && !matches!(c, '\t' | '\n' | '\r') => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_break_out_of_its_element() {
        assert_eq!(escape("<a href=\"x\">&'\u{1}"), "&lt;a href=&quot;x&quot;&gt;&amp;'\\u0001");
    }
}
