//! fe2o3-amqp's client, over TCP and over fe2o3-amqp-ws, against the emulator.

use std::time::{SystemTime, UNIX_EPOCH};

use eventhubs::model::sas;
use eventhubs::{EventData, SendOptions};
use fe2o3_amqp::connection::ConnectionHandle;
use fe2o3_amqp::link::receiver::CreditMode;
use fe2o3_amqp::sasl_profile::SaslProfile;
use fe2o3_amqp::types::messaging::annotations::AnnotationKey;
use fe2o3_amqp::types::messaging::message::__private::Serializable;
use fe2o3_amqp::types::messaging::{Batch, Body, Data, Message, Source};
use fe2o3_amqp::types::primitives::{Binary, Value};
use fe2o3_amqp::{Connection, Delivery, Receiver, Sendable, Sender, Session};
use fe2o3_amqp_cbs::client::CbsClient;
use fe2o3_amqp_cbs::token::CbsToken;
use fe2o3_amqp_ws::WebSocketStream;
use serde_amqp::described::Described;
use serde_amqp::descriptor::Descriptor;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::support::{HUB, Running, read, soon, start};

const BATCH_FORMAT: u32 = 0x8001_3700;
const SELECTOR: &str = "apache.org:selector-filter:string";
const SELECTOR_CODE: u64 = 0x0000_468C_0000_0004;

#[tokio::test]
async fn fe2o3s_client_publishes_to_the_emulator_and_reads_it_back_over_tcp() {
    let running = start().await;
    let stream = TcpStream::connect(("127.0.0.1", running.emulator.port())).await.unwrap();
    let connection = open(stream).await;
    soon(publish_and_read_back(connection, &running)).await;
}

#[tokio::test]
async fn fe2o3s_client_publishes_to_the_emulator_and_reads_it_back_over_a_web_socket() {
    let running = start().await;
    let url = format!("ws://127.0.0.1:{}/$servicebus/websocket", running.emulator.port());
    let stream = WebSocketStream::connect(url).await.unwrap();
    let connection = open(stream).await;
    soon(publish_and_read_back(connection, &running)).await;
}

#[tokio::test]
async fn a_wrong_key_from_fe2o3s_client_is_refused() {
    let running = start().await;
    let stream = TcpStream::connect(("127.0.0.1", running.emulator.port())).await.unwrap();
    let mut connection = open(stream).await;
    assert!(soon(authorize(&mut connection, "wrong")).await.is_err());
    let mut session = Session::begin(&mut connection).await.unwrap();
    assert!(soon(Sender::attach(&mut session, "sender", HUB)).await.is_err());
}

async fn open<Io>(stream: Io) -> ConnectionHandle<()>
where
    Io: AsyncRead + AsyncWrite + std::fmt::Debug + Send + Unpin + 'static,
{
    let builder = Connection::builder().container_id("fe2o3-client").hostname("localhost");
    builder.sasl_profile(SaslProfile::Anonymous).open_with_stream(stream).await.unwrap()
}

async fn authorize(
    connection: &mut ConnectionHandle<()>,
    key: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut session = Session::begin(connection).await?;
    let mut cbs = CbsClient::attach(&mut session).await?;
    let audience = format!("amqp://localhost/{HUB}");
    let expiry = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() as i64 + 600;
    let token = sas::sign(&audience, "RootManageSharedAccessKey", key, expiry);
    cbs.put_token(audience, CbsToken::new(token, "servicebus.windows.net:sastoken", None)).await?;
    cbs.close().await?;
    session.end().await?;
    Ok(())
}

async fn publish_and_read_back(mut connection: ConnectionHandle<()>, running: &Running) {
    authorize(&mut connection, "SAS_KEY_VALUE").await.unwrap();
    let mut session = Session::begin(&mut connection).await.unwrap();
    let mut sender = Sender::attach(&mut session, "sender", format!("{HUB}/Partitions/2")).await.unwrap();
    assert_eq!(sender.max_message_size(), Some(1_048_576));
    let plain = |text: &str| Message::builder().data(Binary::from(text.as_bytes().to_vec())).build();
    for number in 0..10 {
        sender.send(plain(&format!("single {number}"))).await.unwrap().accepted_or("refused").unwrap();
    }
    let inner: Vec<Data> = (0..1000)
        .map(|number| {
            Data(Binary::from(serde_amqp::to_vec(&Serializable(plain(&format!("{number}")))).unwrap()))
        })
        .collect();
    let batch = Message::builder().body(Batch::<Data>::from(inner)).build();
    let batch = Sendable::builder().message(batch).message_format(BATCH_FORMAT).build();
    sender.send(batch).await.unwrap().accepted_or("refused").unwrap();

    // Our client reads what fe2o3 wrote, and adds one for it.
    let events = read(&running.consumer(), "2", 1010).await;
    assert_eq!(events[9].body_text().unwrap(), "single 9");
    assert_eq!(events[1009].body_text().unwrap(), "999");
    let ours = EventData::new("ours").with_property("n", eventhubs::Value::Long(7));
    running.producer().send_with(ours, SendOptions::to_partition("2")).await.unwrap();

    let selector = Described {
        descriptor: Descriptor::Code(SELECTOR_CODE),
        value: Value::String("amqp.annotation.x-opt-sequence-number > '8'".to_owned()),
    };
    let source = Source::builder()
        .address(format!("{HUB}/ConsumerGroups/$Default/Partitions/2"))
        .add_to_filter(SELECTOR, Some(selector))
        .build();
    let mut receiver = Receiver::builder()
        .name("receiver")
        .source(source)
        // Events come settled, so credit that waits for dispositions would run out.
        .credit_mode(CreditMode::Manual)
        .attach(&mut session)
        .await
        .unwrap();
    receiver.set_credit(2_000).await.unwrap();
    for number in 9_i64..1011 {
        let delivery: Delivery<Body<Value>> = receiver.recv().await.unwrap();
        let message = delivery.into_message();
        let annotations = message.message_annotations.unwrap();
        let sequence_number = annotations.0.get(&"x-opt-sequence-number" as &dyn AnnotationKey);
        assert_eq!(sequence_number, Some(&Value::Long(number)));
        let expected = match number {
            9 => "single 9".to_owned(),
            1010 => "ours".to_owned(),
            _ => (number - 10).to_string(),
        };
        let Body::Data(sections) = message.body else { panic!("no data") };
        assert_eq!(sections.iter().map(|data| data.0.to_vec()).collect::<Vec<_>>(), [expected.into_bytes()]);
    }
    receiver.close().await.unwrap();
    sender.close().await.unwrap();
    session.end().await.unwrap();
    connection.close().await.unwrap();
}
