//! Whether a client tells what happens to it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use eventhubs::model::moment::Moment;
use eventhubs::simulation::{note, now, spawn};
use eventhubs::{Status, StatusStream};

/// What a client has said last.
#[derive(Clone)]
pub struct Listener(Rc<Heard>);

struct Heard {
    /// When it last told that something is not as it should be, or has just been mended.
    trouble: Cell<Moment>,
    /// Between a loss and what mends it.
    is_down: Cell<bool>,
    /// Since when there is no connection and none is being made.
    down_since: Cell<Option<Moment>>,
    /// From the loss of connections to when the next were begun.
    gaps: RefCell<Vec<(Moment, Moment)>>,
}

impl Listener {
    /// Listens to a client until it is closed. The task does not end before its stream does, and is missed then.
    pub fn to(client: u64, mut statuses: StatusStream) -> Self {
        let heard = Rc::new(Heard {
            trouble: Cell::default(),
            is_down: Cell::default(),
            down_since: Cell::default(),
            gaps: RefCell::default(),
        });
        let own = heard.clone();
        let _ = spawn("listens", async move {
            while let Some(status) = statuses.next().await {
                note("status", client, 0, || match status.cause() {
                    Some(cause) => format!("{}: {cause}", status.code()),
                    None => status.code().to_owned(),
                });
                match status {
                    Status::Disconnected { .. } | Status::Reconnecting { .. } => {
                        own.down_since.set(own.down_since.get().or(Some(now())));
                    }
                    Status::Connecting { .. } => {
                        let gap = own.down_since.take().map(|since| (since, now()));
                        own.gaps.borrow_mut().extend(gap);
                    }
                    _ => {}
                }
                match status {
                    Status::TokenRefreshed { .. } | Status::Closed => {}
                    Status::Connected => own.is_down.set(false),
                    Status::Disconnected { .. } | Status::Reconnecting { .. } | Status::Connecting { .. } => {
                        own.trouble.set(now());
                        own.is_down.set(true);
                    }
                    _ => own.trouble.set(now()),
                }
            }
        });
        Listener(heard)
    }

    /// How long it took at most, since then, until a lost connection was made anew.
    pub fn longest_gap(&self, since: Moment) -> Duration {
        let open = self.0.down_since.get().map(|down| (down, now()));
        let gaps = self.0.gaps.borrow();
        let gaps = gaps.iter().copied().chain(open).filter(|(down, _)| *down >= since);
        gaps.map(|(down, up)| up - down).max().unwrap_or_default()
    }

    /// Whether something was told since then.
    pub fn has_told(&self, since: Moment) -> bool {
        self.0.is_down.get() || self.0.trouble.get() >= since
    }
}
