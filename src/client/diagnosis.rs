//! Finds out what works on the way to a hub: one thing after the other, each with a verdict and what to do about it.
//!
//! The way to an open socket is tried by itself, step by step. What lies behind it is tried with a client like any other, which
//! makes one attempt at everything and says on its status stream how far it came.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt;

use super::config::Config;
use super::receiver::ReceiverSpec;
use super::status::Status;
use super::{Client, StatusStream};
use crate::dialect::address::Address;
use crate::error::{Error, ErrorKind};
use crate::model::moment::Moment;
use crate::model::position::StartPosition;
use crate::model::retry::RetryOptions;
use crate::model::value::{Timestamp, Uuid};
use crate::runtime::{self, Framing, Security, Timer};

/// What works, and what does not, on the way to an event hub; see
/// [`ProducerClient::diagnose`](crate::ProducerClient::diagnose).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Diagnosis {
    /// What was dialled.
    pub endpoint: String,
    /// The event hub.
    pub event_hub: String,
    /// What was looked at, in order: `dns`, `socket`, `tls`, `websocket`, `sasl`, `cbs`, `entity`, `rights`, `clock`. All of them are
    /// there, however early it went wrong.
    pub checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Check {
    /// What it is, such as `tls`.
    pub name: &'static str,
    /// Whether it works.
    pub verdict: Verdict,
    /// What was found.
    pub detail: String,
    /// What to do about it; empty where there is nothing to do.
    pub hint: &'static str,
    /// How long it took.
    pub took: Duration,
}

/// Whether something works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It works.
    Ok,
    /// It works, or may work, but not as it should.
    Warning,
    /// It does not work.
    Failed,
    /// It could not be looked at, or there is nothing to look at.
    Skipped,
}

/// What a client needs to be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "every client and the command line take theirs")]
pub(crate) enum Needs {
    Send,
    Listen,
    Either,
}

impl Diagnosis {
    /// Whether nothing has failed.
    pub fn is_ok(&self) -> bool {
        self.checks.iter().all(|check| check.verdict != Verdict::Failed)
    }
}

impl Verdict {
    /// A stable name, such as `warning`.
    pub fn code(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Failed => "failed",
            Verdict::Skipped => "skipped",
        }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} at {}\n", self.event_hub, self.endpoint)?;
        for Check { name, verdict, detail, hint, took } in &self.checks {
            let took = match verdict {
                Verdict::Skipped => String::new(),
                _ => format!("{} ms", took.as_millis()),
            };
            writeln!(f, "{:7}  {name:9}  {took:>8}  {detail}", verdict.code())?;
            if !hint.is_empty() {
                writeln!(f, "{:28}  → {hint}", "")?;
            }
        }
        Ok(())
    }
}

const NAMES: [&str; 9] = ["dns", "socket", "tls", "websocket", "sasl", "cbs", "entity", "rights", "clock"];
/// All of it takes no longer.
const TOTAL: Duration = Duration::from_secs(28);
/// The way to an open socket takes no longer.
const DIAL: Duration = Duration::from_secs(12);
/// One answer of the service takes no longer.
const STEP: Duration = Duration::from_secs(6);
/// A clock that is wrong by more will meet trouble with tokens.
const SKEW: i64 = 300;
const NO_HUB: &str = "Check the event hub's name, and that it belongs to this namespace.";
/// There is no such partition: the service refuses the question, and says what time it is.
const NO_PARTITION: &str = "diagnosis";

/// Takes no longer than `limit`: what is not known by then is not reached.
pub(super) async fn run(config: &Config, needs: Needs, group: &str, limit: Duration) -> Diagnosis {
    let mut report = Report { checks: Vec::new(), since: runtime::now() };
    let is_over = within(TOTAL.min(limit), look(config, needs, group, &mut report)).await.is_none();
    if is_over {
        let hint =
            "Something on the way swallows what is sent: a firewall, a proxy, or an overloaded service.";
        report.put(Verdict::Failed, "the time was over".to_owned(), hint);
    }
    while report.next().is_some() {
        report.skip("not reached");
    }
    Diagnosis { endpoint: config.endpoint.to_string(), event_hub: config.hub.clone(), checks: report.checks }
}

