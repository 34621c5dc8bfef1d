//! What every platform promises to the rooms above: one list, run on tokio, in Node and in Chromium.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;

use super::{
    DialError, Endpoint, Framing, Security, Socket, Timer, Trust, dial, give_way, now, random_bytes, spawn,
    unix_now,
};

#[path = "../../tests/harness/mod.rs"]
mod harness;

use harness::{IS_WASM, Listener, clock, sleep, soon, test, within};

/// Longer than a timer is ever late, shorter than any mistake.
const SOON: Duration = Duration::from_secs(5);
/// What AMQP's sub-protocol is called.
const AMQP: Option<&str> = Some("AMQPWSB10");

#[test]
async fn a_timer_obeys_the_deadline_it_was_given_last() {
    let mut timer = Timer::default();
    let start = now();
    let early = start + Duration::from_millis(20);
    poll_fn(|cx| {
        assert!(timer.poll_until(start + Duration::from_secs(3600), cx).is_pending());
        Poll::Ready(())
    })
    .await;
    soon(poll_fn(|cx| timer.poll_until(early, cx))).await;
    assert!(now() >= early && now() - start < SOON);
    let late = now() + Duration::from_millis(60);
    poll_fn(|cx| {
        assert!(timer.poll_until(now() + Duration::from_millis(5), cx).is_pending());
        Poll::Ready(())
    })
    .await;
    soon(poll_fn(|cx| timer.poll_until(late, cx))).await;
    assert!(now() >= late);
    // It is over, and stays so.
    soon(poll_fn(|cx| timer.poll_until(late, cx))).await;
}

#[test]
async fn a_timer_that_waits_for_months_sleeps_meanwhile() {
    // JavaScript's timeouts have 31 bits of milliseconds; one that is longer fires at once.
    for days in [24, 25, 30, 50, 10_000] {
        let mut timer = Timer::default();
        let far = now() + Duration::from_secs(days * 86_400);
        let mut looks = 0;
        let fired = within(
            Duration::from_millis(40),
            poll_fn(|cx| {
                looks += 1;
                timer.poll_until(far, cx)
            }),
        );
        assert!(fired.await.is_none(), "{days} days are over");
        assert!(looks <= 3, "{days} days: it was woken {looks} times");
    }
}

#[test]
async fn a_timer_that_is_dropped_wakes_nobody() {
    let mut looks = 0;
    let mut timer = Some(Timer::default());
    let nobody = poll_fn(|cx| {
        looks += 1;
        if let Some(mut timer) = timer.take() {
            assert!(timer.poll_until(now() + Duration::from_millis(5), cx).is_pending());
        }
        Poll::<()>::Pending
    });
    assert!(within(Duration::from_millis(50), nobody).await.is_none());
    assert!(looks <= 2, "it was woken {looks} times");
}

#[test]
async fn the_clock_goes_on_and_never_back() {
    let (start, wall) = (now(), clock());
    let mut last = start;
    for _ in 0..10_000 {
        let next = now();
        assert!(next >= last);
        last = next;
    }
    sleep(Duration::from_millis(30)).await;
    let (shown, passed) = (now() - start, clock() - wall);
    assert!(shown >= Duration::from_millis(25), "{shown:?}");
    assert!(shown <= passed + Duration::from_millis(25), "{shown:?} in {passed:?}");
    let apart = unix_now().as_millis() - harness::unix_now().as_millis() as i64;
    assert!(apart.abs() < 5000, "{apart} ms");
}

#[test]
async fn random_bytes_are_never_the_same() {
    let all: std::collections::BTreeSet<[u8; 16]> = (0..1000).map(|_| random_bytes()).collect();
    assert_eq!(all.len(), 1000);
    let ones: u32 = all.iter().flatten().map(|byte| byte.count_ones()).sum();
    assert!((60_000..68_000).contains(&ones), "{ones} of 128 000 bits");
}

#[test]
async fn a_spawned_task_runs_without_being_waited_for() {
    let (done, is_done) = futures::channel::oneshot::channel();
    let task = async move {
        sleep(Duration::from_millis(1)).await;
        let _ = done.send(7);
    };
    assert!(spawn(task).is_ok());
    assert_eq!(soon(is_done).await, Ok(7));
}

#[test]
async fn a_task_that_keeps_giving_way_holds_up_no_timer() {
    // Far more turns than fit in the time: a platform that lets nothing else run comes to an end, too.
    const ENDLESS: u64 = 20_000_000;
    let mut turns = 0_u64;
    let busy = poll_fn(|cx| {
        turns += 1;
        if turns == ENDLESS {
            return Poll::Ready(());
        }
        give_way(cx);
        Poll::Pending
    });
    let start = clock();
    assert!(within(Duration::from_millis(50), busy).await.is_none());
    let took = clock() - start;
    assert!(took < Duration::from_secs(1), "a timer of 50 ms took {took:?}");
    assert!(turns > 10, "in {took:?} it had {turns} turns");
}

