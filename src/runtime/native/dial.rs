//! From an endpoint to a connected socket.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpStream, lookup_host};

use super::super::endpoint::{DialError, Endpoint, Framing, Security, Step};
use super::clock::now;
use super::socket::Socket;
use super::stream::ByteStream;
use super::tls::Trust;
use super::websocket::WebSocket;

/// Connects to `endpoint`. Has no deadline of its own: whoever waits sets one.
pub(crate) async fn dial(endpoint: Endpoint, trust: Trust) -> Result<Socket, DialError> {
    connect(&endpoint, &trust, &mut Vec::new()).await
}

/// Whether the steps on the way to a connection are told.
pub(crate) const SEES_STEPS: bool = true;

/// As [`dial`], telling what it has done.
pub(crate) async fn probe(
    endpoint: &Endpoint,
    trust: &Trust,
    steps: &mut Vec<Step>,
) -> Result<(), DialError> {
    connect(endpoint, trust, steps).await.map(drop)
}

async fn connect(endpoint: &Endpoint, trust: &Trust, steps: &mut Vec<Step>) -> Result<Socket, DialError> {
    let mut start = now();
    let mut step = |name, detail| {
        let took = now() - start;
        start = now();
        steps.push(Step { name, detail, took });
    };
    let addresses: Vec<SocketAddr> = lookup_host((endpoint.host.as_str(), endpoint.port))
        .await
        .map_err(|error| DialError::transient(format!("the host name cannot be resolved: {error}")))?
        .collect();
    let listed: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
    step("dns", listed.join(", "));
    let stream = TcpStream::connect(addresses.as_slice()).await.map_err(tcp_error)?;
    step(
        "socket",
        stream.peer_addr().map_or_else(|error| error.to_string(), |peer| format!("connected to {peer}")),
    );
    // With Nagle's algorithm on, small frames wait for the peer's delayed acknowledgement: 40–90 ms a turn.
    stream.set_nodelay(true).map_err(tcp_error)?;
    let stream = match endpoint.security {
        Security::Plain => ByteStream::Plain(stream),
        Security::Tls => ByteStream::Tls(Box::new(trust.connect(&endpoint.host, stream).await?)),
    };
    if endpoint.security == Security::Tls {
        step("tls", format!("the certificate is one of '{}', and trusted", endpoint.host));
    }
    match endpoint.framing {
        Framing::Stream => Ok(Socket::stream(stream)),
        Framing::WebSocket => {
            let socket = WebSocket::connect(endpoint, stream).await?;
            step("websocket", "the server speaks AMQP over WebSockets".to_owned());
            Ok(Socket::websocket(socket))
        }
    }
}

