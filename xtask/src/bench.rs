//! Measurements side by side: one run, one emulator process, everyone with the same bytes.

mod namespace;
mod peers;
mod rows;

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::*;

use crate::failure::Failure;
use crate::workspace::Workspace;

const HELP: &str = "\
Usage: cargo xtask bench [options]

  --rows LIST    only these: send,receive,single,latency,links,idle,allocations
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
        rows: list("send,receive,single,latency,links,idle,allocations"),
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
    let peers = peers::build(workspace, &options)?;
    let namespace = namespace::Namespace::start(workspace, options.binary.as_deref())?;
    rows::measure(&peers, &namespace, &options)
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
