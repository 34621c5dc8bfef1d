//! Keys, tokens and providers: right ones, wrong ones, and ones that expire.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use eventhubs::amqp::{AmqpError, Event};
use eventhubs::broker::{AccessKey, AccessRule, Rights, Scope};
use eventhubs::model::sas;
use eventhubs::{
    AccessToken, ClientBuilder, ConsumerClient, ErrorKind, ProducerClient, RetryOptions, SendOptions,
    StartPosition, Timestamp,
};

use crate::harness::unix_now;
use crate::peer::{Peer, Seen, Then, address, consumer_of, producer_of};
use crate::support::{HUB, Running, impatient, patient, soon, start_with, take, test, texts};

/// An emulator with keys of its own only, and two hubs.
async fn guarded() -> Running {
    start_with(|namespace| {
        namespace.development_key = None;
        namespace.accept_any_jwt = true;
        let rule = |name: &str, rights, scope| AccessRule {
            key_name: name.into(),
            key: AccessKey::new(format!("{name}-key")),
            rights,
            scope,
        };
        namespace.rules = vec![
            rule("all", Rights::MANAGE, Scope::Namespace),
            rule("sender", Rights::SEND, Scope::Namespace),
            rule("listener", Rights::LISTEN, Scope::Hub(HUB.into())),
        ];
    })
    .await
}

fn with_key<C>(running: &Running, builder: ClientBuilder<C>, name: &str, key: &str) -> ClientBuilder<C> {
    builder
        .connection_string(format!(
            "Endpoint=sb://localhost:{};SharedAccessKeyName={name};SharedAccessKey={key};EntityPath={HUB};UseDevelopmentEmulator=true",
            running.port()
        ))
        .retry(impatient())
}

/// A namespace and endpoint without a key in it.
fn keyless<C>(running: &Running, builder: ClientBuilder<C>) -> ClientBuilder<C> {
    builder
        .namespace(format!("localhost:{}", running.port()))
        .event_hub(HUB)
        .custom_endpoint(format!("ws://localhost:{}", running.port()))
        .retry(impatient())
}

fn seconds_from_now(seconds: i64) -> i64 {
    unix_now().as_secs() as i64 + seconds
}

fn token(running: &Running, path: &str, key_name: &str, seconds: i64) -> String {
    let resource = format!("sb://localhost:{}/{path}", running.port());
    sas::sign(&resource, key_name, &format!("{key_name}-key"), seconds_from_now(seconds))
}

#[test]
async fn a_key_allows_what_its_rule_says_and_no_more() {
    let running = guarded().await;
    let sender = with_key(&running, ProducerClient::builder(), "sender", "sender-key").build().unwrap();
    soon(sender.send_with("x", SendOptions::to_partition("0"))).await.unwrap();
    let error = soon(sender.hub_properties()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");

    let listener = with_key(&running, ConsumerClient::builder(), "listener", "listener-key").build().unwrap();
    let mut events = soon(listener.partition("0").from(StartPosition::earliest()).open()).await.unwrap();
    assert_eq!(texts(&take(&mut events, 1).await), ["x"]);
    assert_eq!(soon(listener.partition_ids()).await.unwrap().len(), 4);

    let wrong = with_key(&running, ProducerClient::builder(), "listener", "listener-key").build().unwrap();
    assert_eq!(soon(wrong.send("x")).await.unwrap_err().kind(), ErrorKind::Unauthorized);
    let wrong = with_key(&running, ConsumerClient::builder(), "sender", "sender-key").build().unwrap();
    assert_eq!(soon(wrong.partition("0").open()).await.unwrap_err().kind(), ErrorKind::Unauthorized);
}

#[test]
async fn wrong_keys_and_tokens_are_refused_at_once_and_never_shown() {
    let running = guarded().await;
    for (name, key) in [("all", "not-the-key"), ("nobody", "all-key")] {
        let producer = with_key(&running, ProducerClient::builder(), name, key).build().unwrap();
        let error = soon(producer.send("x")).await.unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Unauthorized, 1), "{error}");
        assert!(!format!("{error:?} {error}").contains(key), "{error:?}");
    }
    for token in [
        token(&running, HUB, "all", -60),
        token(&running, "another-hub", "all", 600),
        token(&running, HUB, "all", 600).replace("&sig=", "&sig=0"),
    ] {
        let producer =
            keyless(&running, ProducerClient::builder()).sas_token(token.as_str()).build().unwrap();
        let error = soon(producer.send("x")).await.unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Unauthorized, 1), "{error}");
        assert!(!format!("{error:?} {error}").contains(&token), "{error:?}");
    }
}

