//! Benchmark peer on fe2o3-amqp 0.18, used the way an Event Hubs client would use it.

#[path = "../../common/bench.rs"]
mod bench;
#[path = "../../common/endpoint.rs"]
mod endpoint;

use std::collections::VecDeque;
use std::error::Error;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use clap::Parser as _;
use fe2o3_amqp::link::SendError;
use fe2o3_amqp::link::delivery::DeliveryFut;
use fe2o3_amqp::link::receiver::CreditMode;
use fe2o3_amqp::sasl_profile::SaslProfile;
use fe2o3_amqp::types::messaging::message::__private::Serializable;
use fe2o3_amqp::types::messaging::{Batch, Body, Data, Message, Outcome as Settled, Source};
use fe2o3_amqp::types::primitives::{Binary, Value};
use fe2o3_amqp::{Connection, Delivery, Receiver, Sendable, Sender, Session};
use fe2o3_amqp_cbs::client::CbsClient;
use fe2o3_amqp_cbs::token::CbsToken;
use fe2o3_amqp_ws::WebSocketStream;
use fe2o3_amqp_ws::tungstenite::protocol::WebSocketConfig;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tokio::net::TcpStream;

use bench::{Args, Mode, Outcome, Transport};
use endpoint::Endpoint;

const BATCH_FORMAT: u32 = 0x8001_3700;
const CREDIT: u32 = 2_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let endpoint = Endpoint::parse(&args.connection_string).ok_or("malformed connection string")?;
    let mut connection = connect(&endpoint, args.transport).await?;
    authorize(&mut connection, &endpoint, &args.hub).await?;
    let mut session = Session::begin(&mut connection).await?;

    let outcome = if args.mode == Mode::Receive {
        let address = format!("{}/ConsumerGroups/$Default/Partitions/{}", args.hub, args.partition);
        let mut receiver = Receiver::builder()
            .name("bench-receiver")
            .source(Source::builder().address(address).build())
            .credit_mode(CreditMode::Manual)
            .attach(&mut session)
            .await?;
        let outcome = receive(&mut receiver, &args).await?;
        receiver.close().await?;
        outcome
    } else {
        let target = format!("{}/Partitions/{}", args.hub, args.partition);
        let mut sender = Sender::attach(&mut session, "bench-sender", target).await?;
        let outcome = match args.mode {
            Mode::Send => send_batches(&mut sender, &args).await?,
            Mode::Single => send_single(&mut sender, &args).await?,
            _ => send_serially(&mut sender, &args).await?,
        };
        sender.close().await?;
        outcome
    };
    outcome.print("fe2o3-amqp 0.18", &args);
    session.end().await?;
    connection.close().await?;
    Ok(())
}

async fn connect(
    endpoint: &Endpoint,
    transport: Transport,
) -> Result<fe2o3_amqp::connection::ConnectionHandle<()>, Box<dyn Error>> {
    let builder = Connection::builder()
        .container_id("bench-fe2o3")
        .hostname(endpoint.host.as_str())
        .max_frame_size(65_536)
        .sasl_profile(SaslProfile::Anonymous);
    let authority = format!("{}:{}", endpoint.host, endpoint.port);
    let stream = TcpStream::connect(&authority).await?;
    // Nagle costs 88 ms a round trip here.
    stream.set_nodelay(true)?;
    Ok(match transport {
        Transport::Tcp => builder.open_with_stream(stream).await?,
        Transport::Ws => {
            let url = format!("ws://{authority}/$servicebus/websocket");
            let config = Some(WebSocketConfig::default());
            let stream = WebSocketStream::connect_with_stream_and_config(url, stream, config).await?;
            builder.open_with_stream(stream).await?
        }
    })
}

async fn authorize(
    connection: &mut fe2o3_amqp::connection::ConnectionHandle<()>,
    endpoint: &Endpoint,
    hub: &str,
) -> Result<(), Box<dyn Error>> {
    let mut session = Session::begin(connection).await?;
    let mut cbs = CbsClient::attach(&mut session).await?;
    let audience = format!("amqp://{}/{hub}", endpoint.host);
    let expiry = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() + 3_600;
    let token = sign(&audience, &endpoint.key_name, &endpoint.key, expiry)?;
    let token = CbsToken::new(token, "servicebus.windows.net:sastoken", None);
    cbs.put_token(audience, token).await?;
    cbs.close().await?;
    session.end().await?;
    Ok(())
}