pub(super) fn tcp_error(error: io::Error) -> DialError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            DialError::transient("nothing listens there (connection refused)")
        }
        io::ErrorKind::InvalidInput => DialError::permanent(format!("the host name is not valid: {error}")),
        _ => DialError::transient(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use bytes::Bytes;
    use fe2o3_amqp_ws::tokio_tungstenite::accept_async;
    use fe2o3_amqp_ws::tungstenite::Message;
    use futures::{SinkExt, StreamExt};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_stream_socket_hands_over_what_arrives_and_ends() {
        let (listener, endpoint) = listen(Framing::Stream).await;
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut received = vec![0; 300_000];
            stream.read_exact(&mut received).await.unwrap();
            stream.write_all(&received).await.unwrap();
        });
        let mut socket = dial(endpoint, Trust::default()).await.unwrap();
        let sent = Bytes::from((0..300_000u32).map(|n| n as u8).collect::<Vec<_>>());
        for chunk in [sent.slice(..100_000), sent.slice(100_000..)] {
            poll_fn(|cx| socket.poll_ready(cx)).await.unwrap();
            socket.start_send(chunk).unwrap();
        }
        poll_fn(|cx| socket.poll_flush(cx)).await.unwrap();
        let mut received = Vec::new();
        while let Some(chunk) = poll_fn(|cx| socket.poll_recv(cx)).await.unwrap() {
            received.extend_from_slice(&chunk);
        }
        assert_eq!(received, sent);
        server.await.unwrap();
    }

    #[tokio::test]
    async fn a_stream_socket_holds_a_bounded_amount_when_the_peer_does_not_read() {
        let (listener, endpoint) = listen(Framing::Stream).await;
        let mut socket = dial(endpoint, Trust::default()).await.unwrap();
        let (_silent, _) = listener.accept().await.unwrap();
        let mut queued = 0usize;
        let blocked = poll_fn(|cx| {
            loop {
                match socket.poll_ready(cx) {
                    Poll::Pending => return Poll::Ready(true),
                    Poll::Ready(Err(_)) => return Poll::Ready(false),
                    Poll::Ready(Ok(())) if queued > 1 << 30 => return Poll::Ready(false),
                    Poll::Ready(Ok(())) => {
                        socket.start_send(Bytes::from(vec![0; 65536])).unwrap();
                        queued += 65536;
                    }
                }
            }
        })
        .await;
        assert!(blocked, "{queued} bytes were taken from a peer that does not read");
    }

    #[tokio::test]
    async fn a_websocket_offers_the_sub_protocol_and_needs_it_back() {
        let (listener, endpoint) = listen(Framing::WebSocket).await;
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            // Accepts without choosing a sub-protocol, as a server of something else would.
            let _ = accept_async(stream).await;
        });
        let error = dial(endpoint, Trust::default()).await.err().unwrap();
        assert!(!error.transient && error.message.contains("AMQPWSB10"), "{error:?}");
        server.await.unwrap();
    }

    #[tokio::test]
    #[allow(clippy::result_large_err, reason = "the callback's type is tungstenite's")]
    async fn a_websocket_message_arrives_without_its_frame() {
        use fe2o3_amqp_ws::tokio_tungstenite::accept_hdr_async;
        use fe2o3_amqp_ws::tungstenite::handshake::server::{Request, Response};

        let (listener, endpoint) = listen(Framing::WebSocket).await;
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut server = accept_hdr_async(stream, |request: &Request, mut response: Response| {
                assert_eq!(request.uri().path(), "/$servicebus/websocket");
                let offered = request.headers()["Sec-WebSocket-Protocol"].clone();
                response.headers_mut().insert("Sec-WebSocket-Protocol", offered);
                Ok(response)
            })
            .await
            .unwrap();
            server.send(Message::Ping(Bytes::from_static(b"are you there"))).await.unwrap();
            server.send(Message::Binary(Bytes::from_static(b"hello"))).await.unwrap();
            let mut received = Vec::new();
            while let Some(Ok(message)) = server.next().await {
                received.push(message);
                if received.len() == 2 {
                    break;
                }
            }
            server.close(None).await.unwrap();
            received
        });
        let mut socket = dial(endpoint, Trust::default()).await.unwrap();
        assert_eq!(poll_fn(|cx| socket.poll_recv(cx)).await.unwrap().unwrap(), "hello");
        poll_fn(|cx| socket.poll_ready(cx)).await.unwrap();
        socket.start_send(Bytes::from_static(b"back")).unwrap();
        poll_fn(|cx| socket.poll_flush(cx)).await.unwrap();
        assert_eq!(poll_fn(|cx| socket.poll_recv(cx)).await.unwrap(), None);
        let received = server.await.unwrap();
        assert!(received.contains(&Message::Pong(Bytes::from_static(b"are you there"))));
        assert!(received.contains(&Message::Binary(Bytes::from_static(b"back"))));
    }

    #[tokio::test]
    async fn a_refused_connection_is_worth_another_try() {
        let (listener, endpoint) = listen(Framing::Stream).await;
        drop(listener);
        let error = dial(endpoint, Trust::default()).await.err().unwrap();
        assert!(error.transient && error.message.contains("refused"), "{error:?}");
    }

    async fn listen(framing: Framing) -> (TcpListener, Endpoint) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, Endpoint { host: "127.0.0.1".into(), port, security: Security::Plain, framing })
    }
}
