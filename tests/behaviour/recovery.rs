//! What is lost comes back: connections, links, whole servers. Nothing is missing, nothing is read twice.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use eventhubs::amqp::{AmqpError, Connection, Event, Outcome, Outgoing, Role, message};
use eventhubs::dialect::management;
use eventhubs::model::sas;
use eventhubs::{
    AccessToken, ClientBuilder, ClientOptions, ConsumerClient, ErrorKind, PartitionProperties,
    ProducerClient, RetryOptions, SendOptions, StartPosition, Status, Symbol, Timestamp, Value,
};
use futures::future::{Either, select, try_join_all};

use crate::harness::{Listener, clock, spawn};
use crate::peer::{
    self, Peer, Seen, Then, address, consumer_of, peer_that_hangs_up, producer_of, watchful_consumer_of,
};
use crate::service::{Proxy, Wanted};
use crate::support::{
    SCHEME, SCHEMES, impatient, nothing_more, patient, soon, start, start_wanted, take, test, texts,
};

#[test]
async fn clients_go_on_when_the_emulator_comes_back_on_its_port() {
    let mut running = start_wanted(Wanted { is_durable: true, ..Wanted::default() }).await;
    let connection_string = running.connection_string();
    let producer =
        ProducerClient::builder().connection_string(&connection_string).retry(patient()).build().unwrap();
    let consumer =
        ConsumerClient::builder().connection_string(&connection_string).retry(patient()).build().unwrap();
    let mut events = soon(consumer.partition("0").from(StartPosition::earliest()).open()).await.unwrap();
    soon(producer.send_with("one", SendOptions::to_partition("0"))).await.unwrap();
    assert_eq!(texts(&take(&mut events, 1).await), ["one"]);

    running.stop().await;
    let while_down = spawn({
        let producer = producer.clone();
        async move { producer.send_with("two", SendOptions::to_partition("0")).await }
    });
    running.start_again().await;
    soon(while_down).await.unwrap();
    soon(producer.send_with("three", SendOptions::to_partition("0"))).await.unwrap();
    assert_eq!(texts(&take(&mut events, 2).await), ["two", "three"]);
    nothing_more(&mut events).await;
    assert_eq!(soon(consumer.partition_ids()).await.unwrap().len(), 4);
}

#[test]
async fn events_sent_over_a_wire_that_is_cut_again_and_again_are_all_stored() {
    let running = start().await;
    let mut proxy = Proxy::to(running.port()).await;
    let producer = ProducerClient::builder()
        .connection_string(running.connection_string())
        .custom_endpoint(format!("ws://127.0.0.1:{}", proxy.port))
        .retry(patient())
        .build()
        .unwrap();
    for round in 0..5 {
        let sends = (0..200)
            .map(|n| producer.send_with(format!("{}", round * 200 + n), SendOptions::to_partition("0")));
        let mut sends = Box::pin(try_join_all(sends));
        assert!(futures::poll!(&mut sends).is_pending());
        // In the middle of it: some have been answered, some have left, some have not.
        let one = producer.send_with("marker", SendOptions::to_partition("1"));
        if let Either::Right((sent, _)) = select(&mut sends, Box::pin(one)).await {
            sent.unwrap();
        }
        proxy.cut().await;
        soon(sends).await.unwrap();
    }
    let connections = proxy.connections().await;
    assert!(connections >= 5, "{connections}");
    let mut events = running.read("0").await;
    let mut missing: std::collections::BTreeSet<usize> = (0..1000).collect();
    while !missing.is_empty() {
        let text = texts(&take(&mut events, 1).await).remove(0);
        missing.remove(&text.parse().unwrap());
    }
}

#[test]
async fn a_stream_over_a_wire_that_is_cut_again_and_again_misses_and_repeats_nothing() {
    let running = start().await;
    let mut proxy = Proxy::to(running.port()).await;
    let list = (0..4000).map(|n| n.to_string());
    soon(running.producer().send_all(list, SendOptions::to_partition("0"))).await.unwrap();
    let consumer = ConsumerClient::builder()
        .connection_string(running.connection_string())
        .custom_endpoint(format!("{SCHEME}://127.0.0.1:{}", proxy.port))
        .retry(patient())
        .build()
        .unwrap();
    let reader = consumer.partition("0").from(StartPosition::earliest()).prefetch(100);
    let mut events = soon(reader.open()).await.unwrap();
    for step in 0..40 {
        let expected: Vec<String> = (step * 100..step * 100 + 100).map(|n| n.to_string()).collect();
        assert_eq!(texts(&take(&mut events, 100).await), expected);
        if step % 5 == 0 {
            proxy.cut().await;
        }
    }
    nothing_more(&mut events).await;
    let connections = proxy.connections().await;
    assert!(connections >= 8, "{connections}");
}

