//! The thread that writes: everything that came while it wrote becomes one write and one synchronisation.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::super::journal::{Done, Urgency};
use super::super::record::Record;
use super::disk::Disk;
use crate::error::{Error, ErrorKind};

/// What callers and the thread share.
pub(super) struct Shared {
    queue: Mutex<Queue>,
    /// Something was queued.
    wake: Condvar,
    bytes: AtomicU64,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    is_closed: bool,
}

#[allow(clippy::type_complexity, reason = "it is named once")]
enum Job {
    Write(Write),
    Work { work: Box<dyn FnOnce(&mut Disk) -> Result<(), Error> + Send>, done: Done },
    Close { done: Done },
}

#[derive(Default)]
struct Write {
    bytes: Vec<u8>,
    /// That of the most urgent.
    urgency: Option<Urgency>,
    done: Vec<Done>,
}

impl Shared {
    /// Starts the thread. The lock is held until it ends.
    pub(super) fn start(disk: Disk, lock: File) -> Result<Arc<Self>, Error> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
            bytes: AtomicU64::new(disk.bytes()),
        });
        let of_thread = shared.clone();
        let started =
            std::thread::Builder::new().name("outbox".to_owned()).spawn(move || of_thread.run(disk, lock));
        started
            .map_err(|error| Error::new(ErrorKind::Internal, format!("cannot start a thread: {error}")))?;
        Ok(shared)
    }

    pub(super) fn append(&self, records: &[Record], urgency: Urgency, done: Done) {
        let mut queue = self.lock();
        if queue.is_closed {
            drop(queue);
            return done.call(Err(closed()));
        }
        if !matches!(queue.jobs.back(), Some(Job::Write(_))) {
            queue.jobs.push_back(Job::Write(Write::default()));
        }
        if let Some(Job::Write(write)) = queue.jobs.back_mut() {
            records.iter().for_each(|record| record.put(&mut write.bytes));
            write.urgency = write.urgency.max(Some(urgency));
            write.done.push(done);
        }
        drop(queue);
        self.wake.notify_one();
    }

    /// Has something else done, in its turn.
    #[allow(clippy::type_complexity, reason = "it is what the job holds")]
    pub(super) fn work(&self, work: Box<dyn FnOnce(&mut Disk) -> Result<(), Error> + Send>, done: Done) {
        self.push(Job::Work { work, done });
    }

    pub(super) fn close(&self, done: Done) {
        self.push(Job::Close { done });
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn push(&self, job: Job) {
        let mut queue = self.lock();
        if queue.is_closed {
            drop(queue);
            match job {
                Job::Work { done, .. } => done.call(Err(closed())),
                Job::Close { done } => done.call(Ok(())),
                Job::Write(_) => {}
            }
            return;
        }
        queue.is_closed = matches!(job, Job::Close { .. });
        queue.jobs.push_back(job);
        drop(queue);
        self.wake.notify_one();
    }

    fn run(&self, mut disk: Disk, lock: File) {
        loop {
            match self.next() {
                Job::Write(write) => {
                    let written = disk.write(&write.bytes, write.urgency);
                    self.bytes.store(disk.bytes(), Ordering::Relaxed);
                    write.done.into_iter().for_each(|done| done.call(written.clone()));
                }
                Job::Work { work, done } => {
                    let worked = work(&mut disk);
                    self.bytes.store(disk.bytes(), Ordering::Relaxed);
                    done.call(worked);
                }
                Job::Close { done } => {
                    drop(disk);
                    drop(lock);
                    return done.call(Ok(()));
                }
            }
        }
    }

    fn next(&self) -> Job {
        let mut queue = self.lock();
        loop {
            match queue.jobs.pop_front() {
                Some(job) => return job,
                None => queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the outbox was closed")
}
