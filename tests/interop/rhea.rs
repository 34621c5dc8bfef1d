//! Our client against a small server on rhea, an engine that shares no code with ours.

use std::collections::BTreeMap;

use eventhubs::amqp::message::Body;
use eventhubs::{
    BatchOptions, ConsumerClient, ErrorKind, EventData, ProducerClient, SendOptions, StartPosition, Value,
};
use serde_json::Value as Json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;

use super::support::{Language, pointed, read, soon};

/// The server, which ends with it.
struct Server {
    _child: Child,
    tcp: String,
    ws: String,
}

async fn serve() -> Option<Server> {
    let mut command = Language::JavaScript.script("rhea-server.mjs")?;
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    soon(BufReader::new(child.stdout.take().unwrap()).read_line(&mut line)).await.unwrap();
    let said: Json = serde_json::from_str(&line).unwrap();
    let url = |scheme: &str, port: &str| format!("{scheme}://127.0.0.1:{}", said[port]);
    Some(Server { tcp: url("amqp", "tcpPort"), ws: url("ws", "wsPort"), _child: child })
}

#[tokio::test]
async fn our_client_publishes_to_a_server_on_rhea_and_reads_it_back_over_tcp() {
    let Some(server) = serve().await else { return };
    publish_and_read_back(&server.tcp).await;
}

#[tokio::test]
async fn our_client_publishes_to_a_server_on_rhea_and_reads_it_back_over_a_web_socket() {
    let Some(server) = serve().await else { return };
    publish_and_read_back(&server.ws).await;
}

async fn publish_and_read_back(url: &str) {
    let producer = pointed(ProducerClient::builder(), url, "hub").build().unwrap();
    let consumer = pointed(ConsumerClient::builder(), url, "hub").build().unwrap();

    let hub = soon(producer.hub_properties()).await.unwrap();
    assert_eq!(hub.partition_ids, ["0", "1", "2", "3"]);
    let single = EventData::new("single").with_property("n", Value::Long(1)).with_message_id("m");
    soon(producer.send_with(single, SendOptions::to_partition("1"))).await.unwrap();
    let options = BatchOptions { partition_id: Some("1".to_owned()), ..BatchOptions::default() };
    let mut batch = soon(producer.create_batch_with(options)).await.unwrap();
    // More than the server's credit, and more than one frame.
    for number in 0..1000 {
        assert!(
            batch.try_add(&EventData::new(vec![b'x'; 500]).with_property("n", Value::Int(number))).unwrap()
        );
    }
    soon(producer.send_batch(batch)).await.unwrap();
    soon(producer.send_with(EventData::from_value(Value::Bool(true)), SendOptions::to_partition("1")))
        .await
        .unwrap();

    let events = read(&consumer, "1", 1002).await;
    assert_eq!(events[0].body_text().unwrap(), "single");
    assert_eq!(events[0].properties().unwrap().message_id, Some(Value::String("m".to_owned())));
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event.sequence_number(), index as i64);
    }
    for (number, event) in events[1..1001].iter().enumerate() {
        assert_eq!(event.body_bytes().unwrap().len(), 500);
        assert_eq!(event.property("n").unwrap().unwrap().as_i64(), Some(number as i64));
    }
    assert_eq!(events[1001].body().unwrap(), Body::Value(Value::Bool(true)));
    let last = soon(producer.partition_properties("1")).await.unwrap();
    assert_eq!(last.last_enqueued_sequence_number, 1001);

    let from = consumer.partition("1").from(StartPosition::sequence_number(999).inclusive());
    let mut stream = soon(from.open()).await.unwrap();
    assert_eq!(soon(stream.next()).await.unwrap().unwrap().sequence_number(), 999);
    producer.close().await;
    consumer.close().await;
}

#[tokio::test]
async fn single_events_in_flight_all_arrive_at_a_server_on_rhea() {
    let Some(server) = serve().await else { return };
    let producer = pointed(ProducerClient::builder(), &server.ws, "hub").build().unwrap();
    let sends: Vec<_> = (0..1500)
        .map(|number: i32| {
            let producer = producer.clone();
            tokio::spawn(async move {
                let event = EventData::new("x").with_property("n", Value::Int(number));
                producer.send_with(event, SendOptions::to_partition("2")).await
            })
        })
        .collect();
    for send in sends {
        soon(send).await.unwrap().unwrap();
    }
    let consumer = pointed(ConsumerClient::builder(), &server.ws, "hub").build().unwrap();
    let mut seen = BTreeMap::new();
    for event in read(&consumer, "2", 1500).await {
        *seen.entry(event.property("n").unwrap().unwrap().as_i64().unwrap()).or_insert(0) += 1;
    }
    assert!(seen.into_iter().eq((0..1500).map(|number| (number, 1))));
}

#[tokio::test]
async fn a_hub_that_a_server_on_rhea_does_not_know_is_not_found() {
    let Some(server) = serve().await else { return };
    for url in [&server.tcp, &server.ws] {
        let producer = pointed(ProducerClient::builder(), url, "nothing").build().unwrap();
        let error = soon(producer.send("x")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        let consumer = pointed(ConsumerClient::builder(), url, "nothing").build().unwrap();
        let error = soon(consumer.partition("0").open()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    }
}