#[test]
async fn a_link_that_was_detached_while_idle_is_attached_when_next_used() {
    let attached = Arc::new(AtomicUsize::new(0));
    let count = attached.clone();
    let peer = Peer::start(move |engine, seen: Seen<'_>| {
        match seen.event {
            Event::AttachRequested { attach, .. } if address(attach).as_deref() == Some("orders") => {
                count.fetch_add(1, Ordering::SeqCst);
            }
            // Let go as soon as it has served once.
            Event::Delivery { link, delivery } if seen.state.address(*link).as_deref() == Some("orders") => {
                engine.settle(*link, delivery.id, Outcome::Accepted);
                engine.detach(*link, true, Some(AmqpError::new("amqp:link:detach-forced", "idle")));
                return Then::Handled;
            }
            _ => {}
        }
        Then::AsUsual
    })
    .await;
    let producer = producer_of(&peer, RetryOptions::none());
    for number in 1..=3 {
        soon(producer.send("x")).await.unwrap();
        // One attempt is allowed: the loss of an idle link costs none.
        assert_eq!(attached.load(Ordering::SeqCst), number);
    }
}

#[test]
async fn a_busy_service_is_asked_again_later() {
    let refused = Arc::new(AtomicUsize::new(0));
    let count = refused.clone();
    let peer = Peer::start(move |engine, seen: Seen<'_>| {
        if let Event::Delivery { link, delivery } = seen.event {
            let is_event = seen.state.address(*link).as_deref() == Some("orders");
            if is_event && count.fetch_add(1, Ordering::SeqCst) < 2 {
                let error = AmqpError::new("com.microsoft:timeout", "Please try again.");
                engine.settle(*link, delivery.id, Outcome::Rejected(Some(error)));
                return Then::Handled;
            }
        }
        Then::AsUsual
    })
    .await;
    let producer = producer_of(&peer, impatient());
    soon(producer.send("x")).await.unwrap();
    assert_eq!(refused.load(Ordering::SeqCst), 3);
    assert_eq!(peer.stored.lock().unwrap().len(), 1);
}

#[test]
async fn what_is_sent_again_is_the_same_to_the_byte() {
    let seen_payloads = Arc::new(Mutex::new(Vec::new()));
    let payloads = seen_payloads.clone();
    let peer = Peer::start(move |_, seen: Seen<'_>| {
        if let Event::Delivery { link, delivery } = seen.event
            && seen.state.address(*link).as_deref() == Some("orders")
        {
            payloads.lock().unwrap().push(delivery.payload.clone());
            if seen.connection < 3 {
                return Then::HangUp;
            }
        }
        Then::AsUsual
    })
    .await;
    let producer = producer_of(&peer, impatient());
    soon(producer.send(eventhubs::EventData::from("x").with_property("p", 1_i32))).await.unwrap();
    let payloads = seen_payloads.lock().unwrap();
    assert_eq!(payloads.len(), 3);
    assert!(payloads.iter().all(|payload| *payload == payloads[0]));
}

#[test]
async fn attempts_end_in_an_error_that_says_what_was_tried() {
    let peer = peer_that_hangs_up().await;
    let producer = producer_of(&peer, RetryOptions { max_attempts: 3, ..impatient() });
    let error = soon(producer.send("x")).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::ConnectionLost, 3));
    assert_eq!((error.operation(), error.entity()), (Some("send to"), Some("orders")));
    assert!(error.is_transient());
}

#[test]
async fn a_stream_tells_of_a_lost_connection_and_goes_on_when_asked_again() {
    let mut running = start().await;
    let producer = running.producer();
    soon(producer.send_with("one", SendOptions::to_partition("0"))).await.unwrap();
    let consumer = running.consumer();
    let mut events = soon(consumer.partition("0").from(StartPosition::earliest()).open()).await.unwrap();
    assert_eq!(texts(&take(&mut events, 1).await), ["one"]);
    running.stop().await;
    let error = soon(events.next()).await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::ConnectFailed, 4), "{error}");
    assert!(error.is_transient());
    assert_eq!(error.entity(), Some("orders/ConsumerGroups/$Default/Partitions/0"));

    // Everything was in memory only: the new namespace begins anew, and so does the position.
    running.start_again().await;
    let error = loop {
        match soon(events.next()).await.unwrap() {
            Err(error) if error.is_transient() => {}
            Err(error) => break error,
            Ok(event) => panic!("{event:?}"),
        }
    };
    assert_eq!(error.kind(), ErrorKind::InvalidPosition);
    assert!(soon(events.next()).await.is_none());
}

