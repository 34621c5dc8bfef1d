//! Sending: one, many, batches, by key, to a partition.

use std::collections::{BTreeMap, BTreeSet};

use eventhubs::{BatchOptions, EventData, ProducerClient, SendOptions, StartPosition};
use futures::future::{join_all, try_join_all};

use crate::support::{PARTITIONS, nothing_more, soon, spawn, start, take, test, texts, ways};

#[test]
async fn an_event_arrives_by_every_transport() {
    let running = start().await;
    let mut events = running.read("0").await;
    for way in ways().iter().copied() {
        let producer = running.by(way, ProducerClient::builder()).build().unwrap();
        let text = format!("by {way:?}");
        soon(producer.send_with(text.as_str(), SendOptions::to_partition("0"))).await.unwrap();
        let received = take(&mut events, 1).await;
        assert_eq!(texts(&received), [text]);
        assert_eq!(received[0].partition_id(), "0");
        soon(producer.close()).await;
    }
    nothing_more(&mut events).await;
}

#[test]
async fn events_without_a_destination_reach_every_partition() {
    let running = start().await;
    let producer = running.producer();
    let mut events =
        soon(running.consumer().all_partitions().from(StartPosition::earliest()).open()).await.unwrap();
    let count = 4 * PARTITIONS as usize;
    for number in 0..count {
        soon(producer.send(number.to_string())).await.unwrap();
    }
    let received = take(&mut events, count).await;
    let partitions: BTreeSet<&str> = received.iter().map(|event| event.partition_id()).collect();
    assert_eq!(partitions.len(), PARTITIONS as usize);
    let bodies: BTreeSet<String> = texts(&received).into_iter().collect();
    assert_eq!(bodies.len(), count);
}

#[test]
async fn events_with_a_key_share_its_partition_in_order() {
    let running = start().await;
    let producer = running.producer();
    for number in 0..10 {
        for key in ["a", "b", "c", "d", "e"] {
            let event = EventData::from(number.to_string()).with_partition_key(key);
            soon(producer.send(event)).await.unwrap();
        }
    }
    soon(producer.send_with("10", SendOptions::with_key("a"))).await.unwrap();
    let mut events =
        soon(running.consumer().all_partitions().from(StartPosition::earliest()).open()).await.unwrap();
    let mut by_key: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for event in take(&mut events, 51).await {
        let key = event.partition_key().unwrap().to_owned();
        let place = (event.partition_id().to_owned(), event.body_text().unwrap());
        by_key.entry(key).or_default().push(place);
    }
    for (key, places) in by_key {
        let partition = eventhubs::model::partition::for_key(&key, PARTITIONS).to_string();
        let expected: Vec<_> = (0..places.len()).map(|n| (partition.clone(), n.to_string())).collect();
        assert_eq!(places, expected, "key {key}");
    }
}

#[test]
async fn many_calls_at_once_keep_the_order_in_which_they_were_made() {
    let running = start().await;
    let producer = running.producer();
    let sends = (0..2000).map(|n| producer.send_with(n.to_string(), SendOptions::to_partition("2")));
    soon(try_join_all(sends)).await.unwrap();
    let mut events = running.read("2").await;
    let expected: Vec<String> = (0..2000).map(|n| n.to_string()).collect();
    assert_eq!(texts(&take(&mut events, 2000).await), expected);
    nothing_more(&mut events).await;
}

#[test]
async fn a_batch_takes_events_until_it_is_full_and_arrives_whole() {
    let running = start().await;
    let producer = running.producer();
    let options = BatchOptions { partition_id: Some("1".into()), ..Default::default() };
    let mut batch = soon(producer.create_batch_with(options)).await.unwrap();
    assert_eq!((batch.max_size(), batch.partition_id()), (1_048_576, Some("1")));
    let mut count = 0;
    while batch.try_add(&EventData::from(vec![b'x'; 10_000])).unwrap() {
        count += 1;
    }
    assert_eq!(batch.len(), count);
    assert!(batch.size() <= batch.max_size() && batch.size() + 10_016 > batch.max_size());
    soon(producer.send_batch(batch)).await.unwrap();
    let mut events = running.read("1").await;
    let received = take(&mut events, count).await;
    assert!(received.iter().all(|event| event.body_bytes().unwrap().len() == 10_000));
    let numbers: Vec<i64> = received.iter().map(|event| event.sequence_number()).collect();
    assert_eq!(numbers, (0..count as i64).collect::<Vec<_>>());
}

#[test]
async fn a_batch_filled_to_the_last_byte_is_accepted() {
    let running = start().await;
    let producer = running.producer();
    let mut batch = soon(producer.create_batch()).await.unwrap();
    assert!(batch.try_add(&EventData::from(vec![0; 500_000])).unwrap());
    let room = (batch.max_size() - batch.size()) as usize;
    // The data section's head and the head of the one event in it.
    assert!(!batch.try_add(&EventData::from(vec![0; room - 15])).unwrap());
    assert!(batch.try_add(&EventData::from(vec![0; room - 16])).unwrap());
    assert_eq!(batch.size(), batch.max_size());
    soon(producer.send_batch(batch)).await.unwrap();
}

