//! The console: `www`, built against the npm package, into `target/console`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use crate::failure::Failure;
use crate::process::{counted, quiet};
use crate::report::Counts;
use crate::workspace::Workspace;
use crate::{package, prepare};

pub fn run(workspace: &Workspace, arguments: Vec<OsString>) -> Result<(), Failure> {
    if let Some(argument) = arguments.first() {
        return Err(Failure::new(format!(
            "console takes no arguments, and got '{}'",
            argument.to_string_lossy()
        )));
    }
    println!("{}", build(workspace)?.display());
    Ok(())
}

/// Builds the package and the page with it. The emulator finds the folder by itself: it is beside the programs' folders.
pub fn build(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let package = package::build(workspace)?;
    let console = workspace.target().join("console");
    let mut vite = tool(workspace, "vite/bin/vite.js")?;
    vite.arg("build").env("EVENTHUBS_PACKAGE", &package.folder).env("EVENTHUBS_CONSOLE_OUT", &console);
    quiet(workspace, "Building the console", &mut vite)?;
    Ok(console)
}

/// Types, the parts without a page, and the page in a browser.
pub fn test(workspace: &Workspace) -> Result<Counts, Failure> {
    let browser = prepare::browser(workspace)?;
    let binary = prepare::binary(workspace, "debug")?;
    let console = build(workspace)?;
    quiet(workspace, "Checking the console's types", tool(workspace, "typescript/bin/tsc")?.arg("--noEmit"))?;
    let units = workspace.target().join("console-test");
    quiet(
        workspace,
        "Building the console's unit tests",
        tool(workspace, "vite/bin/vite.js")?
            .args(["build", "--logLevel", "warn", "--ssr", "test/units.ts", "--outDir"])
            .arg(&units),
    )?;
    let mut tests = Command::new(prepare::system_node()?);
    tests
        .current_dir(workspace.root().join("www"))
        .args(["--test", "--test-concurrency", "1", "--test-reporter", "spec"])
        .arg(units.join("units.js"))
        .arg("test/console.test.mjs")
        .env("EVENTHUBS_BIN", binary)
        .env("EVENTHUBS_CONSOLE", console)
        .env("EVENTHUBS_SHOTS", workspace.target().join("console-shots"))
        .env("CHROMIUM", browser.chromium);
    counted(&mut tests)
}

/// A program of the console's own packages, run by Node in its folder.
fn tool(workspace: &Workspace, program: &str) -> Result<Command, Failure> {
    let folder = prepare::packages(workspace, "www")?;
    let mut command = Command::new(prepare::system_node()?);
    command.arg(folder.join("node_modules").join(program)).current_dir(folder);
    Ok(command)
}
