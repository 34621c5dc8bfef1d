//! What seeds once found, each spelled out: a seed means something else as soon as a plan changes.

use std::time::Duration;

use eventhubs::broker::HubConfig;
use eventhubs::broker::faults::Fault;
use eventhubs::simulation::{
    Notice, Service, World, blackhole, connections, cut, leftovers, now, sleep, stall, within,
};
use eventhubs::{ConsumerClient, ErrorKind, ProducerClient, RetryOptions, SendOptions, StartPosition};

const HOUR: Duration = Duration::from_secs(3600);

/// Lives through `story`, and sees to it that nothing is left of it.
fn tell<F: Future<Output = ()> + 'static>(story: impl FnOnce(Service) -> F) {
    tell_of(1, story);
}

/// The same, with so many partitions.
fn tell_of<F: Future<Output = ()> + 'static>(partitions: u32, story: impl FnOnce(Service) -> F) {
    let mut world = World::enter(1, false);
    let service = Service::start(HubConfig::new("hub", partitions));
    let told = story(service.clone());
    world.run(HOUR, told).unwrap();
    service.stop();
    drop(service);
    world.wind_down(HOUR);
    assert_eq!(leftovers(), Default::default());
}

fn clients(service: &Service) -> (ProducerClient, ConsumerClient) {
    let text = service.connection_string();
    let producer = ProducerClient::from_connection_string(&text).unwrap();
    (producer, ConsumerClient::from_connection_string(&text).unwrap())
}

/// Seed 5: what was stored while the link was down was never seen.
#[test]
fn a_stream_that_starts_at_the_end_misses_nothing_when_its_link_is_lost_before_the_first_event() {
    tell(|service| async move {
        let (producer, consumer) = clients(&service);
        let reader = consumer.partition("0").from(StartPosition::latest());
        let mut events = reader.open().await.unwrap();
        for connection in connections() {
            cut(connection, [Notice::Reset(Duration::from_secs(5)), Notice::Reset(Duration::ZERO)]);
        }
        producer.send_with("while it is away", SendOptions::to_partition("0")).await.unwrap();
        let event = within(Duration::from_secs(60), events.next()).await.unwrap().unwrap().unwrap();
        assert_eq!((event.sequence_number(), &*event.body_text().unwrap()), (0, "while it is away"));
    });
}

/// Seed 45841: the hub's token was refused once, and the stream did without knowing where the partition ends.
#[test]
fn a_stream_does_not_start_at_a_moving_end_because_a_token_is_broken() {
    tell(|service| async move {
        let (_, consumer) = clients(&service);
        // The first is the consumer group's.
        let refused = service.inject(Fault::refuse_token(401).after(1).once()).unwrap();
        let reader = consumer.partition("0").from(StartPosition::latest());
        let error = match reader.open().await {
            Ok(mut events) => events.next().await.unwrap().unwrap_err(),
            Err(error) => error,
        };
        assert_eq!((error.kind(), refused.hits()), (ErrorKind::Unauthorized, 1), "{error}");
    });
}

