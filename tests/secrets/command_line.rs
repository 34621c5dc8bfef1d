//! What the binary prints, on both of its streams.

use std::io::Read;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

use crate::capture::see;
use crate::process::Process;
use crate::{KEY, NO_TOKEN, WRONG_KEY};

/// Runs every command, with arguments that are right and wrong.
pub(crate) fn everything() {
    let emulator = Emulator::start();
    let good = emulator.connection_string(KEY);
    let bad = emulator.connection_string(WRONG_KEY);
    let nowhere = good.replace(&format!(":{}", emulator.process.port), ":1");
    for command in ["emulator", "demo", "info", "send", "receive", ""] {
        run(&[command, "--help"], &good);
    }
    run(&["--version"], &good);
    for verbosity in ["-v", "-vvv"] {
        run(&["send", verbosity, "--event-hub", "orders", "/etc/hostname"], &good);
        run(&["info", verbosity, "--event-hub", "orders"], &good);
        run(&["info", verbosity, "--transport", "tcp", "--event-hub", "orders"], &good);
        run(&["receive", verbosity, "--event-hub", "orders", "-n", "1"], &good);
        run(&["info", verbosity, "--event-hub", "orders"], &bad);
    }
    // It tries for a while, so once.
    run(&["info", "-vvv", "--event-hub", "orders"], &nowhere);
    // As argument, right and wrong.
    let argument =
        |connection_string: &str| run(&["info", "-vvv", "-c", connection_string, "-e", "orders"], "");
    argument(&good);
    argument(&bad.replace("Endpoint=", ""));
    argument(&good.replace(';', ""));
    argument(&format!("Endpoint=sb://localhost;SharedAccessSignature={NO_TOKEN}"));
    run(&["info", "-c"], &good);
    run(&["info", "--conection-string", "x"], &good);
    run(&["emulator", "--key", &format!("={KEY}")], "");
    run(&["emulator", "--key", &format!("app={KEY}:reed")], "");
    run(&["emulator", "--key", KEY, "--port", "x"], "");
    see("the command line", emulator.stop());
}

fn run(arguments: &[&str], connection_string: &str) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eventhubs"));
    command.args(arguments.iter().filter(|argument| !argument.is_empty()));
    // Everything that any crate has to say; the command line itself decides what is too much.
    command.env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full");
    if !connection_string.is_empty() {
        command.env("EVENTHUB_CONNECTION_STRING", connection_string);
    }
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(!said.concat().is_empty(), "{arguments:?} says nothing");
    see(format!("the command line, asked for {}", arguments[0]), said.concat());
}

/// `eventhubs emulator -vvv`. That it prints the connection string once, key and all, is what it is asked for.
struct Emulator {
    process: Process,
    /// Reads what it says on standard error, so that it never waits for a reader.
    said: JoinHandle<String>,
}

impl Emulator {
    fn start() -> Self {
        let key = format!("app={KEY}");
        let options = ["-vvv", "--hub", "orders:1", "--only-my-keys", "--key", &key];
        let mut process = Process::start_with(&options, |command| {
            command.env("RUST_LOG", "trace").stderr(Stdio::piped());
        });
        assert!(process.connection_string.contains(KEY));
        let mut stderr = process.child.stderr.take().unwrap();
        let said = std::thread::spawn(move || {
            let mut said = Vec::new();
            let _ = stderr.read_to_end(&mut said);
            String::from_utf8_lossy(&said).into_owned()
        });
        Emulator { process, said }
    }

    fn connection_string(&self, key: &str) -> String {
        let port = self.process.port;
        format!(
            "Endpoint=sb://localhost:{port};SharedAccessKeyName=app;SharedAccessKey={key};UseDevelopmentEmulator=true"
        )
    }

    /// What it said on standard error.
    fn stop(mut self) -> String {
        self.process.kill();
        self.said.join().unwrap()
    }
}
