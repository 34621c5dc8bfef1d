//! Running other programs: visibly, quietly with a progress line, or for their answer.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::report::Counts;
use crate::workspace::Workspace;

/// How often a child that is waited for is looked at.
const POLL: Duration = Duration::from_millis(50);
/// How often a quiet step says that it is still alive where there is no terminal to animate.
const SIGN_OF_LIFE: Duration = Duration::from_secs(20);
/// How much of a failed quiet step's output is shown.
const TAIL_LINES: usize = 40;
/// No single test step takes this long; one that does hangs.
const STEP_LIMIT: Duration = Duration::from_secs(30 * 60);

/// `cargo`, the one that runs this program, in the checkout's root.
pub fn cargo(workspace: &Workspace) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace.root());
    command
}

/// The command as a person would type it.
pub fn shown(command: &Command) -> String {
    let name = Path::new(command.get_program()).file_stem().unwrap_or(command.get_program());
    let mut line = name.to_string_lossy().into_owned();
    for argument in command.get_args() {
        let argument = argument.to_string_lossy();
        line.push(' ');
        if argument.is_empty() || argument.contains(' ') {
            line.push_str(&format!("'{argument}'"));
        } else {
            line.push_str(&argument);
        }
    }
    line
}

/// Runs a command whose output goes straight to the terminal.
pub fn visible(command: &mut Command) -> Result<(), Failure> {
    println!("$ {}", shown(command));
    let status = command.status().map_err(|error| cannot_start(command, &error))?;
    succeeded(command, status)
}

/// Runs a test runner: passes its output on line by line, and counts what its closing lines say.
pub fn counted(command: &mut Command) -> Result<Counts, Failure> {
    let (counts, status) = followed(command, Counts::read_line)?;
    succeeded(command, status).map_err(|failure| failure.with_counts(counts))?;
    Ok(counts)
}

/// Runs a command, passes its output on line by line, and keeps what `take` makes of the lines.
pub fn followed<S: Default + Send + 'static>(
    command: &mut Command,
    take: fn(&mut S, &str),
) -> Result<(S, ExitStatus), Failure> {
    println!("$ {}", shown(command));
    flush();
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| cannot_start(command, &error))?;
    let output = child.stdout.take();
    let reader = thread::spawn(move || {
        let mut kept = S::default();
        let mut lines = BufReader::new(output.map_or_else(
            || Box::new(std::io::empty()) as Box<dyn Read + Send>,
            |pipe| Box::new(pipe) as Box<dyn Read + Send>,
        ));
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line);
            take(&mut kept, &text);
            print!("{text}");
            flush();
            line.clear();
        }
        kept
    });
    let started = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if started.elapsed() > STEP_LIMIT => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(Failure::new(format!(
                    "`{}` was still running after {} minutes and was ended",
                    shown(command),
                    STEP_LIMIT.as_secs() / 60
                )));
            }
            Ok(None) => thread::sleep(POLL),
            Err(error) => return Err(cannot_start(command, &error)),
        }
    };
    Ok((reader.join().unwrap_or_default(), status))
}

/// Runs a command quietly, with a line that says what is being done and for how long. Its output goes
/// to a log under `target/xtask`, whose end is shown when the command fails.
pub fn quiet(workspace: &Workspace, doing: &str, command: &mut Command) -> Result<(), Failure> {
    let directory = workspace.target().join("xtask");
    let name: String = doing.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let path = directory.join(format!("{}.log", name.to_lowercase()));
    let mut log = std::fs::create_dir_all(&directory)
        .and_then(|()| File::options().read(true).write(true).create(true).truncate(true).open(&path))
        .map_err(|error| Failure::new(format!("cannot write {}: {error}", path.display())))?;
    let outputs = log.try_clone().and_then(|out| Ok((out, log.try_clone()?)));
    let (out, err) =
        outputs.map_err(|error| Failure::new(format!("cannot write {}: {error}", path.display())))?;
    let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn();
    let mut child = child.map_err(|error| cannot_start(command, &error))?;

    let started = Instant::now();
    let animated = std::io::stdout().is_terminal();
    if !animated {
        println!("{doing} …");
    }
    let mut told = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) => {}
            Err(error) => return Err(cannot_start(command, &error)),
        }
        if animated {
            let spinner = ['|', '/', '-', '\\'][(started.elapsed().as_millis() / 200 % 4) as usize];
            print!("\r{spinner} {doing} … {} s", started.elapsed().as_secs());
            flush();
        } else if told.elapsed() > SIGN_OF_LIFE {
            println!("  still {} ({} s)", doing.to_lowercase(), started.elapsed().as_secs());
            told = Instant::now();
        }
        thread::sleep(POLL);
    };
    if animated {
        println!("\r  {doing}: {:.1} s   ", started.elapsed().as_secs_f64());
    }
    if status.success() {
        return Ok(());
    }
    let mut text = String::new();
    let _ = log.seek(SeekFrom::Start(0)).and_then(|_| log.read_to_string(&mut text));
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines[lines.len().saturating_sub(TAIL_LINES)..] {
        eprintln!("  | {line}");
    }
    Err(Failure::new(format!("`{}` failed ({status}); all it said is in {}", shown(command), path.display())))
}

/// The first line that a program answers with, where it exists and succeeds.
pub fn answer(program: impl AsRef<OsStr>, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    if !output.status.success() {
        return None;
    }
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let text = if text.is_empty() { String::from_utf8_lossy(&output.stderr).trim().to_owned() } else { text };
    Some(text.lines().next().unwrap_or_default().to_owned())
}

pub fn succeeded(command: &Command, status: ExitStatus) -> Result<(), Failure> {
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("`{}` failed ({status})", shown(command))))
}

pub fn cannot_start(command: &Command, error: &std::io::Error) -> Failure {
    let program = command.get_program().to_string_lossy();
    Failure::new(format!("cannot run `{program}`: {error}; `cargo xtask doctor` says what is missing"))
}

pub fn flush() {
    let _ = std::io::stdout().flush();
}
