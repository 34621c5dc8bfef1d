//! What goes wrong on purpose with links, publications, events and tokens.

use super::faults::{inject, text};
use super::*;
use crate::broker::faults::{Direction, Fault, On};
use crate::dialect::conditions;

fn last(namespace: &Namespace, partition: u32) -> i64 {
    namespace.partition("orders", partition, start()).unwrap().last_sequence
}

#[test]
fn an_acknowledgement_is_lost_behind_what_was_stored() {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    let sender = client.sender("orders/Partitions/0").unwrap();
    let guard = inject(&namespace, Fault::lose_ack().after(1).once(), start());
    client.publish(sender, &["one"]);
    let lost = client.post(sender, 0, text("two"));
    assert_eq!(client.outcome(lost), None);
    client.publish(sender, &["three"]);
    assert_eq!((last(&namespace, 0), guard.hits()), (2, 1));
    assert_eq!(client.outcome(lost), None);
}

#[test]
fn a_lost_acknowledgement_may_break_the_connection() {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    let sender = client.sender("orders/Partitions/0").unwrap();
    let _guard = inject(&namespace, Fault::lose_ack().then_drop(), start());
    client.post(sender, 0, text("stored"));
    client.pump();
    assert!(client.broker.was_dropped());
    assert_eq!(last(&namespace, 0), 0);
}

#[test]
fn a_publication_is_stored_twice_and_acknowledged_once() {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    let sender = client.sender("orders/Partitions/0").unwrap();
    let _guard = inject(&namespace, Fault::duplicate().once(), start());
    client.publish(sender, &["twice", "once"]);
    let reader = client.read(StartPosition::earliest(), 10);
    assert_eq!(client.texts(reader), ["twice", "twice", "once"]);
}

#[test]
fn a_busy_service_says_so_to_whoever_asks() {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    let sender = client.sender("orders/Partitions/0").unwrap();
    let reader = client.read(StartPosition::earliest(), 10);
    client.publish(sender, &["before"]);
    assert_eq!(client.texts(reader), ["before"]);
    let text_of = "The request was terminated because the entity is being throttled. Error code : 50002. Sub error : \
                   102. Please wait 4 seconds and try again.";
    let guard = inject(&namespace, Fault::busy().once(), start());
    let outcome = client.send(sender, 0, text("busy"));
    assert_eq!(rejection(outcome), ("com.microsoft:server-busy".to_owned(), text_of.to_owned()));
    assert_eq!((guard.end(), last(&namespace, 0)), (1, 0));
    let guard = inject(&namespace, Fault::busy().on(On::Attach).once(), start());
    assert_eq!(refused(client.sender("orders")).0, "com.microsoft:server-busy");
    drop(guard);
    let guard = inject(&namespace, Fault::busy().on(On::Receive).once(), start());
    client.publish(sender, &["after"]);
    let error = client.detached(reader).unwrap();
    assert_eq!(said(&error), ("com.microsoft:server-busy", text_of));
    drop(guard);
    let _guard = inject(&namespace, Fault::busy().on(On::Token).once(), start());
    assert_eq!(client.put_token("sb://localhost", "any", "SAS_KEY_VALUE", LATER).status, 503);
}

#[test]
fn links_are_detached_at_any_moment_with_any_condition() {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    let sender = client.sender("orders/Partitions/0").unwrap();
    let other = client.sender("orders/Partitions/1").unwrap();
    // What is there now.
    let fault = Fault::detach(conditions::LINK_DETACH_FORCED).on_partition("0");
    let guard = inject(&namespace, fault, start());
    let error = client.detached(sender).unwrap();
    assert_eq!(error.condition.as_str(), "amqp:link:detach-forced");
    assert!(
        said(&error).1.starts_with("The link 'G0:1:orders/partitions/0' is force detached by the broker")
    );
    assert_eq!((client.detached(other), guard.hits()), (None, 1));
    let sender = client.sender("orders/Partitions/0").unwrap();
    client.publish(sender, &["one"]);
    assert_eq!(guard.end(), 1);
    // Before the third publication: it is not stored.
    let fault = Fault::detach("com.example:mine").with_description("Mine.").on(On::Send).after(1);
    let guard = inject(&namespace, fault, start());
    client.publish(sender, &["two"]);
    client.post(sender, 0, text("never"));
    let error = client.detached(sender).unwrap();
    assert_eq!(said(&error), ("com.example:mine", "Mine."));
    assert_eq!((last(&namespace, 0), guard.end()), (1, 1));
    // After it was stored and answered.
    let sender = client.sender("orders/Partitions/0").unwrap();
    let guard = inject(&namespace, Fault::detach("").on(On::Sent), start());
    client.publish(sender, &["three"]);
    let is_gone = client.take(|event| match event {
        Event::Detached { link, error, .. } if *link == sender => Some(error.is_none()),
        _ => None,
    });
    assert_eq!((is_gone, last(&namespace, 0)), (Some(true), 2));
    drop(guard);
    // When it is asked for.
    let _guard =
        inject(&namespace, Fault::detach("amqp:internal-error").on(On::Attach).sending().once(), start());
    let reader = client.receiver(PARTITION, StartPosition::earliest());
    assert!(reader.is_ok());
    assert_eq!(refused(client.sender("orders/Partitions/0")).0, "amqp:internal-error");
    assert!(client.sender("orders/Partitions/0").is_ok());
}