#[test]
async fn a_receiver_detached_by_the_service_resumes_behind_the_last_event() {
    let selectors = Arc::new(Mutex::new(Vec::new()));
    let (seen_selectors, mut granted) = (selectors.clone(), 0);
    let peer = Peer::start(move |engine, seen: Seen<'_>| {
        let is_hub = |address: Option<String>| address.is_some_and(|address| address.starts_with("orders/"));
        match seen.event {
            Event::AttachRequested { attach, .. } if is_hub(address(attach)) => {
                let filter = &attach.source.as_ref().unwrap().filter;
                seen_selectors.lock().unwrap().push(format!("{filter:?}"));
            }
            // One event for the first credit, none but a detach for the second, another event after that.
            Event::Credit { link, .. } if is_hub(seen.state.address(*link)) => {
                granted += 1;
                if granted == 2 {
                    let error = AmqpError::new("amqp:link:detach-forced", "maintenance");
                    engine.detach(*link, true, Some(error));
                } else if granted <= 3 {
                    engine.send(*link, event(granted, &format!("{}", granted * 100))).unwrap();
                }
            }
            _ => {}
        }
        Then::AsUsual
    })
    .await;
    let reader = consumer_of(&peer, impatient()).partition("0").from(StartPosition::earliest()).prefetch(1);
    let mut events = soon(reader.open()).await.unwrap();
    let received = take(&mut events, 2).await;
    assert_eq!([received[0].offset(), received[1].offset()], ["100", "300"]);
    let selectors = selectors.lock().unwrap();
    assert_eq!(selectors.len(), 2);
    assert!(selectors[0].contains("x-opt-offset > '-1'"), "{selectors:?}");
    assert!(selectors[1].contains("x-opt-offset > '100'"), "{selectors:?}");
}

/// Answers questions about partitions as if the newest event of each had this number, and an offset 100 times that.
fn tell_of_partition(engine: &mut Connection, seen: &Seen<'_>, newest: i64) -> Option<Then> {
    let Event::Delivery { link, delivery } = seen.event else { return None };
    if seen.state.address(*link).as_deref() != Some("$management") {
        return None;
    }
    let request = management::Request::parse(&delivery.payload).unwrap();
    let mut partition = PartitionProperties::new("orders", request.partition.as_ref()?);
    if newest >= 0 {
        partition.is_empty = false;
        partition.last_enqueued_sequence_number = newest;
        partition.last_enqueued_offset = (newest * 100).to_string();
    }
    peer::answer(engine, seen.state, "$management", request.reply_partition(&partition).encode());
    Some(Then::Handled)
}

fn is_partition(address: Option<String>) -> bool {
    address.is_some_and(|address| address.starts_with("orders/"))
}

#[test]
async fn a_partition_that_stops_is_noticed_and_goes_on() {
    for is_told_with_events in [false, true] {
        let attached = Arc::new(AtomicUsize::new(0));
        let count = attached.clone();
        let peer = Peer::start(move |engine, seen: Seen<'_>| {
            // It is known that there are five events. The first link brings one, the next the others.
            if !is_told_with_events && let Some(then) = tell_of_partition(engine, &seen, 5) {
                return then;
            }
            match seen.event {
                Event::AttachRequested { attach, .. } if is_partition(address(attach)) => {
                    count.fetch_add(1, Ordering::SeqCst);
                }
                Event::Credit { link, .. } if is_partition(seen.state.address(*link)) => {
                    let numbers = match count.load(Ordering::SeqCst) {
                        1 => 1..=1,
                        _ => 2..=5,
                    };
                    for number in numbers {
                        let newest = is_told_with_events.then_some(5);
                        let event = event_with(number, &format!("{}", number * 100), newest);
                        if engine.sendable(*link) > 0 {
                            engine.send(*link, event).unwrap();
                        }
                    }
                }
                _ => {}
            }
            Then::AsUsual
        })
        .await;
        let consumer = watchful_consumer_of(&peer, impatient(), Duration::from_millis(200));
        let mut statuses = consumer.status();
        let reader = consumer.partition("0").from(StartPosition::earliest());
        let mut events = soon(reader.track_last_enqueued(true).open()).await.unwrap();
        let numbers: Vec<i64> =
            take(&mut events, 5).await.iter().map(eventhubs::ReceivedEvent::sequence_number).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5], "one link was left for another, nothing came twice");
        let mut told = Vec::new();
        while !matches!(told.last(), Some(Status::Resumed { .. })) {
            told.push(soon(statuses.next()).await.unwrap());
        }
        let [.., Status::Stalled { partition }, Status::Resumed { position, .. }] = told.as_slice() else {
            panic!("{told:?}");
        };
        assert_eq!((partition.as_str(), position), ("0", &StartPosition::offset("100")));
        assert!(consumer.health().is_healthy);
    }
}

