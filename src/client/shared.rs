//! What the handles and the connection's task tell each other.
//!
//! Bounded without a limit of its own: a link is noted at most once however much it has to say, and a request as
//! often as a caller waits for one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::config::Config;
use super::driver::Driver;
use super::management::Request;
use super::receiver::Receiver;
use super::sender::Sender;
use super::status::{Board, Health, Status};
use crate::error::{Error, ErrorKind};
use crate::runtime::{self, NoRuntime};

/// A link's place in the registry. Used again when the link is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key(u32);

/// One client: its configuration, its links and its letter box.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(super) board: Board,
    mail: Mutex<Mail>,
}

/// What happened since the task looked last.
#[derive(Default)]
pub(super) struct News {
    /// Links that have something to say.
    pub(super) marked: Vec<Key>,
    pub(super) requests: Vec<Request>,
    pub(super) is_closing: bool,
}

/// Either kind of link.
#[derive(Clone)]
pub(super) enum Registered {
    Sender(Arc<Sender>),
    Receiver(Arc<Receiver>),
}

/// How a link is doing.
#[derive(Default)]
pub(super) struct Standing {
    pub(super) is_live: bool,
    pub(super) is_wanted: bool,
    /// It went down, or could not be made, and is not up again.
    pub(super) is_failing: bool,
}

#[derive(Default)]
struct Mail {
    links: Vec<Option<Registered>>,
    free: Vec<u32>,
    news: News,
    task: Task,
    waiting_for_close: Vec<Waker>,
}

#[derive(Default)]
enum Task {
    /// Nothing needs a connection yet, or the runtime that it ran on is gone.
    #[default]
    None,
    /// Runs; the waker is there while it sleeps.
    Runs(Option<Waker>),
    /// The client was closed and the connection is down.
    Finished,
}

impl Key {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }

    pub(super) fn at(index: usize) -> Self {
        Key(index as u32)
    }
}

impl Shared {
    pub(crate) fn new(config: Config) -> Arc<Self> {
        Arc::new(Shared { config, board: Board::new(), mail: Mutex::default() })
    }

    pub(super) fn register_sender(&self, make: impl FnOnce(Key) -> Sender) -> Arc<Sender> {
        let mut mail = lock(&self.mail);
        let key = mail.vacant();
        let sender = Arc::new(make(key));
        mail.links[key.index()] = Some(Registered::Sender(sender.clone()));
        sender
    }

    pub(super) fn register_receiver(&self, make: impl FnOnce(Key) -> Receiver) -> Arc<Receiver> {
        let mut mail = lock(&self.mail);
        let key = mail.vacant();
        let receiver = Arc::new(make(key));
        mail.links[key.index()] = Some(Registered::Receiver(receiver.clone()));
        receiver
    }

    /// Tells the task that a link has something to say, and starts the task where there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`]; or there is no runtime.
    pub(super) fn mark(self: &Arc<Self>, key: Key) -> Result<(), Error> {
        self.post(|news| news.marked.push(key))
    }

