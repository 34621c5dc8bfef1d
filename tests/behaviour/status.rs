//! Nothing happens in silence: what goes down and what comes back is told, in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use eventhubs::amqp::{AmqpError, Event, Outcome};
use eventhubs::{
    AccessToken, ConsumerClient, ErrorKind, ProducerClient, RetryOptions, SendOptions, StartPosition, Status,
    StatusStream,
};

use crate::harness::{Listener, unix_now};
use crate::peer::{Peer, Seen, Then, address, peer_that_hangs_up, producer_of};
use crate::service::Proxy;
use crate::support::{SCHEME, impatient, patient, soon, start, take, test, texts};

/// The codes of what is told, up to and including `last`.
async fn until(statuses: &mut StatusStream, last: &str) -> Vec<Status> {
    let mut told = Vec::new();
    loop {
        let status = soon(statuses.next()).await.unwrap_or_else(|| panic!("it ended: {told:?}"));
        let is_last = status.code() == last;
        told.push(status);
        if is_last {
            return told;
        }
    }
}

fn codes(told: &[Status]) -> Vec<&'static str> {
    told.iter().map(Status::code).collect()
}

#[test]
async fn a_connection_that_is_lost_and_comes_back_is_told_in_order() {
    let running = start().await;
    let mut proxy = Proxy::to(running.port()).await;
    soon(running.producer().send_with("one", SendOptions::to_partition("0"))).await.unwrap();
    let consumer = ConsumerClient::builder()
        .connection_string(running.connection_string())
        .custom_endpoint(format!("{SCHEME}://127.0.0.1:{}", proxy.port))
        .retry(patient())
        .build()
        .unwrap();
    let mut statuses = consumer.status();
    assert!(consumer.health().is_healthy);
    let mut events = soon(consumer.partition("0").from(StartPosition::earliest()).open()).await.unwrap();
    let received = take(&mut events, 1).await;
    let told = until(&mut statuses, "token-refreshed").await;
    assert_eq!(codes(&told), ["disconnected", "connecting", "connected", "token-refreshed"]);
    assert!(matches!(&told[0], Status::Disconnected { cause: None }));
    let health = consumer.health();
    assert!(health.is_healthy && matches!(health.state, Status::Connected), "{health:?}");
    assert_eq!((health.links_live, health.links_wanted, health.links_failing), (1, 1, 0));
    assert!(health.token_expires_at.unwrap().as_millis() > unix_now().as_millis() as i64);
    assert!(health.last_error.is_none());

    proxy.cut().await;
    let told = until(&mut statuses, "resumed").await;
    // Attempts may fail while the other end of the wire is being cleared away.
    let first: Vec<_> = codes(&told).into_iter().take(2).collect();
    let last: Vec<_> = codes(&told).into_iter().rev().take(4).collect();
    assert_eq!(first, ["disconnected", "reconnecting"], "{told:?}");
    assert_eq!(last, ["resumed", "token-refreshed", "connected", "connecting"], "{told:?}");
    assert_eq!(told[0].cause().unwrap().kind(), ErrorKind::ConnectionLost);
    let Some(Status::Resumed { partition, position }) = told.last() else { panic!("{told:?}") };
    assert_eq!((partition.as_str(), position), ("0", &StartPosition::offset(received[0].offset())));
    let health = consumer.health();
    assert!(health.is_healthy && health.last_error.is_some(), "{health:?}");

    soon(running.producer().send_with("two", SendOptions::to_partition("0"))).await.unwrap();
    assert_eq!(texts(&take(&mut events, 1).await), ["two"]);
    soon(consumer.close()).await;
    assert_eq!(codes(&until(&mut statuses, "closed").await), ["closed"]);
    assert!(soon(statuses.next()).await.is_none());
    assert!(!consumer.health().is_healthy);
    assert_eq!(statuses.missed(), 0);
}

