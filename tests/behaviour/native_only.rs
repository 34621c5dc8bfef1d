//! What has no counterpart in JavaScript, where there is always one event loop, and it ends with the program.

use std::time::{Duration, SystemTime};

use eventhubs::broker::{HubConfig, Now};
use eventhubs::emulator::{Emulator, EmulatorConfig};
use eventhubs::model::moment::Moment;
use eventhubs::{
    BufferedOptions, BufferedProducerClient, EnqueueOptions, ErrorKind, EventData, ProducerClient,
};

use crate::support::{soon, start};

#[test]
fn a_client_outside_of_a_runtime_says_what_is_missing() {
    let producer = ProducerClient::from_connection_string(
        "Endpoint=sb://localhost;SharedAccessKeyName=a;SharedAccessKey=b;EntityPath=orders",
    )
    .unwrap();
    let waker = futures::task::noop_waker();
    let mut context = std::task::Context::from_waker(&waker);
    let mut send = std::pin::pin!(producer.send("x"));
    let std::task::Poll::Ready(Err(error)) = send.as_mut().poll(&mut context) else {
        panic!("it was not refused");
    };
    assert!(error.to_string().contains("no tokio runtime"), "{error}");
    assert!(!error.is_transient());
}

#[test]
fn a_client_survives_the_runtime_that_it_ran_on() {
    let first = tokio::runtime::Runtime::new().unwrap();
    let second = tokio::runtime::Runtime::new().unwrap();
    let running = second.block_on(start());
    let producer = running.producer();
    first.block_on(soon(producer.send("one"))).unwrap();
    first.shutdown_background();
    // The first call may still meet the task that is being cut off.
    let again = second.block_on(soon(async {
        loop {
            match producer.send("two").await {
                Err(error) if error.kind() == ErrorKind::Closed => {}
                sent => return sent,
            }
        }
    }));
    again.unwrap();
    drop(producer);
    drop(running);
}

#[test]
fn events_that_wait_in_a_buffer_are_given_up_with_the_runtime_that_would_have_sent_them() {
    let first = tokio::runtime::Runtime::new().unwrap();
    let second = tokio::runtime::Runtime::new().unwrap();
    let running = second.block_on(start());
    let options = BufferedOptions { max_wait_time: Duration::from_secs(3600), ..BufferedOptions::default() };
    let producer = BufferedProducerClient::new(running.producer(), options).unwrap();
    let lost = first.block_on(soon(producer.enqueue("one"))).unwrap();
    first.shutdown_background();
    assert_eq!(second.block_on(soon(lost)).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(producer.total_buffered_event_count(), 0);
    // What comes later is sent by the runtime that it comes from.
    let kept = second.block_on(soon(producer.enqueue("two"))).unwrap();
    second.block_on(soon(producer.flush())).unwrap();
    second.block_on(soon(kept)).unwrap();
    drop(producer);
    drop(running);
}

#[tokio::test]
async fn a_buffered_producer_finds_the_partition_that_a_hub_got_later() {
    let mut config = EmulatorConfig::default().with_hub("grows", 2);
    config.tls = None;
    let emulator = Emulator::start(config).await.unwrap();
    let producer =
        ProducerClient::builder().connection_string(emulator.connection_string()).event_hub("grows");
    let producer =
        BufferedProducerClient::new(producer.build().unwrap(), BufferedOptions::default()).unwrap();
    let to = |id: &str| EnqueueOptions { partition_id: Some(id.to_owned()), ..EnqueueOptions::default() };
    let before = soon(producer.enqueue_with("before", to("1"))).await.unwrap();
    soon(producer.flush()).await.unwrap();
    assert_eq!(before.await.unwrap(), "1");
    let (namespace, now) =
        (emulator.namespace(), Now { moment: Moment::ORIGIN, unix: SystemTime::now().into() });
    namespace.delete_hub("grows", now).unwrap();
    namespace.create_hub(HubConfig::new("grows", 4), now).unwrap();
    let after = soon(producer.enqueue_with("after", to("3"))).await.unwrap();
    let by_key =
        soon(producer.enqueue(EventData::from("by key").with_partition_key("device-2"))).await.unwrap();
    soon(producer.flush()).await.unwrap();
    assert_eq!((after.await.unwrap().as_str(), by_key.await.unwrap().as_str()), ("3", "2"));
    let error = soon(producer.enqueue_with("nowhere", to("4"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("there is no partition '4': there are 0, 1, 2, 3"), "{error}");
    soon(producer.close()).await.unwrap();
}
