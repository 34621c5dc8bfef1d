use super::*;
use proptest::prelude::*;

const SAS: &str = "SharedAccessSignature sr=sb%3A%2F%2Fh%2Fe&sig=c2VjcmV0&se=2000000000&skn=app";

fn shared_key(name: &str, key: &str) -> Credential {
    Credential::SharedKey { name: name.to_owned(), key: key.to_owned() }
}

#[test]
fn every_part_is_found_in_any_order_and_case() {
    for text in [
        "Endpoint=sb://Contoso.servicebus.windows.net/;SharedAccessKeyName=app;SharedAccessKey=k=+/==;EntityPath=orders",
        "entitypath=orders;SHAREDACCESSKEY=k=+/==;endpoint=SB://contoso.servicebus.windows.net;sharedaccesskeyname=app;",
        " ;; EntityPath = orders ; SharedAccessKey = k=+/== ; Endpoint = sb://contoso.servicebus.windows.net ; \
         SharedAccessKeyName = app ; TransportType=Amqp ; \n",
    ] {
        let parsed = ConnectionString::parse(text).unwrap();
        assert_eq!(parsed.host(), "contoso.servicebus.windows.net");
        assert_eq!((parsed.scheme(), parsed.port()), (Scheme::Sb, None));
        assert_eq!(parsed.event_hub(), Some("orders"));
        assert_eq!(parsed.credential(), &shared_key("app", "k=+/=="));
        assert!(!parsed.is_emulator());
        assert_eq!(parsed.authority(), "contoso.servicebus.windows.net");
    }
}

#[test]
fn the_emulators_string_is_understood() {
    let text = "Endpoint=sb://localhost:5673;SharedAccessKeyName=RootManageSharedAccessKey;\
                SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true;";
    let parsed: ConnectionString = text.parse().unwrap();
    assert!(parsed.is_emulator());
    assert_eq!((parsed.host(), parsed.port(), parsed.event_hub()), ("localhost", Some(5673), None));
    assert_eq!(parsed.authority(), "localhost:5673");
    assert!(!ConnectionString::parse(&text.replace("true", "False")).unwrap().is_emulator());
}

#[test]
fn ready_made_signatures_and_other_schemes_are_taken() {
    let parsed =
        ConnectionString::parse(&format!("Endpoint=ws://[::1]:80/;SharedAccessSignature={SAS}")).unwrap();
    assert_eq!(parsed.credential(), &Credential::Sas(SAS.to_owned()));
    assert_eq!((parsed.scheme(), parsed.host(), parsed.port()), (Scheme::Ws, "::1", Some(80)));
    assert_eq!(parsed.authority(), "[::1]:80");
}

