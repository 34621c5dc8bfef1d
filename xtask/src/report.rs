//! What ran, how long it took, and whether all of it passed.

use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::table::Table;

/// Tests as counted by the runners' own closing lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
}

/// The steps of one run.
#[derive(Default)]
pub struct Report {
    steps: Vec<Step>,
}

struct Step {
    name: String,
    took: Duration,
    counts: Counts,
    failure: Option<Failure>,
}

impl Report {
    /// Runs a step under a heading. A failure is kept, not returned: the steps behind it run too, so
    /// that one run shows everything that is wrong.
    pub fn step(&mut self, name: &str, run: impl FnOnce() -> Result<Counts, Failure>) {
        println!("\n━━━━ {name} {}", "━".repeat(74usize.saturating_sub(name.chars().count())));
        crate::process::flush();
        let started = Instant::now();
        let (counts, failure) = match run() {
            Ok(counts) => (counts, None),
            Err(failure) => {
                println!("FAILED: {failure}");
                (failure.counts, Some(failure))
            }
        };
        self.steps.push(Step { name: name.to_owned(), took: started.elapsed(), counts, failure });
    }

    /// Prints the table of steps and one closing line.
    ///
    /// # Errors
    /// Names the steps that failed.
    pub fn close(self) -> Result<(), Failure> {
        let mut table = Table::new(["step", "result", "passed", "failed", "skipped", "time"]);
        let mut total = Counts::default();
        for step in &self.steps {
            let Counts { passed, failed, skipped } = step.counts;
            total = Counts {
                passed: total.passed + passed,
                failed: total.failed + failed.max(u64::from(step.failure.is_some())),
                skipped: total.skipped + skipped,
            };
            let number = |n: u64| if n == 0 { String::new() } else { n.to_string() };
            let result = if step.failure.is_some() { "FAILED" } else { "ok" };
            let took = format!("{:.0} s", step.took.as_secs_f64());
            table.row([
                step.name.clone(),
                result.to_owned(),
                number(passed),
                number(failed),
                number(skipped),
                took,
            ]);
        }
        println!("\n{table}");
        println!("tests: {} passed, {} failed, {} skipped", total.passed, total.failed, total.skipped);
        let failed: Vec<&str> =
            self.steps.iter().filter(|step| step.failure.is_some()).map(|step| step.name.as_str()).collect();
        if failed.is_empty() {
            return Ok(());
        }
        Err(Failure::new(format!("failed: {} (its output is above)", failed.join(", "))))
    }
}

impl Counts {
    /// Adds what a test runner's closing line says. Other lines change nothing.
    pub fn read_line(&mut self, line: &str) {
        let line = line.trim();
        if let Some(rest) = line.strip_prefix("test result: ") {
            // cargo test: "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; ..."
            self.passed += number_before(rest, "passed");
            self.failed += number_before(rest, "failed");
            self.skipped += number_before(rest, "ignored");
        } else if let Some(rest) = pytest_summary(line) {
            self.passed += number_before(rest, "passed");
            self.failed += number_before(rest, "failed") + number_before(rest, "error");
            self.skipped += number_before(rest, "skipped");
        } else if let Some(rest) = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ ")) {
            // node --test: "# pass 3", "# fail 0", "# skipped 1"
            if let Some((word, number)) = rest.split_once(' ')
                && let Ok(number) = number.parse::<u64>()
            {
                match word {
                    "pass" => self.passed += number,
                    "fail" | "cancelled" => self.failed += number,
                    "skipped" | "todo" => self.skipped += number,
                    _ => {}
                }
            }
        }
    }
}

/// The counts of pytest's last line: "3 passed, 1 skipped" of "=== 3 passed, 1 skipped in 0.12s ===".
fn pytest_summary(line: &str) -> Option<&str> {
    let (counts, took) = line.trim_matches(['=', ' ']).rsplit_once(" in ")?;
    let seconds = took.split(' ').next()?.strip_suffix('s')?;
    let timed = seconds.contains('.') && seconds.parse::<f64>().is_ok();
    (timed && counts.starts_with(|c: char| c.is_ascii_digit())).then_some(counts)
}

/// The number in front of a word: 3 for "passed" in "ok. 3 passed; 0 failed".
fn number_before(line: &str, word: &str) -> u64 {
    let Some(end) = line.find(word) else { return 0 };
    let before = line[..end].trim_end();
    let digits = before.len() - before.bytes().rev().take_while(u8::is_ascii_digit).count();
    before[digits..].parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(text: &str) -> (u64, u64, u64) {
        let mut counts = Counts::default();
        text.lines().for_each(|line| counts.read_line(line));
        (counts.passed, counts.failed, counts.skipped)
    }

    #[test]
    fn closing_lines_of_cargo_test_are_added_up() {
        let text = "running 2 tests\ntest a ... ok\n\
            test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.00s\n\
            test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
        assert_eq!(counts(text), (14, 3, 1));
    }

    #[test]
    fn closing_lines_of_pytest_are_read() {
        assert_eq!(counts("....\n4 passed in 0.12s\n"), (4, 0, 0));
        assert_eq!(counts("==== 2 failed, 12 passed, 1 skipped in 61.05s (0:01:01) ====\n"), (12, 2, 1));
    }

    #[test]
    fn closing_lines_of_node_are_read_in_both_formats() {
        assert_eq!(counts("# tests 9\n# pass 8\n# fail 1\n# skipped 0\n"), (8, 1, 0));
        assert_eq!(counts("ℹ pass 8\nℹ fail 0\nℹ cancelled 0\nℹ skipped 2\n"), (8, 0, 2));
    }

    #[test]
    fn other_lines_count_nothing() {
        assert_eq!(counts("3 passed the gate in 5 s\nall passed\n# a comment\n# pass the salt\n"), (0, 0, 0));
    }
}