#[test]
async fn a_partition_where_nothing_is_written_is_left_alone() {
    let asked = Arc::new(AtomicUsize::new(0));
    let attached = Arc::new(AtomicUsize::new(0));
    let (questions, attaches) = (asked.clone(), attached.clone());
    let peer = Peer::start(move |engine, seen: Seen<'_>| {
        match seen.event {
            Event::AttachRequested { attach, .. } if is_partition(address(attach)) => {
                attaches.fetch_add(1, Ordering::SeqCst);
            }
            // All there is.
            Event::Credit { link, .. }
                if is_partition(seen.state.address(*link))
                    && engine.sendable(*link) > 0
                    && seen.state.is_first(*link) =>
            {
                engine.send(*link, event(7, "700")).unwrap();
            }
            _ => {}
        }
        match tell_of_partition(engine, &seen, 7) {
            Some(then) => {
                questions.fetch_add(1, Ordering::SeqCst);
                then
            }
            None => Then::AsUsual,
        }
    })
    .await;
    let consumer = watchful_consumer_of(&peer, RetryOptions::default(), Duration::from_millis(100));
    let mut statuses = consumer.status();
    let mut events = soon(consumer.partition("0").from(StartPosition::earliest()).open()).await.unwrap();
    take(&mut events, 1).await;
    let start = clock();
    soon(async {
        while asked.load(Ordering::SeqCst) < 3 {
            crate::harness::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert!(clock() - start > Duration::from_millis(500), "it is asked ever more seldom");
    assert_eq!(attached.load(Ordering::SeqCst), 1);
    while let Some(Some(status)) = futures::FutureExt::now_or_never(statuses.next()) {
        assert!(!matches!(status, Status::Stalled { .. }));
    }
}

#[test]
async fn a_reader_of_new_events_that_has_none_yet_misses_none_while_its_link_is_down() {
    let selectors = Arc::new(Mutex::new(Vec::new()));
    let seen_selectors = selectors.clone();
    let peer = Peer::start(move |engine, seen: Seen<'_>| {
        match seen.event {
            Event::AttachRequested { attach, .. } if is_partition(address(attach)) => {
                let filter = &attach.source.as_ref().unwrap().filter;
                seen_selectors.lock().unwrap().push(format!("{filter:?}"));
            }
            Event::Credit { link, .. } if is_partition(seen.state.address(*link)) => {
                match seen_selectors.lock().unwrap().len() {
                    1 => engine.detach(*link, true, Some(AmqpError::new("amqp:internal-error", "oops"))),
                    // Written while the link was down.
                    _ => drop(engine.send(*link, event(8, "800"))),
                }
            }
            _ => {}
        }
        tell_of_partition(engine, &seen, 7).unwrap_or(Then::AsUsual)
    })
    .await;
    let mut events = soon(consumer_of(&peer, impatient()).partition("0").open()).await.unwrap();
    assert_eq!(take(&mut events, 1).await[0].sequence_number(), 8);
    let selectors = selectors.lock().unwrap();
    assert_eq!(selectors.len(), 2);
    assert!(selectors.iter().all(|selector| selector.contains("x-opt-offset > '700'")), "{selectors:?}");
}

#[test]
async fn a_reader_that_comes_back_every_time_is_never_given_up_on() {
    let attached = Arc::new(AtomicUsize::new(0));
    let count = attached.clone();
    let peer = Peer::start(move |engine, seen: Seen<'_>| {
        if let Event::Credit { link, .. } = seen.event
            && is_partition(seen.state.address(*link))
            && engine.sendable(*link) > 0
        {
            match count.fetch_add(1, Ordering::SeqCst) {
                // More often than attempts are allowed, without an event in between.
                0..6 => engine.detach(*link, true, Some(AmqpError::new("amqp:internal-error", "oops"))),
                6 => engine.send(*link, event(1, "100")).unwrap(),
                _ => {}
            }
        }
        Then::AsUsual
    })
    .await;
    let retry = RetryOptions { max_attempts: 2, ..impatient() };
    let reader = consumer_of(&peer, retry).partition("0").from(StartPosition::earliest());
    let mut events = soon(reader.open()).await.unwrap();
    assert_eq!(take(&mut events, 1).await[0].sequence_number(), 1);
}

