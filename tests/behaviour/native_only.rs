//! What has no counterpart in JavaScript, where there is always one event loop, and it ends with the program.

use eventhubs::{ErrorKind, ProducerClient};

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
