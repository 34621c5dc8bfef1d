//! The service of a world.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::task::AtomicWaker;

use super::connection::Served;
use super::store::Store;
use super::{now, sleep, spawn};
use crate::broker::faults::{Fault, FaultError, FaultGuard};
use crate::broker::{BrokerConnection, HubConfig, IdlePolicy, Namespace, NamespaceConfig, Now, Waker};
use crate::model::value::Timestamp;
use crate::runtime::unix_now;
use crate::runtime::world::{ConnectionNumber, Listener};

/// Where it is.
const HOST: &str = "simulated.servicebus.windows.net";

/// A namespace with one hub, its disk and its front door. Clones are handles to the same one.
#[derive(Clone)]
pub struct Service(Rc<Inside>);

struct Inside {
    hub: HubConfig,
    store: Store,
    idle: RefCell<IdlePolicy>,
    /// Nothing while it is down.
    namespace: RefCell<Option<Namespace>>,
    /// What its calendar is ahead of the world's, in milliseconds.
    skew: Cell<i64>,
    /// How long its disk takes.
    disk: Cell<Duration>,
    disk_fails: Cell<bool>,
    /// Counts starts and stops: who was let in by an earlier life may stay, nobody else is.
    life: Cell<u64>,
    /// Counts crashes: what was there before one is no more.
    crashes: Cell<u64>,
    /// What ends each task.
    tasks: RefCell<BTreeMap<u64, Arc<AtomicWaker>>>,
    last_task: Cell<u64>,
}

impl Service {
    /// A service with one hub, open at once.
    pub fn start(hub: HubConfig) -> Self {
        let service = Service(Rc::new(Inside {
            hub,
            store: Store::default(),
            idle: RefCell::default(),
            namespace: RefCell::default(),
            skew: Cell::default(),
            disk: Cell::default(),
            disk_fails: Cell::default(),
            life: Cell::default(),
            crashes: Cell::default(),
            tasks: RefCell::default(),
            last_task: Cell::default(),
        }));
        service.open();
        service
    }

    /// What a client needs to know.
    pub fn connection_string(&self) -> String {
        format!(
            "Endpoint=sb://{HOST};SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey={};EntityPath={}",
            NamespaceConfig::DEVELOPMENT_KEY,
            self.0.hub.name
        )
    }

    /// Everything that was stored.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// How many connections it believes to have.
    pub fn connections(&self) -> usize {
        self.0.namespace.borrow().as_ref().map_or(0, Namespace::connections)
    }

    /// Has the service misbehave, for as long as the guard lives or the service does.
    ///
    /// # Errors
    /// When the fault means nothing, or the service is down.
    pub fn inject(&self, fault: Fault) -> Result<FaultGuard, FaultError> {
        match &*self.0.namespace.borrow() {
            Some(namespace) => namespace.faults().inject(fault, self.now()),
            None => Err(FaultError("the service is down".to_owned())),
        }
    }

    /// From now on its calendar is ahead of the clients', or behind.
    pub fn set_skew(&self, millis: i64) {
        self.0.skew.set(millis);
    }

    /// From now on its disk takes so long.
    pub fn set_disk(&self, latency: Duration) {
        self.0.disk.set(latency);
    }

    /// Whether its disk takes nothing.
    pub fn set_disk_fails(&self, fails: bool) {
        self.0.disk_fails.set(fails);
    }

    /// How long peers may do nothing, from the next start on.
    pub fn set_idle(&self, idle: IdlePolicy) {
        *self.0.idle.borrow_mut() = idle;
    }

    /// Dies: connections break off, what is not on disk is lost, nobody answers.
    pub fn crash(&self) {
        super::note("service", 0, 0, || "crashes");
        self.0.life.set(self.0.life.get() + 1);
        self.0.crashes.set(self.0.crashes.get() + 1);
        self.0.namespace.borrow_mut().take();
        self.0.tasks.borrow().values().for_each(|waker| waker.wake());
        // What was not durable is lost with the life that it belongs to.
        drop(self.0.store.begin());
    }

    /// Says goodbye to all clients, and lets nobody in. Its tasks end as they leave.
    pub fn stop(&self) {
        super::note("service", 1, 0, || "stops");
        if let Some(namespace) = self.0.namespace.borrow().as_ref() {
            namespace.shutdown(self.now());
        }
        self.0.life.set(self.0.life.get() + 1);
        self.0.tasks.borrow().values().for_each(|waker| waker.wake());
    }