#[test]
fn a_reader_is_detached_before_or_after_the_nth_event() {
    for (on, expected) in [(On::Receive, vec!["one", "two"]), (On::Received, vec!["one", "two", "three"])] {
        let namespace = namespace();
        let mut client = Client::new(&namespace);
        let sender = client.sender("orders/Partitions/0").unwrap();
        client.publish(sender, &["one", "two", "three", "four"]);
        let fault = Fault::detach(conditions::LINK_DETACH_FORCED).on(on).after(2).once();
        let guard = inject(&namespace, fault, start());
        let reader = client.read(StartPosition::earliest(), 10);
        assert_eq!(client.texts(reader), expected);
        let error = client.detached(reader).unwrap();
        assert!(said(&error).1.contains("errors occurred in consumer(link"), "{error}");
        assert_eq!(guard.hits(), 1);
        let reader = client.read(StartPosition::earliest(), 10);
        assert_eq!(client.texts(reader).len(), 4);
    }
}

#[test]
fn sessions_end_and_connections_close_with_any_condition() {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    let session = client.session();
    client.attach_on(session, to("orders/Partitions/0")).unwrap();
    client.attach_on(session, to("orders/Partitions/1")).unwrap();
    let guard = inject(&namespace, Fault::end("amqp:session:errant-link"), start());
    let ended = client.take(|event| match event {
        Event::SessionEnded { session: s, error } if *s == session => error.clone(),
        _ => None,
    });
    assert_eq!(ended.unwrap().condition.as_str(), "amqp:session:errant-link");
    assert_eq!(guard.end(), 1);
    let sender = client.sender("orders/Partitions/0").unwrap();
    let guard = inject(&namespace, Fault::close("amqp:connection:forced").on(On::Send), start());
    client.post(sender, 0, text("never"));
    let Some(CloseReason::Remote(Some(error))) = client.closed() else { panic!("not closed") };
    assert!(said(&error).1.contains("is closed by container 'LinkTracker'"), "{error}");
    assert_eq!((last(&namespace, 0), guard.hits()), (-1, 1));
}

/// Everything that the client has to say arrives as one piece.
fn pump_at_once(client: &mut Client, pieces: &[Bytes]) {
    client.broker.feed(pieces.concat().into(), client.now);
    client.pump();
}

fn reader_of(partition: u32, epoch: i64) -> Attach {
    let address = format!("orders/ConsumerGroups/$Default/Partitions/{partition}");
    let mut attach = from(&address, StartPosition::earliest());
    attach.properties.push((Symbol::from_static("com.microsoft:epoch"), Value::Long(epoch)));
    attach
}

#[test]
fn nothing_is_taken_that_stands_behind_what_ended_a_link_a_session_or_a_connection() {
    type Make = fn() -> Fault;
    let faults: [(&str, Make); 5] = [
        ("detach", || Fault::detach(conditions::INTERNAL_ERROR)),
        ("end", || Fault::end(conditions::INTERNAL_ERROR)),
        ("close", || Fault::close(conditions::CONNECTION_FORCED)),
        ("expire-token", Fault::expire_token),
        ("half-open", Fault::half_open),
    ];
    for (name, fault) in faults {
        let namespace = namespace();
        let mut client = Client::new(&namespace);
        let session = client.session();
        let (sender, _) = client.attach_on(session, to("orders/Partitions/0")).unwrap();
        let _guard = inject(&namespace, fault().on(On::Send).after(1).once(), start());
        // The second is struck.
        let posted = ["one", "two", "three", "four"].map(|body| client.post(sender, 0, text(body)));
        let events = client.engine.poll_output(client.now.moment).unwrap();
        client.engine.attach(session, reader_of(1, 5)).unwrap();
        let link = client.engine.poll_output(client.now.moment).unwrap();
        pump_at_once(&mut client, &[events, link]);
        assert_eq!(last(&namespace, 0), 0, "{name}");
        assert_eq!(posted[1..].iter().find_map(|token| client.outcome(*token)), None, "{name}");
        // Nobody sits there, unless only the publisher's link is gone.
        let newcomer = Client::new(&namespace).attach(reader_of(1, 1));
        assert_eq!(newcomer.is_err(), name == "detach", "{name}");
    }
}

