//! What goes wrong on purpose with wires and connections, and how long it does.

use super::*;
use crate::broker::faults::{Direction, Fault, FaultGuard, On};

pub(super) fn inject(namespace: &Namespace, fault: Fault, now: Now) -> FaultGuard {
    namespace.faults().inject(fault, now).unwrap()
}

/// An event for [`Client::post`].
pub(super) fn text(text: &str) -> Bytes {
    encode_event(&EventData::from(text)).unwrap()
}

#[test]
fn nothing_is_looked_at_while_nothing_is_set() {
    let namespace = namespace();
    assert!(!namespace.faults().any());
    let guard = inject(&namespace, Fault::refuse(), start());
    assert!(namespace.faults().any());
    assert_eq!(guard.end(), 0);
    assert!(!namespace.faults().any());
    let kept = inject(&namespace, Fault::refuse(), start()).keep();
    assert_eq!(namespace.faults().list()[0].id, kept);
    assert!(namespace.faults().end(kept) && !namespace.faults().end(kept));
    assert!(!namespace.faults().any());
}

#[test]
fn new_connections_are_refused_while_the_guard_lives() {
    let namespace = namespace();
    let mut old = Client::new(&namespace);
    let guard = inject(&namespace, Fault::refuse().after(1).times(2), start());
    let mut first = Client::new(&namespace);
    for _ in 0..2 {
        assert!(Client::dial(&namespace, SaslProfile::Anonymous, start()).is_err());
    }
    assert_eq!(guard.hits(), 2);
    let _third = Client::new(&namespace);
    assert!(old.sender("orders").is_ok() && first.sender("orders").is_ok());
}

#[test]
fn a_client_can_be_refused_by_its_name() {
    let namespace = namespace();
    let _guard = inject(&namespace, Fault::refuse().of_client("client"), start());
    let mut client = Client::dial(&namespace, SaslProfile::Anonymous, start()).unwrap();
    client.pump();
    assert!(client.broker.was_dropped() && client.broker.is_finished());
}

#[test]
fn connections_that_are_there_break_and_later_ones_do_not() {
    let namespace = namespace();
    let (mut one, mut two) = (Client::new(&namespace), Client::new(&namespace));
    one.sender("orders/Partitions/1").unwrap();
    two.sender("orders/Partitions/2").unwrap();
    let guard = inject(&namespace, Fault::drop_connections().on_partition("1"), start());
    one.pump();
    two.pump();
    assert!(one.broker.was_dropped() && one.broker.is_finished());
    assert!(!two.broker.was_dropped());
    assert_eq!((guard.hits(), one.closed()), (1, None));
    let mut three = Client::new(&namespace);
    three.sender("orders/Partitions/1").unwrap();
    assert!(!three.broker.was_dropped());
    assert_eq!(guard.end(), 1);
}

#[test]
fn a_fault_waits_until_its_time_and_lasts_as_long_as_it_says() {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    let (wait, lasting) = (Duration::from_secs(10), Duration::from_secs(5));
    let dropped = inject(&namespace, Fault::drop_connections().wait(wait), start());
    let refused = inject(&namespace, Fault::refuse().wait(wait).lasting(lasting), start());
    client.pump();
    assert_eq!(client.broker.next_deadline(), Some(seconds(10).moment));
    client.tick(seconds(9));
    assert!(!client.broker.was_dropped());
    assert!(Client::dial(&namespace, SaslProfile::Anonymous, seconds(9)).is_ok());
    client.tick(seconds(10));
    assert!(client.broker.was_dropped());
    assert!(Client::dial(&namespace, SaslProfile::Anonymous, seconds(14)).is_err());
    assert!(Client::dial(&namespace, SaslProfile::Anonymous, seconds(15)).is_ok());
    assert_eq!((dropped.hits(), refused.hits()), (1, 1));
}