fn sign(resource: &str, key_name: &str, key: &str, expiry: u64) -> Result<String, Box<dyn Error>> {
    let encode = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let resource = encode(resource);
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes())?;
    mac.update(format!("{resource}\n{expiry}").as_bytes());
    let signature = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
    let signature = encode(&signature);
    Ok(format!("SharedAccessSignature sr={resource}&sig={signature}&se={expiry}&skn={key_name}"))
}

/// Batches as full as the link allows, each event encoded on its own, as a client has to.
async fn send_batches(sender: &mut Sender, args: &Args) -> Result<Outcome, Box<dyn Error>> {
    let limit = sender.max_message_size().unwrap_or(1_048_576) as usize;
    let in_flight = args.in_flight.unwrap_or(8);
    let per_batch = ((limit - 64) / (args.size + 16)).max(1);
    let body = bench::body(args.size, 0);
    let mut waiting = VecDeque::new();
    let start = Instant::now();
    let mut sent = 0;
    while sent < args.count {
        let events = per_batch.min(args.count - sent);
        let mut batch = Vec::with_capacity(events);
        for _ in 0..events {
            let message = Message::builder().data(Binary::from(body.clone())).build();
            batch.push(Data(Binary::from(serde_amqp::to_vec(&Serializable(message))?)));
        }
        let message = Message::builder().body(Batch::<Data>::from(batch)).build();
        let sendable = Sendable::builder().message(message).message_format(BATCH_FORMAT).build();
        waiting.push_back(sender.send_batchable(sendable).await?);
        sent += events;
        if waiting.len() >= in_flight {
            accepted(&mut waiting).await?;
        }
    }
    while !waiting.is_empty() {
        accepted(&mut waiting).await?;
    }
    Ok(Outcome::since(start, sent))
}

async fn send_single(sender: &mut Sender, args: &Args) -> Result<Outcome, Box<dyn Error>> {
    let in_flight = args.in_flight.unwrap_or(1_000);
    let body = bench::body(args.size, 0);
    let mut waiting = VecDeque::new();
    let start = Instant::now();
    for _ in 0..args.count {
        let message = Message::builder().data(Binary::from(body.clone())).build();
        waiting.push_back(sender.send_batchable(message).await?);
        if waiting.len() >= in_flight {
            accepted(&mut waiting).await?;
        }
    }
    while !waiting.is_empty() {
        accepted(&mut waiting).await?;
    }
    Ok(Outcome::since(start, args.count))
}

async fn send_serially(sender: &mut Sender, args: &Args) -> Result<Outcome, Box<dyn Error>> {
    let body = bench::body(args.size, 0);
    let mut laps = Vec::with_capacity(args.count);
    let start = Instant::now();
    for _ in 0..args.count {
        let lap = Instant::now();
        let message = Message::builder().data(Binary::from(body.clone())).build();
        sender.send(message).await?.accepted_or("not accepted")?;
        laps.push(lap.elapsed());
    }
    Ok(Outcome { events: args.count, elapsed: start.elapsed(), laps })
}

async fn accepted(
    waiting: &mut VecDeque<DeliveryFut<Result<Settled, SendError>>>,
) -> Result<(), Box<dyn Error>> {
    if let Some(next) = waiting.pop_front() {
        next.await?.accepted_or("not accepted")?;
    }
    Ok(())
}

/// From the first event's arrival to the last one's.
async fn receive(receiver: &mut Receiver, args: &Args) -> Result<Outcome, Box<dyn Error>> {
    receiver.set_credit(CREDIT).await?;
    let mut start = Instant::now();
    for index in 0..args.count {
        let next = tokio::time::timeout(Duration::from_secs(30), receiver.recv());
        let delivery: Delivery<Body<Value>> =
            next.await.map_err(|_| format!("only {index} events within 30 s"))??;
        if index == 0 {
            start = Instant::now();
        }
        let length: usize = match delivery.body() {
            Body::Data(sections) => sections.iter().map(|data| data.0.len()).sum(),
            _ => 0,
        };
        if length != args.size {
            return Err(format!("event {index} has {length} bytes").into());
        }
        // The deliveries are settled, so Auto credit would need a disposition each.
        if (index + 1) % (CREDIT as usize / 2) == 0 {
            receiver.set_credit(CREDIT).await?;
        }
    }
    Ok(Outcome::since(start, args.count.saturating_sub(1)))
}