    /// Starts again after [`crash`](Self::crash), with what was on disk.
    ///
    /// # Panics
    /// When what it stored makes no sense to it.
    pub fn open(&self) {
        super::note("service", 2, 0, || "opens");
        let inside = &self.0;
        inside.life.set(inside.life.get() + 1);
        let (journal, restore) = inside.store.begin();
        let config = NamespaceConfig {
            name: "simulated".to_owned(),
            hubs: vec![inside.hub.clone()],
            idle: inside.idle.borrow().clone(),
            ..NamespaceConfig::default()
        };
        let namespace = Namespace::restore(config, restore, journal, self.now())
            .unwrap_or_else(|error| panic!("the service cannot start: {error}"));
        *inside.namespace.borrow_mut() = Some(namespace.clone());
        self.accept(namespace);
        self.write();
    }

    /// Its clocks.
    pub fn now(&self) -> Now {
        let unix = Timestamp::from_millis(unix_now().as_millis() + self.0.skew.get());
        Now { moment: now(), unix }
    }

    fn accept(&self, namespace: Namespace) {
        let mut listener = Listener::new(HOST);
        let service = self.clone();
        self.task("accepts", move |cx| {
            while let Poll::Ready((number, socket)) = listener.poll_accept(cx) {
                let wake = Arc::new(AtomicWaker::new());
                let own = wake.clone();
                let connection =
                    BrokerConnection::new(namespace.clone(), Waker::new(move || own.wake()), service.now());
                if let Ok(connection) = connection {
                    service.serve(number, Served::new(connection, socket, wake));
                }
            }
            Poll::Pending
        });
    }

    fn serve(&self, number: ConnectionNumber, mut served: Served) {
        let service = self.clone();
        super::note("serves", number.0, 0, || "");
        self.task("serves", move |cx| served.poll(|| service.now(), cx));
    }

    fn write(&self) {
        let service = self.clone();
        let (life, crashes) = (self.0.life.get(), self.0.crashes.get());
        let wake = self.enlist();
        let _ = spawn("writes", async move {
            let inside = &service.0;
            loop {
                let is_over = || inside.crashes.get() != crashes;
                let is_last = poll_fn(|cx| {
                    wake.1.register(cx.waker());
                    if is_over() || (inside.life.get() != life && inside.tasks.borrow().len() == 1) {
                        return Poll::Ready(true);
                    }
                    inside.store.poll_waiting(cx).map(|()| false)
                })
                .await;
                if is_last {
                    break;
                }
                let latency = inside.disk.get();
                if !latency.is_zero() {
                    sleep(latency).await;
                }
                if is_over() {
                    break;
                }
                inside.store.commit(inside.disk_fails.get());
            }
            service.leave(wake.0);
        });
    }

    /// A task that ends with the service's life.
    fn task(&self, name: &'static str, mut poll: impl FnMut(&mut Context<'_>) -> Poll<()> + 'static) {
        let service = self.clone();
        let (life, crashes) = (self.0.life.get(), self.0.crashes.get());
        let (number, wake) = self.enlist();
        let _ = spawn(name, async move {
            poll_fn(|cx| {
                wake.register(cx.waker());
                let is_over =
                    service.0.crashes.get() != crashes || (name == "accepts" && service.0.life.get() != life);
                if is_over { Poll::Ready(()) } else { poll(cx) }
            })
            .await;
            drop(poll);
            service.leave(number);
        });
    }

    fn enlist(&self) -> (u64, Arc<AtomicWaker>) {
        let number = self.0.last_task.get() + 1;
        self.0.last_task.set(number);
        let wake = Arc::new(AtomicWaker::new());
        self.0.tasks.borrow_mut().insert(number, wake.clone());
        (number, wake)
    }

    fn leave(&self, number: u64) {
        let mut tasks = self.0.tasks.borrow_mut();
        tasks.remove(&number);
        // Whoever waits for the others to leave looks again.
        if tasks.len() == 1 {
            tasks.values().for_each(|waker| waker.wake());
        }
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("hub", &self.0.hub.name).finish_non_exhaustive()
    }
}
