//! A slow reader holds little of what waits for it, and a fast writer waits for a slow socket instead of growing.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "harness/process.rs"]
mod process;

use std::alloc::System;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use eventhubs::{ConsumerClient, EventData, ProducerClient, SendOptions, StartPosition};
use process::Process;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, interval, timeout};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;
/// One test at a time, so that what is held is held by it.
static TURN: Mutex<()> = Mutex::const_new(());

const HUB: &str = "slow";
const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
/// What no size of events changes: buffers of the socket and the engine, the pieces of network input that the
/// oldest events lie in.
const CONSTANT: usize = 2 * MIB;
/// What an event costs besides its body: annotations, its place in the queue.
const PER_EVENT: usize = 300;
/// Nothing here takes this long, unless it hangs.
const LONGEST: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_slow_reader_holds_its_prefetch_and_little_more() {
    const PREFETCH: usize = 300;
    /// Ten events a second.
    const PACE: Duration = Duration::from_millis(100);
    const EVENTS_READ: u32 = 30;
    let _turn = TURN.lock().await;
    let emulator = start();
    let producer = ProducerClient::from_connection_string(emulator.hub(HUB)).unwrap();
    let consumer = ConsumerClient::from_connection_string(emulator.hub(HUB)).unwrap();
    for (partition, (size, waiting)) in
        [(100, 100_000), (KIB, 100_000), (4 * KIB, 100_000), (64 * KIB, 2_000)].into_iter().enumerate()
    {
        let body = bytes::Bytes::from(vec![b'x'; size]);
        let events = (0..waiting).map(|_| EventData::new(body.clone()));
        let to = SendOptions::to_partition(partition.to_string());
        assert_eq!(producer.send_all(events, to).await.unwrap(), waiting);
        // Connected, but for this link.
        consumer.partition_ids().await.unwrap();
        let before = held();
        let reader = consumer.partition(partition.to_string()).from(StartPosition::earliest());
        let mut stream = reader.prefetch(PREFETCH as u32).open().await.unwrap();
        let (mut most, mut read) = (0, 0);
        let mut look = interval(PACE / 20);
        let mut next = Instant::now();
        while read < EVENTS_READ {
            look.tick().await;
            most = most.max(held().saturating_sub(before));
            if Instant::now() >= next {
                next += PACE;
                let event = timeout(LONGEST, stream.next()).await.unwrap().unwrap().unwrap();
                assert_eq!(event.sequence_number(), i64::from(read));
                read += 1;
            }
        }
        let bound = PREFETCH * (size + PER_EVENT) + CONSTANT;
        println!(
            "{waiting} events of {size} bytes wait: at most {} KiB held, {} KiB are the bound",
            most / KIB,
            bound / KIB
        );
        assert!(most < bound, "{most} bytes are held, {bound} are the bound for events of {size} bytes");
        // There is something to be held, or nothing was measured.
        assert!(most > 50 * size, "{most} bytes are not the prefetched events of {size} bytes");
    }
}