#[test]
async fn a_connection_that_cannot_be_made_is_told_with_every_attempt() {
    let port = Listener::tcp().await.port();
    let producer = ProducerClient::builder()
        .connection_string(format!(
            "Endpoint={SCHEME}://127.0.0.1:{port};SharedAccessKeyName=k;SharedAccessKey=s;EntityPath=orders"
        ))
        .retry(RetryOptions { max_attempts: 2, ..impatient() })
        .build()
        .unwrap();
    let mut statuses = producer.status();
    let error = soon(producer.send("x")).await.unwrap_err();
    assert!(error.to_string().contains(&format!("{SCHEME}://127.0.0.1:{port}")), "{error}");
    assert!(!error.outcome_unknown());
    assert!(matches!(soon(statuses.next()).await, Some(Status::Disconnected { cause: None })));
    let told = until(&mut statuses, "disconnected").await;
    assert_eq!(codes(&told), ["connecting", "reconnecting", "connecting", "disconnected"], "{told:?}");
    let attempts: Vec<u32> = told
        .iter()
        .filter_map(|status| match status {
            Status::Connecting { attempt } | Status::Reconnecting { attempt, .. } => Some(*attempt),
            _ => None,
        })
        .collect();
    assert_eq!(attempts, [1, 2, 2]);
    let health = producer.health();
    assert!(!health.is_healthy, "{health:?}");
    assert_eq!(health.last_error.unwrap().kind(), error.kind());
}

#[test]
async fn a_link_that_is_lost_alone_is_told_and_so_is_its_return() {
    let left = Arc::new(AtomicUsize::new(1));
    let count = left.clone();
    let peer = Peer::start(move |engine, seen: Seen<'_>| {
        if let Event::Delivery { link, .. } = seen.event
            && seen.state.address(*link).as_deref() == Some("orders")
            && count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
        {
            engine.detach(*link, true, Some(AmqpError::new("amqp:internal-error", "oops")));
            return Then::Handled;
        }
        Then::AsUsual
    })
    .await;
    let producer = producer_of(&peer, impatient());
    let mut statuses = producer.status();
    soon(producer.send("x")).await.unwrap();
    let told = until(&mut statuses, "attached").await;
    assert_eq!(codes(&told)[4..], ["detached", "attached"], "{told:?}");
    let Status::Detached { entity, cause: Some(cause) } = &told[4] else { panic!("{told:?}") };
    assert_eq!((entity.as_str(), cause.kind()), ("orders", ErrorKind::Internal));
    assert!(producer.health().is_healthy);
}

#[test]
async fn what_the_service_closes_for_being_idle_is_no_failure() {
    const TEXT: &str = "The connection was inactive for more than the allowed 300000 milliseconds and is closed by container \
                        'LinkTracker'. TrackingId:8f_G12, SystemTracker:gateway5, Timestamp:2026-01-01T00:00:00";
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    let peer = Peer::start(move |engine, seen: Seen<'_>| {
        count.store(seen.connection, Ordering::SeqCst);
        if let Event::Delivery { link, delivery } = seen.event
            && seen.state.address(*link).as_deref() == Some("orders")
            && seen.connection == 1
        {
            engine.settle(*link, delivery.id, Outcome::Accepted);
            engine.close(Some(AmqpError::new("amqp:connection:forced", TEXT)));
            return Then::Handled;
        }
        Then::AsUsual
    })
    .await;
    // One attempt, and no pause that a test would wait for.
    let retry = RetryOptions { base_delay: Duration::from_secs(3600), ..RetryOptions::none() };
    let producer = producer_of(&peer, retry);
    let mut statuses = producer.status();
    soon(producer.send("x")).await.unwrap();
    until(&mut statuses, "token-refreshed").await;
    let Some(Status::Disconnected { cause: None }) = soon(statuses.next()).await else { panic!() };
    let health = producer.health();
    assert!(health.is_healthy && health.last_error.is_none(), "{health:?}");
    soon(producer.send("y")).await.unwrap();
    let told = until(&mut statuses, "token-refreshed").await;
    assert_eq!(codes(&told), ["connecting", "connected", "token-refreshed"]);
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[test]
async fn a_service_that_asks_to_slow_down_is_obeyed_and_said_to_have() {
    let peer = Peer::start(move |engine, seen: Seen<'_>| {
        if let Event::Delivery { link, delivery } = seen.event
            && seen.state.address(*link).as_deref() == Some("orders")
        {
            let text = "The request was terminated because the entity is being throttled. Please wait 60 seconds and try again.";
            let error = AmqpError::new("com.microsoft:server-busy", text);
            engine.settle(*link, delivery.id, Outcome::Rejected(Some(error)));
            return Then::Handled;
        }
        Then::AsUsual
    })
    .await;
    let producer = producer_of(&peer, impatient());
    let mut statuses = producer.status();
    let mut send = Box::pin(producer.send("x"));
    assert!(futures::poll!(&mut send).is_pending());
    let told = until(&mut statuses, "throttled").await;
    let Some(Status::Throttled { entity, delay }) = told.last() else { panic!() };
    assert_eq!((entity.as_str(), *delay), ("orders", Duration::from_secs(60)));
}

