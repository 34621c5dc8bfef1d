//! Whole clients and a service in one thread, under virtual time, on a network that a seed decides about.
//!
//! Only for this repository's tests; nothing here is part of the crate's interface. Clients are those of the crate,
//! unchanged: their `runtime` finds that its thread is in a [`World`]. The service is the broker, fed by a task for
//! each connection, with a journal that is the truth about what was stored.
//!
//! ```
//! use std::time::Duration;
//! use eventhubs::simulation::{Service, World, sleep};
//! use eventhubs::ProducerClient;
//! use eventhubs::broker::HubConfig;
//!
//! let mut world = World::enter(7, false);
//! world.run(Duration::from_secs(3600), async {
//!     let service = Service::start(HubConfig::new("hub", 4));
//!     let producer = ProducerClient::from_connection_string(service.connection_string()).unwrap();
//!     producer.send("hello").await.unwrap();
//!     sleep(Duration::from_secs(600)).await;
//!     producer.close().await;
//!     service.stop();
//! }).unwrap();
//! ```

mod connection;
mod service;
mod store;

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::model::moment::Moment;
pub use crate::processor::bare::{BareMember, BarePartition};
use crate::runtime;
pub use crate::runtime::world::{
    Conditions, ConnectionNumber, Leftovers, Notice, Random, Split, Stuck, Timer, World, blackhole,
    connections, cut, digest, leftovers, note, polls, set_conditions, stall,
};
pub use service::Service;
pub use store::{Kept, Store};

/// The world's monotonic clock.
pub fn now() -> Moment {
    runtime::now()
}

/// Waits, in virtual time.
pub async fn sleep(pause: Duration) {
    let deadline = now() + pause;
    let mut timer = Timer::default();
    poll_fn(|cx| timer.poll_until(deadline, cx)).await;
}

/// What a future comes to, unless `limit` is over before.
pub async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    let deadline = now() + limit;
    let mut timer = Timer::default();
    let mut future = std::pin::pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => timer.poll_until(deadline, cx).map(|()| None),
    })
    .await
}

/// Starts a task; what it comes to can be waited for. It runs whether somebody does or not.
pub fn spawn<T: 'static>(name: &'static str, task: impl Future<Output = T> + 'static) -> Task<T> {
    let place = Rc::new(RefCell::new(Place { value: None, waker: None }));
    let own = place.clone();
    runtime::world::spawn(
        name,
        Box::pin(async move {
            let value = task.await;
            let mut place = own.borrow_mut();
            place.value = Some(value);
            place.waker.take().into_iter().for_each(Waker::wake);
        }),
    );
    Task(place)
}

/// A task that can be waited for.
#[must_use = "`spawn(…)` runs anyway; say `let _` to leave it alone"]
pub struct Task<T>(Rc<RefCell<Place<T>>>);

struct Place<T> {
    value: Option<T>,
    waker: Option<Waker>,
}

impl<T> Task<T> {
    /// What the task came to. Pending for ever when the world ends before it does.
    pub async fn join(self) -> T {
        poll_fn(|cx| {
            let mut place = self.0.borrow_mut();
            match place.value.take() {
                Some(value) => Poll::Ready(value),
                None => {
                    place.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.0.borrow().value.is_some()
    }
}

impl<T> std::fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task").field("has_ended", &self.has_ended()).finish()
    }
}
