//! Lends to tests that run as WebAssembly what they cannot have: emulators, listeners, wires that can be cut.
//!
//! Each is a WebSocket to this host: its path says what is wanted, its first message how exactly, later ones what is
//! to be done. Everything is answered in order. When the WebSocket closes, what was lent is taken back, so that a
//! test that fails, or a page that is closed, leaves nothing behind.
//!
//! `test_host DIRECTORY` keeps the certificate authority of its emulators in the directory, prints one line of JSON
//! when it listens, and ends with its standard input.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../mod.rs"]
mod harness;
#[path = "../../behaviour/service/mod.rs"]
mod service;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use fe2o3_amqp_ws::tokio_tungstenite::{WebSocketStream, accept_hdr_async};
use fe2o3_amqp_ws::tungstenite::Message;
use fe2o3_amqp_ws::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use harness::{Listener, Speaks};
use service::{Proxy, Service, Wanted};

/// What all lines share.
struct Host {
    authority: PathBuf,
    /// By port; listened on by the test that asked for it.
    listeners: Mutex<HashMap<u16, Arc<tokio::sync::Mutex<Listener>>>>,
}

/// One line's ends.
struct Line {
    asked: UnboundedReceiver<Message>,
    answers: UnboundedSender<Message>,
}

#[tokio::main]
async fn main() {
    let authority = PathBuf::from(std::env::args_os().nth(1).expect("usage: test_host DIRECTORY"));
    // Makes the authority, so that browsers and Node can be told of it before there is a test.
    drop(Service::start_with_authority(Wanted::default(), Some(&authority)).await);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", json!({ "address": listener.local_addr().unwrap().to_string() }));
    let host = Arc::new(Host { authority, listeners: Mutex::default() });
    // Whoever has started this holds the other end of the input.
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(serve(stream, host.clone()));
    }
}

#[allow(clippy::result_large_err, reason = "the callback's type is tungstenite's")]
async fn serve(stream: TcpStream, host: Arc<Host>) {
    let mut path = String::new();
    let note = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        request.uri().path().clone_into(&mut path);
        Ok(response)
    };
    let Ok(stream) = accept_hdr_async(stream, note).await else { return };
    let (ask, asked) = unbounded_channel();
    let (answers, answer) = unbounded_channel();
    let line = Line { asked, answers };
    let lend = async {
        match path.as_str() {
            "/emulator" => lend_emulator(line, &host).await,
            "/proxy" => lend_proxy(line).await,
            "/listener" => lend_listener(line, &host).await,
            "/stream" => lend_stream(line, &host).await,
            "/note" => take_notes(line).await,
            _ => None,
        }
    };
    // Whichever ends first ends both.
    tokio::select! {
        _ = lend => {}
        () = carry(stream, ask, answer) => {}
    }
}

/// Carries messages until the line ends.
async fn carry(
    stream: WebSocketStream<TcpStream>,
    ask: UnboundedSender<Message>,
    mut answer: UnboundedReceiver<Message>,
) {
    let (mut sink, mut source) = stream.split();
    loop {
        tokio::select! {
            message = source.next() => match message {
                Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                    let _ = ask.send(message);
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
            message = answer.recv() => {
                let Some(message) = message else { return };
                if sink.send(message).await.is_err() {
                    return;
                }
            }
        }
    }
}

impl Line {
    /// The next thing that is asked for in words; `None` when the line has ended.
    async fn words(&mut self) -> Option<String> {
        Some(self.asked.recv().await?.into_text().ok()?.as_str().to_owned())
    }

    fn answer(&self, value: &Value) {
        let _ = self.answers.send(Message::text(value.to_string()));
    }
}

async fn lend_emulator(mut line: Line, host: &Host) -> Option<()> {
    let wanted = Wanted::read(&line.words().await?);
    let mut emulator = Service::start_with_authority(wanted, Some(&host.authority)).await;
    line.answer(&json!({ "port": emulator.port(), "connection_string": emulator.connection_string() }));
    loop {
        match line.words().await?.as_str() {
            "stop" => emulator.stop().await,
            "kill" => emulator.kill().await,
            "start" => emulator.start_again().await,
            asked => {
                let asked: Value = serde_json::from_str(asked).ok()?;
                let text = |name: &str| asked[name].as_str();
                let (status, body) = emulator.ask(text("method")?, text("path")?, text("body")?).await;
                line.answer(&json!({ "status": status, "body": body }));
                continue;
            }
        }
        line.answer(&json!({}));
    }
}

async fn take_notes(mut line: Line) -> Option<()> {
    loop {
        harness::note(&line.words().await?).await;
        line.answer(&json!({}));
    }
}

async fn lend_proxy(mut line: Line) -> Option<()> {
    let wanted: Value = serde_json::from_str(&line.words().await?).ok()?;
    let mut proxy = Proxy::to(wanted["target"].as_u64()? as u16).await;
    line.answer(&json!({ "port": proxy.port }));
    loop {
        match line.words().await?.as_str() {
            "cut" => proxy.cut().await,
            "count" => {}
            _ => return None,
        }
        line.answer(&json!({ "connections": proxy.connections().await }));
    }
}

async fn lend_listener(mut line: Line, host: &Host) -> Option<()> {
    let wanted: Value = serde_json::from_str(&line.words().await?).ok()?;
    let speaks = match wanted["websocket"].as_str() {
        None => Speaks::Tcp,
        Some("") => Speaks::WebSocket(None),
        Some(sub_protocol) => Speaks::WebSocket(Some(sub_protocol.to_owned())),
    };
    let listener = Listener::bind(speaks).await;
    let port = listener.port();
    let listened = Listened { host, port };
    host.listeners.lock().unwrap().insert(port, Arc::new(tokio::sync::Mutex::new(listener)));
    line.answer(&json!({ "port": port }));
    line.words().await;
    drop(listened);
    None
}

/// A listener of the host's that ends with the line that it was lent over.
struct Listened<'a> {
    host: &'a Host,
    port: u16,
}

impl Drop for Listened<'_> {
    fn drop(&mut self) {
        self.host.listeners.lock().unwrap().remove(&self.port);
    }
}

async fn lend_stream(mut line: Line, host: &Host) -> Option<()> {
    let wanted: Value = serde_json::from_str(&line.words().await?).ok()?;
    let listener = host.listeners.lock().unwrap().get(&(wanted["port"].as_u64()? as u16))?.clone();
    let mut stream = listener.lock().await.accept().await;
    line.answer(&json!({ "asked": stream.asked }));
    loop {
        match line.asked.recv().await? {
            Message::Binary(bytes) => drop(stream.write(bytes).await),
            message => {
                let words = message.into_text().ok()?;
                match words.as_str().splitn(3, ' ').collect::<Vec<_>>().as_slice() {
                    ["read"] => {
                        let read = stream.read().await;
                        let _ = line.answers.send(read.map_or(Message::text("null"), Message::Binary));
                    }
                    ["close", code, reason] => {
                        stream.close(code.parse().ok()?, reason).await;
                        return None;
                    }
                    _ => return None,
                }
            }
        }
    }
}
