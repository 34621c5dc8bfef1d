//! Publishing over HTTPS (REST).

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Request, Response, StatusCode};

use super::super::server::Shared;
use super::answer;

pub(super) fn preflight(_headers: &HeaderMap<HeaderValue>) -> Response<Full<Bytes>> {
    answer::error(StatusCode::NOT_FOUND, "")
}

pub(super) async fn publish(
    request: Request<Incoming>,
    path: &str,
    shared: &Shared,
) -> Response<Full<Bytes>> {
    let _ = super::read_body(request.into_body(), 1 << 20, shared).await;
    answer::error(StatusCode::NOT_FOUND, path)
}