#[test]
async fn many_tasks_that_give_way_all_get_their_turns() {
    let turns: Vec<_> = (0..20).map(|_| std::rc::Rc::new(std::cell::Cell::new(0))).collect();
    let tasks = turns.iter().map(|turns| {
        poll_fn(move |cx| {
            turns.set(turns.get() + 1);
            if turns.get() > 50 {
                return Poll::Ready(());
            }
            give_way(cx);
            Poll::Pending
        })
    });
    soon(futures::future::join_all(tasks)).await;
    assert!(turns.iter().all(|turns| turns.get() == 51));
}

#[test]
async fn what_the_peer_says_at_once_is_heard() {
    for _ in 0..5 {
        let mut listener = Listener::websocket(AMQP).await;
        let endpoint = at(listener.port());
        let server = async {
            let mut stream = listener.accept().await;
            stream.write(Bytes::from_static(b"hello")).await;
            stream.write(Bytes::from_static(b", you")).await;
            stream
        };
        let (socket, stream) = soon(futures::future::join(dial(endpoint, Trust::default()), server)).await;
        assert_eq!(stream.asked, "/$servicebus/websocket AMQPWSB10");
        let mut socket = socket.unwrap();
        // As long as a slow program may take until it looks.
        sleep(Duration::from_millis(20)).await;
        assert_eq!(receive(&mut socket, 10).await, b"hello, you");
    }
}

#[test]
async fn bytes_arrive_whole_and_in_order_both_ways() {
    let (mut socket, mut stream) = connected().await;
    let sent: Vec<u8> = (0..3_000_000_u32).map(|n| (n / 251) as u8).collect();
    let sending = async {
        for chunk in sent.chunks(60_000) {
            send(&mut socket, Bytes::copy_from_slice(chunk)).await;
        }
        receive(&mut socket, sent.len()).await
    };
    let echoing = async {
        let mut heard = Vec::new();
        while heard.len() < sent.len() {
            heard.extend_from_slice(&stream.read().await.unwrap());
        }
        for chunk in heard.chunks(100_000) {
            stream.write(Bytes::copy_from_slice(chunk)).await;
        }
        heard
    };
    let (back, heard) = soon(futures::future::join(sending, echoing)).await;
    assert!(heard == sent, "what the peer heard is not what was sent");
    assert!(back == sent, "what came back is not what the peer sent");
}

#[test]
async fn a_refused_connection_is_worth_another_try() {
    let port = Listener::tcp().await.port();
    let error = refused(soon(dial(at(port), Trust::default())).await);
    assert!(error.transient, "{error:?}");
    assert!(!error.message.is_empty());
}

#[test]
async fn a_server_that_does_not_choose_the_sub_protocol_is_no_peer() {
    let mut listener = Listener::websocket(None).await;
    let port = listener.port();
    let accepting = harness::spawn(async move { listener.accept().await });
    let error = refused(soon(dial(at(port), Trust::default())).await);
    // A page is not told why a WebSocket failed.
    let is_told = !harness::is_page();
    assert_eq!(error.message.contains("AMQPWSB10"), is_told, "{error:?}");
    assert_eq!(error.transient, !is_told, "{error:?}");
    drop(accepting);
}

#[test]
async fn a_server_that_refuses_the_upgrade_is_asked_again_when_it_may_change_its_mind() {
    for (status, transient) in [("404 Not Found", false), ("503 Service Unavailable", true)] {
        let mut listener = Listener::tcp().await;
        let port = listener.port();
        let answering = harness::spawn(async move {
            let mut stream = listener.accept().await;
            stream.read().await;
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write(answer.into()).await;
            stream.read().await;
        });
        let error = refused(soon(dial(at(port), Trust::default())).await);
        // A page is not told the status.
        let is_told = !harness::is_page();
        assert_eq!(error.message.contains(&status[..3]), is_told, "{error:?}");
        assert_eq!(error.transient, transient || !is_told, "{error:?}");
        drop(answering);
    }
}

#[test]
async fn why_the_peer_closes_is_in_the_error() {
    let (mut socket, mut stream) = connected().await;
    stream.write(Bytes::from_static(b"last words")).await;
    let closing = harness::spawn(async move { stream.close(4001, "gone fishing").await });
    // First what was said before.
    assert_eq!(receive(&mut socket, 10).await, b"last words");
    let error = soon(poll_fn(|cx| socket.poll_recv(cx))).await.unwrap_err();
    let text = format!("{error:?}");
    assert!(text.contains("4001") && text.contains("gone fishing"), "{text}");
    drop(socket);
    soon(closing).await;
}

#[test]
async fn a_peer_that_closes_in_peace_is_the_end_and_no_error() {
    let (mut socket, mut stream) = connected().await;
    stream.write(Bytes::from_static(b"last words")).await;
    let closing = harness::spawn(async move { stream.close(1000, "").await });
    assert_eq!(receive(&mut socket, 10).await, b"last words");
    assert_eq!(soon(poll_fn(|cx| socket.poll_recv(cx))).await.unwrap(), None);
    drop(socket);
    soon(closing).await;
}

