//! Each fault under a send and under a receiver, over real sockets: everything settles by its deadline, says what it knows, tells
//! what happened, and works again by itself when the fault is over.
//!
//! Each case is a row of the table that `cargo xtask outcomes` prints.

mod cases;
mod receiving;
mod row;
mod sending;
mod statuses;

use std::time::Duration;

use eventhubs::{ClientBuilder, ClientOptions, RetryOptions};
use futures::StreamExt;
use futures::stream;

use crate::harness::{clock, sleep};
use crate::service::Wanted;
use crate::support::{Running, impatient, start_wanted, test};
use cases::{Case, Operation, Trouble, cases};
use row::Row;

/// The container id of the client that faults are meant for.
const SUBJECT: &str = "subject";
/// The partition that everything happens in.
const PARTITION: &str = "0";
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_millis(1500);
/// After twice this silence a connection counts as lost.
const IDLE: Duration = Duration::from_millis(750);
/// How long an attempt may take.
const ATTEMPT: Duration = Duration::from_millis(1500);
/// How long an operation may take over all: its deadline. The service's pause for those that it is too busy for is 4 s.
const TOTAL: Duration = Duration::from_secs(6);
/// How long events that are known of may stay away.
const STALL: Duration = Duration::from_millis(500);
/// Shorter than the hour that the emulator keeps events, so that its clock can be ahead of a token and behind the events' end.
const TOKEN_LIFE: Duration = Duration::from_secs(600);
/// How late a timer may be on a machine that has other things to do.
const GRACE: Duration = Duration::from_secs(2);
/// How long a fault holds over a receiver, unless it is over before: twice [`IDLE`], and as much again.
const HOLD: Duration = Duration::from_secs(3);
/// How long the emulator is away.
const AWAY: Duration = Duration::from_secs(1);
/// Within this a client works again when a fault is over: the pause of a busy service, or the time to notice a dead wire and to
/// make a connection.
const RECOVERY: Duration = Duration::from_secs(5);
/// Cases at one time, each with an emulator and two clients.
const AT_ONCE: usize = 12;

#[test]
async fn a_send_settles_under_every_fault_and_the_client_recovers() {
    all(Operation::Send).await;
}

#[test]
async fn a_receiver_misses_and_repeats_nothing_under_any_fault() {
    all(Operation::Receive).await;
}

/// Every case; fails with all that is wrong at once.
async fn all(operation: Operation) {
    let rows = stream::iter(cases(operation).into_iter().enumerate()).map(|(order, case)| async move {
        let mut row = Row::new(order, &case);
        match operation {
            Operation::Send => sending::run(&case, &mut row).await,
            Operation::Receive => receiving::run(&case, &mut row).await,
        }
        row.check(&case);
        row.report().await;
        row.wrong()
    });
    let wrong: Vec<String> =
        rows.buffer_unordered(AT_ONCE).filter_map(|wrong| async { wrong }).collect().await;
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// An emulator for a case.
async fn emulator(case: &Case) -> Running {
    start_wanted(Wanted { is_durable: case.is_durable, ..Wanted::default() }).await
}

/// The client that the fault is meant for, with deadlines that are short and honest.
fn subject<C>(builder: ClientBuilder<C>, running: &Running) -> ClientBuilder<C> {
    builder.connection_string(running.connection_string()).options(ClientOptions {
        retry: RetryOptions {
            max_attempts: 1000,
            attempt_timeout: ATTEMPT,
            total_deadline: Some(TOTAL),
            ..impatient()
        },
        connect_timeout: CONNECT,
        idle_timeout: IDLE,
        stall_timeout: STALL,
        token_lifetime: TOKEN_LIFE,
        identifier: Some(SUBJECT.to_owned()),
        ..ClientOptions::default()
    })
}

/// A client beside it that puts up with everything, and is quick to begin anew.
fn helper<C>(builder: ClientBuilder<C>, running: &Running) -> ClientBuilder<C> {
    builder.connection_string(running.connection_string()).options(ClientOptions {
        retry: RetryOptions { max_attempts: 1000, attempt_timeout: ATTEMPT, ..impatient() },
        connect_timeout: CONNECT,
        idle_timeout: IDLE,
        identifier: Some("helper".to_owned()),
        ..ClientOptions::default()
    })
}

/// Something that goes wrong in an emulator, until it is healed.
struct Hurt {
    faults: Vec<u64>,
    /// When the emulator comes back by itself.
    returns: Option<Duration>,
}

impl Hurt {
    async fn begin(case: &Case, running: &mut Running) -> Self {
        let mut hurt = Hurt { faults: Vec::new(), returns: None };
        match &case.trouble {
            Trouble::Faults(faults) => {
                for fault in faults {
                    hurt.faults.push(running.fault(fault.clone()).await);
                }
            }
            Trouble::Stop => running.stop().await,
            Trouble::Kill => running.kill().await,
        }
        if !matches!(case.trouble, Trouble::Faults(_)) {
            hurt.returns = Some(clock() + AWAY);
        }
        hurt
    }

    /// Brings back the emulator when its time has come, if it went away.
    async fn returns(&mut self, running: &mut Running) {
        if let Some(at) = self.returns {
            sleep(at.saturating_sub(clock())).await;
            running.start_again().await;
            self.returns = None;
        }
    }

    /// Ends it; how often it struck.
    async fn heal(mut self, running: &mut Running) -> u64 {
        self.returns(running).await;
        let mut hits = 0;
        for id in self.faults {
            hits += running.heal(id).await;
        }
        hits
    }
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis() as u64
}
