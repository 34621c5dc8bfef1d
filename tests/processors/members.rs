//! The members' processes, and what is done to them.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use eventhubs::checkpoint::{BlobStore, CheckpointStore, ConsumerGroup};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::line::Line;
use crate::{CONTAINER, EXPIRY, HUB, INTERVAL, Plan, millis, storage};

/// How often the store is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// What is done to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Kill,
    Stop,
    Pause,
    Cut,
}

/// What a member wrote down.
#[derive(Clone, Debug)]
pub(crate) struct Noted {
    pub(crate) member: usize,
    pub(crate) at: u64,
    pub(crate) text: String,
}

/// What was done to whom, from when until when.
#[derive(Clone, Debug)]
pub(crate) struct Struck {
    pub(crate) member: usize,
    pub(crate) fault: Fault,
    pub(crate) from: u64,
    pub(crate) until: u64,
}

pub(crate) struct Members {
    program: PathBuf,
    connection_string: String,
    storage_port: u16,
    partitions: u64,
    wanted: usize,
    next: usize,
    alive: Vec<Member>,
    lines: Arc<Mutex<Vec<Noted>>>,
    struck: Vec<Struck>,
    needed: u64,
    readers: Vec<JoinHandle<()>>,
    watch: Option<JoinHandle<()>>,
    is_watched: bool,
}

struct Member {
    number: usize,
    child: Child,
    line: Line,
    trouble: Option<(Fault, tokio::time::Instant, u64)>,
}

impl Members {
    pub(crate) fn new(plan: &Plan, connection_string: String, storage_port: u16) -> Self {
        Members {
            program: plan.member.clone(),
            connection_string,
            storage_port,
            partitions: plan.partitions,
            wanted: plan.members,
            next: 0,
            alive: Vec::new(),
            lines: Arc::default(),
            struck: Vec::new(),
            needed: 0,
            readers: Vec::new(),
            watch: None,
            is_watched: false,
        }
    }

    pub(crate) async fn start(&mut self) {
        let number = self.next;
        self.next += 1;
        let line = Line::to(self.storage_port).await;
        let mut command = Command::new(&self.program);
        command.args([&self.connection_string, HUB, &storage(line.port), CONTAINER]);
        command.args([INTERVAL.as_millis().to_string(), EXPIRY.as_millis().to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let lines = self.lines.clone();
        self.readers.push(tokio::spawn(async move {
            while let Ok(Some(text)) = output.next_line().await {
                let (at, text) = text.split_once(' ').unwrap();
                let noted = Noted { member: number, at: at.parse().unwrap(), text: text.to_owned() };
                lines.lock().unwrap().push(noted);
            }
        }));
        self.alive.push(Member { number, child, line, trouble: None });
        if self.is_watched {
            self.needs_share();
        }
    }

    /// From now on moves are counted.
    pub(crate) fn watch_from_now(&mut self) {
        self.is_watched = true;
        let at = millis();
        self.lines.lock().unwrap().push(Noted { member: usize::MAX, at, text: "W".into() });
    }

    /// Looks what the store has, again and again, and writes down how far each partition was read.
    pub(crate) fn watch_store(&mut self) {
        let store = BlobStore::from_connection_string(storage(self.storage_port), CONTAINER).unwrap();
        let group =
            ConsumerGroup { namespace: "localhost".into(), event_hub: HUB.into(), name: "$Default".into() };
        let lines = self.lines.clone();
        self.watch = Some(tokio::spawn(async move {
            loop {
                let listed = store.list_checkpoints(&group).await;
                let at = millis();
                for record in listed.into_iter().flat_map(|listed| listed.records) {
                    let number = record.sequence_number.unwrap();
                    let text = format!("S {} {number}", record.partition_id);
                    lines.lock().unwrap().push(Noted { member: usize::MAX, at, text });
                }
                tokio::time::sleep(LOOK).await;
            }
        }));
    }

    /// Does something to one of the members that are well.
    pub(crate) async fn strike(&mut self, fault: Fault, lasts: Duration, dice: u64) {
        let well: Vec<usize> =
            (0..self.alive.len()).filter(|place| self.alive[*place].trouble.is_none()).collect();
        if self.alive.len() < self.wanted {
            self.start().await;
        }
        // Half of them are left alone, so that there is somebody to take over.
        if well.len() <= self.wanted / 2 {
            return;
        }
        let place = well[(dice % well.len() as u64) as usize];
        let (number, from) = (self.alive[place].number, millis());
        let until = from + if fault == Fault::Kill { 0 } else { lasts.as_millis() as u64 };
        self.struck.push(Struck { member: number, fault, from, until });
        match fault {
            Fault::Kill => {
                let mut member = self.alive.remove(place);
                let _ = member.child.kill().await;
            }
            Fault::Stop => {
                let mut member = self.alive.remove(place);
                drop(member.child.stdin.take());
                tokio::spawn(async move { member.child.wait().await });
            }
            Fault::Pause => {
                self.alive[place].signal("-STOP").await;
                self.trouble(place, fault, lasts);
            }
            Fault::Cut => {
                self.alive[place].line.set_cut(true);
                self.trouble(place, fault, lasts);
            }
        }
    }

    /// Ends the trouble whose time is over.
    pub(crate) async fn mend(&mut self) {
        self.mend_until(tokio::time::Instant::now()).await;
    }

    /// Ends all trouble, and completes the group.
    pub(crate) async fn mend_all(&mut self) {
        self.mend_until(tokio::time::Instant::now() + EXPIRY * 100).await;
        while self.alive.len() < self.wanted {
            self.start().await;
        }
    }

    /// Ends them, one after another; everything that was written down, what was done, and how many moves were needed.
    pub(crate) async fn end(mut self) -> (Vec<Noted>, Vec<Struck>, u64) {
        for member in &mut self.alive {
            drop(member.child.stdin.take());
        }
        for member in &mut self.alive {
            let waited = tokio::time::timeout(EXPIRY, member.child.wait()).await;
            assert!(waited.is_ok(), "member {} does not stop", member.number);
        }
        for reader in self.readers {
            let _ = reader.await;
        }
        self.watch.into_iter().for_each(|watch| watch.abort());
        let lines = self.lines.lock().unwrap().clone();
        (lines, self.struck, self.needed)
    }

    async fn mend_until(&mut self, moment: tokio::time::Instant) {
        for place in 0..self.alive.len() {
            let Some((fault, until, from)) = self.alive[place].trouble else { continue };
            if until > moment {
                continue;
            }
            self.alive[place].trouble = None;
            match fault {
                Fault::Pause => self.alive[place].signal("-CONT").await,
                _ => self.alive[place].line.set_cut(false),
            }
            let now = millis();
            let number = self.alive[place].number;
            let struck = self.struck.iter_mut().rev().find(|struck| struck.member == number).unwrap();
            struck.until = now;
            // It may have lost everything.
            if Duration::from_millis(now - from) + INTERVAL * 2 > EXPIRY {
                self.needs_share();
            }
        }
    }

    fn trouble(&mut self, place: usize, fault: Fault, lasts: Duration) {
        self.alive[place].trouble = Some((fault, tokio::time::Instant::now() + lasts, millis()));
    }

    fn needs_share(&mut self) {
        self.needed += self.partitions / self.alive.len() as u64;
    }
}

impl Member {
    async fn signal(&self, signal: &str) {
        let id = self.child.id().unwrap().to_string();
        let status = Command::new("kill").args([signal, &id]).status().await.unwrap();
        assert!(status.success(), "kill {signal} {id}");
    }
}