#[test]
async fn a_socket_whose_peer_does_not_read_takes_a_bounded_amount() {
    let (mut socket, mut stream) = connected().await;
    let chunk = Bytes::from(vec![0; 65_536]);
    let mut taken = 0_usize;
    // Kernels take some megabytes before they say no.
    while within(Duration::from_millis(300), poll_fn(|cx| socket.poll_ready(cx))).await.is_some() {
        socket.start_send(chunk.clone()).unwrap();
        taken += chunk.len();
        assert!(taken < 100 << 20, "{taken} bytes were taken from a peer that does not read");
        within(Duration::ZERO, poll_fn(|cx| socket.poll_flush(cx))).await;
    }
    // When it reads, there is room again.
    let reading = harness::spawn(async move {
        let mut heard = 0;
        while heard < taken {
            heard += stream.read().await.unwrap().len();
        }
        stream
    });
    soon(poll_fn(|cx| socket.poll_ready(cx))).await.unwrap();
    soon(poll_fn(|cx| socket.poll_flush(cx))).await.unwrap();
    soon(reading).await;
}

#[test]
async fn closing_sends_what_was_queued_before() {
    let (mut socket, mut stream) = connected().await;
    for _ in 0..20 {
        socket.start_send(Bytes::from(vec![1; 10_000])).unwrap();
    }
    let reading = async {
        let mut heard = 0;
        while let Some(bytes) = stream.read().await {
            heard += bytes.len();
        }
        heard
    };
    let closing = async { poll_fn(|cx| socket.poll_close(cx)).await.unwrap() };
    let (heard, ()) = soon(futures::future::join(reading, closing)).await;
    assert_eq!(heard, 200_000);
}

#[test]
async fn a_socket_that_is_dropped_is_closed_and_calls_nobody_back() {
    for round in 0..8 {
        let (mut socket, mut stream) = connected().await;
        for _ in 0..20 {
            stream.write(Bytes::from(vec![0; 1000])).await;
        }
        if round % 2 == 0 {
            receive(&mut socket, 1).await;
        }
        drop(socket);
        // What it would be called back with is still coming in.
        stream.write(Bytes::from_static(b"more")).await;
        assert_eq!(soon(stream.read()).await, None, "round {round}");
    }
}

#[test]
async fn dialling_can_be_given_up_at_any_moment() {
    let mut listener = Listener::websocket(AMQP).await;
    let port = listener.port();
    for looks in 0..6 {
        let mut dialling = Box::pin(dial(at(port), Trust::default()));
        for _ in 0..looks {
            within(Duration::from_millis(1), &mut dialling).await;
        }
    }
    // Nobody holds the door: who comes now is let in.
    let accepting = harness::spawn(async move {
        loop {
            let mut stream = listener.accept().await;
            if stream.read().await.is_some_and(|bytes| bytes == "here") {
                return;
            }
        }
    });
    let mut socket = soon(dial(at(port), Trust::default())).await.unwrap();
    send(&mut socket, Bytes::from_static(b"here")).await;
    soon(accepting).await;
}

#[test]
async fn a_way_that_the_platform_does_not_have_is_refused_in_words() {
    if IS_WASM {
        let endpoint = Endpoint { framing: Framing::Stream, ..at(1) };
        let error = refused(dial(endpoint, Trust::default()).await);
        assert!(!error.transient && error.message.contains("WebSocket"), "{error:?}");
    }
}

fn at(port: u16) -> Endpoint {
    Endpoint { host: "127.0.0.1".into(), port, security: Security::Plain, framing: Framing::WebSocket }
}

async fn connected() -> (Socket, harness::Stream) {
    let mut listener = Listener::websocket(AMQP).await;
    let dialling = dial(at(listener.port()), Trust::default());
    let (socket, stream) = soon(futures::future::join(dialling, listener.accept())).await;
    (socket.unwrap(), stream)
}

fn refused(dialled: Result<Socket, DialError>) -> DialError {
    dialled.err().expect("it was let in")
}

async fn send(socket: &mut Socket, chunk: Bytes) {
    soon(poll_fn(|cx| socket.poll_ready(cx))).await.unwrap();
    socket.start_send(chunk).unwrap();
    soon(poll_fn(|cx| socket.poll_flush(cx))).await.unwrap();
}

/// The next bytes, as many as asked for or the few more of the last chunk.
async fn receive(socket: &mut Socket, count: usize) -> Vec<u8> {
    let mut received = Vec::new();
    while received.len() < count {
        let chunk = soon(poll_fn(|cx| socket.poll_recv(cx))).await.unwrap();
        received.extend_from_slice(&chunk.expect("the peer has left"));
    }
    received
}
