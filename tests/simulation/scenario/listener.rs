//! Whether a client tells what happens to it.

use std::cell::Cell;
use std::rc::Rc;

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
}

impl Listener {
    /// Listens to a client until it is closed. The task does not end before its stream does, and is missed then.
    pub fn to(client: u64, mut statuses: StatusStream) -> Self {
        let heard = Rc::new(Heard { trouble: Cell::default(), is_down: Cell::default() });
        let own = heard.clone();
        let _ = spawn("listens", async move {
            while let Some(status) = statuses.next().await {
                note("status", client, 0, || match status.cause() {
                    Some(cause) => format!("{}: {cause}", status.code()),
                    None => status.code().to_owned(),
                });
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

    /// Whether something was told since then.
    pub fn has_told(&self, since: Moment) -> bool {
        self.0.is_down.get() || self.0.trouble.get() >= since
    }
}
