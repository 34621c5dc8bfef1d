//! What is wrong is answered at once by one clear error; nothing is lost, and nothing hangs.

use bytes::Bytes;
use eventhubs::{
    BatchOptions, ConsumerClient, Error, ErrorKind, EventData, ProducerClient, SendOptions, StartPosition,
    Timestamp, Value,
};

use crate::harness::{Listener, spawn};
use crate::service::Wanted;
use crate::support::{
    HUB, IS_WASM, Running, SCHEME, SCHEMES, Way, impatient, is_page, soon, start, start_wanted, test,
};

/// One attempt, one sentence, one kind.
#[track_caller]
fn refused<T>(what: &str, result: Result<T, Error>, kind: ErrorKind, says: &str) {
    let Err(error) = result else { panic!("{what}: it was accepted") };
    assert_eq!(error.kind(), kind, "{what}: {error}");
    let text = error.to_string();
    assert!(text.to_lowercase().contains(&says.to_lowercase()), "{what}: '{text}' does not say '{says}'");
    assert!(!error.is_transient(), "{what}: {error:?}");
    assert!(error.attempts() <= 1, "{what}: {error}");
    assert!(text.len() < 600 && !text.chars().any(char::is_control), "{what}: {text}");
}

fn for_hub(running: &Running, hub: &str) -> ProducerClient {
    ProducerClient::builder()
        .connection_string(running.namespace())
        .event_hub(hub)
        .retry(impatient())
        .build()
        .unwrap()
}

#[test]
async fn connection_strings_that_make_no_sense() {
    let build = |text: &str| ProducerClient::from_connection_string(text);
    let long = "x".repeat(1 << 20);
    for (text, kind, says) in [
        ("", ErrorKind::InvalidConnectionString, "empty"),
        ("nonsense", ErrorKind::InvalidConnectionString, "="),
        ("Endpoint=sb://h;EntityPath=e", ErrorKind::InvalidConnectionString, "SharedAccessKey"),
        (
            "SharedAccessKeyName=a;SharedAccessKey=b;EntityPath=e",
            ErrorKind::InvalidConnectionString,
            "Endpoint",
        ),
        (
            "Endpoint=http://h;SharedAccessKeyName=a;SharedAccessKey=b;EntityPath=e",
            ErrorKind::InvalidConnectionString,
            "scheme",
        ),
        (
            "Endpoint=sb://h;SharedAccessKeyName=a\n;SharedAccessKey=b;EntityPath=e",
            ErrorKind::InvalidConnectionString,
            "control",
        ),
        (long.as_str(), ErrorKind::InvalidConnectionString, "long"),
        ("Endpoint=sb://h;SharedAccessKeyName=a;SharedAccessKey=b", ErrorKind::InvalidArgument, "EntityPath"),
    ] {
        refused(&text.chars().take(60).collect::<String>(), build(text), kind, says);
    }
}

#[test]
async fn builders_that_contradict_themselves() {
    let whole = "Endpoint=sb://h;SharedAccessKeyName=a;SharedAccessKey=b;EntityPath=e";
    let builder = || ProducerClient::builder().connection_string(whole);
    let invalid = ErrorKind::InvalidArgument;
    refused("another hub", builder().event_hub("other").build(), invalid, "connection string is for 'e'");
    refused("a hub with a slash", builder_without_hub().event_hub("a b").build(), invalid, "not the name");
    refused("a long hub", builder_without_hub().event_hub("x".repeat(300)).build(), invalid, "not the name");
    refused("two homes", builder().namespace("h").build(), invalid, "leave one out");
    refused(
        "no credential",
        ProducerClient::builder().namespace("h").event_hub("e").build(),
        invalid,
        "opens",
    );
    refused("nothing", ProducerClient::builder().event_hub("e").build(), invalid, "connection string");
    let strange = ProducerClient::builder().namespace("a b").event_hub("e").sas_token("x").build();
    refused("a namespace with a blank", strange, invalid, "host name");
    refused("an endpoint", builder().custom_endpoint("ftp://h").build(), invalid, "scheme");
    refused("certificates", builder().ca_pem("nothing").build(), invalid, "certificate");
    let group = ConsumerClient::builder().connection_string(whole).consumer_group("a/b").build();
    refused("a consumer group", group, invalid, "consumer group");
}

fn builder_without_hub() -> eventhubs::ClientBuilder<ProducerClient> {
    ProducerClient::builder().connection_string("Endpoint=sb://h;SharedAccessKeyName=a;SharedAccessKey=b")
}

