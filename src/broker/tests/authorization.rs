//! Tokens over `$cbs`: what is granted, what is refused, and what happens when a grant ends.

use super::*;

fn rule(key_name: &str, key: &str, rights: Rights, scope: Scope) -> AccessRule {
    AccessRule { key_name: key_name.to_owned(), key: AccessKey::new(key), rights, scope }
}

/// A namespace with the hubs `orders` and `audit`, rules of every kind, and no development key.
fn guarded() -> Namespace {
    with_config(|config| {
        config.hubs.push(HubConfig::new("audit", 1));
        config.development_key = None;
        config.rules = vec![
            rule("root", "root-key", Rights::MANAGE, Scope::Namespace),
            rule("send", "send-key", Rights::SEND, Scope::Namespace),
            rule("listen", "listen-key", Rights::LISTEN, Scope::Namespace),
            rule("orders-send", "os-key", Rights::SEND, Scope::Hub("orders".to_owned())),
        ];
    })
}

#[test]
fn a_token_opens_what_its_rights_resource_and_audience_say() {
    let orders = "sb://localhost/orders";
    for (key_name, key, audience, may_send, may_read) in [
        ("root", "root-key", orders, true, true),
        ("root", "root-key", "amqps://LOCALHOST:5671/Orders", true, true),
        ("send", "send-key", orders, true, false),
        ("listen", "listen-key", orders, false, true),
        ("orders-send", "os-key", orders, true, false),
        ("listen", "listen-key", "sb://localhost/orders/consumergroups/$default", false, true),
        ("listen", "listen-key", "amqp://localhost/orders/ConsumerGroups/$Default/Partitions/0", false, true),
        ("listen", "listen-key", "sb://localhost/orders/ConsumerGroups/audit", false, false),
        ("root", "root-key", "sb://localhost/orders/Partitions/0", true, false),
        ("root", "root-key", "sb://localhost/orders/Partitions/1", false, false),
        ("root", "root-key", "sb://localhost/audit", false, false),
    ] {
        let mut client = Client::anonymous(&guarded());
        assert_eq!(client.put_token(audience, key_name, key, LATER).status, 202, "{key_name} {audience}");
        let (sent, read) =
            (client.sender("orders/Partitions/0"), client.receiver(PARTITION, StartPosition::earliest()));
        assert_eq!((sent.is_ok(), read.is_ok()), (may_send, may_read), "{key_name} {audience}");
        for (refusal, right, path) in [
            (sent.err(), "Send", "orders/partitions/0"),
            (read.err(), "Listen", "orders/consumergroups/$default/partitions/0"),
        ] {
            let Some(error) = refusal else { continue };
            let text = format!(
                "Unauthorized access. '{right}' claim(s) are required to perform this operation. Resource: \
                 'sb://localhost/{path}'."
            );
            assert_eq!(said(&error), ("amqp:unauthorized-access", text.as_str()));
        }
    }
}

#[test]
fn a_refused_token_is_answered_in_the_services_words() {
    let orders = "sb://localhost/orders";
    let signature = "InvalidSignature: The token has an invalid signature.";
    let audience = "InvalidAudience: The authorization header contains a token with a wrong audience.";
    let expired = "ExpiredToken: The token is expired. Expiration time: '2023-05-21 23:58:30Z'";
    let signed = |resource: &str, name: &str, key: &str| sign(resource, name, key, LATER);
    for (name, token, status, text) in [
        (orders, signed(orders, "root", "wrong"), 401, signature),
        (orders, signed(orders, "send", "root-key"), 401, signature),
        (orders, signed(orders, "nobody", "root-key"), 401, signature),
        (orders, signed(orders, "any", "SAS_KEY_VALUE"), 401, signature),
        (orders, sign(orders, "root", "root-key", 1_684_713_510), 401, expired),
        (orders, sign(orders, "root", "wrong", 1_684_713_510), 401, signature),
        (orders, signed("sb://localhost/audit", "root", "root-key"), 401, audience),
        (orders, signed("sb://elsewhere/orders", "root", "root-key"), 401, audience),
        (orders, signed("sb://localhost/orders/Partitions/0", "root", "root-key"), 401, audience),
        ("sb://localhost/audit", signed("sb://localhost", "orders-send", "os-key"), 401, audience),
        (
            "sb://localhost/nothing",
            signed("sb://localhost", "root", "root-key"),
            404,
            "The messaging entity 'sb://localhost/nothing' could not be found.",
        ),
    ] {
        let mut client = Client::anonymous(&guarded());
        let reply = client.put(name, TokenType::Sas, token);
        let (said, trailer) = reply.description.split_once(" TrackingId:").unwrap();
        assert!(trailer.contains("SystemTracker:"), "{trailer}");
        assert_eq!((reply.status, said), (status, text));
        assert_eq!(reply.condition, None, "Python shows neither status nor text beside a condition");
        assert_eq!(reply.correlation_id, Some(Value::Ulong(7)));
        assert!(client.sender("orders").is_err());
    }
    let mut client = Client::anonymous(&guarded());
    let malformed = client.put(orders, TokenType::Sas, "SharedAccessSignature nonsense".to_owned());
    assert_eq!(malformed.status, 401);
    assert!(malformed.description.starts_with("MalformedToken: "), "{}", malformed.description);
}

#[test]
fn the_official_emulators_key_opens_everything_by_default() {
    let mut client = Client::anonymous(&namespace());
    assert_eq!(client.put_token("sb://localhost/orders", "Whatever", "SAS_KEY_VALUE", LATER).status, 202);
    assert!(client.sender("orders").is_ok());
    assert!(client.receiver(PARTITION, StartPosition::earliest()).is_ok());
}