async fn look(config: &Config, needs: Needs, group: &str, report: &mut Report) {
    if !look_at_socket(config, report).await {
        return;
    }
    let client = Client::new(Config {
        // Its own, so that the service's logs tell it from the client that is being looked at.
        identifier: Uuid::from_random(runtime::random_bytes()).to_string(),
        retry: RetryOptions { attempt_timeout: STEP, total_deadline: Some(STEP), ..RetryOptions::none() },
        connect_timeout: STEP,
        ..config.clone()
    });
    report.since = runtime::now();
    look_at_service(&client, config, needs, group, report).await;
    client.close().await;
}

/// Whether a socket can be opened.
async fn look_at_socket(config: &Config, report: &mut Report) -> bool {
    let endpoint = &config.endpoint;
    let mut steps = Vec::new();
    let limit = config.connect_timeout.min(DIAL);
    let dialled = within(limit, runtime::probe(endpoint, &config.trust, &mut steps)).await;
    let error = match dialled {
        Some(Ok(())) => None,
        Some(Err(error)) => Some(error.message),
        None => Some(format!("no answer within {} s", limit.as_secs())),
    };
    let is_plain = endpoint.security == Security::Plain;
    let is_here = matches!(endpoint.host.as_str(), "localhost" | "127.0.0.1" | "::1");
    for name in &NAMES[..4] {
        let step = steps.iter().find(|step| step.name == *name);
        match (*name, step) {
            (_, Some(step)) => {
                report.since = runtime::now();
                report.put(Verdict::Ok, step.detail.clone(), "");
                report.took(step.took);
            }
            ("dns" | "socket" | "tls", None) if !runtime::SEES_STEPS => {
                report.skip("pages and JavaScript's runtimes are told of WebSockets only");
            }
            ("tls", None) if is_plain && is_here => {
                report.skip("not used: the connection stays on this machine")
            }
            ("tls", None) if is_plain => {
                let hint = "Tokens and events can be read on the way: use sb://, wss:// or amqps://.";
                report.put(Verdict::Warning, "not used: nothing is encrypted".to_owned(), hint);
            }
            ("websocket", None) if endpoint.framing == Framing::Stream => {
                report.skip("not used: AMQP over TCP")
            }
            (name, None) => {
                report.put(Verdict::Failed, error.unwrap_or_default(), dial_hint(name, runtime::SEES_STEPS));
                return false;
            }
        }
    }
    true
}

/// What lies behind the socket.
async fn look_at_service(client: &Client, config: &Config, needs: Needs, group: &str, report: &mut Report) {
    let mut statuses = client.status();
    let hub = client.hub_properties().await;
    let seen = Seen::of(&mut statuses);
    let why = |error: Option<&Error>| error.map_or_else(String::new, |error| error.message().to_owned());
    if !seen.is_connected {
        let hint =
            "Something other than Event Hubs answers there, or it is overloaded: check host, port and path.";
        return report.put(Verdict::Failed, why(hub.as_ref().err()), hint);
    }
    report.put(Verdict::Ok, "the service has opened an AMQP connection".to_owned(), "");
    match &seen.token {
        Some(Ok(expires)) => {
            let detail = format!("the token for '{}' is taken, until {expires}", config.hub_audience());
            report.put(Verdict::Ok, detail, "");
        }
        Some(Err(error)) if error.kind() == ErrorKind::NotFound => {
            report.skip("the service looks at no token for a hub that it does not have");
            report.put(Verdict::Failed, why(Some(error)), NO_HUB);
            report.skip("there is no such event hub");
            return report.look_at_clock(Some(error));
        }
        Some(Err(error)) => {
            let hint = cbs_hint(error);
            report.put(Verdict::Failed, why(Some(error)), hint);
            report.skip("the token was refused");
            report.skip("the token was refused");
            return report.look_at_clock(Some(error));
        }
        None => {
            let hint = "The service answers no request for authorization: try again, and look at Azure's status page.";
            return report.put(Verdict::Failed, why(hub.as_ref().err()), hint);
        }
    }
    let mut partition = "0".to_owned();
    let mut is_known = true;
    match &hub {
        Ok(hub) => {
            report.put(Verdict::Ok, format!("'{}' has {} partitions", hub.name, hub.partition_ids.len()), "");
            partition = hub.partition_ids.first().cloned().unwrap_or(partition);
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            report.put(Verdict::Failed, why(Some(error)), NO_HUB);
            report.skip("there is no such event hub");
            is_known = false;
        }
        Err(error) => {
            // A key that may only send may not read properties either.
            let hint =
                "Reading properties needs the right 'Listen'; whether the event hub is there shows below.";
            report.put(Verdict::Warning, why(Some(error)), hint);
        }
    }
    if is_known {
        look_at_rights(client, needs, group, partition, report).await;
    }
    let refused = client.partition_properties(NO_PARTITION).await.err();
    report.look_at_clock(refused.as_ref());
}