#[test]
async fn renewals_that_fail_and_succeed_are_told() {
    let running = start().await;
    let is_broken = Arc::new(AtomicBool::new(false));
    let broken = is_broken.clone();
    let resource = format!("sb://localhost:{}/orders", running.port());
    let key = running.namespace();
    let key = key.split("SharedAccessKey=").nth(1).unwrap().split(';').next().unwrap().to_owned();
    let producer = ProducerClient::builder()
        .namespace(format!("localhost:{}", running.port()))
        .event_hub("orders")
        .custom_endpoint(format!("ws://localhost:{}", running.port()))
        .retry(impatient())
        .token_provider(move |_: String| {
            let expiry = unix_now().as_secs() as i64 + 3;
            let token = eventhubs::model::sas::sign(&resource, "RootManageSharedAccessKey", &key, expiry);
            let is_broken = broken.swap(false, Ordering::SeqCst);
            async move {
                match is_broken {
                    true => Err("no token today".into()),
                    false => Ok(AccessToken::sas(token)?),
                }
            }
        })
        .build()
        .unwrap();
    let mut statuses = producer.status();
    soon(producer.send("x")).await.unwrap();
    until(&mut statuses, "token-refreshed").await;
    is_broken.store(true, Ordering::SeqCst);
    let told = until(&mut statuses, "token-refreshed").await;
    assert_eq!(codes(&told), ["token-refresh-failed", "token-refreshed"], "{told:?}");
    let Status::TokenRefreshFailed { audience, cause, retry_in: Some(_) } = &told[0] else {
        panic!("{told:?}")
    };
    assert!(audience.ends_with("/orders") && cause.to_string().contains("no token today"), "{told:?}");
}

#[test]
async fn an_error_says_whether_the_event_may_have_been_stored() {
    // The event arrives, its answer does not: it may have been stored.
    let peer = peer_that_hangs_up().await;
    let error = soon(producer_of(&peer, RetryOptions::none()).send("x")).await.unwrap_err();
    assert!(error.outcome_unknown() && error.to_string().contains("may have been stored"), "{error}");

    // It is refused the second time: the first may still have been stored.
    let peer = Peer::start(|engine, seen: Seen<'_>| match seen.event {
        Event::Delivery { link, delivery } if seen.state.address(*link).as_deref() == Some("orders") => {
            if seen.connection == 1 {
                return Then::HangUp;
            }
            let error = AmqpError::new("com.microsoft:entity-disabled", "closed today");
            engine.settle(*link, delivery.id, Outcome::Rejected(Some(error)));
            Then::Handled
        }
        _ => Then::AsUsual,
    })
    .await;
    let error = soon(producer_of(&peer, impatient()).send("x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert!(error.outcome_unknown(), "{error}");

    // It never left: the link is refused.
    let peer = Peer::start(|engine, seen: Seen<'_>| match seen.event {
        Event::AttachRequested { link, attach, .. } if address(attach).as_deref() == Some("orders") => {
            engine.refuse(*link, AmqpError::new("com.microsoft:entity-disabled", "closed today"));
            Then::Handled
        }
        _ => Then::AsUsual,
    })
    .await;
    let error = soon(producer_of(&peer, impatient()).send("x")).await.unwrap_err();
    assert!(!error.outcome_unknown(), "{error}");
}