#[test]
fn bad_connection_strings_are_answered_by_one_error_that_names_the_part() {
    let key = "SharedAccessKeyName=app;SharedAccessKey=c2VjcmV0";
    let table: &[(&str, String, &str)] = &[
        ("nothing", String::new(), "it is empty"),
        ("blanks", "  \n".to_owned(), "it is empty"),
        ("a megabyte", format!("Endpoint=sb://h;{key};EntityPath={}", "x".repeat(1 << 20)), "bytes long"),
        ("a megabyte of separators", ";".repeat(1 << 20), "bytes long"),
        ("no endpoint", key.to_owned(), "Endpoint is missing"),
        ("empty endpoint", format!("Endpoint=;{key}"), "Endpoint is empty"),
        ("no scheme", format!("Endpoint=contoso.servicebus.windows.net;{key}"), "Endpoint has no scheme"),
        (
            "wrong scheme",
            format!("Endpoint=https://contoso.servicebus.windows.net;{key}"),
            "Endpoint has an unknown scheme",
        ),
        ("no host", format!("Endpoint=sb://;{key}"), "Endpoint has no host"),
        ("no host, port", format!("Endpoint=sb://:5672;{key}"), "Endpoint has no host"),
        ("path", format!("Endpoint=sb://h/orders;{key}"), "EntityPath"),
        ("user", format!("Endpoint=sb://user:c2VjcmV0@h;{key}"), "Endpoint has a"),
        ("blank in host", format!("Endpoint=sb://a b;{key}"), "not a host name"),
        ("letters outside ASCII", format!("Endpoint=sb://münchen.example;{key}"), "not a host name"),
        ("long host", format!("Endpoint=sb://{};{key}", "h".repeat(254)), "not a host name"),
        ("port 0", format!("Endpoint=sb://h:0;{key}"), "Endpoint has a port"),
        ("port 65536", format!("Endpoint=sb://h:65536;{key}"), "Endpoint has a port"),
        ("signed port", format!("Endpoint=sb://h:+1;{key}"), "Endpoint has a port"),
        ("no port behind colon", format!("Endpoint=sb://h:;{key}"), "Endpoint has a port"),
        ("bad IPv6", format!("Endpoint=sb://[::zz]:1;{key}"), "IPv6"),
        ("open IPv6", format!("Endpoint=sb://[::1;{key}"), "IPv6"),
        ("junk behind IPv6", format!("Endpoint=sb://[::1]x;{key}"), "between"),
        ("no credential", "Endpoint=sb://h".to_owned(), "SharedAccessKeyName and SharedAccessKey"),
        ("no key", "Endpoint=sb://h;SharedAccessKeyName=app".to_owned(), "SharedAccessKey is missing"),
        (
            "empty key",
            "Endpoint=sb://h;SharedAccessKeyName=app;SharedAccessKey=".to_owned(),
            "SharedAccessKey is empty",
        ),
        (
            "no key name",
            "Endpoint=sb://h;SharedAccessKey=c2VjcmV0".to_owned(),
            "SharedAccessKeyName is missing",
        ),
        ("two credentials", format!("Endpoint=sb://h;{key};SharedAccessSignature={SAS}"), "both"),
        (
            "bad signature",
            "Endpoint=sb://h;SharedAccessSignature=c2VjcmV0".to_owned(),
            "SharedAccessSignature is wrong",
        ),
        (
            "empty signature",
            "Endpoint=sb://h;SharedAccessSignature=".to_owned(),
            "SharedAccessSignature is empty",
        ),
        ("twice", format!("Endpoint=sb://h;{key};sharedaccesskey=other"), "SharedAccessKey appears twice"),
        ("empty hub", format!("Endpoint=sb://h;{key};EntityPath="), "EntityPath is empty"),
        ("bad hub", format!("Endpoint=sb://h;{key};EntityPath=a/b"), "EntityPath is not the name"),
        (
            "long hub",
            format!("Endpoint=sb://h;{key};EntityPath={}", "h".repeat(257)),
            "EntityPath is not the name",
        ),
        (
            "emulator maybe",
            format!("Endpoint=sb://h;{key};UseDevelopmentEmulator=maybe"),
            "UseDevelopmentEmulator",
        ),
        ("no equals sign", "Endpoint=sb://h;c2VjcmV0".to_owned(), "part 2 has no '='"),
        ("line break", format!("Endpoint=sb://h;\n{key}"), "control character"),
        ("NUL", format!("Endpoint=sb://h\0;{key}"), "control character"),
        ("C1 control", format!("Endpoint=sb://h;EntityPath=a\u{85}b;{key}"), "control character"),
        ("quoted", format!("\"Endpoint=sb://h;{key}\""), "quotation mark"),
        ("not a connection string", "sb://contoso.servicebus.windows.net".to_owned(), "part 1 has no '='"),
    ];
    for (name, text, expected) in table {
        let error = ConnectionString::parse(text).expect_err(name);
        assert_eq!(error.kind(), ErrorKind::InvalidConnectionString, "{name}");
        let message = format!("{error} {error:?}");
        assert!(message.contains(expected), "{name}: {message}");
        assert!(!message.contains("c2VjcmV0"), "{name} leaks: {message}");
        assert!(message.len() < 700, "{name}: {message}");
    }
}

#[test]
fn secrets_are_not_printed() {
    let text =
        format!("Endpoint=sb://h:1;SharedAccessSignature={SAS};EntityPath=e;UseDevelopmentEmulator=true");
    let signed = ConnectionString::parse(&text).unwrap();
    assert_eq!(
        signed.to_string(),
        "Endpoint=sb://h:1;SharedAccessSignature=***;EntityPath=e;UseDevelopmentEmulator=true"
    );
    let keyed =
        ConnectionString::parse("Endpoint=sb://h;SharedAccessKeyName=app;SharedAccessKey=c2VjcmV0").unwrap();
    for shown in
        [format!("{signed:?}{:?}", signed.credential()), format!("{keyed}{keyed:?}{:?}", keyed.credential())]
    {
        assert!(!shown.contains("c2VjcmV0") && !shown.contains("skn"), "{shown}");
    }
}

