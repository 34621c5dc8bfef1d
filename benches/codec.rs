//! What it costs to turn events into bytes and back, without any socket: `cargo xtask bench --codec`.

#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use eventhubs::amqp::message;
use eventhubs::dialect::codec::{EncodedBatch, EventBatch, Publication, Stamp, encode_event};
use eventhubs::{EventData, ReceivedEvent, Timestamp};

const SIZES: [usize; 3] = [64, 1024, 16_384];
const MEBIBYTE: u64 = 1 << 20;

criterion_group!(codec, encode, batch, sections, receive, publish);
criterion_main!(codec);

/// One event as a message of its own.
fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode_event");
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        let (plain, rich) = (EventData::new(vec![7; size]), rich(size));
        group.bench_function(BenchmarkId::new("body", size), |b| {
            b.iter(|| encode_event(black_box(&plain)).unwrap())
        });
        group.bench_function(BenchmarkId::new("body_and_properties", size), |b| {
            b.iter(|| encode_event(black_box(&rich)).unwrap());
        });
    }
}

/// A full batch of 1 MiB, from empty to ready to be sent.
fn batch(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fill_batch");
    for size in SIZES {
        let event = EventData::new(vec![7; size]);
        group.throughput(Throughput::Elements(full(&event).len as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |b| b.iter(|| full(black_box(&event))));
    }
}

/// A message's sections, found without decoding them.
fn sections(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("find_sections");
    for (name, event) in [("body", EventData::new(vec![7; 1024])), ("body_and_properties", rich(1024))] {
        let delivered = delivered(&event);
        group.throughput(Throughput::Elements(1));
        group.bench_function(name, |b| b.iter(|| message::sections(black_box(&delivered)).unwrap()));
    }
}

/// What a reader does with a delivery.
fn receive(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("receive_event");
    group.throughput(Throughput::Elements(1));
    for size in SIZES {
        let delivered = delivered(&rich(size));
        let parse = || ReceivedEvent::parse(black_box(delivered.clone())).unwrap();
        group.bench_function(BenchmarkId::new("parse", size), |b| b.iter(parse));
        group.bench_function(BenchmarkId::new("parse_and_body", size), |b| {
            b.iter(|| parse().body_bytes().unwrap())
        });
        group.bench_function(BenchmarkId::new("parse_and_everything", size), |b| {
            b.iter(|| {
                let event = parse();
                (event.properties().unwrap(), event.application_properties().unwrap(), event.body().unwrap())
            });
        });
    }
}

/// What the emulator does with a batch: takes it apart and gives each event its place.
fn publish(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("store_batch");
    for size in SIZES {
        let batch = full(&EventData::new(vec![7; size]));
        let payload = Bytes::from([&batch.head[..], &batch.body[..]].concat());
        group.throughput(Throughput::Elements(batch.len as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter_batched(
                || payload.clone(),
                |payload| store(&payload, batch.message_format),
                BatchSize::SmallInput,
            );
        });
    }
}

fn rich(size: usize) -> EventData {
    EventData::new(vec![7; size])
        .with_message_id("0191d6a8-6f9c-7d51-b4a5-0a5d6f1b2c3d")
        .with_content_type("application/json")
        .with_property("tenant", "contoso")
        .with_property("attempt", 3_i64)
        .with_property("important", true)
}

fn full(event: &EventData) -> EncodedBatch {
    let mut batch = EventBatch::new(MEBIBYTE, None).unwrap();
    while batch.try_add(event).unwrap() {}
    batch.finish()
}

/// The event as the service delivers it.
fn delivered(event: &EventData) -> Bytes {
    let encoded = encode_event(&event.clone().with_partition_key("device-17")).unwrap();
    store(&encoded, 0).pop().unwrap()
}

fn store(payload: &Bytes, message_format: u32) -> Vec<Bytes> {
    let publication = Publication::parse(payload, message_format).unwrap();
    let stamp =
        Stamp { sequence_number: 7, offset: 448, enqueued_time: Timestamp::from_millis(1_767_225_600_000) };
    let mut messages = Vec::with_capacity(publication.len());
    publication.store(&mut BytesMut::new(), stamp, |stored| {
        messages.push(if stored.body.is_empty() {
            stored.head
        } else {
            Bytes::from([&stored.head[..], &stored.body[..]].concat())
        });
    });
    messages
}
