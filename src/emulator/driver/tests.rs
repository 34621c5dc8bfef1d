//! The driver between a socket and machines that do one thing.

use std::collections::VecDeque;

use fe2o3_amqp_ws::tokio_tungstenite::WebSocketStream;
use fe2o3_amqp_ws::tungstenite::Message;
use fe2o3_amqp_ws::tungstenite::protocol::Role;
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::super::wire::{StreamWire, WebSocketWire};
use super::*;

/// Gives back what it gets, without bound.
#[derive(Default)]
struct Echo {
    queue: VecDeque<Bytes>,
}

impl Machine for Echo {
    fn feed(&mut self, bytes: Bytes, _: Now) {
        self.queue.push_back(bytes);
    }

    fn poll_output(&mut self, _: Now) -> Option<Bytes> {
        self.queue.pop_front()
    }

    fn next_deadline(&self) -> Option<Moment> {
        None
    }

    fn tick(&mut self, _: Now) {}

    fn is_finished(&self) -> bool {
        false
    }

    fn backlog(&self) -> usize {
        self.queue.iter().map(Bytes::len).sum()
    }
}

/// Counts what it gets, gives `chunks` chunks, speaks when it is woken or its time has come, and may be finished.
#[derive(Default)]
struct Scripted {
    received: Arc<std::sync::atomic::AtomicUsize>,
    chunks: usize,
    /// How many chunks were taken.
    taken: Arc<std::sync::atomic::AtomicUsize>,
    chunk: usize,
    deadline: Option<Moment>,
    woken: Arc<AtomicBool>,
    finishes: bool,
}

impl Machine for Scripted {
    fn feed(&mut self, bytes: Bytes, _: Now) {
        self.received.fetch_add(bytes.len(), Ordering::SeqCst);
    }

    fn poll_output(&mut self, _: Now) -> Option<Bytes> {
        if self.woken.swap(false, Ordering::SeqCst) {
            return Some(Bytes::from_static(b"woken"));
        }
        self.chunks = self.chunks.checked_sub(1)?;
        self.taken.fetch_add(1, Ordering::SeqCst);
        Some(Bytes::from(vec![7; self.chunk]))
    }

    fn next_deadline(&self) -> Option<Moment> {
        self.deadline
    }

    fn tick(&mut self, now: Now) {
        assert!(self.deadline.take().is_some_and(|deadline| deadline <= now.moment));
        self.woken.store(true, Ordering::SeqCst);
    }

    fn is_finished(&self) -> bool {
        self.finishes && self.chunks == 0
    }

    fn backlog(&self) -> usize {
        0
    }
}

/// Has said what it has to say too late, and can do no more about it.
struct Late {
    words: Option<Bytes>,
    ticks: Arc<std::sync::atomic::AtomicUsize>,
}

impl Machine for Late {
    fn feed(&mut self, _: Bytes, _: Now) {}

    fn poll_output(&mut self, _: Now) -> Option<Bytes> {
        let words = self.words.as_mut()?;
        let next = words.split_to(words.len().min(1000));
        if words.is_empty() {
            self.words = None;
        }
        Some(next)
    }

    fn next_deadline(&self) -> Option<Moment> {
        self.words.as_ref().map(|_| Moment::ORIGIN)
    }

    fn tick(&mut self, _: Now) {
        self.ticks.fetch_add(1, Ordering::SeqCst);
    }

    fn is_finished(&self) -> bool {
        self.words.is_none()
    }

    fn backlog(&self) -> usize {
        0
    }
}

fn start(machine: impl Machine + Send + 'static, socket: DuplexStream) -> JoinHandle<io::Result<()>> {
    let wire = StreamWire::new(socket, Bytes::new());
    tokio::spawn(drive(machine, wire, Arc::default(), Clock::start()))
}

async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
    (client.unwrap(), server.unwrap().0)
}