#[test]
fn a_half_open_connection_swallows_and_never_ends_by_itself() {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    let sender = client.sender("orders").unwrap();
    let guard = inject(&namespace, Fault::half_open().times(1), start());
    let token = client.post(sender, 0, text("lost"));
    assert_eq!(client.outcome(token), None);
    assert_eq!(namespace.partition("orders", 0, start()).unwrap().last_sequence, -1);
    assert_eq!(guard.hits(), 1);
    // Bytes are missing, so it stays as it is. Even when the service gives up, nobody hears of it.
    drop(guard);
    client.post(sender, 0, text("lost, too"));
    client.tick(seconds(500));
    assert!(client.closed().is_none() && !client.broker.is_finished() && !client.broker.was_dropped());
    let mut other = Client::new(&namespace);
    let sender = other.sender("orders").unwrap();
    other.publish(sender, &["heard"]);
    // Who stops the service does not wait for it.
    namespace.shutdown(seconds(500));
    client.pump();
    assert!(client.broker.is_finished());
}

#[test]
fn a_wire_that_is_open_one_way_stores_what_nobody_is_told_of() {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    let sender = client.sender("orders/Partitions/0").unwrap();
    let _guard = inject(&namespace, Fault::half_open().toward(Direction::Client), start());
    let token = client.post(sender, 0, text("stored"));
    assert_eq!(client.outcome(token), None);
    assert_eq!(namespace.partition("orders", 0, start()).unwrap().last_sequence, 0);
}

#[test]
fn bytes_arrive_late_and_at_once_when_the_fault_ends() {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    let sender = client.sender("orders/Partitions/0").unwrap();
    let guard = inject(&namespace, Fault::delay(Duration::from_secs(2)), start());
    let token = client.post(sender, 0, text("late"));
    assert_eq!(client.outcome(token), None);
    assert_eq!(client.broker.next_deadline(), Some(seconds(2).moment));
    client.tick(seconds(2));
    assert_eq!(namespace.partition("orders", 0, start()).unwrap().last_sequence, 0);
    assert_eq!(client.outcome(token), None);
    client.tick(seconds(4));
    assert_eq!(client.outcome(token), Some(Outcome::Accepted));
    let token = client.post(sender, 0, text("later"));
    assert_eq!(client.outcome(token), None);
    assert!(guard.end() >= 2);
    assert_eq!(client.outcome(token), Some(Outcome::Accepted));
}

#[test]
fn a_slow_wire_takes_its_time_and_says_when_it_is_full() {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    let sender = client.sender("orders/Partitions/0").unwrap();
    let fault = Fault::bandwidth(100_000).toward(Direction::Service);
    let _guard = inject(&namespace, fault, start());
    let big = "x".repeat(500_000);
    let tokens: Vec<_> = (0..3).map(|_| client.post(sender, 0, text(&big))).collect();
    client.pump();
    assert!(client.broker.is_full());
    client.tick(seconds(4));
    assert_eq!(client.outcome(tokens[0]), None);
    client.tick(seconds(6));
    assert_eq!(client.outcome(tokens[0]), Some(Outcome::Accepted));
    assert_eq!(client.outcome(tokens[1]), None);
    assert!(!client.broker.is_full());
    client.tick(seconds(16));
    assert_eq!(client.outcome(tokens[2]), Some(Outcome::Accepted));
}

#[test]
fn a_frame_is_cut_in_the_middle_and_then_there_is_silence() {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    let sender = client.sender("orders/Partitions/0").unwrap();
    let guard = inject(&namespace, Fault::cut_frame().on(On::Sent).after(1), start());
    client.publish(sender, &["whole"]);
    let token = client.post(sender, 0, text("cut"));
    while let Some(bytes) = client.engine.poll_output(start().moment) {
        client.broker.feed(bytes, start());
    }
    let partial = client.broker.poll_output(start()).unwrap();
    let len = u32::from_be_bytes(
        [partial.first(), partial.get(1), partial.get(2), partial.get(3)].map(|b| *b.unwrap_or(&0)),
    );
    assert!(partial.len() < 4 || partial.len() < len as usize, "{} of {len}", partial.len());
    assert_eq!(client.broker.poll_output(start()), None);
    assert!(client.broker.is_finished() && client.broker.was_dropped());
    assert_eq!((client.outcome(token), guard.hits()), (None, 1));
    assert_eq!(namespace.partition("orders", 0, start()).unwrap().last_sequence, 1);
}