#[tokio::test]
async fn send_all_waits_for_a_socket_that_stalls_and_goes_on_when_it_moves() {
    /// What is encoded ahead, as `send_all` says, and as much again while it is put together.
    const BOUND: usize = 64 * MIB + CONSTANT;
    let _turn = TURN.lock().await;
    let emulator = start();
    let tap = Tap::to(emulator.port).await;
    let producer = tap.producer(&emulator);
    producer.partition_ids().await.unwrap();
    let before = held();
    let (taken, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let events = {
        let (taken, stop) = (taken.clone(), stop.clone());
        let body = bytes::Bytes::from(vec![b'x'; KIB]);
        std::iter::from_fn(move || {
            let more = !stop.load(Ordering::Relaxed);
            more.then(|| {
                taken.fetch_add(1, Ordering::Relaxed);
                EventData::new(body.clone())
            })
        })
    };
    let sending = tokio::spawn({
        let producer = producer.clone();
        async move { producer.send_all(events, SendOptions::to_partition("0")).await }
    });
    until("events flow", || taken.load(Ordering::Relaxed) > 100_000).await;
    tap.stall();
    let at_rest = rest(&taken).await;
    let most = held().saturating_sub(before);
    println!("send_all on a stalled socket: {at_rest} events taken, {} KiB held", most / KIB);
    assert!(most < BOUND, "{most} bytes are held");
    tap.flow();
    until("it goes on", || taken.load(Ordering::Relaxed) > at_rest + 100_000).await;
    stop.store(true, Ordering::Relaxed);
    let sent = timeout(LONGEST, sending).await.unwrap().unwrap().unwrap();
    assert_eq!(sent, taken.load(Ordering::Relaxed));
    let stored = producer.partition_properties("0").await.unwrap().last_enqueued_sequence_number + 1;
    assert_eq!(usize::try_from(stored).unwrap(), sent, "nothing is lost, nothing comes twice");
}

#[tokio::test]
async fn single_sends_wait_for_a_socket_that_stalls_and_go_on_when_it_moves() {
    const WRITERS: usize = 64;
    let _turn = TURN.lock().await;
    let emulator = start();
    let tap = Tap::to(emulator.port).await;
    let producer = tap.producer(&emulator);
    producer.partition_ids().await.unwrap();
    let before = held();
    let (sent, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let body = bytes::Bytes::from(vec![b'x'; 16 * KIB]);
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let (producer, sent, stop, body) = (producer.clone(), sent.clone(), stop.clone(), body.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let event = EventData::new(body.clone());
                    producer.send_with(event, SendOptions::to_partition("1")).await.unwrap();
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    until("events flow", || sent.load(Ordering::Relaxed) > 1000).await;
    tap.stall();
    let at_rest = rest(&sent).await;
    let most = held().saturating_sub(before);
    println!("{WRITERS} writers on a stalled socket: {} KiB held", most / KIB);
    // Each holds the one event that it waits for.
    let bound = WRITERS * (16 * KIB + PER_EVENT) + CONSTANT;
    assert!(most < bound, "{most} bytes are held, {bound} are the bound");
    tap.flow();
    until("they go on", || sent.load(Ordering::Relaxed) > at_rest + 1000).await;
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        timeout(LONGEST, writer).await.unwrap().unwrap();
    }
    let stored = producer.partition_properties("1").await.unwrap().last_enqueued_sequence_number + 1;
    assert_eq!(usize::try_from(stored).unwrap(), sent.load(Ordering::Relaxed));
}

/// Bytes on the heap.
fn held() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let mut look = interval(Duration::from_millis(5));
    let watched = async {
        while !done() {
            look.tick().await;
        }
    };
    timeout(LONGEST, watched).await.unwrap_or_else(|_| panic!("{what}: it does not happen"));
}

/// Waits until a count stands still, as long as anything could still be on its way; where it stands.
async fn rest(count: &AtomicUsize) -> usize {
    const STILL: Duration = Duration::from_secs(2);
    let mut look = interval(Duration::from_millis(20));
    let (mut last, mut since) = (count.load(Ordering::Relaxed), Instant::now());
    let watched = async {
        while since.elapsed() < STILL {
            look.tick().await;
            let now = count.load(Ordering::Relaxed);
            if now != last {
                (last, since) = (now, Instant::now());
            }
        }
        last
    };
    timeout(LONGEST, watched).await.expect("the writer never waits")
}

/// An emulator in a process of its own, so that what it holds is not counted.
fn start() -> Process {
    Process::start(&["--hub", &format!("{HUB}:4")])
}

/// A wire that can stall: nothing is read from either end, and nothing is lost.
struct Tap {
    port: u16,
    flows: watch::Sender<bool>,
}

impl Tap {
    async fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (flows, flow) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", target)).await.unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(pass(from_client, to_server, flow.clone()));
                tokio::spawn(pass(from_server, to_client, flow.clone()));
            }
        });
        Tap { port, flows }
    }

    fn producer(&self, emulator: &Process) -> ProducerClient {
        ProducerClient::builder()
            .connection_string(emulator.hub(HUB))
            .custom_endpoint(format!("ws://127.0.0.1:{}", self.port))
            .build()
            .unwrap()
    }

    fn stall(&self) {
        self.flows.send_replace(false);
    }

    fn flow(&self) {
        self.flows.send_replace(true);
    }
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut flow: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 16 * KIB];
    loop {
        if flow.wait_for(|flows| *flows).await.is_err() {
            return;
        }
        match from.read(&mut buffer).await {
            Ok(read) if read > 0 && to.write_all(&buffer[..read]).await.is_ok() => {}
            _ => return,
        }
    }
}