#[test]
async fn a_reader_that_its_own_ghost_keeps_out_tries_again() {
    let attached = Arc::new(AtomicUsize::new(0));
    let count = attached.clone();
    let peer = Peer::start(move |engine, seen: Seen<'_>| {
        match seen.event {
            Event::AttachRequested { link, attach, .. }
                if is_partition(address(attach)) && count.fetch_add(1, Ordering::SeqCst) == 1 =>
            {
                let text = "Exceeded the maximum number of allowed receivers per partition in a consumer group which is 5.";
                engine.refuse(*link, AmqpError::new("amqp:resource-limit-exceeded", text));
                return Then::Handled;
            }
            Event::Credit { link, .. } if is_partition(seen.state.address(*link)) => {
                match count.load(Ordering::SeqCst) {
                    1 => engine.detach(*link, true, Some(AmqpError::new("amqp:internal-error", "oops"))),
                    _ => drop(engine.send(*link, event(1, "100"))),
                }
            }
            _ => {}
        }
        Then::AsUsual
    })
    .await;
    let reader = consumer_of(&peer, impatient()).partition("0").from(StartPosition::earliest());
    let mut events = soon(reader.open()).await.unwrap();
    assert_eq!(take(&mut events, 1).await[0].sequence_number(), 1);
    assert_eq!(attached.load(Ordering::SeqCst), 3);
}

#[test]
async fn a_connection_on_which_nothing_is_answered_is_made_anew() {
    let peer = Peer::start(move |engine, seen: Seen<'_>| {
        match seen.event {
            // What the client says does not arrive any more; what comes back is not missed at first.
            Event::Delivery { link, .. }
                if seen.connection == 1 && seen.state.address(*link).as_deref() == Some("$management") =>
            {
                return Then::Handled;
            }
            Event::Credit { link, .. }
                if is_partition(seen.state.address(*link))
                    && seen.connection == 2
                    && engine.sendable(*link) > 0
                    && seen.state.is_first(*link) =>
            {
                engine.send(*link, event(1, "100")).unwrap();
            }
            _ => {}
        }
        Then::AsUsual
    })
    .await;
    let consumer = watchful_consumer_of(&peer, impatient(), Duration::from_millis(150));
    let mut statuses = consumer.status();
    let mut events = soon(consumer.partition("0").from(StartPosition::earliest()).open()).await.unwrap();
    assert_eq!(take(&mut events, 1).await[0].sequence_number(), 1);
    let mut told = Vec::new();
    while !told.contains(&"resumed") {
        told.push(soon(statuses.next()).await.unwrap().code());
    }
    let at = told.iter().position(|code| *code == "stalled").unwrap();
    assert_eq!(told[at..at + 3], ["stalled", "disconnected", "reconnecting"], "{told:?}");
}

/// Seeds 976, 3438 and 3501 of the simulation: one way of the connection was dead, and questions were asked there again and again.
#[test]
async fn a_question_that_stays_unanswered_is_asked_again_on_another_connection() {
    let peer = Peer::start(|_, seen: Seen<'_>| match seen.event {
        Event::Delivery { link, .. }
            if seen.connection == 1 && seen.state.address(*link).as_deref() == Some("$management") =>
        {
            Then::Handled
        }
        _ => Then::AsUsual,
    })
    .await;
    let retry = RetryOptions { attempt_timeout: Duration::from_millis(300), max_attempts: 20, ..impatient() };
    let properties = soon(producer_of(&peer, retry).hub_properties()).await.unwrap();
    assert_eq!(properties.partition_ids.len(), 2);
}

/// Seed 45 of the simulation: what the client said did not arrive, what the service said did.
#[test]
async fn a_token_that_stays_unanswered_is_put_again_on_another_connection() {
    let peer = Peer::start(|_, seen: Seen<'_>| match seen.event {
        Event::Delivery { link, .. }
            if seen.connection == 1 && seen.state.address(*link).as_deref() == Some("$cbs") =>
        {
            Then::Handled
        }
        _ => Then::AsUsual,
    })
    .await;
    // A page on a busy machine may need more than one such attempt for a connection that works.
    let retry = RetryOptions { attempt_timeout: Duration::from_millis(300), max_attempts: 20, ..impatient() };
    let producer = producer_of(&peer, retry);
    let mut statuses = producer.status();
    soon(producer.send("x")).await.unwrap();
    let mut told = Vec::new();
    while told.last() != Some(&"token-refreshed") {
        told.push(soon(statuses.next()).await.unwrap().code());
    }
    assert!(told.ends_with(&["reconnecting", "connecting", "connected", "token-refreshed"]), "{told:?}");
}

