//! Our client against a server on fe2o3-amqp's acceptor.

use eventhubs::amqp::message::Body;
use eventhubs::{
    BatchOptions, ConsumerClient, EventData, ProducerClient, SendOptions, Symbol, Timestamp, Uuid, Value,
};

use super::fe2o3_server::serve;
use super::support::{pointed, read, soon};

#[tokio::test]
async fn our_client_publishes_to_fe2o3s_acceptor_and_reads_it_back() {
    let server = serve().await;
    let producer = pointed(ProducerClient::builder(), &server.url, "hub").build().unwrap();
    let consumer = pointed(ConsumerClient::builder(), &server.url, "hub").build().unwrap();

    let single = EventData::new("single").with_property("n", Value::Long(-1)).with_message_id("m");
    soon(producer.send_with(single, SendOptions::to_partition("0"))).await.unwrap();
    let options = BatchOptions { partition_id: Some("0".to_owned()), ..BatchOptions::default() };
    let mut batch = soon(producer.create_batch_with(options)).await.unwrap();
    // More than one window of credit to read, and more than one frame to write.
    for number in 0..1000 {
        assert!(
            batch.try_add(&EventData::new(vec![b'x'; 500]).with_property("n", Value::Int(number))).unwrap()
        );
    }
    soon(producer.send_batch(batch)).await.unwrap();

    let events = read(&consumer, "0", 1001).await;
    assert_eq!(events[0].body_text().unwrap(), "single");
    assert_eq!(events[0].property("n").unwrap(), Some(Value::Long(-1)));
    assert_eq!(events[0].properties().unwrap().message_id, Some(Value::String("m".to_owned())));
    for (number, event) in events[1..].iter().enumerate() {
        assert_eq!(event.sequence_number(), number as i64 + 1);
        assert_eq!(event.property("n").unwrap(), Some(Value::Int(number as i32)));
        assert_eq!(event.body_bytes().unwrap().len(), 500);
    }
    soon(producer.close()).await;
    soon(consumer.close()).await;
}

#[tokio::test]
async fn every_type_passes_through_fe2o3s_codec_and_back() {
    let server = serve().await;
    let producer = pointed(ProducerClient::builder(), &server.url, "hub").build().unwrap();
    let consumer = pointed(ConsumerClient::builder(), &server.url, "hub").build().unwrap();
    let simple = [
        Value::Null,
        Value::Bool(true),
        Value::Bool(false),
        Value::Ubyte(255),
        Value::Ushort(65_535),
        Value::Uint(u32::MAX),
        Value::Uint(0),
        Value::Ulong(u64::MAX),
        Value::Byte(-128),
        Value::Short(i16::MIN),
        Value::Int(i32::MIN),
        Value::Long(i64::MIN),
        Value::Float(0.5),
        Value::Double(3.25),
        Value::Char('é'),
        Value::Timestamp(Timestamp::from_millis(-1)),
        Value::Uuid(Uuid::from_bytes([7; 16])),
        Value::Binary(vec![0, 255].into()),
        Value::String("é".repeat(200)),
        Value::Symbol(Symbol::from("a:symbol")),
    ];
    let mut nested = vec![
        Value::List(vec![Value::Int(1), Value::List(vec![Value::Null])]),
        Value::Map(vec![(Value::String("a".to_owned()), Value::Ulong(0))]),
        Value::Array(vec![Value::Long(1), Value::Long(-1)]),
    ];
    nested.extend(simple.iter().cloned());

    let mut properties = EventData::new("properties");
    for (index, value) in simple.iter().enumerate() {
        properties.set_property(index.to_string(), value.clone());
    }
    soon(producer.send_with(properties, SendOptions::to_partition("0"))).await.unwrap();
    for value in &nested {
        soon(producer.send_with(EventData::from_value(value.clone()), SendOptions::to_partition("0")))
            .await
            .unwrap();
    }
    let events = read(&consumer, "0", nested.len() + 1).await;
    let expected: Vec<_> =
        simple.iter().enumerate().map(|(index, value)| (index.to_string(), value.clone())).collect();
    assert_eq!(events[0].application_properties().unwrap(), expected);
    for (value, event) in nested.iter().zip(&events[1..]) {
        assert_eq!(event.body().unwrap(), Body::Value(value.clone()));
    }
}