    /// As [`mark`](Self::mark), for a link that its owner has let go: nothing is started for it.
    pub(super) fn mark_for_closing(&self, key: Key) {
        let waker = {
            let mut mail = lock(&self.mail);
            match &mut mail.task {
                Task::Runs(waker) => {
                    let waker = waker.take();
                    mail.news.marked.push(key);
                    waker
                }
                Task::None | Task::Finished => {
                    mail.release(key);
                    None
                }
            }
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// Asks the task to do something that is answered.
    ///
    /// # Errors
    /// As [`mark`](Self::mark).
    pub(super) fn request(self: &Arc<Self>, request: Request) -> Result<(), Error> {
        self.post(|news| news.requests.push(request))
    }

    fn post(self: &Arc<Self>, write: impl FnOnce(&mut News)) -> Result<(), Error> {
        let waker = {
            let mut mail = lock(&self.mail);
            if mail.news.is_closing {
                return Err(closed());
            }
            write(&mut mail.news);
            match &mut mail.task {
                Task::Runs(waker) => waker.take(),
                Task::Finished => return Err(closed()),
                Task::None => {
                    mail.task = Task::Runs(None);
                    drop(mail);
                    return self.start();
                }
            }
        };
        waker.into_iter().for_each(Waker::wake);
        Ok(())
    }

    fn start(self: &Arc<Self>) -> Result<(), Error> {
        let internal = |error: NoRuntime| Error::new(ErrorKind::Internal, error.to_string());
        runtime::spawn(Driver::new(self.clone())).map_err(|error| internal(error).with_transient(false))
    }

    /// How the client is doing, at this moment.
    pub(super) fn health(&self) -> Health {
        let links: Vec<Registered> = lock(&self.mail).links.iter().flatten().cloned().collect();
        let mut counts = [0; 3];
        for link in links {
            let standing = match link {
                Registered::Sender(sender) => sender.standing(),
                Registered::Receiver(receiver) => receiver.standing(),
            };
            counts[0] += usize::from(standing.is_live);
            counts[1] += usize::from(standing.is_live || standing.is_wanted);
            counts[2] += usize::from(standing.is_failing);
        }
        self.board.health(counts)
    }

    /// Has the task close the connection. See [`poll_closed`](Self::poll_closed).
    pub(super) fn close(&self) {
        let waker = {
            let mut mail = lock(&self.mail);
            mail.news.is_closing = true;
            match &mut mail.task {
                Task::Runs(waker) => waker.take(),
                Task::None | Task::Finished => {
                    mail.task = Task::Finished;
                    self.board.tell(Status::Closed);
                    None
                }
            }
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// Ready when no task runs any more.
    pub(super) fn poll_closed(&self, cx: &Context<'_>) -> Poll<()> {
        let mut mail = lock(&self.mail);
        if !matches!(mail.task, Task::Runs(_)) {
            return Poll::Ready(());
        }
        if !mail.waiting_for_close.iter().any(|waker| waker.will_wake(cx.waker())) {
            mail.waiting_for_close.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Moves what happened into `news`; where nothing did, the task is woken when something does.
    pub(super) fn read(&self, news: &mut News, cx: &Context<'_>) -> bool {
        let mut mail = lock(&self.mail);
        if let Task::Runs(waker) = &mut mail.task {
            match waker {
                Some(waker) => waker.clone_from(cx.waker()),
                empty => *empty = Some(cx.waker().clone()),
            }
        }
        news.is_closing = mail.news.is_closing;
        std::mem::swap(&mut news.marked, &mut mail.news.marked);
        std::mem::swap(&mut news.requests, &mut mail.news.requests);
        !news.marked.is_empty() || !news.requests.is_empty()
    }

    pub(super) fn link(&self, key: Key) -> Option<Registered> {
        lock(&self.mail).links.get(key.index()).cloned().flatten()
    }

    pub(super) fn keys(&self) -> Vec<Key> {
        let mail = lock(&self.mail);
        (0..).zip(&mail.links).filter(|(_, link)| link.is_some()).map(|(index, _)| Key(index)).collect()
    }

    /// A link is gone for good.
    pub(super) fn release(&self, key: Key) {
        lock(&self.mail).release(key);
    }

    /// The task ends. `is_final`: the client is closed, rather than the task cut off.
    pub(super) fn task_ended(&self, is_final: bool) {
        let waiting = {
            let mut mail = lock(&self.mail);
            let is_final = is_final || mail.news.is_closing;
            mail.task = if is_final { Task::Finished } else { Task::None };
            mail.news.requests.clear();
            if is_final {
                self.board.tell(Status::Closed);
            }
            std::mem::take(&mut mail.waiting_for_close)
        };
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl Mail {
    fn vacant(&mut self) -> Key {
        Key(self.free.pop().unwrap_or_else(|| {
            self.links.push(None);
            (self.links.len() - 1) as u32
        }))
    }

    fn release(&mut self, key: Key) {
        if self.links.get_mut(key.index()).is_some_and(|link| link.take().is_some()) {
            self.free.push(key.0);
        }
    }
}

/// The guard of a short critical section. A panic elsewhere leaves nothing half done that matters here.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the client was closed")
}