#[tokio::test]
async fn both_directions_may_be_full_at_once() {
    let (mut near, far) = duplex(1024);
    start(Echo::default(), far);
    let sent: Vec<u8> = (0..300_000u32).map(|n| n as u8).collect();
    // All of it is written before any of it is read.
    near.write_all(&sent).await.unwrap();
    let mut back = vec![0; sent.len()];
    near.read_exact(&mut back).await.unwrap();
    assert!(back == sent);
}

#[tokio::test]
async fn output_is_taken_only_while_the_socket_has_room() {
    let (mut near, far) = duplex(1000);
    let machine = Scripted { chunks: 100, chunk: 500, ..Scripted::default() };
    let (taken, received) = (machine.taken.clone(), machine.received.clone());
    start(machine, far);
    // Input is taken all the same.
    near.write_all(&[1; 50_000]).await.unwrap();
    while received.load(Ordering::SeqCst) < 50_000 {
        tokio::task::yield_now().await;
    }
    assert!(taken.load(Ordering::SeqCst) <= 3, "{taken:?} chunks of 500 bytes for a socket of 1000");
    near.read_exact(&mut [0; 50_000]).await.unwrap();
}

#[tokio::test]
async fn answers_do_not_pile_up_without_bound_for_a_peer_that_takes_none() {
    let (near, far) = duplex(64 * 1024);
    start(Echo::default(), far);
    let (mut reading, mut writing) = tokio::io::split(near);
    const ALL: usize = 2 * MOST_BACKLOG;
    let written = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let writer = {
        let written = written.clone();
        tokio::spawn(async move {
            while written.load(Ordering::SeqCst) < ALL {
                writing.write_all(&[1; 64 * 1024]).await.unwrap();
                written.fetch_add(64 * 1024, Ordering::SeqCst);
            }
        })
    };
    while written.load(Ordering::SeqCst) < MOST_BACKLOG {
        tokio::task::yield_now().await;
    }
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert!(written.load(Ordering::SeqCst) < MOST_BACKLOG + (1 << 20), "{written:?} bytes were taken");
    // Once it takes them, everything goes on.
    let mut buffer = vec![0; 1 << 20];
    let mut back = 0;
    while back < ALL {
        back += reading.read(&mut buffer).await.unwrap();
    }
    writer.await.unwrap();
}

#[tokio::test]
async fn a_wake_from_another_thread_is_heard() {
    let (mut near, far) = duplex(1000);
    let machine = Scripted::default();
    let (woken, wake) = (machine.woken.clone(), Arc::new(Wake::default()));
    tokio::spawn(drive(machine, StreamWire::new(far, Bytes::new()), wake.clone(), Clock::start()));
    for _ in 0..1000 {
        let (woken, wake) = (woken.clone(), wake.clone());
        std::thread::spawn(move || {
            woken.store(true, Ordering::SeqCst);
            wake.wake();
        });
        let mut word = [0; 5];
        near.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"woken");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_kept_although_nothing_arrives() {
    let (mut near, far) = duplex(1000);
    // The machine's clock does not pause, so the deadline lies in its past as soon as the timer goes off.
    let machine = Scripted { deadline: Some(Moment::ORIGIN), ..Scripted::default() };
    start(machine, far);
    let mut word = [0; 5];
    near.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"woken");
}

