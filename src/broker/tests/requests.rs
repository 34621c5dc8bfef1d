//! `$cbs` and `$management`: how replies find back, and what `READ` says.

use super::*;
use crate::dialect::management::{self, HubProperties, PartitionProperties};

fn token() -> String {
    sign("sb://localhost/orders", "any", "SAS_KEY_VALUE", LATER)
}

fn read(caller: Caller, hub: &str, partition: Option<&str>, token: Option<String>) -> Bytes {
    let partition = partition.map(str::to_owned);
    management::Request { caller, hub: hub.to_owned(), partition, security_token: token }.encode()
}

fn caller(reply_to: Option<&str>) -> Caller {
    Caller { message_id: Some(Value::from("m1")), reply_to: reply_to.map(str::to_owned) }
}

#[test]
fn a_reply_goes_to_the_link_whose_target_or_name_is_asked_for() {
    let mut client = Client::anonymous(&namespace());
    let session = client.session();
    let (requests, by_target) = client.pair(session, "$management", "target");
    let mut named = Attach::new("cbs-name", Role::Receiver);
    named.source = Some(Source::at("$management"));
    named.target = Some(Target::default());
    let (by_name, _) = client.attach_on(session, named).unwrap();
    client.engine.set_credit(by_name, 10);
    for (reply_to, link) in [("target", by_target), ("cbs-name", by_name)] {
        let request = read(caller(Some(reply_to)), "orders", None, Some(token()));
        assert_eq!(client.send(requests, 0, request), Some(Outcome::Accepted));
        let reply = client.reply(link).unwrap();
        assert_eq!((reply.status, reply.to.as_deref()), (200, Some(reply_to)));
    }
    for reply_to in [Some("elsewhere"), None] {
        let request = read(caller(reply_to), "orders", None, Some(token()));
        let (condition, _) = rejection(client.send(requests, 0, request));
        assert_eq!(condition, "amqp:not-allowed", "{reply_to:?} names neither, or one of two");
    }
}

#[test]
fn without_a_reply_to_the_only_receiver_of_the_session_is_answered() {
    let mut client = Client::anonymous(&namespace());
    let (one, two) = (client.session(), client.session());
    let (requests, replies) = client.pair(one, "orders/$management", "a");
    let (_, others) = client.pair(two, "$management", "a");
    let request = read(caller(None), "orders", None, Some(token()));
    assert_eq!(client.send(requests, 0, request), Some(Outcome::Accepted));
    let reply = client.reply(replies).unwrap();
    assert_eq!((reply.status, reply.to), (200, None));
    assert!(client.reply(others).is_none(), "the other session's is another one's");
}

#[test]
fn the_correlation_id_has_the_type_of_the_message_id() {
    let mut client = Client::anonymous(&namespace());
    for id in [
        Value::Ulong(0),
        Value::from("text"),
        Value::Uuid(crate::model::value::Uuid::from_bytes([3; 16])),
        Value::Binary(Bytes::from_static(b"id")),
    ] {
        let caller = Caller { message_id: Some(id.clone()), reply_to: Some("here".to_owned()) };
        let reply = client.ask("$management", read(caller, "orders", None, Some(token())));
        assert_eq!(reply.correlation_id, Some(id));
    }
}

#[test]
fn a_reply_waits_for_credit() {
    let mut client = Client::anonymous(&namespace());
    let session = client.session();
    let (requests, replies) = client.pair(session, "$management", "here");
    client.engine.set_credit(replies, 0);
    let request = || read(caller(Some("here")), "orders", None, Some(token()));
    client.send(requests, 0, request());
    client.send(requests, 0, request());
    assert!(client.reply(replies).is_none());
    client.engine.set_credit(replies, 1);
    assert!(client.reply(replies).is_some() && client.reply(replies).is_none());
    client.engine.set_credit(replies, 1);
    assert!(client.reply(replies).is_some());
}

#[test]
fn more_requests_than_the_first_credit_are_answered() {
    let mut client = Client::anonymous(&namespace());
    let session = client.session();
    let (requests, replies) = client.pair(session, "$management", "here");
    client.engine.set_credit(replies, 1000);
    for _ in 0..350 {
        client.send(requests, 0, read(caller(Some("here")), "orders", Some("0"), Some(token())));
    }
    let count = std::iter::from_fn(|| client.reply(replies)).count();
    assert_eq!(count, 350);
}

#[test]
fn a_second_cbs_pair_is_refused_until_the_first_is_gone() {
    let mut client = Client::anonymous(&namespace());
    let (one, two) = (client.session(), client.session());
    let (requests, replies) = client.pair(one, "$cbs", "here");
    let mut reply_link = Attach::new("second", Role::Receiver);
    reply_link.source = Some(Source::at("$cbs"));
    for attach in [to("$cbs"), reply_link.clone()] {
        assert_eq!(
            refused(client.attach_on(two, attach)),
            ("amqp:not-allowed".to_owned(), "$cbs node has already been opened.".to_owned())
        );
    }
    client.engine.detach(requests, true, None);
    client.engine.detach(replies, true, None);
    client.pair(two, "$cbs", "here");
    client.engine.end(two, None);
    let three = client.session();
    client.pair(three, "$cbs", "here");
}

