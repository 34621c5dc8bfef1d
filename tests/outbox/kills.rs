//! An outbox' process is killed again and again, while the emulator comes and goes and acknowledgements are lost.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use eventhubs::EventData;
use eventhubs::emulator::{Emulator, EmulatorConfig, Fault, FaultGuard};
use eventhubs::outbox::Outbox;

use super::random::Random;
use super::reading::read_all;
use super::{HUB, PARTITIONS, options, producer};

/// Each is one task that enqueues one event after the other.
const KEYS: usize = 16;
/// What a process is told, line by line: where, what to connect to, for each key the numbers that it enqueues, and whether it waits for being killed.
const TOLD: &str = "OUTBOX_WORKER";
/// A process that says nothing for so long hangs.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_often_the_process_is_killed_each_event_is_stored_once_and_in_order() {
    endure(8, 2000).await;
}

/// The long form: `cargo test --release --features cli --test outbox -- --ignored --nocapture a_hundred_kills`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn a_hundred_kills() {
    let number = |name, default| {
        std::env::var(name).ok().and_then(|text: String| text.parse().ok()).unwrap_or(default)
    };
    endure(number("OUTBOX_KILLS", 100), number("OUTBOX_EVENTS", 10_000)).await;
}

/// What one key's task was told to be kept, and the one that was on its way when it was killed, perhaps.
#[derive(Default)]
struct Key {
    kept: Vec<usize>,
    next: usize,
}