async fn look_at_rights(client: &Client, needs: Needs, group: &str, partition: String, report: &mut Report) {
    let hub = client.hub().to_owned();
    let sender = client.sender(Address::Hub { hub: hub.clone() });
    let send = match sender.attached() {
        Ok(attached) => attached.await,
        Err(error) => Err(error),
    };
    let receiver = client.receiver(ReceiverSpec {
        address: Address::Receiver { hub, group: group.to_owned(), partition },
        // Nothing is taken: there is nothing yet behind this moment, and a place that needs no question.
        start: StartPosition::enqueued_time(runtime::unix_now()),
        owner_level: None,
        track_last_enqueued: false,
        prefetch_count: 1,
        prefetch_bytes: 1,
    });
    let listen = poll_fn(|cx| receiver.poll_attached(cx)).await;
    let said = |what: &str, result: &Result<(), Error>| match result {
        Ok(()) => format!("{what}: yes"),
        Err(error) => format!("{what}: no ({})", error.message()),
    };
    let detail = format!("{}; {}", said("send", &send), said("listen", &listen));
    let needed: Vec<&Error> = match needs {
        Needs::Send => send.as_ref().err().into_iter().collect(),
        Needs::Listen => listen.as_ref().err().into_iter().collect(),
        Needs::Either if send.is_ok() || listen.is_ok() => Vec::new(),
        Needs::Either => send.as_ref().err().into_iter().chain(listen.as_ref().err()).collect(),
    };
    match needed.first().map(|error| error.kind()) {
        None => report.put(Verdict::Ok, detail, ""),
        Some(ErrorKind::Unauthorized) => {
            let hint =
                "Give the policy or identity the right that is missing: 'Send' to send, 'Listen' to receive.";
            report.put(Verdict::Failed, detail, hint);
        }
        Some(ErrorKind::NotFound) => {
            let hint = "Check the event hub's and the consumer group's name.";
            report.put(Verdict::Failed, detail, hint);
        }
        // Others have the partition at present; the right is there.
        Some(ErrorKind::OwnershipLost | ErrorKind::QuotaExceeded) => {
            let hint = "The right is there, but other readers have the partition: use another consumer group, or an owner level.";
            report.put(Verdict::Warning, detail, hint);
        }
        Some(_) => {
            let hint = "It did not come to that: try again, and look at what the client's status says.";
            report.put(Verdict::Failed, detail, hint);
        }
    }
}

/// What a client's statuses say that it has reached.
struct Seen {
    is_connected: bool,
    token: Option<Result<Timestamp, Error>>,
}

impl Seen {
    fn of(statuses: &mut StatusStream) -> Self {
        let mut seen = Seen { is_connected: false, token: None };
        while let Some(Some(status)) = statuses.next().now_or_never() {
            match status {
                Status::Connected => seen.is_connected = true,
                Status::TokenRefreshed { expires_at, .. } => seen.token = Some(Ok(expires_at)),
                Status::TokenRefreshFailed { cause, .. } => seen.token = Some(Err(cause)),
                _ => {}
            }
        }
        seen
    }
}

/// What was found so far; the checks come in the order of [`NAMES`].
struct Report {
    checks: Vec<Check>,
    /// When the present check began.
    since: Moment,
}

