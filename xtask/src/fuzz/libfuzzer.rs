//! The programs with libFuzzer: building them, running them, and what they say.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::process::{answer, cannot_start, cargo, flush, visible};
use crate::report::Counts;
use crate::workspace::Workspace;

/// What `cargo fuzz` gives the compiler, without a sanitizer: it builds on stable, and no crate of ours has unsafe
/// code for one to watch. Overflows and debug assertions are failures, too.
const FLAGS: [&str; 11] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg",
    "fuzzing",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "-Cllvm-args=-sanitizer-coverage-stack-depth",
    "-Cdebug-assertions",
    "-Ccodegen-units=4",
];
/// One input that takes longer hangs.
const TIMEOUT_SECONDS: u32 = 10;
/// A process that holds more leaks: the largest corpus takes a tenth of it.
const MOST_MEMORY_MB: u32 = 512;
/// Longer inputs show nothing more and take longer.
const LONGEST_INPUT: usize = 4096;
const SIGN_OF_LIFE: Duration = Duration::from_secs(20);

/// When a run is over.
#[derive(Clone, Copy)]
pub enum Bound {
    Seconds(u64),
    Runs(u64),
}

/// What became of a run.
#[derive(Default, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub executions: u64,
    pub per_second: u64,
    /// Places in the code that were reached.
    pub coverage: u64,
    /// The same, told apart by how often.
    pub features: u64,
    /// Inputs and bytes, as libFuzzer says it: `567/98Kb`.
    pub corpus: String,
    pub peak_mb: u64,
    /// Inputs that made the target fail.
    pub findings: Vec<PathBuf>,
}

/// Where libFuzzer's inputs live, besides those that are kept in the checkout.
pub fn working_corpus(workspace: &Workspace, name: &str) -> PathBuf {
    workspace.target().join("fuzz/corpus").join(name)
}

pub fn program(workspace: &Workspace, name: &str) -> Result<PathBuf, Failure> {
    Ok(workspace.target().join("fuzz/build").join(host()?).join("release").join(name))
}

/// Builds the programs of these targets.
pub fn build(workspace: &Workspace, names: &[&str]) -> Result<Counts, Failure> {
    let mut build = cargo(workspace);
    build.args(["build", "--release", "--manifest-path", "fuzz/Cargo.toml"]);
    // With a target named, build scripts and macros are built without the flags.
    build.args(["--target", &host()?, "--target-dir"]).arg(workspace.target().join("fuzz/build"));
    for name in names {
        build.args(["--bin", name]);
    }
    visible(build.env("RUSTFLAGS", FLAGS.join(" ")))?;
    Ok(Counts::default())
}

/// Feeds one target until the bound is reached or it fails.
pub fn run(workspace: &Workspace, name: &str, bound: Bound) -> Result<Outcome, Failure> {
    let home = workspace.target().join("fuzz");
    let findings = home.join("findings").join(name);
    let log = home.join(format!("{name}.log"));
    let found = working_corpus(workspace, name);
    for directory in [&findings, &found] {
        fs::create_dir_all(directory).map_err(|error| cannot_write(directory, &error))?;
    }
    let mut fuzz = Command::new(program(workspace, name)?);
    fuzz.current_dir(workspace.root()).arg(&found).arg(home.join("seeds").join(name));
    let kept = workspace.root().join("fuzz/corpus").join(name);
    if kept.is_dir() {
        fuzz.arg(kept);
    }
    fuzz.arg(match bound {
        Bound::Seconds(seconds) => format!("-max_total_time={seconds}"),
        Bound::Runs(runs) => format!("-runs={runs}"),
    });
    fuzz.arg(format!("-timeout={TIMEOUT_SECONDS}")).arg(format!("-rss_limit_mb={MOST_MEMORY_MB}"));
    fuzz.arg(format!("-max_len={LONGEST_INPUT}")).arg("-print_final_stats=1");
    fuzz.arg(format!("-artifact_prefix={}{}", findings.display(), std::path::MAIN_SEPARATOR));
    println!("$ {name} {}", fuzz.get_args().map(|a| a.to_string_lossy()).collect::<Vec<_>>().join(" "));
    flush();
    let mut child = fuzz
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| cannot_start(&fuzz, &error))?;
    let mut file = File::create(&log).map_err(|error| cannot_write(&log, &error))?;
    let mut outcome = Outcome::default();
    let mut told = Instant::now();
    if let Some(said) = child.stderr.take() {
        let mut lines = BufReader::new(said);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line);
            let _ = file.write_all(&line);
            outcome.read_line(text.trim_end());
            if text.contains("panicked at") || text.contains("ERROR:") {
                println!("{}", text.trim_end());
            } else if text.starts_with('#') && told.elapsed() > SIGN_OF_LIFE {
                println!("  {}", text.trim_end().replace('\t', " "));
                told = Instant::now();
            }
            line.clear();
        }
    }
    let status = child.wait().map_err(|error| cannot_start(&fuzz, &error))?;
    if !status.success() && outcome.findings.is_empty() {
        return Err(Failure::new(format!("`{name}` failed ({status}); all it said is in {}", log.display())));
    }
    println!(
        "  {} executions, {} a second; {} findings",
        outcome.executions,
        outcome.per_second,
        outcome.findings.len()
    );
    Ok(outcome)
}