async fn endure(kills: usize, events: usize) {
    let (directory, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut random = Random::new("OUTBOX_SEED");
    println!("random numbers from {}", random.0);
    let mut config = EmulatorConfig::default().with_hub(HUB, PARTITIONS as u32);
    config.tls = None;
    config.data_dir = Some(data.path().to_owned());
    let mut emulator = Emulator::start(config).await.unwrap();
    let connection_string = emulator.connection_string();
    let faults = lose_answers(&emulator, &mut random);

    let mut keys: Vec<Key> = (0..KEYS).map(|_| Key::default()).collect();
    let (mut outages, mut begun) = (0, 0);
    let started = Instant::now();
    for life in 0..kills {
        begun += events / kills;
        let mut worker = Worker::start(directory.path(), &connection_string, &keys, begun / KEYS, true);
        // In the middle of enqueuing, or of sending what was enqueued.
        let moment = Duration::from_millis(random.below(150) + if life % 4 == 0 { 400 } else { 20 });
        worker.hear_until(Instant::now() + moment, &mut keys, true);
        if random.below(3) != 0 {
            outages += 1;
            if random.below(2) == 0 {
                emulator.kill().await.unwrap()
            } else {
                emulator.stop().await.unwrap()
            }
            if random.below(2) == 0 {
                // Enqueued with nobody to send it to.
                worker.hear_until(Instant::now() + Duration::from_millis(100), &mut keys, false);
            }
            if random.below(3) != 0 {
                emulator.start_again().await.unwrap();
                worker.hear_until(
                    Instant::now() + Duration::from_millis(random.below(300)),
                    &mut keys,
                    false,
                );
            }
        }
        worker.kill(&mut keys);
        emulator.start_again().await.unwrap();
        for key in &mut keys {
            // It was on its way into the journal, perhaps; nobody was promised anything.
            key.next = key.kept.last().map_or(0, |last| last + 1).max(key.next) + 1;
        }
    }
    let lost: u64 = faults.iter().map(FaultGuard::hits).sum();
    drop(faults);
    let worker = Worker::start(directory.path(), &connection_string, &keys, events.div_ceil(KEYS), false);
    worker.finish(&mut keys);

    let mut stored: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for event in read_all(&connection_string).await {
        let key = event.key.unwrap();
        let (of, number) = event.text.split_once(':').unwrap();
        assert_eq!(of, key);
        stored.entry(key).or_default().push(number.parse().unwrap());
    }
    let (mut kept, mut total) = (0, 0);
    for (index, key) in keys.iter().enumerate() {
        let stored = stored.remove(&format!("key-{index}")).unwrap_or_default();
        let missing: Vec<_> = key.kept.iter().filter(|number| !stored.contains(number)).collect();
        assert!(missing.is_empty(), "key {index}: enqueued and lost: {missing:?}");
        let wrong: Vec<_> = stored.windows(2).filter(|pair| pair[0] >= pair[1]).collect();
        assert!(wrong.is_empty(), "key {index}: stored twice or out of order: {wrong:?}");
        kept += key.kept.len();
        total += stored.len();
    }
    println!(
        "killed {kills} times in {:.1} s, {outages} outages, {lost} acknowledgements lost: {kept} events were enqueued, each is \
         stored once and in order; {} more were on their way when it was killed",
        started.elapsed().as_secs_f32(),
        total - kept
    );
    assert!(kept >= events, "too few events for this to mean anything: {kept}");
}

fn lose_answers(emulator: &Emulator, random: &mut Random) -> Vec<FaultGuard> {
    let lost = || Fault::lose_ack().on_entity(HUB);
    [lost().then_drop().probability(0.3, random.next()), lost().probability(0.05, random.next())]
        .into_iter()
        .map(|fault| emulator.faults().inject(fault).unwrap())
        .collect()
}

/// A process with an outbox.
struct Worker {
    child: Child,
    said: Receiver<String>,
}

impl Worker {
    fn start(directory: &Path, connection_string: &str, keys: &[Key], wanted: usize, waits: bool) -> Self {
        let end = |key: &Key| key.next + wanted.saturating_sub(key.kept.len());
        let ranges: Vec<_> = keys.iter().map(|key| format!("{}-{}", key.next, end(key))).collect();
        let told = format!("{}\n{connection_string}\n{}\n{waits}", directory.display(), ranges.join(","));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["kills::worker", "--exact", "--ignored", "--nocapture"])
            .env(TOLD, told)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (say, said) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if say.send(line).is_err() {
                    break;
                }
            }
        });
        Worker { child, said }
    }

    /// Notes what was kept until then; `from_first`: the time begins when the first event is.
    fn hear_until(&mut self, mut end: Instant, keys: &mut [Key], mut from_first: bool) {
        let time = end.saturating_duration_since(Instant::now());
        while from_first || Instant::now() < end {
            let patience = if from_first { PATIENCE } else { end.saturating_duration_since(Instant::now()) };
            match self.said.recv_timeout(patience) {
                Ok(line) => {
                    let is_open = line == "open";
                    note(&line, keys);
                    if from_first && is_open {
                        from_first = false;
                        end = Instant::now() + time;
                    }
                }
                Err(RecvTimeoutError::Timeout) => assert!(!from_first, "the process says nothing"),
                Err(RecvTimeoutError::Disconnected) => panic!("the process has ended by itself"),
            }
        }
    }

    /// `kill -9`; what it said before that counts.
    fn kill(mut self, keys: &mut [Key]) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.said.iter().for_each(|line| note(&line, keys));
    }

    /// Lets it come to its end.
    fn finish(mut self, keys: &mut [Key]) {
        loop {
            let line = self.said.recv_timeout(PATIENCE).expect("the last process hangs, or failed");
            if line == "flushed" {
                break;
            }
            note(&line, keys);
        }
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn note(line: &str, keys: &mut [Key]) {
    let Some((key, number)) = line.strip_prefix("kept ").and_then(|rest| rest.split_once(' ')) else {
        return;
    };
    let (key, number): (usize, usize) = (key.parse().unwrap(), number.parse().unwrap());
    assert!(keys[key].kept.last().is_none_or(|last| *last < number), "kept twice");
    keys[key].kept.push(number);
}

/// Not a test: what the processes do.
#[tokio::test]
#[ignore = "started by the tests above"]
async fn worker() {
    let Ok(told) = std::env::var(TOLD) else { return };
    let mut told = told.lines();
    let (directory, connection_string) = (told.next().unwrap(), told.next().unwrap());
    let ranges = told.next().unwrap().split(',').map(|range| {
        let (start, end) = range.split_once('-').unwrap();
        start.parse::<usize>().unwrap()..end.parse().unwrap()
    });
    let waits: bool = told.next().unwrap().parse().unwrap();
    let outbox = Outbox::open(directory, producer(connection_string), options()).await.unwrap();
    say("open");
    let tasks: Vec<_> = ranges
        .enumerate()
        .map(|(key, range)| {
            let outbox = outbox.clone();
            tokio::spawn(async move {
                for number in range {
                    let event = EventData::from(format!("key-{key}:{number}"));
                    outbox.enqueue(event.with_partition_key(format!("key-{key}"))).await.unwrap();
                    say(&format!("kept {key} {number}"));
                    tokio::time::sleep(Duration::from_millis((number as u64 * 7 + key as u64) % 5)).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    outbox.flush(PATIENCE).await.unwrap();
    say("flushed");
    outbox.close().await;
    if waits {
        // For being killed.
        std::future::pending().await
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}
