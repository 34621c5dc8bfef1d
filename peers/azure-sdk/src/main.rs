//! Benchmark peer on the official Rust SDK, `azure_messaging_eventhubs` 0.16.
//!
//! A current-thread runtime, since fe2o3-amqp 0.16 below it registers a delivery after writing it
//! and would otherwise wait for ever for an outcome that came back at once.

#[path = "../../common/bench.rs"]
mod bench;
#[path = "../../common/endpoint.rs"]
mod endpoint;

use std::error::Error;
use std::time::Instant;

use azure_messaging_eventhubs::{
    BufferedProducerClient, ConsumerClient, EnqueueEventOptions, EventDataBatchOptions, OpenReceiverOptions,
    ProducerClient, SendEventOptions, StartLocation, StartPosition,
};
use clap::Parser as _;
use futures::{StreamExt as _, TryStreamExt as _, pin_mut};

use bench::{Args, Mode, Outcome, Transport};
use endpoint::Endpoint;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    if args.transport == Transport::Ws {
        return Err("the SDK dials wss only, so it is measured over TCP".into());
    }
    let endpoint = Endpoint::parse(&args.connection_string).ok_or("malformed connection string")?;
    let plain = format!("amqp://{}:{}", endpoint.host, endpoint.port);
    // The SDK knows nothing of ports in a connection string; the custom endpoint carries it.
    let connection_string = format!(
        "Endpoint=sb://{}/;SharedAccessKeyName={};SharedAccessKey={}",
        endpoint.host, endpoint.key_name, endpoint.key
    );
    let outcome = if args.mode == Mode::Buffered {
        let producer = BufferedProducerClient::builder()
            .with_custom_endpoint(plain)
            .with_on_send_failed(|failed| async move { panic!("not stored: {:?}", failed.error) })
            .open_with_connection_string(&connection_string, Some(&args.hub))
            .await?;
        let outcome = send_buffered(&producer, &args).await?;
        producer.close().await?;
        outcome
    } else if args.mode == Mode::Receive {
        let consumer = ConsumerClient::builder()
            .with_custom_endpoint(plain)
            .open_with_connection_string(&connection_string, Some(&args.hub))
            .await?;
        receive(&consumer, &args).await?
    } else {
        let producer = ProducerClient::builder()
            .with_custom_endpoint(plain)
            .open_with_connection_string(&connection_string, Some(&args.hub))
            .await?;
        match args.mode {
            Mode::Send => send_batches(&producer, &args).await?,
            Mode::Single => send_single(&producer, &args).await?,
            _ => send_serially(&producer, &args).await?,
        }
    };
    outcome.print("azure_messaging_eventhubs 0.16", &args);
    Ok(())
}

fn to(args: &Args) -> Option<SendEventOptions> {
    Some(SendEventOptions { partition_id: Some(args.partition.clone()) })
}

async fn send_batches(producer: &ProducerClient, args: &Args) -> Result<Outcome, Box<dyn Error>> {
    let body = bench::body(args.size, 0);
    let options =
        || EventDataBatchOptions { partition_id: Some(args.partition.clone()), ..Default::default() };
    // Opens the link, so that the clock does not measure it.
    drop(producer.create_batch(Some(options())).await?);
    let start = Instant::now();
    let mut sent = 0;
    while sent < args.count {
        let batch = producer.create_batch(Some(options())).await?;
        while sent < args.count && batch.try_add_event_data(body.clone(), None)? {
            sent += 1;
        }
        producer.send_batch(batch, None).await?;
    }
    Ok(Outcome::since(start, sent))
}

async fn send_single(producer: &ProducerClient, args: &Args) -> Result<Outcome, Box<dyn Error>> {
    let body = bench::body(args.size, 0);
    producer.send_event(body.clone(), to(args)).await?;
    let start = Instant::now();
    futures::stream::iter(0..args.count)
        .map(|_| producer.send_event(body.clone(), to(args)))
        .buffer_unordered(args.in_flight.unwrap_or(1_000))
        .try_collect::<Vec<()>>()
        .await?;
    Ok(Outcome::since(start, args.count))
}

async fn send_buffered(producer: &BufferedProducerClient, args: &Args) -> Result<Outcome, Box<dyn Error>> {
    let body = bench::body(args.size, 0);
    let here =
        || Some(EnqueueEventOptions { partition_id: Some(args.partition.clone()), ..Default::default() });
    // Opens the link, so that the clock does not measure it.
    producer.enqueue_event(body.clone(), here()).await?;
    producer.flush().await?;
    let start = Instant::now();
    for _ in 0..args.count {
        producer.enqueue_event(body.clone(), here()).await?;
    }
    producer.flush().await?;
    Ok(Outcome::since(start, args.count))
}

async fn send_serially(producer: &ProducerClient, args: &Args) -> Result<Outcome, Box<dyn Error>> {
    let body = bench::body(args.size, 0);
    producer.send_event(body.clone(), to(args)).await?;
    let mut laps = Vec::with_capacity(args.count);
    let start = Instant::now();
    for _ in 0..args.count {
        let lap = Instant::now();
        producer.send_event(body.clone(), to(args)).await?;
        laps.push(lap.elapsed());
    }
    Ok(Outcome { events: args.count, elapsed: start.elapsed(), laps })
}

async fn receive(consumer: &ConsumerClient, args: &Args) -> Result<Outcome, Box<dyn Error>> {
    let receiver = consumer
        .open_receiver_on_partition(
            args.partition.clone(),
            Some(OpenReceiverOptions {
                prefetch: Some(2_000),
                start_position: Some(StartPosition { location: StartLocation::Earliest, inclusive: false }),
                ..Default::default()
            }),
        )
        .await?;
    let events = receiver.stream_events();
    pin_mut!(events);
    let mut start = Instant::now();
    for index in 0..args.count {
        let event = events.next().await.ok_or("the stream ended")??;
        if index == 0 {
            start = Instant::now();
        }
        let length = event.event_data().body().map_or(0, <[u8]>::len);
        if length != args.size {
            return Err(format!("event {index} has {length} bytes").into());
        }
    }
    Ok(Outcome::since(start, args.count.saturating_sub(1)))
}