/// A peer that grants links of the hub from the `least`-th token on, and how many tokens and links it was asked for.
async fn peer_that_wants_tokens(least: usize) -> (Peer, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let (tokens, links) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (put, asked) = (tokens.clone(), links.clone());
    let peer = Peer::start(move |engine, seen: Seen<'_>| {
        match seen.event {
            Event::Delivery { link, .. } if seen.state.address(*link).as_deref() == Some("$cbs") => {
                put.fetch_add(1, Ordering::SeqCst);
            }
            Event::AttachRequested { link, attach, .. }
                if address(attach).is_some_and(|address| address.starts_with("orders")) =>
            {
                asked.fetch_add(1, Ordering::SeqCst);
                if put.load(Ordering::SeqCst) < least {
                    let text = "Unauthorized access. 'Send' claim(s) are required.";
                    engine.refuse(*link, AmqpError::new("amqp:unauthorized-access", text));
                    return Then::Handled;
                }
            }
            _ => {}
        }
        Then::AsUsual
    })
    .await;
    (peer, tokens, links)
}

#[test]
async fn a_token_that_is_taken_back_while_a_link_is_attached_is_replaced_and_not_felt() {
    let (peer, tokens, links) = peer_that_wants_tokens(2).await;
    soon(producer_of(&peer, RetryOptions::none()).send("x")).await.unwrap();
    assert_eq!((tokens.load(Ordering::SeqCst), links.load(Ordering::SeqCst)), (2, 2));

    let (peer, tokens, links) = peer_that_wants_tokens(2).await;
    let reader = consumer_of(&peer, RetryOptions::none()).partition("0").from(StartPosition::earliest());
    soon(reader.open()).await.unwrap();
    assert_eq!((tokens.load(Ordering::SeqCst), links.load(Ordering::SeqCst)), (2, 2));
}

/// Seed 6389 of the simulation: a token that another link shows to have been taken back says nothing about rights.
#[test]
async fn tokens_may_be_taken_back_while_one_link_is_up_and_another_is_attached() {
    let tokens = Arc::new(AtomicUsize::new(0));
    let (put, mut up) = (tokens.clone(), None);
    let peer = Peer::start(move |engine, seen: Seen<'_>| {
        let error = || Some(AmqpError::new("amqp:unauthorized-access", "'Listen' claim(s) are required."));
        match seen.event {
            Event::Delivery { link, .. } if seen.state.address(*link).as_deref() == Some("$cbs") => {
                put.fetch_add(1, Ordering::SeqCst);
            }
            Event::AttachRequested { link, attach, .. } => match address(attach) {
                Some(address) if address.ends_with("Partitions/0") => up = Some(*link),
                Some(address) if address.ends_with("Partitions/1") && put.load(Ordering::SeqCst) < 4 => {
                    up.take().into_iter().for_each(|link| engine.detach(link, true, error()));
                    engine.refuse(*link, error().unwrap());
                    return Then::Handled;
                }
                _ => {}
            },
            _ => {}
        }
        Then::AsUsual
    })
    .await;
    let consumer = consumer_of(&peer, RetryOptions { base_delay: Duration::ZERO, ..RetryOptions::default() });
    let reader = |partition: &str| consumer.partition(partition).from(StartPosition::earliest());
    let _up = soon(reader("0").open()).await.unwrap();
    soon(reader("1").open()).await.unwrap();
    assert_eq!(tokens.load(Ordering::SeqCst), 4);
}

