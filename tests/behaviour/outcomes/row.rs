//! What came of a case.

use std::fmt::Write as _;
use std::time::Duration;

use eventhubs::{Error, Status};
use serde_json::json;

use super::cases::{Case, Operation};
use super::{GRACE, RECOVERY, TOTAL, millis};
use crate::harness::{IS_WASM, is_page, note};

/// What came of a case, and what was wrong about it.
pub(super) struct Row {
    operation: Operation,
    /// Its place in the table.
    order: usize,
    fault: &'static str,
    /// How what was under way ended.
    pub(super) outcome: String,
    /// The rest of what is worth knowing.
    pub(super) remark: String,
    /// From the fault's beginning.
    pub(super) settled: Duration,
    /// From the fault's end until something worked.
    pub(super) recovered: Duration,
    pub(super) hits: u64,
    /// From the fault's beginning until all worked again.
    pub(super) told: Vec<Status>,
    wrong: String,
}

impl Row {
    pub(super) fn new(order: usize, case: &Case) -> Self {
        Row {
            operation: case.operation,
            order,
            fault: case.name,
            outcome: String::new(),
            remark: String::new(),
            settled: Duration::ZERO,
            recovered: Duration::ZERO,
            hits: 0,
            told: Vec::new(),
            wrong: String::new(),
        }
    }

    /// Notes that something is wrong unless `is_right`.
    pub(super) fn expect(&mut self, is_right: bool, what: impl FnOnce() -> String) {
        if !is_right {
            let _ = write!(self.wrong, "\n    {}", what());
        }
    }

    /// Whether what came of it is what has to.
    pub(super) fn check(&mut self, case: &Case) {
        let outcome = self.outcome.clone();
        self.expect(case.outcomes.contains(&&*outcome), || {
            format!("it came to {outcome}, not to {:?}", case.outcomes)
        });
        let (settled, recovered) = (self.settled, self.recovered);
        self.expect(settled <= TOTAL + GRACE, || format!("it settled after {settled:?}"));
        self.expect(recovered <= RECOVERY + GRACE, || format!("it worked again after {recovered:?}"));
        let told = self.told();
        let mut rest = self.told.iter().map(Status::code);
        for wanted in case.told {
            if !rest.any(|code| code == *wanted) {
                self.expect(false, || format!("{wanted} was not told in its place: {told}"));
                break;
            }
        }
        // A client that looks after a quiet partition needs a token for that.
        let is_quiet = self.told.iter().all(|status| matches!(status, Status::TokenRefreshed { .. }));
        self.expect(!case.told.is_empty() || is_quiet, || format!("nothing was to be told: {told}"));
    }

    /// Says it to whoever collects rows.
    pub(super) async fn report(&self) {
        let platform = match (IS_WASM, is_page()) {
            (false, _) => "native",
            (true, false) => "node",
            (true, true) => "chromium",
        };
        let row = json!({
            "platform": platform,
            "operation": match self.operation { Operation::Send => "send", Operation::Receive => "receive" },
            "order": self.order,
            "fault": self.fault,
            "outcome": self.outcome,
            "remark": self.remark,
            "settledMs": millis(self.settled),
            "recoveredMs": millis(self.recovered),
            "deadlineMs": millis(TOTAL),
            "hits": self.hits,
            "told": self.told(),
            "wrong": self.wrong,
        });
        note(&row.to_string()).await;
    }

    pub(super) fn wrong(self) -> Option<String> {
        (!self.wrong.is_empty()).then(|| format!("{:?} under {}:{}", self.operation, self.fault, self.wrong))
    }

    /// The codes, each with how often it was told.
    fn told(&self) -> String {
        let mut codes: Vec<(&str, usize)> = Vec::new();
        for code in self.told.iter().map(Status::code) {
            match codes.iter_mut().find(|(known, _)| *known == code) {
                Some((_, times)) => *times += 1,
                None => codes.push((code, 1)),
            }
        }
        let written = codes.iter().map(|(code, times)| match times {
            1 => (*code).to_owned(),
            _ => format!("{code} ×{times}"),
        });
        written.collect::<Vec<_>>().join(", ")
    }
}

/// An error's code, with a question mark where what was sent may have been stored.
pub(super) fn code(error: &Error) -> String {
    format!("{}{}", error.code(), if error.outcome_unknown() { "?" } else { "" })
}