#[test]
fn a_restart_breaks_everything_and_is_down_for_a_while() {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    let sender = client.sender("orders/Partitions/0").unwrap();
    client.publish(sender, &["kept"]);
    let guard = inject(&namespace, Fault::restart().down_for(Duration::from_secs(3)), start());
    client.pump();
    assert!(client.broker.was_dropped());
    assert!(Client::dial(&namespace, SaslProfile::Anonymous, seconds(2)).is_err());
    assert!(Client::dial(&namespace, SaslProfile::Anonymous, seconds(3)).is_ok());
    let mut client = Client::new(&namespace);
    let reader = client.read(StartPosition::earliest(), 10);
    assert_eq!(client.texts(reader), ["kept"]);
    assert_eq!(guard.hits(), 1);
}

#[test]
fn a_restart_may_lose_what_only_memory_holds() {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    let sender = client.sender("orders/Partitions/0").unwrap();
    client.publish(sender, &["lost"]);
    let wait = Duration::from_secs(5);
    let guard = inject(&namespace, Fault::restart().losing_data().wait(wait), start());
    client.tick(seconds(5));
    assert!(client.broker.was_dropped() && guard.hits() == 1);
    let mut client = Client::new(&namespace);
    let sender = client.sender("orders/Partitions/0").unwrap();
    client.publish(sender, &["new"]);
    let reader = client.read(StartPosition::earliest(), 10);
    assert_eq!(client.texts(reader), ["new"]);
    assert_eq!(namespace.partition("orders", 0, start()).unwrap().last_sequence, 0);
    assert!(namespace.hub("orders").unwrap().consumer_groups.contains(&"audit".to_owned()));
}

#[test]
fn the_dice_fall_the_same_way_for_the_same_seed() {
    let refused = |seed| {
        let namespace = namespace();
        let _guard = inject(&namespace, Fault::refuse().probability(0.3, seed), start());
        (0..40)
            .map(|_| Client::dial(&namespace, SaslProfile::Anonymous, start()).is_err())
            .collect::<Vec<bool>>()
    };
    assert_eq!(refused(7), refused(7));
    assert_ne!(refused(7), refused(8));
    let count = refused(7).iter().filter(|refused| **refused).count();
    assert!((4..24).contains(&count), "{count}");
}

#[test]
fn faults_that_mean_nothing_are_refused_with_what_is_wrong() {
    let namespace = namespace();
    for (fault, says) in [
        (Fault::duplicate().jitter(Duration::ZERO), "the fault 'duplicate' has no jitterMs"),
        (Fault::busy().on(On::Connect), "on of the fault 'busy' cannot be connect: it strikes on send"),
        (Fault::refuse().probability(1.5, 0), "probability"),
        (Fault::refuse().times(0), "times"),
        (Fault::bandwidth(0), "bytesPerSecond"),
        (Fault::refuse_token(202), "status"),
        (Fault::skew_clock(1).once(), "a clock is off or it is not"),
        (Fault::stop_partition().on_partition("x"), "must be a partition's id"),
        (Fault::detach("a".repeat(1000)), "condition"),
    ] {
        let error = namespace.faults().inject(fault, start()).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let guards: Vec<_> = (0..64).map(|_| inject(&namespace, Fault::refuse(), start())).collect();
    let error = namespace.faults().inject(Fault::refuse(), start()).unwrap_err().to_string();
    assert!(error.contains("64 faults are set"), "{error}");
    drop(guards);
    assert!(namespace.faults().list().is_empty());
}

#[test]
fn whoever_waits_for_a_hit_is_woken_by_it_or_by_the_end() {
    let namespace = namespace();
    let guard = inject(&namespace, Fault::refuse(), start());
    let wakes = Arc::new(Count::default());
    let waker = wakes.clone().into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut hit = std::pin::pin!(guard.until_hit(2));
    assert!(hit.as_mut().poll(&mut context).is_pending());
    assert!(Client::dial(&namespace, SaslProfile::Anonymous, start()).is_err());
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
    assert!(hit.as_mut().poll(&mut context).is_pending());
    namespace.faults().clear();
    assert_eq!(wakes.0.load(Ordering::SeqCst), 2);
    assert_eq!(hit.as_mut().poll(&mut context), std::task::Poll::Ready(1));
}

#[derive(Default)]
struct Count(AtomicUsize);

impl std::task::Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
