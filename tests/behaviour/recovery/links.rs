//! Links that the service lets go of, refuses, or takes for busy.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use eventhubs::amqp::{AmqpError, Event, Outcome, Role};
use eventhubs::{ErrorKind, RetryOptions, SendOptions, StartPosition, Status};

use super::{event, is_partition};
use crate::peer::{Peer, Seen, Then, address, consumer_of, peer_that_hangs_up, producer_of};
use crate::support::{impatient, patient, soon, take, test};

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