impl Report {
    fn next(&self) -> Option<&'static str> {
        NAMES.get(self.checks.len()).copied()
    }

    fn put(&mut self, verdict: Verdict, detail: String, hint: &'static str) {
        let now = runtime::now();
        let took = now - std::mem::replace(&mut self.since, now);
        if let Some(name) = self.next() {
            self.checks.push(Check { name, verdict, detail, hint, took });
        }
    }

    /// The last check took this long.
    fn took(&mut self, took: Duration) {
        if let Some(check) = self.checks.last_mut() {
            check.took = took;
        }
    }

    fn skip(&mut self, why: &str) {
        self.put(Verdict::Skipped, why.to_owned(), "");
    }

    /// Compares the clocks, where the service's is known from what it said.
    fn look_at_clock(&mut self, said: Option<&Error>) {
        let Some(there) = said.and_then(Error::said_at).and_then(seconds) else {
            return self.skip("the service did not say what time it is");
        };
        let ahead = runtime::unix_now().as_millis().div_euclid(1000) - there;
        // What the service says is as old as its answer took, and a whole second.
        let detail = match ahead {
            -2..=2 => "the clocks agree".to_owned(),
            3.. => format!("this machine's clock is {ahead} s ahead of the service's"),
            _ => format!("this machine's clock is {} s behind the service's", -ahead),
        };
        match ahead.abs() <= SKEW {
            true => self.put(Verdict::Ok, detail, ""),
            false => {
                let hint = "Set this machine's clock: tokens made here seem expired, or last too long, to the service.";
                self.put(Verdict::Warning, detail, hint);
            }
        }
    }
}

fn dial_hint(step: &str, sees_steps: bool) -> &'static str {
    match step {
        "dns" => "Check the namespace's name, and that this machine can resolve names.",
        "socket" => {
            "Check host and port, and that no firewall closes it: WebSockets use 443, AMQP 5671. For the emulator: is it running?"
        }
        "tls" => {
            "Trust the certificate's authority (option `ca_pem`, --ca): a company's proxy and the emulator have their own."
        }
        _ if sees_steps => {
            "Something other than Event Hubs answers there: check the host, and proxies on the way."
        }
        _ => {
            "Check the address and that the server runs. A page also needs the address in its policy's connect-src, and wss:// when it is https."
        }
    }
}

fn cbs_hint(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::Timeout => "Nothing came back in time: check the token provider.",
        ErrorKind::Unauthorized => {
            "Check key name and key, or the token: that it is for this namespace and has not expired. See the clock below."
        }
        _ => "Try again; if it stays, look at Azure's status page.",
    }
}

/// Seconds since 1970 of a time such as `2026-01-31T09:05:07`.
fn seconds(text: &str) -> Option<i64> {
    let part = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok().filter(|part| *part >= 0);
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || year < 1970 {
        return None;
    }
    // Years begin in March, so that the day that comes and goes is the last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

/// What comes of it in this time, if anything.
async fn within<T>(limit: Duration, what: impl Future<Output = T>) -> Option<T> {
    let deadline = runtime::now() + limit;
    let mut timer = Timer::default();
    let mut what = pin!(what);
    poll_fn(|cx| match what.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => timer.poll_until(deadline, cx).map(|()| None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_services_time_is_understood() {
        for (text, time) in [
            ("1970-01-01T00:00:00", Some(0)),
            ("2026-01-01T00:00:00", Some(1_767_225_600)),
            ("2000-02-29T12:34:56", Some(951_827_696)),
            ("2026-01-01T00:00", None),
            ("2026-13-01T00:00:00", None),
            ("later", None),
            ("ääääääääääää", None),
        ] {
            assert_eq!(seconds(text), time, "{text}");
        }
    }

    #[test]
    fn clocks_that_differ_are_warned_of() {
        let found = |offset: i64| {
            let there = Timestamp::from_millis(runtime::unix_now().as_millis() - offset * 1000).to_string();
            let error = Error::new(ErrorKind::NotFound, "no").with_said_at(&there[..19]);
            let mut report = Report { checks: Vec::new(), since: runtime::now() };
            report.look_at_clock(Some(&error));
            report.checks.remove(0)
        };
        assert_eq!(found(0).verdict, Verdict::Ok);
        assert_eq!(found(100).verdict, Verdict::Ok);
        let ahead = found(3600);
        assert_eq!(ahead.verdict, Verdict::Warning);
        assert!(ahead.detail.contains("ahead"), "{ahead:?}");
        assert!(found(-3600).detail.contains("behind"));
    }
}
