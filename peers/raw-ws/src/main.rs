//! Benchmark peer: the same bytes as WebSocket messages and nothing else. What it reaches is the
//! limit for anything that speaks AMQP over a WebSocket on this machine. The other end is this
//! program again, as a process of its own, since the emulator is one too.

#[path = "../../common/bench.rs"]
mod bench;

use std::error::Error;
use std::process::Stdio;
use std::time::Instant;

use clap::Parser as _;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use bench::{Args, Mode, Outcome, Transport};

/// What our engine coalesces into one WebSocket message.
const FRAME: usize = 65_536;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).as_deref() == Some("serve") {
        return serve().await;
    }
    let args = Args { transport: Transport::Ws, ..Args::parse() };
    let mut server = tokio::process::Command::new(std::env::current_exe()?)
        .arg("serve")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut line = String::new();
    let stdout = server.stdout.take().ok_or("no stdout")?;
    BufReader::new(stdout).read_line(&mut line).await?;
    let address = format!("127.0.0.1:{}", line.trim());

    let stream = TcpStream::connect(&address).await?;
    stream.set_nodelay(true)?;
    let (mut socket, _) = tokio_tungstenite::client_async(format!("ws://{address}/"), stream).await?;
    let outcome = match args.mode {
        Mode::Send => send(&mut socket, &args, FRAME).await?,
        Mode::Single => send(&mut socket, &args, args.size).await?,
        Mode::Receive => receive(&mut socket, &args).await?,
        Mode::Latency => round_trips(&mut socket, &args).await?,
        Mode::Buffered => return Err("there is nothing to buffer".into()),
    };
    outcome.print("raw WebSocket", &args);
    server.kill().await?;
    Ok(())
}

async fn send(
    socket: &mut WebSocketStream<TcpStream>,
    args: &Args,
    frame: usize,
) -> Result<Outcome, Box<dyn Error>> {
    let total = args.size * args.count;
    let payload = Bytes::from(bench::body(frame, 0));
    let start = Instant::now();
    socket.send(Message::text(format!("sink {total}"))).await?;
    let mut left = total;
    while left > 0 {
        let length = left.min(frame);
        socket.feed(Message::Binary(payload.slice(..length))).await?;
        left -= length;
    }
    socket.flush().await?;
    // The other end answers once it has read everything: the counterpart of the last outcome.
    socket.next().await.ok_or("closed")??;
    Ok(Outcome::since(start, args.count))
}

async fn receive(socket: &mut WebSocketStream<TcpStream>, args: &Args) -> Result<Outcome, Box<dyn Error>> {
    let total = args.size * args.count;
    let start = Instant::now();
    socket.send(Message::text(format!("source {total}"))).await?;
    let mut received = 0;
    while received < total {
        received += socket.next().await.ok_or("closed")??.len();
    }
    Ok(Outcome::since(start, args.count))
}

async fn round_trips(
    socket: &mut WebSocketStream<TcpStream>,
    args: &Args,
) -> Result<Outcome, Box<dyn Error>> {
    let payload = Bytes::from(bench::body(args.size, 0));
    socket.send(Message::text(format!("echo {}", args.count))).await?;
    let mut laps = Vec::with_capacity(args.count);
    let start = Instant::now();
    for _ in 0..args.count {
        let lap = Instant::now();
        socket.send(Message::Binary(payload.clone())).await?;
        socket.next().await.ok_or("closed")??;
        laps.push(lap.elapsed());
    }
    Ok(Outcome { events: args.count, elapsed: start.elapsed(), laps })
}

/// Serves one client and ends with it.
async fn serve() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    let mut socket = tokio_tungstenite::accept_async(stream).await?;
    let order = socket.next().await.ok_or("closed")??;
    let order = order.to_text()?.to_owned();
    let (verb, amount) = order.split_once(' ').ok_or("malformed order")?;
    let mut left: usize = amount.parse()?;
    match verb {
        "sink" => {
            while left > 0 {
                left -= socket.next().await.ok_or("closed")??.len();
            }
            socket.send(Message::text("done")).await?;
        }
        "source" => {
            let payload = Bytes::from(bench::body(FRAME, 0));
            while left > 0 {
                let length = left.min(FRAME);
                socket.feed(Message::Binary(payload.slice(..length))).await?;
                left -= length;
            }
            socket.flush().await?;
        }
        _ => {
            for _ in 0..left {
                socket.next().await.ok_or("closed")??;
                // As long as an outcome: the serial sender waits for that, not for its own bytes.
                socket.send(Message::Binary(Bytes::from_static(&[0; 29]))).await?;
            }
        }
    }
    while let Some(Ok(_)) = socket.next().await {}
    Ok(())
}