/// Seeds 5033, 5522 and 6751 of the simulation.
#[test]
async fn a_sender_that_is_given_up_on_is_no_trouble_any_more() {
    let peer = peer_that_hangs_up().await;
    let producer = producer_of(&peer, patient());
    let mut statuses = producer.status();
    let mut send = Box::pin(producer.send("x"));
    while !matches!(soon(statuses.next()).await, Some(Status::Reconnecting { .. })) {
        assert!(futures::poll!(&mut send).is_pending());
    }
    let health = producer.health();
    assert!(!health.is_healthy && health.links_failing == 1, "{health:?}");
    drop(send);
    // Another link needs the next connection; that of the hub rests.
    soon(producer.send_with("x", SendOptions::to_partition("0"))).await.unwrap();
    let health = producer.health();
    assert!(health.is_healthy && health.links_failing == 0, "{health:?}");
}

#[test]
async fn where_a_partition_ends_is_asked_until_it_is_known_or_refused() {
    for is_refused in [false, true] {
        let selectors = Arc::new(Mutex::new(Vec::new()));
        let (seen_selectors, mut asked) = (selectors.clone(), 0);
        let peer = Peer::start(move |engine, seen: Seen<'_>| {
            match seen.event {
                Event::AttachRequested { attach, .. } if is_partition(address(attach)) => {
                    let filter = &attach.source.as_ref().unwrap().filter;
                    seen_selectors.lock().unwrap().push(format!("{filter:?}"));
                }
                Event::Delivery { link, delivery }
                    if seen.state.address(*link).as_deref() == Some("$management") =>
                {
                    asked += 1;
                    if is_refused {
                        let request = management::Request::parse(&delivery.payload).unwrap();
                        let refused = request.caller.refuse(401, "amqp:unauthorized-access", "not you");
                        peer::answer(engine, seen.state, "$management", refused.encode());
                        return Then::Handled;
                    }
                    if asked == 1 {
                        return Then::Handled;
                    }
                }
                _ => {}
            }
            tell_of_partition(engine, &seen, 7).unwrap_or(Then::AsUsual)
        })
        .await;
        let retry = RetryOptions { attempt_timeout: Duration::from_millis(300), ..impatient() };
        soon(consumer_of(&peer, retry).partition("0").open()).await.unwrap();
        let expected = if is_refused { "@latest" } else { "x-opt-offset > '700'" };
        let selectors = selectors.lock().unwrap();
        assert!(selectors.len() == 1 && selectors[0].contains(expected), "{selectors:?}");
    }
}

#[test]
async fn a_receiver_ends_by_its_total_deadline() {
    let peer = Peer::start(|_, seen: Seen<'_>| match seen.event {
        Event::AttachRequested { attach, .. } if is_partition(address(attach)) => Then::Handled,
        _ => Then::AsUsual,
    })
    .await;
    let retry = RetryOptions { total_deadline: Some(Duration::from_millis(300)), ..patient() };
    let start = clock();
    let reader = consumer_of(&peer, retry).partition("0").from(StartPosition::earliest());
    let error = soon(reader.open()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(clock() - start < Duration::from_secs(5), "{error}");
}