impl Outcome {
    /// What a run that is not good fails with.
    pub fn failure(&self, name: &str) -> Option<Failure> {
        let finding = self.findings.first()?;
        Some(Failure::new(format!(
            "{name} failed on an input, kept in {}; to repeat it, give the program this file",
            finding.display()
        )))
    }

    fn read_line(&mut self, line: &str) {
        let number = |text: &str| text.trim().parse::<u64>().ok();
        if let Some((name, value)) = line.strip_prefix("stat::").and_then(|stat| stat.split_once(':')) {
            let slot = match name {
                "number_of_executed_units" => &mut self.executions,
                "average_exec_per_sec" => &mut self.per_second,
                "peak_rss_mb" => &mut self.peak_mb,
                _ => return,
            };
            *slot = number(value).unwrap_or(*slot);
        } else if let Some((_, path)) = line.split_once("Test unit written to ") {
            self.findings.push(PathBuf::from(path));
        } else if line.starts_with('#') {
            let mut words = line.split_whitespace();
            while let Some(word) = words.next() {
                match word {
                    "cov:" => self.coverage = words.next().and_then(number).unwrap_or(self.coverage),
                    "ft:" => self.features = words.next().and_then(number).unwrap_or(self.features),
                    "corp:" => self.corpus = words.next().unwrap_or_default().to_owned(),
                    _ => {}
                }
            }
        }
    }
}

fn host() -> Result<String, Failure> {
    let version = Command::new("rustc").arg("-vV").output().ok();
    let text = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .or_else(|| answer("rustc", &["--print", "host-tuple"]))
        .ok_or_else(|| Failure::new("rustc does not say for which machine it compiles"))
}

fn cannot_write(path: &std::path::Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libfuzzer_says_is_understood() {
        let mut outcome = Outcome::default();
        for line in [
            "#42\tNEW    cov: 12 ft: 34 corp: 5/6Kb lim: 4 exec/s: 0 rss: 28Mb L: 14/46 MS: 1 EraseBytes-",
            "#1000\tDONE   cov: 13 ft: 35 corp: 7/8Kb lim: 4096 exec/s: 500 rss: 29Mb",
            "stat::number_of_executed_units: 1000",
            "stat::average_exec_per_sec:     500",
            "stat::peak_rss_mb:              29",
        ] {
            outcome.read_line(line);
        }
        assert!(outcome.failure("x").is_none());
        assert_eq!((outcome.executions, outcome.per_second, outcome.peak_mb), (1000, 500, 29));
        assert_eq!((outcome.coverage, outcome.features, outcome.corpus.as_str()), (13, 35, "7/8Kb"));
        outcome.read_line("artifact_prefix='f/'; Test unit written to f/crash-1");
        assert_eq!(outcome.findings, [PathBuf::from("f/crash-1")]);
        assert!(outcome.failure("x").is_some());
    }
}