#[test]
fn what_is_heard_is_stored_although_the_answer_is_not() {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    let sender = client.sender("orders/Partitions/0").unwrap();
    let fault = Fault::half_open().toward(Direction::Client).on(On::Send).after(1).once();
    let _guard = inject(&namespace, fault, start());
    let posted = ["one", "two", "three"].map(|body| client.post(sender, 0, text(body)));
    client.pump();
    assert_eq!(last(&namespace, 0), 2);
    assert_eq!(posted[1..].iter().find_map(|token| client.outcome(*token)), None);
}

#[test]
fn tokens_are_refused_with_any_status() {
    let namespace = namespace();
    let mut client = Client::anonymous(&namespace);
    for (status, says) in [
        (401, "InvalidSignature: The token has an invalid signature."),
        (404, "The messaging entity 'sb://localhost/orders' could not be found."),
        (500, "please retry the operation"),
    ] {
        let guard = inject(&namespace, Fault::refuse_token(status).on_entity("orders"), start());
        let other = client.put_token("sb://localhost/elsewhere", "any", "SAS_KEY_VALUE", LATER);
        assert!(other.description.contains("elsewhere"), "{}", other.description);
        let reply = client.put_token("sb://localhost/orders", "any", "SAS_KEY_VALUE", LATER);
        assert_eq!((reply.status, guard.end()), (i32::from(status), 1));
        assert!(reply.description.contains(says), "{}", reply.description);
    }
    assert_eq!(client.put_token("sb://localhost/orders", "any", "SAS_KEY_VALUE", LATER).status, 202);
}

#[test]
fn a_token_runs_out_at_once_and_a_new_one_helps() {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    let sender = client.sender("orders/Partitions/0").unwrap();
    let reader = client.read(StartPosition::earliest(), 10);
    let guard = inject(&namespace, Fault::expire_token(), start());
    let error = client.detached(sender).unwrap();
    assert_eq!(
        said(&error),
        (
            "amqp:unauthorized-access",
            "Unauthorized access. 'Send' claim(s) are required to perform this operation. Resource: \
             'sb://localhost/orders/partitions/0'."
        )
    );
    assert!(client.detached(reader).is_some());
    assert_eq!(guard.hits(), 1);
    assert_eq!(refused(client.sender("orders")).0, "amqp:unauthorized-access");
    assert_eq!(client.put_token("sb://localhost", "any", "SAS_KEY_VALUE", LATER).status, 202);
    assert!(client.sender("orders").is_ok());
}

#[test]
fn a_readers_place_is_stolen() {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    let sender = client.sender("orders/Partitions/0").unwrap();
    let reader = client.read(StartPosition::earliest(), 10);
    let guard = inject(&namespace, Fault::steal_link(), start());
    let error = client.detached(reader).unwrap();
    assert_eq!(
        said(&error),
        (
            "amqp:link:stolen",
            "New receiver 'nil' with higher epoch of '0' is created hence current receiver 'nil' with epoch '-1' is \
             getting disconnected. If you are recreating the receiver, make sure a higher epoch is used."
        )
    );
    assert_eq!((client.detached(sender), guard.end()), (None, 1));
    let guard = inject(&namespace, Fault::steal_link().on(On::Attach), start());
    assert_eq!(refused(client.receiver(PARTITION, StartPosition::earliest())).0, "amqp:link:stolen");
    drop(guard);
    assert!(client.receiver(PARTITION, StartPosition::earliest()).is_ok());
}

#[test]
fn a_stopped_partition_is_silent_and_goes_on_when_it_is_let() {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    let sender = client.sender("orders/Partitions/0").unwrap();
    let other = client.sender("orders/Partitions/1").unwrap();
    let reader = client.read(StartPosition::earliest(), 10);
    client.publish(sender, &["before"]);
    assert_eq!(client.texts(reader), ["before"]);
    let fault = Fault::stop_partition().on_entity("ORDERS").on_partition("0").receiving();
    let guard = inject(&namespace, fault, start());
    client.publish(sender, &["held"]);
    client.publish(other, &["elsewhere"]);
    assert!(client.received(reader).is_empty());
    assert_eq!(guard.end(), 1);
    assert_eq!(client.texts(reader), ["held"]);
    let guard = inject(&namespace, Fault::stop_partition().on_partition("0"), start());
    let unanswered = client.post(sender, 0, text("never stored"));
    assert_eq!(client.outcome(unanswered), None);
    assert!(guard.end() >= 1);
    client.publish(sender, &["after"]);
    assert_eq!((client.outcome(unanswered), client.texts(reader)), (None, vec!["after".to_owned()]));
}