/// Seeds 4656, 5081 and 8652 of the simulation.
#[tokio::test]
async fn last_words_that_find_no_room_in_the_socket_wait_for_it_asleep() {
    let (mut near, far) = duplex(100);
    let ticks = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let driver = start(Late { words: Some(Bytes::from(vec![7; 5000])), ticks: ticks.clone() }, far);
    while ticks.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    let ticks = ticks.load(Ordering::SeqCst);
    assert!(ticks < 100, "it was woken {ticks} times");
    let mut words = Vec::new();
    near.read_to_end(&mut words).await.unwrap();
    assert_eq!(words.len(), 5000);
    driver.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_finished_connection_writes_what_is_left_and_leaves() {
    let (mut near, far) = tcp_pair().await;
    let machine = Scripted { chunks: 100, chunk: 64 * 1024, finishes: true, ..Scripted::default() };
    let driver =
        tokio::spawn(drive(machine, StreamWire::new(far, Bytes::new()), Arc::default(), Clock::start()));
    // Input that nobody wants must not turn the goodbye into a reset.
    near.write_all(&[1; 100_000]).await.unwrap();
    let mut all = Vec::new();
    near.read_to_end(&mut all).await.unwrap();
    assert_eq!(all.len(), 100 * 64 * 1024);
    drop(near);
    driver.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_peer_that_leaves_ends_the_connection_without_an_error() {
    let (mut near, far) = tcp_pair().await;
    let machine = Scripted { chunks: usize::MAX, chunk: 64 * 1024, ..Scripted::default() };
    let driver =
        tokio::spawn(drive(machine, StreamWire::new(far, Bytes::new()), Arc::default(), Clock::start()));
    near.read_exact(&mut [0; 1000]).await.unwrap();
    drop(near);
    driver.await.unwrap().unwrap();

    let (near, far) = duplex(1000);
    let driver = start(Echo::default(), far);
    drop(near);
    driver.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_peer_that_only_stopped_sending_gets_what_is_left() {
    let (mut near, far) = tcp_pair().await;
    let machine = Scripted { chunks: 50, chunk: 64 * 1024, ..Scripted::default() };
    tokio::spawn(drive(machine, StreamWire::new(far, Bytes::new()), Arc::default(), Clock::start()));
    near.shutdown().await.unwrap();
    let mut all = Vec::new();
    near.read_to_end(&mut all).await.unwrap();
    assert_eq!(all.len(), 50 * 64 * 1024);
}

async fn web_socket() -> WebSocketStream<DuplexStream> {
    let (near, far) = duplex(64 * 1024);
    let wire = WebSocketWire::accept(far, Bytes::new()).await;
    tokio::spawn(drive(Echo::default(), wire, Arc::default(), Clock::start()));
    WebSocketStream::from_raw_socket(near, Role::Client, None).await
}

#[tokio::test]
async fn web_socket_messages_are_carried_and_pings_answered() {
    let mut socket = web_socket().await;
    for message in
        [Message::Binary("one".into()), Message::Ping("are you there".into()), Message::Binary("two".into())]
    {
        socket.send(message).await.unwrap();
    }
    let (mut bytes, mut pong) = (Vec::new(), None);
    while bytes != b"onetwo" || pong.is_none() {
        match socket.next().await.unwrap().unwrap() {
            Message::Binary(more) => bytes.extend_from_slice(&more),
            Message::Pong(text) => pong = Some(text),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(pong.unwrap(), "are you there");
    socket.close(None).await.unwrap();
    while let Some(message) = socket.next().await {
        assert!(matches!(message, Ok(Message::Close(_))), "{message:?}");
    }
}

#[tokio::test]
async fn text_is_refused_with_the_code_for_it() {
    let mut socket = web_socket().await;
    socket.send(Message::Text("AMQP".into())).await.unwrap();
    let answer = socket.next().await.unwrap().unwrap();
    let Message::Close(Some(close)) = answer else { panic!("{answer:?}") };
    assert_eq!(u16::from(close.code), 1003);
}

#[tokio::test]
async fn what_is_no_web_socket_frame_is_refused_with_the_code_for_it() {
    // Not masked, though from a client; a reserved bit; a message of 4 GiB.
    for (bytes, code) in [
        (&b"\x82\x03abc"[..], 1002),
        (&b"\xc2\x81\0\0\0\0a"[..], 1002),
        (&b"\x82\xff\0\0\0\x01\0\0\0\0\0\0\0\0"[..], 1009),
    ] {
        let (mut near, far) = duplex(1024);
        let wire = WebSocketWire::accept(far, Bytes::new()).await;
        tokio::spawn(drive(Echo::default(), wire, Arc::default(), Clock::start()));
        near.write_all(bytes).await.unwrap();
        let mut head = [0; 4];
        near.read_exact(&mut head).await.unwrap();
        assert_eq!(head[0], 0x88);
        assert_eq!(u16::from_be_bytes([head[2], head[3]]), code);
    }
}