#[test]
fn a_stream_starts_at_the_end_with_a_token_that_opens_nothing_but_its_consumer_group() {
    tell(|service| async move {
        let (producer, consumer) = clients(&service);
        producer.send("before").await.unwrap();
        let audience = "InvalidAudience: The authorization header contains a token with a wrong audience.";
        let fault = Fault::refuse_token(401).with_description(audience).after(1).times(100);
        let refused = service.inject(fault).unwrap();
        let mut events = consumer.partition("0").from(StartPosition::latest()).open().await.unwrap();
        sleep(Duration::from_secs(1)).await;
        assert!(refused.hits() > 0);
        producer.send("after").await.unwrap();
        let event = within(Duration::from_secs(60), events.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(&*event.body_text().unwrap(), "after");
    });
}

/// Seed 9050: the answer to a question about another partition, asked for a link that was gone, told a new one where its partition ends.
#[test]
fn a_stream_at_the_end_does_not_hear_the_answer_to_a_question_for_a_link_that_is_gone() {
    tell_of(2, |service| async move {
        let (producer, consumer) = clients(&service);
        producer.send_with("one", SendOptions::to_partition("0")).await.unwrap();
        for _ in 0..3 {
            producer.send_with("old", SendOptions::to_partition("1")).await.unwrap();
        }
        // Connection and token are there before the wire is slow.
        drop(consumer.partition("0").from(StartPosition::latest()).open().await.unwrap());
        let slow = service.inject(Fault::delay(Duration::from_secs(2))).unwrap();
        let reader = consumer.partition("0").from(StartPosition::latest());
        assert!(within(Duration::from_secs(1), reader.open()).await.is_none());
        // Its place is free a moment later.
        sleep(Duration::from_millis(100)).await;
        let mut events = consumer.partition("1").from(StartPosition::latest()).open().await.unwrap();
        drop(slow);
        producer.send_with("new", SendOptions::to_partition("1")).await.unwrap();
        let event = within(Duration::from_secs(60), events.next()).await.unwrap().unwrap().unwrap();
        assert_eq!((event.sequence_number(), &*event.body_text().unwrap()), (3, "new"));
    });
}

/// The service said so with the condition that it has for quotas, too, and was never connected to again.
#[test]
fn a_service_that_has_heard_nothing_for_too_long_is_connected_to_again() {
    tell(|service| async move {
        let (producer, _) = clients(&service);
        producer.send("before").await.unwrap();
        for connection in connections() {
            blackhole(connection, [true, false]);
        }
        // Twice the service's idle timeout, and a little.
        sleep(Duration::from_secs(500)).await;
        producer.send("after").await.unwrap();
        assert_eq!(service.store().last_sequence(0), 1);
    });
}

/// What is acknowledged is on disk: a crash right behind the answer loses nothing.
#[test]
fn what_is_acknowledged_outlives_a_crash_of_the_service() {
    tell(|service| async move {
        let (producer, _) = clients(&service);
        service.set_disk(Duration::from_millis(500));
        for number in 0..20 {
            producer.send(format!("{number}")).await.unwrap();
            service.crash();
            service.open();
        }
        assert!(service.store().last_sequence(0) >= 19);
    });
}

/// Seed 2288: first it waited for its link until the deadline was almost over, then as long again for the event.
#[test]
fn an_idempotent_send_has_one_deadline_together_with_its_link() {
    tell(|service| async move {
        let retry = RetryOptions {
            attempt_timeout: Duration::from_secs(10),
            total_deadline: Some(Duration::from_secs(10)),
            ..RetryOptions::default()
        };
        let producer = ProducerClient::builder().connection_string(service.connection_string());
        let producer = producer.idempotent(true).retry(retry).build().unwrap();
        let _slow = service.inject(Fault::delay(Duration::from_millis(300))).unwrap();
        let _stopped = service.inject(Fault::stop_partition()).unwrap();
        let started = now();
        let error = producer.send_with("x", SendOptions::to_partition("0")).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome_unknown()), (ErrorKind::Timeout, true), "{error}");
        assert!(now() - started < Duration::from_secs(11), "{:?}", now() - started);
    });
}

/// Seed 13320: what a connection had asked for that was long given up arrived, and made the producer's own link another's for good.
#[test]
fn an_idempotent_producer_is_not_outdone_by_what_it_asked_for_itself() {
    tell(|service| async move {
        let retry = RetryOptions {
            attempt_timeout: Duration::from_secs(3),
            max_attempts: 20,
            ..RetryOptions::default()
        };
        let producer = ProducerClient::builder().connection_string(service.connection_string());
        let producer = producer.idempotent(true).retry(retry).build().unwrap();
        let to_0 = || SendOptions::to_partition("0");
        producer.send_with("a", to_0()).await.unwrap();
        let detached = service.inject(Fault::detach("amqp:link:detach-forced").sending().once()).unwrap();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(detached.hits(), 1);
        // The request for another link waits on the way until long after the next connection has one.
        stall(connections()[0], Duration::from_secs(30));
        producer.send_with("b", to_0()).await.unwrap();
        sleep(Duration::from_secs(60)).await;
        producer.send_with("c", to_0()).await.unwrap();
        assert_eq!(service.store().last_sequence(0), 2);
    });
}
