//! HTTP/1.1 requests, on connections that are used again.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::Request;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_LENGTH, HOST};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::super::endpoint::DialError;
use super::dial::tcp_error;
use super::stream::ByteStream;
use super::tls::Trust;

/// So many connections wait for the next request.
const MOST_IDLE: usize = 16;

/// Sends requests to one server.
#[derive(Clone)]
pub(crate) struct HttpClient(Arc<Shared>);

struct Shared {
    server: HttpServer,
    trust: Trust,
    idle: Mutex<Vec<SendRequest<Empty<Bytes>>>>,
}

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HttpServer {
    /// A host name or an address; IPv6 without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) is_tls: bool,
}

/// A request without a body.
#[derive(Clone)]
pub(crate) struct HttpRequest {
    pub(crate) method: &'static str,
    /// Path and query, as they stand in the request.
    pub(crate) target: String,
    pub(crate) headers: Vec<(&'static str, String)>,
}

/// What came back.
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    headers: hyper::HeaderMap,
    pub(crate) body: Bytes,
}

impl HttpClient {
    pub(crate) fn new(server: HttpServer, trust: Trust) -> Self {
        HttpClient(Arc::new(Shared { server, trust, idle: Mutex::default() }))
    }

    /// Has no deadline of its own: whoever waits sets one. A future that is dropped closes its connection.
    pub(crate) async fn send(
        &self,
        request: HttpRequest,
        longest_body: usize,
    ) -> Result<HttpAnswer, DialError> {
        loop {
            let idle = self.idle().pop();
            let (mut sender, is_used) = match idle {
                Some(sender) => (sender, true),
                None => (self.connect().await?, false),
            };
            if sender.ready().await.is_err() && is_used {
                continue;
            }
            let request = self.built(&request)?;
            let response = match sender.try_send_request(request).await {
                Ok(response) => response,
                // The server had closed the connection meanwhile, and nothing was sent.
                Err(error) if is_used && error.message().is_some() => continue,
                Err(error) => return Err(cut_off(&error.into_error())),
            };
            let (head, body) = response.into_parts();
            let body = Limited::new(body, longest_body).collect().await.map_err(|error| {
                match error.downcast_ref::<LengthLimitError>() {
                    Some(_) => {
                        DialError::permanent(format!("the answer is longer than {longest_body} bytes"))
                    }
                    None => cut_off(&*error),
                }
            })?;
            if sender.ready().await.is_ok() {
                let mut idle = self.idle();
                if idle.len() < MOST_IDLE {
                    idle.push(sender);
                }
            }
            return Ok(HttpAnswer {
                status: head.status.as_u16(),
                headers: head.headers,
                body: body.to_bytes(),
            });
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<SendRequest<Empty<Bytes>>>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self) -> Result<SendRequest<Empty<Bytes>>, DialError> {
        let HttpServer { host, port, is_tls } = &self.0.server;
        let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(tcp_error)?;
        stream.set_nodelay(true).map_err(tcp_error)?;
        let stream = match is_tls {
            false => ByteStream::Plain(stream),
            true => ByteStream::Tls(Box::new(self.0.trust.connect(host, stream).await?)),
        };
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| cut_off(&error))?;
        // Ends with its sender.
        tokio::spawn(connection);
        Ok(sender)
    }

    fn built(&self, request: &HttpRequest) -> Result<Request<Empty<Bytes>>, DialError> {
        let mut builder = Request::builder().method(request.method).uri(&request.target);
        builder = builder.header(HOST, self.0.server.authority());
        if request.method == "PUT" {
            builder = builder.header(CONTENT_LENGTH, "0");
        }
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        // Not what it holds: that may be a secret.
        builder
            .body(Empty::new())
            .map_err(|_| DialError::permanent("the request holds what HTTP does not allow"))
    }
}

impl HttpServer {
    /// Host and port, as they stand in a URL.
    pub(crate) fn authority(&self) -> String {
        let HttpServer { host, port, is_tls } = self;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let usual = if *is_tls { 443 } else { 80 };
        if *port == usual { host } else { format!("{host}:{port}") }
    }
}

impl HttpAnswer {
    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Says what is underneath too, since hyper's own words say little.
fn cut_off(error: &(dyn std::error::Error + 'static)) -> DialError {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        message.push_str(": ");
        message.push_str(&error.to_string());
        source = error.source();
    }
    DialError::transient(message)
}