#[test]
fn entra_id_tokens_are_refused_politely_unless_they_are_wanted() {
    let token = "aaaa.bbbb.cccc".to_owned();
    let mut client = Client::anonymous(&namespace());
    let reply = client.put("sb://localhost/orders", TokenType::Jwt, token.clone());
    assert_eq!(reply.status, 401);
    assert!(reply.description.contains("Entra ID"), "{}", reply.description);
    assert!(client.sender("orders").is_err());
    let mut client = Client::anonymous(&with_config(|config| config.accept_any_jwt = true));
    assert_eq!(client.put("sb://localhost/orders", TokenType::Jwt, token).status, 202);
    assert!(client.sender("orders").is_ok());
}

#[test]
fn when_a_grant_ends_its_links_are_detached_and_others_stay() {
    let mut client = Client::anonymous(&guarded());
    client.put_token("sb://localhost/orders", "send", "send-key", START + 600);
    client.put_token("sb://localhost/orders/ConsumerGroups/$Default", "listen", "listen-key", START + 300);
    client.put_token("sb://localhost/orders/ConsumerGroups/audit", "listen", "listen-key", LATER);
    let sender = client.sender("orders").unwrap();
    let reader = client.receiver(PARTITION, StartPosition::earliest()).unwrap();
    let audit =
        client.receiver("orders/ConsumerGroups/audit/Partitions/0", StartPosition::earliest()).unwrap();
    let deadline = client.broker.next_deadline().unwrap();
    assert!(deadline <= seconds(300).moment);
    client.tick(seconds(299));
    assert_eq!(client.detached(reader), None);
    client.tick(seconds(300));
    assert_eq!(
        said(&client.detached(reader).unwrap()),
        (
            "amqp:unauthorized-access",
            "Unauthorized access. 'Listen' claim(s) are required to perform this operation. Resource: \
             'sb://localhost/orders/consumergroups/$default/partitions/0'."
        )
    );
    assert_eq!(client.detached(sender), None);
    client.wait(600);
    let error = client.detached(sender).unwrap();
    assert!(error.description.unwrap().contains("'Send' claim(s)"));
    assert_eq!(client.detached(audit), None);
}

#[test]
fn a_renewed_grant_keeps_its_links() {
    let mut client = Client::anonymous(&guarded());
    client.put_token("sb://localhost/orders", "root", "root-key", START + 300);
    let sender = client.sender("orders").unwrap();
    client.now = seconds(250);
    client.put_token("sb://localhost/orders", "root", "root-key", START + 900);
    client.tick(seconds(301));
    assert_eq!(client.detached(sender), None);
    client.publish(sender, &["still here"]);
    client.wait(901);
    assert!(client.detached(sender).is_some());
}

#[test]
fn plain_logs_in_with_a_key_and_grants_its_rights() {
    let dial = |user: &str, password: &str| {
        let sasl = SaslProfile::Plain { user: user.to_owned(), password: password.to_owned() };
        let mut client = Client::dial(&guarded(), sasl, start()).unwrap();
        client.pump();
        client
    };
    let mut client = dial("send", "send-key");
    assert!(client.sender("orders").is_ok() && client.sender("audit").is_ok());
    assert!(client.receiver(PARTITION, StartPosition::earliest()).is_err());
    let mut client = dial("orders-send", "os-key");
    assert!(client.sender("orders").is_ok() && client.sender("audit").is_err());
    for (user, password) in
        [("send", "root-key"), ("nobody", "send-key"), ("send", ""), ("any", "SAS_KEY_VALUE")]
    {
        let mut client = dial(user, password);
        assert!(matches!(client.closed(), Some(CloseReason::Sasl(1))), "{user}");
        assert!(client.broker.is_finished());
    }
}

#[test]
fn every_other_mechanism_logs_in_with_nothing() {
    let mut client = Client::dial(&guarded(), SaslProfile::External, start()).unwrap();
    client.pump();
    assert!(matches!(client.events.remove(0), Event::Opened(_)));
    assert!(client.sender("orders").is_err());
}

#[test]
fn grants_of_one_connection_are_bounded() {
    let namespace = with_config(|config| config.limits.grants_per_connection = 3);
    let mut client = Client::anonymous(&namespace);
    let mut put = |n: u32| {
        let audience = format!("sb://localhost/orders/Partitions/{n}");
        client.put_token(&audience, "any", "SAS_KEY_VALUE", LATER).status
    };
    assert_eq!([put(0), put(1), put(2), put(3), put(1)], [202, 202, 202, 403, 202]);
}

#[test]
fn a_token_can_be_checked_outside_of_a_connection() {
    let namespace = guarded();
    let check = |name: &str, key: &str, path: &str, right| {
        let token = sign("http://myhost/orders", name, key, LATER);
        namespace.authorize(&token, path, right, start())
    };
    assert_eq!(check("send", "send-key", "orders/messages", Rights::SEND), Ok(()));
    let error = check("listen", "listen-key", "orders/messages", Rights::SEND).unwrap_err();
    assert!(said(&error).1.contains("'Send' claim(s)"));
    let error = check("send", "send-key", "audit/messages", Rights::SEND).unwrap_err();
    assert!(said(&error).1.starts_with("InvalidAudience: "));
    let error = check("send", "wrong", "orders/messages", Rights::SEND).unwrap_err();
    assert!(said(&error).1.starts_with("InvalidSignature: "));
    let error = namespace.authorize("aaa.bbb.ccc", "orders", Rights::SEND, start()).unwrap_err();
    assert!(said(&error).1.contains("Entra ID"));
}
