//! HTTP on the ports of the emulator: WebSocket upgrades, health, publishing, management, the console, a status page.

mod answer;
mod console;
mod faults;
#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing;
mod manage;
mod publish;
mod status;
mod websocket;

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::AUTHORIZATION;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use self::answer::Refusal;
pub(super) use self::console::Console;
use self::manage::Resource;
use super::server::Shared;
use super::sniff::Prefixed;

/// The largest head of a request.
const HEAD: usize = 64 * 1024;

/// Serves HTTP/1 on a stream until it is closed, or until the peer wants a WebSocket: then the stream and what was
/// read behind the request are given back.
pub(super) async fn serve<S>(stream: Prefixed<S>, shared: &Shared) -> io::Result<Option<(S, Bytes)>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let upgraded = AtomicBool::new(false);
    let service = service_fn(|request| {
        let upgraded = &upgraded;
        Box::pin(async move {
            let answer = respond(request, shared).await;
            if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                upgraded.store(true, Ordering::Relaxed);
            }
            Ok::<_, Infallible>(answer)
        })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.limits.first_bytes)
        .max_header_size(HEAD)
        // Some WebSocket clients compare names of headers as text.
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), service);
    let mut stopped = pin!(shared.stopped());
    let mut stopping = false;
    let served = poll_fn(|cx| {
        if !stopping && stopped.as_mut().poll(cx).is_ready() {
            stopping = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        connection.poll_without_shutdown(cx)
    });
    served.await.map_err(io::Error::other)?;
    let parts = connection.into_parts();
    let (unread, mut stream) = parts.io.into_inner().into_parts();
    if !upgraded.load(Ordering::Relaxed) {
        stream.shutdown().await?;
        return Ok(None);
    }
    if unread.is_empty() {
        return Ok(Some((stream, parts.read_buf)));
    }
    let mut first = BytesMut::from(parts.read_buf);
    first.extend_from_slice(&unread);
    Ok(Some((stream, first.freeze())))
}

async fn respond(request: Request<Incoming>, shared: &Shared) -> Response<Full<Bytes>> {
    let path = percent_decode_str(request.uri().path()).decode_utf8_lossy().into_owned();
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    match (request.method(), segments.as_slice()) {
        (_, [space, endpoint])
            if space.eq_ignore_ascii_case("$servicebus") && endpoint.eq_ignore_ascii_case("websocket") =>
        {
            websocket::answer(request.method(), request.headers())
        }
        (&Method::GET | &Method::HEAD, []) => {
            shared.console.as_ref().and_then(Console::page).unwrap_or_else(|| status::page(shared))
        }
        // A hub may have this name, too, but whoever asks for a hub says who asks.
        (&Method::GET | &Method::HEAD, ["status"]) if !request.headers().contains_key(AUTHORIZATION) => {
            status::page(shared)
        }
        (&Method::GET | &Method::HEAD, ["$console", "emulator.json"]) => console::about(shared),
        (&Method::GET | &Method::HEAD, ["health"]) => status::health(),
        (&Method::OPTIONS, _) => publish::preflight(request.headers()),
        // No hub has such a name.
        (_, ["$faults"]) => faults::control(request, None, shared).await,
        (_, ["$faults", below]) => faults::control(request, Some(below), shared).await,
        (&Method::POST, [.., last]) if last.eq_ignore_ascii_case("messages") => {
            publish::publish(request, &path, shared).await
        }
        (&Method::GET | &Method::PUT | &Method::DELETE, named)
            if let Some(resource) = Resource::parse(named) =>
        {
            manage::manage(request, &path, resource, shared).await
        }
        (&Method::GET | &Method::HEAD, file)
            if let Some(answer) = shared.console.as_ref().and_then(|console| console.file(file)) =>
        {
            answer
        }
        (method, _) => {
            answer::error(StatusCode::NOT_FOUND, &format!("There is nothing at {path} for {method}."))
        }
    }
}

/// Reads a body that may have at most `limit` bytes.
async fn read_body(body: Incoming, limit: usize, shared: &Shared) -> Result<Bytes, Refusal> {
    match timeout(shared.limits.http_body, Limited::new(body, limit).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let why = format!("The request has more than {limit} bytes.");
            Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, why))
        }
        Ok(Err(error)) => {
            Err(Refusal::new(StatusCode::BAD_REQUEST, format!("The body cannot be read: {error}.")))
        }
        Err(_) => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "The body did not come in time.")),
    }
}
