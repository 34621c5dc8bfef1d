//! What the emulator reads: its configuration, its store, what comes over HTTP.

use bytes::Bytes;
use eventhubs::Timestamp;
use eventhubs::amqp::message;
use eventhubs::broker::{Now, PublishDone, Route};
use eventhubs::emulator::{ConfigFile, fuzzing};
use eventhubs::model::moment::Moment;

/// The configuration of Microsoft's emulator.
pub fn config_file(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match ConfigFile::parse(&text) {
        Ok(config) => {
            let hubs = config.into_hubs();
            assert!(!hubs.is_empty());
            for hub in hubs {
                assert!(
                    (1..=1024).contains(&hub.partitions) && hub.name.len() <= 256 && !hub.name.is_empty()
                );
            }
        }
        // The text repeats a value of the file at most twice.
        Err(error) => assert!(error.to_string().len() < 500 + 8 * text.len()),
    }
}

/// A publication over HTTP: lines of headers, an empty line, a body.
pub fn rest_events(data: &[u8]) {
    let (head, body) = match data.windows(2).position(|pair| pair == b"\n\n") {
        Some(at) => (&data[..at], &data[at + 2..]),
        None => (data, &[][..]),
    };
    let headers: Vec<(&[u8], &[u8])> = head
        .split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let at = line.iter().position(|byte| *byte == b':')?;
            Some((line[..at].trim_ascii(), line[at + 1..].trim_ascii()))
        })
        .collect();
    match fuzzing::rest_events(&headers, Bytes::copy_from_slice(body)) {
        Ok(groups) => {
            assert!(!groups.is_empty());
            for events in groups {
                assert!(!events.is_empty());
                // What is published is a message.
                assert!(events.iter().all(|event| message::sections(event).is_ok()));
            }
        }
        Err(why) => assert!(why.len() < 300 + 8 * data.len(), "{} bytes of error", why.len()),
    }
}

/// A hub's description in Atom XML; its first line is also taken for a path.
pub fn hub_description(data: &[u8]) {
    let _ = fuzzing::hub_description(data);
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = fuzzing::is_resource(text.lines().next().unwrap_or_default());
    }
}

/// A fault as the control API takes it: what is understood can be said again.
pub fn fault(data: &[u8]) {
    match fuzzing::fault(data) {
        Ok(shown) => assert_eq!(fuzzing::fault(shown.as_bytes()).as_ref(), Ok(&shown)),
        Err(why) => assert!(why.len() < 1000 + 8 * data.len(), "{} bytes of error", why.len()),
    }
}

/// A store: a line with a hub, then records: partition, length (two bytes), bytes.
pub fn stored_log(data: &[u8]) {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return };
    let (hub, mut rest) = (&data[..end], &data[end + 1..]);
    let mut records = Vec::new();
    while let [partition, low, high, bytes @ ..] = rest {
        let (record, behind) =
            bytes.split_at(usize::from(u16::from_le_bytes([*low, *high])).min(bytes.len()));
        records.push((u32::from(*partition), Bytes::copy_from_slice(record)));
        rest = behind;
    }
    // What is longer would only take longer.
    if hub.len() > 512 {
        return;
    }
    let Ok(namespace) = fuzzing::stored_namespace(hub, records) else { return };
    for hub in namespace.hubs() {
        for partition in 0..hub.partitions.min(4) {
            let event = Bytes::from_static(&[0x00, 0x53, 0x75, 0xa0, 0x01, b'a']);
            let now = Now { moment: Moment::ORIGIN, unix: Timestamp::from_millis(1_767_225_600_000) };
            let before = namespace.partition(&hub.name, partition, now).expect("it is one of the hub's");
            let done = PublishDone::new(|_| {});
            namespace.publish(&hub.name, Route::Partition(partition), vec![event], now, done);
            let after = namespace.partition(&hub.name, partition, now).expect("it is one of the hub's");
            assert!(after.last_sequence >= before.last_sequence);
        }
    }
}