#[test]
async fn names_that_do_not_exist() {
    let running = start().await;
    let producer = running.producer();
    let consumer = running.consumer();
    let not_found = ErrorKind::NotFound;
    let nowhere = for_hub(&running, "nowhere");
    refused("unknown hub, send", soon(nowhere.send("x")).await, not_found, "nowhere");
    refused("unknown hub, batch", soon(nowhere.create_batch()).await, not_found, "nowhere");
    refused("unknown hub, read", soon(nowhere.hub_properties()).await, not_found, "nowhere");
    let to = |id: &str| producer.send_with("x", SendOptions::to_partition(id));
    refused("unknown partition, send", soon(to("99")).await, not_found, "partition");
    refused("unknown partition, again", soon(to("99")).await, not_found, "partition");
    refused(
        "unknown partition, read",
        soon(producer.partition_properties("99")).await,
        not_found,
        "partition",
    );
    refused("unknown partition, open", soon(consumer.partition("99").open()).await, not_found, "partition");
    let group = running.by(Way::Ws, ConsumerClient::builder()).consumer_group("nobody").build().unwrap();
    refused("unknown group", soon(group.partition("0").open()).await, not_found, "nobody");
    for id in ["", "a/b", "0/../1", "\n", &"9".repeat(100)] {
        refused("no id, send", soon(to(id)).await, ErrorKind::InvalidArgument, "not the id of a partition");
        let opened = soon(consumer.partition(id).open()).await;
        refused("no id, open", opened, ErrorKind::InvalidArgument, "not the id of a partition");
    }
    // The connection and its other links have not suffered.
    soon(to("0")).await.unwrap();
}

#[test]
async fn events_and_batches_over_the_limit() {
    let running = start().await;
    let producer = running.producer();
    let large = vec![0; 1_100_000];
    let too_large = ErrorKind::MessageTooLarge;
    refused("an event", soon(producer.send(large.clone())).await, too_large, "1048576");
    let to = SendOptions::to_partition("0");
    refused("to a partition", soon(producer.send_with(large.clone(), to)).await, too_large, "1048576");
    let mut batch = soon(producer.create_batch()).await.unwrap();
    assert!(!batch.try_add(&EventData::from(large.clone())).unwrap());
    assert!(batch.is_empty());
    let list = vec![EventData::from("small"), EventData::from("small"), EventData::from(large)];
    let sent = soon(producer.send_all(list, SendOptions::default())).await;
    assert_eq!(sent.as_ref().unwrap_err().event_index(), Some(2));
    refused("in a list", sent, too_large, "event 2");
    for id in ["0", "1", "2", "3"] {
        assert!(soon(producer.partition_properties(id)).await.unwrap().is_empty, "something was stored");
    }
    for max_size in [0, 2_000_000] {
        let options = BatchOptions { max_size: Some(max_size), ..Default::default() };
        let created = soon(producer.create_batch_with(options)).await;
        refused("a batch of a wrong size", created, ErrorKind::InvalidArgument, "1048576");
    }
    soon(producer.send("fits")).await.unwrap();
}

#[test]
async fn both_a_key_and_a_partition() {
    let running = start().await;
    let producer = running.producer();
    let invalid = ErrorKind::InvalidArgument;
    let mut both = SendOptions::to_partition("0");
    both.partition_key = Some("k".into());
    refused("options", soon(producer.send_with("x", both.clone())).await, invalid, "both partition");
    let keyed = EventData::from("x").with_partition_key("k");
    let to = SendOptions::to_partition("0");
    refused(
        "an event's key",
        soon(producer.send_with(keyed.clone(), to.clone())).await,
        invalid,
        "both partition",
    );
    refused("a list", soon(producer.send_all(["x"], both)).await, invalid, "both partition");
    refused("a list's event", soon(producer.send_all([keyed.clone()], to)).await, invalid, "partition '0'");
    let options = BatchOptions {
        partition_id: Some("0".into()),
        partition_key: Some("k".into()),
        ..Default::default()
    };
    refused("a batch", soon(producer.create_batch_with(options)).await, invalid, "both partition");
    let other = SendOptions::with_key("other");
    refused("two keys", soon(producer.send_with(keyed.clone(), other)).await, invalid, "'other'");
    let mut batch = soon(producer.create_batch()).await.unwrap();
    refused("a batch's event", batch.try_add(&keyed), invalid, "partition key");
    let long = EventData::from("x").with_partition_key("k".repeat(200));
    refused("a long key", soon(producer.send(long)).await, invalid, "128");
    let id = EventData::from("x").with_message_id(Value::Bool(true));
    refused("a message id", soon(producer.send(id)).await, invalid, "message-id");
}

