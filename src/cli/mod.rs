//! The `eventhubs` command: reads arguments, calls the library, prints. One file a command.

mod connect;
mod console;
mod demo;
mod diagnose;
mod emulator;
mod explain;
mod fault;
mod info;
mod lag;
mod position;
mod receive;
mod send;
mod stop;
mod store;
mod table;
mod units;

use std::error::Error;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::builder::styling::{AnsiColor, Effects, Styles};
use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Azure Event Hubs at the command line.
#[derive(Debug, Parser)]
#[command(
    name = "eventhubs",
    version,
    about = "Azure Event Hubs at the command line, with a namespace of your own to try it on",
    styles = STYLES,
    propagate_version = true,
    disable_help_subcommand = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    verbosity: Verbosity,
}

// A new command: a file beside this one with its `Args` and an `async fn run(self)`, a variant here with the
// sentence that `--help` shows, and an arm in `Command::run`.
#[derive(Debug, Subcommand)]
enum Command {
    /// Run an Event Hubs namespace on this machine, for every SDK and transport
    Emulator(emulator::EmulatorArgs),
    /// Publish 231 083 flight records, read them back, check every one, and show how fast that was
    Demo(demo::DemoArgs),
    /// Have a running emulator go wrong on purpose: set, list and end faults
    Fault(fault::FaultArgs),
    /// Show a hub and its partitions
    Info(info::InfoArgs),
    /// Show how far a consumer group is behind, and who reads which partition
    Lag(lag::LagArgs),
    /// Publish lines, files or JSON
    Send(send::SendArgs),
    /// Print events: those that are there, or those that come
    Receive(receive::ReceiveArgs),
    /// Find out what works, and what does not, on the way to a hub
    Diagnose(diagnose::DiagnoseArgs),
    /// Explain an error's code: what it means, when it happens, what to do
    Explain(explain::ExplainArgs),
}

impl Command {
    async fn run(self) -> Result<(), Box<dyn Error>> {
        match self {
            Command::Emulator(args) => args.run().await,
            Command::Demo(args) => args.run().await,
            Command::Fault(args) => args.run().await,
            Command::Info(args) => args.run().await,
            Command::Lag(args) => args.run().await,
            Command::Send(args) => args.run().await,
            Command::Receive(args) => args.run().await,
            Command::Diagnose(args) => args.run().await,
            Command::Explain(args) => args.run(),
        }
    }
}

/// How much is said about what happens inside.
#[derive(Args, Clone, Copy, Debug)]
struct Verbosity {
    /// Say more on standard error: -v what happens, -vv details, -vvv everything (RUST_LOG chooses finer)
    #[arg(short, long, action = ArgAction::Count, global = true, display_order = 900)]
    verbose: u8,
    /// Say nothing but errors
    #[arg(short, long, conflicts_with = "verbose", global = true, display_order = 901)]
    quiet: bool,
}

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().effects(Effects::BOLD))
    .usage(AnsiColor::Green.on_default().effects(Effects::BOLD))
    .literal(AnsiColor::Cyan.on_default().effects(Effects::BOLD))
    .placeholder(AnsiColor::Cyan.on_default());

/// The arguments, of which the demo takes fewer from the environment: a namespace that is set up there for daily work
/// is not a place for 231 083 flight records unless somebody says so.
fn command() -> clap::Command {
    let said = |argument: clap::Arg| argument.env(clap::builder::Resettable::Reset);
    Cli::command()
        .mut_subcommand("demo", |demo| demo.mut_arg("connection_string", said).mut_arg("event_hub", said))
}

/// Runs the command that the process was called with. The exit status is 0 when it did what was asked, 1 when
/// it failed, 2 when the arguments make no sense.
pub fn run() -> ExitCode {
    let cli = match Cli::from_arg_matches(&command().get_matches()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    start_logging(cli.verbosity);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("cannot start the runtime: {error}")),
    };
    match runtime.block_on(cli.command.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error.to_string()),
    }
}

fn failed(why: &str) -> ExitCode {
    eprintln!("error: {why}");
    ExitCode::FAILURE
}

fn start_logging(verbosity: Verbosity) {
    let level = match (verbosity.quiet, verbosity.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "warn,eventhubs=info",
        (false, 2) => "info,eventhubs=debug",
        (false, _) => "debug,eventhubs=trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    // It would show what travels, tokens included, to whoever asks for everything with RUST_LOG=trace.
    let is_harmless = |said: &tracing::Metadata<'_>| {
        *said.level() < tracing::Level::TRACE || !said.target().starts_with("tungstenite")
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .finish()
        .with(filter_fn(is_harmless))
        .init();
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        command().debug_assert();
    }

    #[test]
    fn the_demo_publishes_nowhere_that_only_the_environment_names() {
        let command = command();
        let of =
            |name| command.find_subcommand(name).unwrap().get_arguments().any(|arg| arg.get_env().is_some());
        assert!(!of("demo") && of("send"));
    }
}