#[test]
async fn who_has_no_right_is_told_at_once_after_one_more_token() {
    let (peer, tokens, links) = peer_that_wants_tokens(usize::MAX).await;
    // However many attempts are allowed.
    let producer = producer_of(&peer, patient());
    for call in 1..=2 {
        let error = soon(producer.send("x")).await.unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Unauthorized, 1), "{error}");
        assert!(!error.is_transient());
        assert_eq!((tokens.load(Ordering::SeqCst), links.load(Ordering::SeqCst)), (1 + call, 2 * call));
    }
    let (peer, tokens, links) = peer_that_wants_tokens(usize::MAX).await;
    let reader = consumer_of(&peer, patient()).partition("0").from(StartPosition::earliest());
    let error = soon(reader.open()).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Unauthorized, 1), "{error}");
    assert_eq!((tokens.load(Ordering::SeqCst), links.load(Ordering::SeqCst)), (2, 2));
}

#[test]
async fn a_ready_made_token_opens_what_it_is_for() {
    let running = guarded().await;
    for path in [HUB, ""] {
        let token = token(&running, path, "all", 600);
        let producer =
            keyless(&running, ProducerClient::builder()).sas_token(token.as_str()).build().unwrap();
        soon(producer.send("x")).await.unwrap();
        let consumer = keyless(&running, ConsumerClient::builder()).sas_token(token).build().unwrap();
        soon(consumer.partition("0").open()).await.unwrap();
    }
}

#[test]
async fn a_provider_is_asked_again_when_it_fails() {
    let running = guarded().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let (count, port) = (asked.clone(), running.port());
    let producer = keyless(&running, ProducerClient::builder())
        .token_provider(move |audience: String| {
            let attempt = count.fetch_add(1, Ordering::SeqCst);
            async move {
                assert_eq!(audience, format!("sb://localhost:{port}/{HUB}"));
                if attempt < 2 {
                    return Err("the server with the key is down".into());
                }
                Ok(AccessToken::sas(sas::sign(&audience, "all", "all-key", seconds_from_now(600)))?)
            }
        })
        .build()
        .unwrap();
    soon(producer.send("x")).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[test]
async fn a_provider_that_keeps_failing_ends_in_its_own_words() {
    let running = guarded().await;
    let producer = keyless(&running, ProducerClient::builder())
        .token_provider(|_: String| async { Err("the server with the key is down".into()) })
        .retry(RetryOptions { max_attempts: 2, ..impatient() })
        .build()
        .unwrap();
    let error = soon(producer.send("x")).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Unauthorized, 2));
    assert!(error.to_string().contains("the server with the key is down"), "{error}");
}

#[test]
async fn a_token_of_entra_id_is_put_as_such() {
    let running = guarded().await;
    let producer = keyless(&running, ProducerClient::builder())
        .token_provider(|_: String| async {
            Ok(AccessToken::jwt("eyJ0.e30.c2ln", Timestamp::from_millis(seconds_from_now(600) * 1000)))
        })
        .build()
        .unwrap();
    soon(producer.send("x")).await.unwrap();
}

#[test]
async fn tokens_are_renewed_before_they_expire_and_links_stay_up() {
    let running = guarded().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let consumer = keyless(&running, ConsumerClient::builder())
        .token_provider(move |audience: String| {
            // Every second renewal fails, which must not be felt.
            let attempt = count.fetch_add(1, Ordering::SeqCst);
            async move {
                if attempt % 2 == 1 {
                    return Err("not now".into());
                }
                Ok(AccessToken::sas(sas::sign(&audience, "all", "all-key", seconds_from_now(3)))?)
            }
        })
        .build()
        .unwrap();
    let mut events = soon(consumer.partition("0").open()).await.unwrap();
    let producer = with_key(&running, ProducerClient::builder(), "all", "all-key").build().unwrap();
    // Three lives of a token.
    while asked.load(Ordering::SeqCst) < 6 {
        soon(producer.send_with("x", SendOptions::to_partition("0"))).await.unwrap();
        assert_eq!(texts(&take(&mut events, 1).await), ["x"]);
        let asked_before = asked.load(Ordering::SeqCst);
        // The stream is idle until the next renewal.
        soon(async {
            while asked.load(Ordering::SeqCst) == asked_before {
                let nothing = events.next_batch(1, Duration::from_millis(20)).await.unwrap();
                assert!(nothing.is_empty());
            }
        })
        .await;
    }
}
