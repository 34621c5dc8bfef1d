//! Partitions that fall silent, and where a reader of new events begins.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use eventhubs::amqp::{AmqpError, Event};
use eventhubs::dialect::management;
use eventhubs::{RetryOptions, StartPosition, Status};

use super::{event, event_with, is_partition, tell_of_partition};
use crate::harness::clock;
use crate::peer::{self, Peer, Seen, Then, address, consumer_of, watchful_consumer_of};
use crate::support::{impatient, soon, take, test};

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
