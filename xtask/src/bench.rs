//! Measurements side by side: one run, one emulator process, everyone with the same bytes.

mod javascript;
mod namespace;
mod peers;
mod rows;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use lexopt::prelude::*;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::workspace::Workspace;

const HELP: &str = "\
Usage: cargo xtask bench [options]

  --rows LIST    only these: send,receive,single,latency,buffered,links,idle,allocations,javascript
                 (javascript: the npm package and the official SDK, in Node and in Chromium)
  --sizes LIST   bodies of these many bytes for send and receive (default 1024,64,16384)
  --peers LIST   only these: raw,ours,fe2o3,rust,python,js
  --runs N       how often each of the fast ones is measured; the median counts (default 3)
  --quick        a tenth of the events, one run: to see that everything works
  --json FILE    every single measurement, one JSON object a line
  --binary FILE  this `eventhubs` as the emulator, instead of a release build of the checkout
  --codec        the Criterion benches of the codec instead
";

/// What was asked for.
pub struct Options {
    rows: Vec<String>,
    sizes: Vec<usize>,
    peers: Vec<String>,
    runs: usize,
    quick: bool,
    json: Option<OsString>,
    /// The emulator, where it is built already.
    binary: Option<PathBuf>,
}

pub fn run(workspace: &Workspace, arguments: Vec<OsString>) -> Result<(), Failure> {
    let mut options = Options {
        rows: list("send,receive,single,latency,buffered,links,idle,allocations,javascript"),
        sizes: vec![1024, 64, 16_384],
        peers: list("raw,ours,fe2o3,rust,python,js"),
        runs: 3,
        quick: false,
        json: None,
        binary: None,
    };
    let mut codec = false;
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("rows") => options.rows = some_of(&parser.value()?.string()?, &options.rows)?,
            Long("peers") => options.peers = some_of(&parser.value()?.string()?, &options.peers)?,
            Long("sizes") => {
                let text = parser.value()?.string()?;
                let sizes: Result<_, _> = text.split(',').map(str::parse).collect();
                options.sizes = sizes
                    .map_err(|_| Failure::new(format!("'{text}' is no list of sizes, as in 64,1024")))?;
            }
            Long("runs") => options.runs = parser.value()?.parse::<usize>()?.max(1),
            Long("quick") => {
                options.quick = true;
                options.runs = 1;
            }
            Long("json") => options.json = Some(parser.value()?),
            Long("binary") => options.binary = Some(parser.value()?.into()),
            Long("codec") => codec = true,
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            other => return Err(other.unexpected().into()),
        }
    }
    if codec {
        let mut bench = crate::process::cargo(workspace);
        return crate::process::visible(bench.args(["bench", "--bench", "codec"]));
    }
    let mut log = Log::create(options.json.as_deref())?;
    let javascript = options.rows.iter().any(|row| row == "javascript");
    let others = options.rows.iter().any(|row| row != "javascript");
    let programs = if javascript { Some(javascript::prepare(workspace)?) } else { None };
    let peers = if others { peers::build(workspace, &options)? } else { Vec::new() };
    let namespace = namespace::Namespace::start(workspace, options.binary.as_deref())?;
    let started = Instant::now();
    if others {
        rows::measure(&peers, &namespace, &options, &mut log)?;
    }
    if let Some(programs) = programs {
        javascript::measure(&programs, &namespace, &options, &mut log)?;
    }
    println!("\nmeasured in {:.0} s", started.elapsed().as_secs_f64());
    log.close()
}

/// What was measured, for the file, and what could not be.
struct Log {
    file: Option<File>,
    failed: Vec<String>,
}

impl Log {
    fn create(path: Option<&OsStr>) -> Result<Self, Failure> {
        let file = path.map(File::create).transpose();
        let file = file.map_err(|error| Failure::new(format!("cannot write the measurements: {error}")))?;
        Ok(Log { file, failed: Vec::new() })
    }

    fn measured(&mut self, row: &str, peer: &str, line: &Value) {
        if let Some(file) = &mut self.file {
            let _ = writeln!(file, "{}", json!({"row": row, "peer": peer, "measured": line}));
        }
    }

    fn failed(&mut self, row: &str, peer: &str, failure: &Failure) {
        self.failed.push(format!("{row}, {peer}: {failure}"));
    }

    fn close(self) -> Result<(), Failure> {
        if self.failed.is_empty() {
            return Ok(());
        }
        Err(Failure::new(format!("not everything could be measured:\n  {}", self.failed.join("\n  "))))
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::to_owned).collect()
}

fn some_of(text: &str, known: &[String]) -> Result<Vec<String>, Failure> {
    let chosen = list(text);
    match chosen.iter().find(|name| !known.contains(name)) {
        Some(unknown) => Err(Failure::new(format!("'{unknown}' is none of: {}", known.join(", ")))),
        None => Ok(chosen),
    }
}