#[test]
fn a_slow_disk_keeps_events_unseen_and_unanswered_in_order() {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    let sender = client.sender("orders/Partitions/0").unwrap();
    let reader = client.read(StartPosition::earliest(), 10);
    let guard = inject(&namespace, Fault::slow_disk(Duration::from_secs(3)).once(), start());
    let slow = client.post(sender, 0, text("slow"));
    client.pump();
    let behind = client.post(sender, 0, text("behind"));
    assert_eq!((client.outcome(slow), client.outcome(behind)), (None, None));
    assert!(client.received(reader).is_empty());
    assert_eq!(client.broker.next_deadline(), Some(seconds(3).moment));
    client.tick(seconds(3));
    assert_eq!(client.outcome(slow), Some(Outcome::Accepted));
    assert_eq!(client.outcome(behind), Some(Outcome::Accepted));
    assert_eq!(client.texts(reader), ["slow", "behind"]);
    assert_eq!(guard.end(), 1);
    client.publish(sender, &["fast"]);
    assert_eq!(client.texts(reader), ["fast"]);
}

#[test]
fn a_disk_is_fast_again_when_the_fault_ends() {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    let sender = client.sender("orders/Partitions/0").unwrap();
    let guard = inject(&namespace, Fault::slow_disk(Duration::from_secs(10)), start());
    let tokens = ["one", "two"].map(|body| client.post(sender, 0, text(body)));
    assert_eq!(tokens.map(|token| client.outcome(token)), [None, None]);
    drop(guard);
    assert_eq!(tokens.map(|token| client.outcome(token)), [Some(Outcome::Accepted), Some(Outcome::Accepted)]);
    assert_eq!(last(&namespace, 0), 1);
}

#[test]
fn what_is_put_off_keeps_nothing_alive() {
    let namespace = namespace();
    let faults = namespace.faults().clone();
    let mut client = Client::new(&namespace);
    let sender = client.sender("orders/Partitions/0").unwrap();
    inject(&namespace, Fault::slow_disk(Duration::from_secs(3)), start()).keep();
    client.post(sender, 0, text("slow"));
    client.pump();
    let partition = Arc::downgrade(&namespace.find("orders").unwrap().partitions[0]);
    drop((client, namespace));
    assert!(partition.upgrade().is_none());
    faults.run_errands(seconds(3));
    faults.clear();
    assert!(!faults.any());
}

#[test]
fn what_a_slow_disk_has_is_stored_although_the_sender_is_gone() {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    let sender = client.sender("orders/Partitions/0").unwrap();
    let guard = inject(&namespace, Fault::slow_disk(Duration::from_secs(3)), start());
    client.post(sender, 0, text("slow"));
    client.pump();
    drop(client);
    namespace.sweep(seconds(2));
    assert_eq!(last(&namespace, 0), -1);
    namespace.sweep(seconds(3));
    assert_eq!((last(&namespace, 0), guard.hits()), (0, 1));
}

#[test]
fn a_clock_that_is_off_judges_tokens_and_stamps_events() {
    let namespace = namespace();
    let mut client = Client::anonymous(&namespace);
    let hour = 3600;
    let guard = inject(&namespace, Fault::skew_clock(2 * hour * 1000), start());
    let reply = client.put_token("sb://localhost", "any", "SAS_KEY_VALUE", START + hour);
    assert_eq!(reply.status, 401);
    assert!(reply.description.starts_with("ExpiredToken:"), "{}", reply.description);
    assert_eq!(client.put_token("sb://localhost", "any", "SAS_KEY_VALUE", LATER).status, 202);
    let sender = client.sender("orders/Partitions/0").unwrap();
    client.publish(sender, &["from the future"]);
    assert_eq!(guard.hits(), 3);
    drop(guard);
    let reader = client.read(StartPosition::earliest(), 10);
    let enqueued = client.received(reader)[0].enqueued_time().as_millis();
    assert_eq!(enqueued, (START + 2 * hour) * 1000);
    // A grant that would have ended soon ends when it should.
    assert_eq!(client.put_token("sb://localhost", "any", "SAS_KEY_VALUE", START + hour).status, 202);
    let guard = inject(&namespace, Fault::skew_clock(2 * hour * 1000), start());
    client.pump();
    client.tick(at(Duration::from_millis(1)));
    assert!(client.detached(sender).is_some());
    drop(guard);
}
