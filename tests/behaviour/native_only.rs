//! What has no counterpart in JavaScript, where there is always one event loop, and it ends with the program.

use std::time::Duration;

use eventhubs::{BufferedOptions, BufferedProducerClient, ErrorKind, ProducerClient};

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