pub(super) fn config_files() -> Vec<Vec<u8>> {
    [
        r#"{"UserConfig":{"NamespaceConfig":[{"Type":"EventHub","Name":"emulatorNs1","Entities":[{"Name":"eh1","PartitionCount":2,"ConsumerGroups":[{"Name":"cg1"}]}]}],"LoggingConfig":{"Type":"File"}}}"#,
        r#"{"userConfig":{"namespaceConfig":[{"entities":[{"name":"a","partitionCount":"3"},{"name":"b","partitionCount":1,"consumerGroups":null}]}]}}"#,
        r#"{"UserConfig":{"NamespaceConfig":[]}}"#,
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}

pub(super) fn publications() -> Vec<Vec<u8>> {
    [
        "content-type: application/json\nbrokerproperties: {\"PartitionKey\":\"k\",\"Label\":\"s\",\"MessageId\":\"m\"}\nfloor: 3\nopen: true\nname: \"a\\\"b\"\n\nbody",
        "content-type: application/vnd.microsoft.servicebus.json; charset=utf-8\n\n[{\"Body\":\"1\",\"BrokerProperties\":{\"PartitionKey\":\"a\"}},{\"Body\":\"2\",\"UserProperties\":{\"n\":1,\"t\":\"x\",\"z\":null,\"f\":1.5,\"b\":true}},{\"body\":\"3\",\"brokerProperties\":{\"CorrelationId\":\"c\"}}]",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}

pub(super) fn faults() -> Vec<Vec<u8>> {
    [
        r#"{"kind":"detach","condition":"amqp:link:detach-forced","entity":"orders","partition":"0","role":"send","on":"send","after":3,"times":1,"probability":0.1,"seed":7,"waitMs":1000,"lastingMs":5000,"client":"c"}"#,
        r#"{"kind":"delay","delayMs":50,"jitterMs":5,"direction":"to-client"}"#,
        r#"{"kind":"lose-ack","then":"drop"}"#,
        r#"{"kind":"restart","loseData":true,"downMs":10}"#,
        r#"{"kind":"refuse-token","status":401,"description":"no"}"#,
        r#"{"kind":"bandwidth","bytesPerSecond":1000}"#,
        r#"{"kind":"skew-clock","skewMs":-5}"#,
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}

pub(super) fn descriptions() -> Vec<Vec<u8>> {
    [
        r#"<?xml version="1.0"?><entry xmlns="http://www.w3.org/2005/Atom"><content type="application/xml"><n:EventHubDescription xmlns:n="x"><n:PartitionCount a="b">8</n:PartitionCount><MessageRetentionInDays>1</MessageRetentionInDays></n:EventHubDescription></content></entry>"#,
        "orders/ConsumerGroups/$Default\n<PartitionCount/>",
        "$Resources/EventHubs",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}

pub(super) fn logs() -> Vec<Vec<u8>> {
    const HUB: &[u8] = br#"{"name":"orders","partitions":2,"consumer_groups":["billing"],"retention":{"time_ms":3600000,"bytes_per_partition":1000000},"created_at_ms":1}"#;
    let batch = |first: i64, offset: i64, bodies: &[&[u8]]| {
        let mut record = first.to_le_bytes().to_vec();
        let mut events = Vec::new();
        let mut end = offset;
        for body in bodies {
            events.extend(end.to_le_bytes());
            events.extend(4_u32.to_le_bytes());
            events.extend(u32::try_from(body.len()).unwrap_or(0).to_le_bytes());
            events.extend(b"head");
            events.extend(*body);
            end += 4 + body.len() as i64;
        }
        record.extend(1_767_225_600_000_i64.to_le_bytes());
        record.extend(end.to_le_bytes());
        record.extend(u32::try_from(bodies.len()).unwrap_or(0).to_le_bytes());
        record.extend(events);
        record
    };
    let store = |records: &[(u8, Vec<u8>)]| {
        let mut bytes = [HUB, b"\n"].concat();
        for (partition, record) in records {
            bytes.push(*partition);
            bytes.extend(u16::try_from(record.len()).unwrap_or(u16::MAX).to_le_bytes());
            bytes.extend(record);
        }
        bytes
    };
    let two = [batch(0, 0, &[b"one", b""]), batch(2, 11, &[b"three"])].concat();
    vec![store(&[]), store(&[(0, two), (1, batch(7, 700, &[b"eight"]))]), store(&[(1, batch(5, 5, &[]))])]
}
