//! Peers, services and token providers that say nothing: every call ends, and what is dead is left.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use eventhubs::amqp::Event;
use eventhubs::model::sas;
use eventhubs::{
    AccessToken, ClientBuilder, ClientOptions, ConsumerClient, ErrorKind, ProducerClient, RetryOptions,
    StartPosition,
};

use super::{event, is_partition};
use crate::harness::{Listener, clock};
use crate::peer::{
    Peer, Seen, Then, address, consumer_of, peer_that_hangs_up, producer_of, watchful_consumer_of,
};
use crate::support::{SCHEME, SCHEMES, impatient, patient, soon, take, test};

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