#[test]
fn replies_are_settled_whatever_the_receiver_asked_for() {
    let mut client = Client::anonymous(&namespace());
    for node in ["$cbs", "$management"] {
        let mut attach = Attach::new("replies", Role::Receiver);
        attach.source = Some(Source::at(node));
        attach.snd_settle_mode = Some(0);
        let (_, reply) = client.attach(attach).unwrap();
        assert_eq!(reply.snd_settle_mode, Some(1));
    }
}

#[test]
fn a_hubs_properties_are_read() {
    let mut client = Client::anonymous(&namespace());
    let reply = client.ask("$management", read(caller(Some("here")), "ORDERS", None, Some(token())));
    let hub = HubProperties::from_reply(reply).unwrap();
    assert_eq!(hub, HubProperties::new("orders", start().unix, 4));
}

#[test]
fn a_partitions_properties_are_read() {
    let mut client = Client::new(&with_config(|config| config.retention.time = Duration::from_secs(100)));
    let ask = |client: &mut Client| {
        let reply =
            client.ask("orders/$management", read(caller(Some("here")), "orders", Some("0"), Some(token())));
        PartitionProperties::from_reply(reply).unwrap()
    };
    assert_eq!(ask(&mut client), PartitionProperties::new("orders", "0"));
    let sender = client.sender("orders/Partitions/0").unwrap();
    client.now = seconds(10);
    client.publish(sender, &["a"]);
    client.now = seconds(20);
    client.publish(sender, &["b"]);
    let reader = client.read(StartPosition::earliest(), 10);
    let offset = client.received(reader)[1].offset().to_owned();
    let mut expected = PartitionProperties {
        begin_sequence_number: 0,
        last_enqueued_sequence_number: 1,
        last_enqueued_offset: offset,
        last_enqueued_time: Some(seconds(20).unix),
        is_empty: false,
        ..PartitionProperties::new("orders", "0")
    };
    assert_eq!(ask(&mut client), expected);
    client.now = seconds(115);
    expected.begin_sequence_number = 1;
    assert_eq!(ask(&mut client), expected);
    client.now = seconds(130);
    (expected.begin_sequence_number, expected.is_empty) = (2, true);
    assert_eq!(ask(&mut client), expected, "what was last stays known when it is gone");
}

#[test]
fn a_read_that_cannot_be_answered_says_why() {
    let namespace = with_config(|config| {
        config.rules = vec![AccessRule {
            key_name: "send".to_owned(),
            key: AccessKey::new("send-key"),
            rights: Rights::SEND,
            scope: Scope::Namespace,
        }];
    });
    let mut client = Client::anonymous(&namespace);
    let all = || Some(sign("sb://localhost", "any", "SAS_KEY_VALUE", LATER));
    let unauthorized = "amqp:unauthorized-access";
    let listen = "Unauthorized access. 'Listen' claim(s) are required to perform this operation. Resource: \
                  'sb://localhost/orders'.";
    for (hub, partition, token, status, condition, text) in [
        (
            "nothing",
            None,
            all(),
            404,
            "amqp:not-found",
            "The messaging entity 'localhost/nothing' could not be found.",
        ),
        (
            "orders",
            Some("9"),
            all(),
            400,
            "com.microsoft:argument-out-of-range",
            "The specified partition is invalid for an EventHub partition sender or receiver. It should be between \
             0 and 3.",
        ),
        ("orders", None, None, 401, unauthorized, listen),
        ("orders", None, Some(sign("sb://localhost", "send", "send-key", LATER)), 401, unauthorized, listen),
        (
            "orders",
            None,
            Some(sign("sb://localhost", "any", "wrong", LATER)),
            401,
            unauthorized,
            "InvalidSignature: The token has an invalid signature.",
        ),
        (
            "orders",
            None,
            Some(sign("sb://localhost/audit", "any", "SAS_KEY_VALUE", LATER)),
            401,
            unauthorized,
            "InvalidAudience: The authorization header contains a token with a wrong audience.",
        ),
    ] {
        let reply = client.ask("$management", read(caller(Some("here")), hub, partition, token));
        assert_eq!(reply.description.split(" TrackingId:").next(), Some(text));
        assert_eq!(reply.status, status);
        assert_eq!(reply.condition.as_ref().map(Symbol::as_str), Some(condition));
    }
    assert_eq!(client.ask("$management", Bytes::from_static(b"\x00\x53\x77\x40")).status, 400);
}

#[test]
fn a_connections_own_grant_allows_a_read_without_a_token() {
    let mut client = Client::anonymous(&namespace());
    client.put_token("sb://localhost/orders", "any", "SAS_KEY_VALUE", LATER);
    assert_eq!(client.ask("$management", read(caller(Some("here")), "orders", None, None)).status, 200);
}
