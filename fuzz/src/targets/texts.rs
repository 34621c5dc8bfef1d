//! Texts that people and programs write.

use eventhubs::StartPosition;
use eventhubs::dialect::address::Address;
use eventhubs::dialect::selector::{self, Position};
use eventhubs::model::connection_string::{ConnectionString, Credential};
use eventhubs::model::sas::SasToken;

/// A connection string, which never shows its secrets.
pub fn connection_string(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match ConnectionString::parse(&text) {
        Ok(parsed) => {
            assert!(!parsed.host().is_empty());
            assert!(!parsed.host().contains(char::is_control));
            // Whatever is printed can be printed, and holds no key.
            let shown = format!("{parsed:?} {parsed} {:?}", parsed.credential());
            let (Credential::SharedKey { key, .. } | Credential::Sas(key)) = parsed.credential() else {
                return;
            };
            let elsewhere = text.matches(key.as_str()).count() > 1;
            assert!(key.len() < 12 || elsewhere || !shown.contains(key.as_str()), "the key is shown");
        }
        Err(error) => {
            let shown = error.to_string();
            assert!(!shown.is_empty() && shown.len() < 2_000, "{} bytes of error", shown.len());
            if let Some(key) = secret(&text) {
                assert!(!shown.contains(key), "the error shows the key");
            }
        }
    }
}

/// A selector: what is understood can be said again.
pub fn selector(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let position = match selector::parse(&text) {
        Ok(position) => position,
        Err(error) => {
            assert!(format!("{error:?}").len() < 8 << 10);
            return;
        }
    };
    let (start, inclusive) = match position {
        Position::Earliest => (StartPosition::earliest(), false),
        Position::Latest { inclusive } => (StartPosition::latest(), inclusive),
        // What is written for it is the other way to say the beginning.
        Position::Offset { offset: -1, .. } => return,
        Position::Offset { offset, inclusive } => (StartPosition::offset(offset.to_string()), inclusive),
        Position::SequenceNumber { number, inclusive } => (StartPosition::sequence_number(number), inclusive),
        Position::EnqueuedTime { time, inclusive } => (StartPosition::enqueued_time(time), inclusive),
        _ => return,
    };
    let start = if inclusive { start.inclusive() } else { start };
    let written = selector::build(&start);
    assert_eq!(selector::parse(&written), Ok(position), "{written}");
}

/// A shared access signature.
pub fn sas(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(token) = SasToken::parse(&text) {
        let _ = (token.resource(), token.key_name(), token.expiry());
        assert!(!token.verify("another key than any that signed this"));
    }
}

/// A link's address: what is understood means the same when it is written and read again.
pub fn address(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(address) = Address::parse(&text) {
        let written = address.to_string();
        assert_eq!(Address::parse(&written), Some(address), "{written}");
    }
}

/// The key of a connection string that is whole enough to have one.
fn secret(text: &str) -> Option<&str> {
    let rest = text.split("SharedAccessKey=").nth(1)?;
    let key = rest.split(';').next()?;
    // Words of ours are no key.
    (key.len() > 8 && key.contains(|c: char| c.is_ascii_digit())).then_some(key)
}

pub(super) fn connection_strings() -> Vec<Vec<u8>> {
    [
        "Endpoint=sb://name.servicebus.windows.net/;SharedAccessKeyName=root;SharedAccessKey=c2VjcmV0LWtleQ==;EntityPath=orders",
        "Endpoint=sb://localhost:5672;SharedAccessKeyName=root;SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true;",
        "endpoint=sb://[::1]:5671/;SharedAccessSignature=SharedAccessSignature sr=a%2fb&sig=c2ln&se=1767225600&skn=root",
        "EntityPath=orders; Endpoint = amqps://10.0.0.1",
        "",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}

pub(super) fn selectors() -> Vec<Vec<u8>> {
    [
        "amqp.annotation.x-opt-offset > '-1'",
        "amqp.annotation.x-opt-offset >= '448'",
        "amqp.annotation.x-opt-offset > '@latest'",
        "amqp.annotation.x-opt-sequence-number > '7'",
        "amqp.annotation.x-opt-enqueued-time > '1767225600000'",
        "amqp.annotation.x-opt-sequence-number >= 7",
        "1=1",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}

pub(super) fn tokens() -> Vec<Vec<u8>> {
    let signed = eventhubs::model::sas::sign("sb://localhost/orders", "root", "SAS_KEY_VALUE", 1_767_225_600);
    vec![
        signed.into_bytes(),
        b"SharedAccessSignature sr=&sig=&se=&skn=".to_vec(),
        b"eyJ0eXAiOiJKV1Qi".to_vec(),
    ]
}

pub(super) fn addresses() -> Vec<Vec<u8>> {
    [
        "$cbs",
        "$management",
        "orders/$management",
        "orders",
        "orders/Partitions/3",
        "orders/publishers/device-1",
        "orders/ConsumerGroups/$Default/Partitions/0",
        "amqps://localhost:5671/orders/ConsumerGroups/$Default/Partitions/0",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}