#[test]
async fn positions_past_the_end_and_nonsense_positions() {
    let running = start().await;
    soon(running.producer().send_with("x", SendOptions::to_partition("0"))).await.unwrap();
    let consumer = running.consumer();
    for (what, position) in [
        ("offset past the end", StartPosition::offset("99999999")),
        ("number past the end", StartPosition::sequence_number(500)),
        ("no offset", StartPosition::offset("no offset")),
        ("an injected selector", StartPosition::offset("0' OR '1'='1")),
    ] {
        let opened = soon(consumer.partition("0").from(position).open()).await;
        refused(what, opened, ErrorKind::InvalidPosition, "");
    }
    // A time to come is a position to wait at.
    let future = StartPosition::enqueued_time(Timestamp::from_millis(4_102_444_800_000));
    soon(consumer.partition("0").from(future).open()).await.unwrap();
    let unknown = consumer.all_partitions().from_in("99", StartPosition::earliest());
    refused("a partition's position", soon(unknown.open()).await, ErrorKind::InvalidArgument, "99");
}

/// What a peer that is no Event Hubs says, and what becomes of it.
#[test]
async fn peers_that_are_something_else() {
    for (what, says) in [
        ("HTTP", &b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"[..]),
        ("SSH", b"SSH-2.0-OpenSSH_9.6\r\n"),
        ("zeroes", &[0; 64]),
        ("AMQP 0-9-1", b"AMQP\x00\x00\x09\x01"),
        ("half a header", b"AMQP"),
        ("a frame of 4 GB", b"AMQP\x03\x01\x00\x00\xff\xff\xff\xff\x02\x01\x00\x00"),
        ("nothing", b""),
    ] {
        for scheme in SCHEMES {
            let mut listener = Listener::tcp().await;
            let port = listener.port();
            drop(spawn(async move {
                loop {
                    let mut stream = listener.accept().await;
                    stream.write(Bytes::from_static(says)).await;
                    stream.read().await;
                }
            }));
            let producer = ProducerClient::builder()
                .connection_string(format!(
                    "Endpoint={scheme}://127.0.0.1:{port};SharedAccessKeyName=a;SharedAccessKey=b;EntityPath={HUB}"
                ))
                .retry(impatient())
                .build()
                .unwrap();
            let error = soon(producer.send("x")).await.unwrap_err();
            let known = matches!(
                error.kind(),
                ErrorKind::ConnectFailed | ErrorKind::ConnectionLost | ErrorKind::Protocol
            );
            assert!(known, "{what} over {scheme}: {error:?}");
            assert!((1..=4).contains(&error.attempts()), "{what} over {scheme}: {error}");
        }
    }
}

#[test]
async fn places_where_nobody_is() {
    let port = Listener::tcp().await.port();
    for place in [format!("127.0.0.1:{port}"), "no-such-host.invalid:5672".to_owned()] {
        let producer = ProducerClient::builder()
            .connection_string(format!(
                "Endpoint={SCHEME}://{place};SharedAccessKeyName=a;SharedAccessKey=b;EntityPath={HUB}"
            ))
            .retry(impatient())
            .build()
            .unwrap();
        let error = soon(producer.send("x")).await.unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::ConnectFailed, 4), "{error}");
        assert!(error.is_transient());
    }
}

#[test]
async fn a_certificate_that_is_not_trusted() {
    let running = start_wanted(Wanted { is_untrusted: true, ..Wanted::default() }).await;
    for way in [Way::Wss, Way::Amqps].into_iter().filter(|way| !IS_WASM || *way == Way::Wss) {
        let producer = ProducerClient::builder()
            .connection_string(running.connection_string())
            .custom_endpoint(running.url(way))
            .retry(impatient())
            .build()
            .unwrap();
        let sent = soon(producer.send("x")).await;
        if is_page() {
            // It is not told why, so it tries again, and lists what it may have been.
            let error = sent.unwrap_err();
            assert_eq!((error.kind(), error.attempts()), (ErrorKind::ConnectFailed, 4), "{error}");
            assert!(error.to_string().contains("certificate"), "{error}");
        } else {
            refused("certificate", sent, ErrorKind::ConnectFailed, "certificate");
        }
    }
}