#[test]
fn the_environment_is_read() {
    let from = |variables: &[(&str, &str)]| {
        let variables: Vec<_> = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        ConnectionString::from_variables(|name| {
            variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
        })
    };
    let text = "Endpoint=sb://h;SharedAccessKeyName=app;SharedAccessKey=k";
    let parsed = from(&[("EVENTHUB_CONNECTION_STRING", text), ("EVENTHUB_NAME", "orders")]).unwrap();
    assert_eq!((parsed.host(), parsed.event_hub()), ("h", Some("orders")));

    let keys = [("EVENTHUB_KEY_NAME", "app"), ("EVENTHUB_KEY_VALUE", "k")];
    let parsed =
        from(&[keys[0], keys[1], ("EVENTHUB_NAMESPACE", "contoso"), ("EVENTHUB_NAME", "orders")]).unwrap();
    assert_eq!(parsed.host(), "contoso.servicebus.windows.net");
    assert_eq!((parsed.credential(), parsed.event_hub()), (&shared_key("app", "k"), Some("orders")));
    let parsed = from(&[keys[0], keys[1], ("EVENTHUB_NAMESPACE", "ns.servicebus.chinacloudapi.cn")]).unwrap();
    assert_eq!((parsed.host(), parsed.event_hub()), ("ns.servicebus.chinacloudapi.cn", None));

    for (variables, expected) in [
        (&[][..], "neither EVENTHUB_CONNECTION_STRING nor EVENTHUB_NAMESPACE"),
        (&[("EVENTHUB_CONNECTION_STRING", " ")], "neither"),
        (&[("EVENTHUB_NAMESPACE", "contoso"), keys[1]], "EVENTHUB_KEY_NAME"),
        (&[("EVENTHUB_NAMESPACE", "contoso"), keys[0]], "EVENTHUB_KEY_VALUE"),
        (&[("EVENTHUB_NAMESPACE", "a b"), keys[0], keys[1]], "EVENTHUB_NAMESPACE has a host"),
        (&[("EVENTHUB_CONNECTION_STRING", text), ("EVENTHUB_NAME", "a/b")], "EVENTHUB_NAME"),
    ] {
        let message = from(variables).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    let conflict = format!("{text};EntityPath=orders");
    let error = from(&[("EVENTHUB_CONNECTION_STRING", &conflict), ("EVENTHUB_NAME", "other")]).unwrap_err();
    assert!(error.to_string().contains("different"), "{error}");
}

proptest! {
    #[test]
    fn no_text_panics_the_parser(text in ".{0,200}") {
        let _ = ConnectionString::parse(&text);
    }

    #[test]
    fn no_half_sensible_text_panics_the_parser(
        text in "(Endpoint=|sb://|ws://|localhost|:|\\[|\\]|;|=|SharedAccessKey(Name)?=|EntityPath=|é|a|0|/|\\s){0,30}",
    ) {
        let _ = ConnectionString::parse(&text);
    }

    #[test]
    fn what_is_put_together_is_found_again(
        host in "[a-z][a-z0-9-]{0,20}(\\.[a-z]{1,10}){0,3}", port in proptest::option::of(1..=u16::MAX),
        name in "[!-:<-~][ -:<-~]{0,20}[!-:<-~]", key in "[!-:<-~]{1,44}", hub in proptest::option::of("[A-Za-z0-9._-]{1,50}"),
    ) {
        let port_text = port.map(|port| format!(":{port}")).unwrap_or_default();
        let hub_text = hub.as_ref().map(|hub| format!(";EntityPath={hub}")).unwrap_or_default();
        let text = format!("Endpoint=sb://{host}{port_text}/;SharedAccessKeyName={name};SharedAccessKey={key}{hub_text}");
        let parsed = ConnectionString::parse(&text).unwrap();
        prop_assert_eq!(parsed.host(), host);
        prop_assert_eq!(parsed.port(), port);
        prop_assert_eq!(parsed.event_hub(), hub.as_deref());
        prop_assert_eq!(parsed.credential(), &shared_key(&name, &key));
    }
}