#[test]
async fn a_batch_with_a_key_goes_where_the_key_goes() {
    let running = start().await;
    let producer = running.producer();
    let options = BatchOptions { partition_key: Some("device-7".into()), ..Default::default() };
    let mut batch = soon(producer.create_batch_with(options)).await.unwrap();
    assert!(batch.try_add(&EventData::from("one")).unwrap());
    assert!(batch.try_add(&EventData::from("two").with_partition_key("device-7")).unwrap());
    soon(producer.send_batch(batch)).await.unwrap();
    let partition = eventhubs::model::partition::for_key("device-7", PARTITIONS).to_string();
    let mut events = running.read(&partition).await;
    let received = take(&mut events, 2).await;
    assert_eq!(texts(&received), ["one", "two"]);
    assert!(received.iter().all(|event| event.partition_key() == Some("device-7")));
}

#[test]
async fn an_empty_batch_is_sent_without_a_word() {
    let running = start().await;
    let producer = running.producer();
    let batch = soon(producer.create_batch()).await.unwrap();
    soon(producer.send_batch(batch)).await.unwrap();
    let properties = soon(producer.partition_properties("0")).await.unwrap();
    assert!(properties.is_empty);
}

#[test]
async fn a_long_list_is_split_by_itself_and_keeps_the_order_within_each_key() {
    let running = start().await;
    let producer = running.producer();
    let list = (0..3000).map(|n| {
        let event = EventData::from(format!("{n:>1000}"));
        match n % 4 {
            3 => event,
            remainder => event.with_partition_key(format!("key-{remainder}")),
        }
    });
    let sent = soon(producer.send_all(list, SendOptions::default())).await.unwrap();
    assert_eq!(sent, 3000);
    let mut events =
        soon(running.consumer().all_partitions().from(StartPosition::earliest()).open()).await.unwrap();
    let mut by_key: BTreeMap<Option<String>, Vec<usize>> = BTreeMap::new();
    for event in take(&mut events, 3000).await {
        let number = event.body_text().unwrap().trim().parse().unwrap();
        by_key.entry(event.partition_key().map(str::to_owned)).or_default().push(number);
    }
    for (key, mut numbers) in by_key {
        let remainder = key.as_deref().map_or(3, |key| key[4..].parse::<usize>().unwrap());
        let expected: Vec<usize> = (0..3000).filter(|n| n % 4 == remainder).collect();
        if key.is_none() {
            numbers.sort_unstable();
        }
        assert_eq!(numbers, expected, "{key:?}");
    }
    nothing_more(&mut events).await;
}

#[test]
async fn a_long_list_for_one_partition_arrives_in_order() {
    let running = start().await;
    let producer = running.producer();
    let list = (0..5000).map(|n| format!("{n:>500}"));
    let sent = soon(producer.send_all(list, SendOptions::to_partition("3"))).await.unwrap();
    assert_eq!(sent, 5000);
    let mut events = running.read("3").await;
    let received = take(&mut events, 5000).await;
    let numbers: Vec<usize> = texts(&received).iter().map(|text| text.trim().parse().unwrap()).collect();
    assert_eq!(numbers, (0..5000).collect::<Vec<_>>());
    assert_eq!(soon(producer.send_all(Vec::<EventData>::new(), SendOptions::default())).await.unwrap(), 0);
}

#[test]
async fn a_large_event_travels_in_many_frames_both_ways() {
    let running = start().await;
    for way in ways().iter().copied() {
        let producer = running.by(way, ProducerClient::builder()).build().unwrap();
        let body: Vec<u8> = (0..1_000_000_u32).map(|n| (n / 7) as u8).collect();
        soon(producer.send_with(body.clone(), SendOptions::to_partition("0"))).await.unwrap();
        let consumer = running.by(way, eventhubs::ConsumerClient::builder()).build().unwrap();
        let mut events = soon(consumer.partition("0").from(StartPosition::earliest()).open()).await.unwrap();
        assert_eq!(take(&mut events, 1).await[0].body_bytes().unwrap(), body, "{way:?}");
    }
}

#[test]
async fn a_send_that_is_dropped_leaves_the_link_working() {
    let running = start().await;
    let producer = running.producer();
    {
        let sends = (0..100).map(|_| producer.send_with("dropped", SendOptions::to_partition("0")));
        let mut sends = Box::pin(try_join_all(sends));
        assert!(futures::poll!(&mut sends).is_pending());
    }
    soon(producer.send_with("kept", SendOptions::to_partition("0"))).await.unwrap();
    let mut events = running.read("0").await;
    let mut last = String::new();
    while last != "kept" {
        last = texts(&take(&mut events, 1).await).remove(0);
    }
    nothing_more(&mut events).await;
}

#[test]
async fn one_client_serves_many_tasks() {
    let running = start().await;
    let producer = running.producer();
    let tasks = (0..8).map(|task| {
        let producer = producer.clone();
        spawn(async move {
            for number in 0..50 {
                producer.send_with(format!("{task}-{number}"), SendOptions::to_partition("0")).await.unwrap();
            }
        })
    });
    soon(join_all(tasks)).await;
    let mut events = running.read("0").await;
    let received: BTreeSet<String> = texts(&take(&mut events, 400).await).into_iter().collect();
    assert_eq!(received.len(), 400);
}