#[test]
async fn a_token_provider_that_never_answers_hangs_no_call() {
    let peer = Peer::start(|_, _: Seen<'_>| Then::AsUsual).await;
    let retry = RetryOptions { max_attempts: 2, attempt_timeout: Duration::from_millis(150), ..impatient() };
    fn silent<C>(builder: ClientBuilder<C>, peer: &Peer, retry: &RetryOptions) -> ClientBuilder<C> {
        builder
            .namespace(format!("127.0.0.1:{}", peer.port))
            .event_hub("orders")
            .custom_endpoint(format!("{SCHEME}://127.0.0.1:{}", peer.port))
            .retry(retry.clone())
            .token_provider(|_: String| futures::future::pending())
    }
    let producer = silent(ProducerClient::builder(), &peer, &retry).build().unwrap();
    let consumer = silent(ConsumerClient::builder(), &peer, &retry).build().unwrap();
    let (sent, batch, opened, properties) = soon(futures::future::join4(
        producer.send("x"),
        producer.create_batch(),
        consumer.partition("0").open(),
        consumer.hub_properties(),
    ))
    .await;
    for error in [sent.unwrap_err(), batch.unwrap_err(), opened.unwrap_err(), properties.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    }
    soon(producer.close()).await;
}

#[test]
async fn a_token_provider_that_does_not_answer_for_one_audience_holds_up_no_other() {
    let peer = Peer::start(|_, _: Seen<'_>| Then::AsUsual).await;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let audiences = asked.clone();
    let consumer = ConsumerClient::builder()
        .namespace(format!("127.0.0.1:{}", peer.port))
        .event_hub("orders")
        .custom_endpoint(format!("{SCHEME}://127.0.0.1:{}", peer.port))
        // Nothing is given up on while the test lasts.
        .retry(RetryOptions { attempt_timeout: Duration::from_secs(3600), ..impatient() })
        .token_provider(move |audience: String| {
            let is_for_hub = audience.ends_with("/orders");
            let token = sas::sign(&audience, "k", "s", i64::from(u32::MAX));
            audiences.lock().unwrap().push(audience);
            async move {
                match is_for_hub {
                    true => futures::future::pending().await,
                    false => Ok(AccessToken::sas(token)?),
                }
            }
        })
        .build()
        .unwrap();
    let mut properties = Box::pin(consumer.hub_properties());
    soon(async {
        while asked.lock().unwrap().is_empty() {
            assert!(futures::poll!(&mut properties).is_pending());
            crate::harness::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    soon(consumer.partition("0").from(StartPosition::earliest()).open()).await.unwrap();
    assert!(futures::poll!(&mut properties).is_pending());
    let asked = asked.lock().unwrap();
    assert!(asked.len() == 2 && asked[0].ends_with("/orders"), "{asked:?}");
}

#[test]
async fn closing_ends_against_a_peer_that_says_nothing() {
    let listener = Listener::tcp().await;
    let connection_string = format!(
        "Endpoint={SCHEME}://127.0.0.1:{};SharedAccessKeyName=k;SharedAccessKey=s;EntityPath=orders",
        listener.port()
    );
    let producer = ProducerClient::from_connection_string(connection_string).unwrap();
    let mut send = Box::pin(producer.send("x"));
    assert!(futures::poll!(&mut send).is_pending());
    let start = clock();
    soon(producer.close()).await;
    assert_eq!(soon(send).await.unwrap_err().kind(), ErrorKind::Closed);
    assert!(clock() - start < Duration::from_secs(8));
}

/// An event as the service delivers it.
fn event(sequence_number: i64, offset: &str) -> Outgoing {
    event_with(sequence_number, offset, None)
}

/// The same, with the number of the partition's newest event.
fn event_with(sequence_number: i64, offset: &str, newest: Option<i64>) -> Outgoing {
    let mut head = BytesMut::new();
    if let Some(newest) = newest {
        let last = [
            (Symbol::from_static("last_enqueued_sequence_number"), Value::Long(newest)),
            (Symbol::from_static("last_enqueued_offset"), Value::from((newest * 100).to_string())),
            (Symbol::from_static("last_enqueued_time_utc"), Value::Timestamp(Timestamp::from_millis(1))),
            (
                Symbol::from_static("runtime_info_retrieval_time_utc"),
                Value::Timestamp(Timestamp::from_millis(1)),
            ),
        ];
        message::put_delivery_annotations(&mut head, &last);
    }
    let annotations = [
        (Symbol::from_static("x-opt-sequence-number"), Value::Long(sequence_number)),
        (Symbol::from_static("x-opt-offset"), Value::from(offset)),
        (Symbol::from_static("x-opt-enqueued-time"), Value::Timestamp(Timestamp::from_millis(1))),
    ];
    message::put_message_annotations(&mut head, &annotations);
    message::put_data(&mut head, b"x");
    Outgoing { token: 0, message_format: 0, settled: true, head: head.freeze(), body: Bytes::new() }
}

#[test]
async fn every_call_has_a_deadline_against_a_peer_that_says_nothing() {
    // Accepts connections, and then nothing.
    let listener = Listener::tcp().await;
    let port = listener.port();
    for scheme in SCHEMES {
        let connection_string = format!(
            "Endpoint={scheme}://127.0.0.1:{port};SharedAccessKeyName=k;SharedAccessKey=s;EntityPath=orders"
        );
        let options = || ClientOptions {
            connect_timeout: Duration::from_millis(100),
            retry: RetryOptions { max_attempts: 2, ..impatient() },
            ..ClientOptions::default()
        };
        let producer = ProducerClient::builder()
            .connection_string(&connection_string)
            .options(options())
            .build()
            .unwrap();
        let consumer = ConsumerClient::builder()
            .connection_string(&connection_string)
            .options(options())
            .build()
            .unwrap();
        let (sent, batch, opened, properties) = soon(futures::future::join4(
            producer.send("x"),
            producer.create_batch(),
            consumer.partition("0").open(),
            consumer.hub_properties(),
        ))
        .await;
        for error in [sent.unwrap_err(), batch.unwrap_err(), opened.unwrap_err(), properties.unwrap_err()] {
            assert!(matches!(error.kind(), ErrorKind::Timeout | ErrorKind::ConnectFailed), "{error}");
            assert_eq!(error.attempts(), 2, "{error}");
            assert!(error.operation().is_some() && error.entity().is_some(), "{error}");
        }
    }
}

#[test]
async fn a_service_that_never_answers_one_kind_of_request_does_not_hang_the_call() {
    for silent in ["$cbs", "attach", "transfer", "$management"] {
        let peer = Peer::start(move |_, seen: Seen<'_>| {
            let node = match seen.event {
                Event::Delivery { link, .. } => seen.state.address(*link),
                Event::AttachRequested { attach, .. } => {
                    let address = address(attach).unwrap_or_default();
                    (address.starts_with("orders")).then(|| "attach".to_owned())
                }
                _ => None,
            };
            let is_silent = match (silent, node.as_deref()) {
                ("transfer", Some("orders")) => matches!(seen.event, Event::Delivery { .. }),
                (silent, Some(node)) => silent == node,
                _ => false,
            };
            if is_silent { Then::Handled } else { Then::AsUsual }
        })
        .await;
        let retry =
            RetryOptions { max_attempts: 2, attempt_timeout: Duration::from_millis(150), ..impatient() };
        let producer = producer_of(&peer, retry.clone());
        let error = match silent {
            "$management" => soon(producer.hub_properties()).await.unwrap_err(),
            _ => soon(producer.send("x")).await.unwrap_err(),
        };
        assert_eq!(error.kind(), ErrorKind::Timeout, "{silent}: {error}");
        if silent != "$management" && silent != "transfer" {
            let error = soon(consumer_of(&peer, retry).partition("0").open()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Timeout, "{silent}: {error}");
        }
    }
}

#[test]
async fn a_total_deadline_ends_attempts_early() {
    let port = Listener::tcp().await.port();
    let producer = ProducerClient::builder()
        .connection_string(format!(
            "Endpoint={SCHEME}://127.0.0.1:{port};SharedAccessKeyName=k;SharedAccessKey=s;EntityPath=orders"
        ))
        .retry(RetryOptions { total_deadline: Some(Duration::from_millis(300)), ..patient() })
        .build()
        .unwrap();
    let start = clock();
    let error = soon(producer.send("x")).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ConnectFailed | ErrorKind::Timeout), "{error}");
    assert!(clock() - start < Duration::from_secs(5) && error.attempts() > 1, "{error}");
}

#[test]
async fn a_refused_receiver_link_is_an_error_and_not_a_wait() {
    let peer = Peer::start(|engine, seen: Seen<'_>| match seen.event {
        Event::AttachRequested { link, attach, .. }
            if attach.role == Role::Receiver && address(attach).unwrap().starts_with("orders") =>
        {
            engine.refuse(
                *link,
                AmqpError::new("amqp:not-found", "The messaging entity 'x' could not be found."),
            );
            Then::Handled
        }
        _ => Then::AsUsual,
    })
    .await;
    let error = soon(consumer_of(&peer, impatient()).partition("0").open()).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::NotFound, 1), "{error}");
    assert_eq!(error.condition(), Some("amqp:not-found"));
}

#[test]
async fn a_service_that_wants_its_credit_back_gets_it_and_can_give_it_again() {
    let drained = Arc::new(AtomicUsize::new(0));
    let count = drained.clone();
    let peer = Peer::start(move |engine, seen: Seen<'_>| {
        match seen.event {
            Event::Delivery { link, .. } if seen.state.address(*link).as_deref() == Some("orders") => {
                engine.drain(*link);
            }
            Event::Drained(link) => {
                count.fetch_add(1, Ordering::SeqCst);
                engine.set_credit(*link, 1);
            }
            _ => {}
        }
        Then::AsUsual
    })
    .await;
    let producer = producer_of(&peer, impatient());
    for number in 0..3 {
        soon(producer.send("x")).await.unwrap();
        // What was sent before the drain is answered; only the answer to the drain brings credit for the next.
        assert!(drained.load(Ordering::SeqCst) >= number);
    }
}
