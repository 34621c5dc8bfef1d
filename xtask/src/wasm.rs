//! The tests that run as WebAssembly: in Node and in headless Chromium, with a native host of emulators beside them.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::imports;
use crate::prepare;
use crate::process::{cannot_start, counted};
use crate::report::{Counts, Report};
use crate::workspace::Workspace;

/// How long all tests together may run in one place, in seconds; wasm-bindgen's runner gives up after 20.
const TIMEOUT: &str = "300";

#[derive(Clone, Copy)]
pub enum Place {
    Node,
    Chromium,
}

/// Some of the tests, beside a host that collects what they have to say.
pub struct Selection<'a> {
    /// What the tests' names begin with.
    pub filter: &'a str,
    /// The file that what they say is added to.
    pub notes: &'a Path,
}

pub fn steps(workspace: &Workspace, report: &mut Report) {
    // One for both: where it listens is compiled into the tests.
    let mut host = None;
    report.step("wasm: behaviour and runtime in Node", || run(workspace, &mut host, Place::Node, None));
    report.step("wasm: behaviour and runtime in headless Chromium", || {
        run(workspace, &mut host, Place::Chromium, None)
    });
    report.step("wasm: the tests want nothing from `env`", || check_imports(workspace));
}

/// Some tests in some places.
pub fn only(workspace: &Workspace, places: &[Place], selection: &Selection<'_>) -> Result<(), Failure> {
    let mut host = None;
    let all = places.iter().map(|place| run(workspace, &mut host, *place, Some(selection)).map(drop));
    // Each in spite of one that fails: what they say is wanted all the same.
    all.collect::<Vec<_>>().into_iter().collect()
}

fn run(
    workspace: &Workspace,
    host: &mut Option<Host>,
    place: Place,
    selection: Option<&Selection<'_>>,
) -> Result<Counts, Failure> {
    prepare::wasm_target(workspace)?;
    let pack = prepare::wasm_pack(workspace)?;
    let bindgen = prepare::wasm_bindgen(workspace)?;
    let host = match host {
        Some(running) => running,
        None => host.insert(Host::start(workspace, selection.map(|selection| selection.notes))?),
    };

    let mut tests = Command::new(pack);
    tests.current_dir(workspace.root()).arg("test");
    match place {
        Place::Node => {
            // Node 20 has no WebSocket of its own: the package `ws` stands in, as it does for users.
            let packages = prepare::packages(workspace, "tests/interop/js")?;
            let stand_in = workspace.root().join("tests/wasm/websocket.cjs");
            tests.arg("--node").env("NODE_PATH", packages.join("node_modules"));
            tests.env("NODE_OPTIONS", format!("--require \"{}\"", stand_in.display()));
            // Node does not ask the system whom to trust.
            tests.env("NODE_EXTRA_CA_CERTS", &host.authority);
        }
        Place::Chromium => {
            let browser = prepare::browser(workspace)?;
            tests.args(["--headless", "--chrome", "--chromedriver"]).arg(&browser.driver);
            tests.env("WASM_BINDGEN_TEST_WEBDRIVER_JSON", capabilities(workspace, &browser)?);
            // Suites that do not say where they run do so in both places.
            tests.env("WASM_BINDGEN_USE_BROWSER", "1");
        }
    }
    // Nothing is downloaded: the programs that it needs are those found above. The tests are a package of their
    // own, because wasm-pack builds every test of the one it is given, and most of the crate's are native.
    tests.args(["--mode", "no-install", "tests/wasm"]);
    if let Some(selection) = selection {
        tests.args(["--", selection.filter]);
    }
    tests.env("CARGO_TARGET_DIR", test_target(workspace));
    tests.env("PATH", path_with(bindgen.parent().map(OsString::from))?);
    tests.env("WASM_BINDGEN_TEST_TIMEOUT", TIMEOUT);
    // Pages have no environment: tests read this when they are compiled.
    tests.env("EVENTHUBS_TEST_HOST", &host.address);
    let counts = counted(&mut tests)?;
    if counts.passed == 0 {
        return Err(Failure::new("wasm-pack ran no test"));
    }
    Ok(counts)
}

/// The tests' own module, as the linker made it: what it wants from `env`, the package's would want, too.
fn check_imports(workspace: &Workspace) -> Result<Counts, Failure> {
    let folder = test_target(workspace).join("wasm32-unknown-unknown/debug/deps");
    let newest = std::fs::read_dir(&folder)
        .map_err(|error| Failure::new(format!("cannot read {}: {error}", folder.display())))?
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "wasm"))
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("behaviour-"))
        .max_by_key(|entry| {
            entry.metadata().and_then(|data| data.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
        });
    let newest = newest.ok_or_else(|| {
        Failure::new(format!("there is no test compiled to WebAssembly in {}", folder.display()))
    })?;
    imports::check(&newest.path())?;
    Ok(Counts { passed: 1, ..Counts::default() })
}

fn test_target(workspace: &Workspace) -> PathBuf {
    workspace.target().join("wasm/test")
}

/// `test_host`: lends emulators and sockets to tests that cannot have their own. Ended when this is dropped.
struct Host {
    process: Child,
    address: String,
    /// The certificate of the authority whose certificates its emulators show.
    authority: PathBuf,
}

impl Host {
    fn start(workspace: &Workspace, notes: Option<&Path>) -> Result<Self, Failure> {
        let authority = workspace.target().join("xtask/test-authority");
        let mut command = Command::new(prepare::example(workspace, "test_host")?);
        if let Some(notes) = notes {
            command.env("EVENTHUBS_TEST_NOTES", notes);
        }
        // It ends with its input, so it ends with this process, however that ends.
        command.arg(&authority).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().map_err(|error| cannot_start(&command, &error))?;
        let mut line = String::new();
        if let Some(output) = process.stdout.take() {
            let _ = BufReader::new(output).read_line(&mut line);
        }
        let ready: Value = serde_json::from_str(&line).unwrap_or_default();
        let address = ready["address"].as_str().map(str::to_owned);
        let host =
            Host { process, address: address.unwrap_or_default(), authority: authority.join("ca.pem") };
        if host.address.is_empty() {
            return Err(Failure::new("the tests' host did not say that it listens (its error is above)"));
        }
        Ok(host)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What chromedriver is told: which browser, and how it starts. wasm-bindgen's runner adds `headless`.
fn capabilities(workspace: &Workspace, browser: &prepare::Browser) -> Result<OsString, Failure> {
    let profile = workspace.target().join("xtask/chromium-profile");
    let _ = std::fs::remove_dir_all(&profile);
    let arguments = [
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        // A page in the background would have its timers slowed down.
        "disable-background-timer-throttling",
        "disable-renderer-backgrounding",
    ];
    let mut arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
    arguments.push(format!("user-data-dir={}", profile.display()));
    let capabilities = json!({ "goog:chromeOptions": { "binary": browser.chromium, "args": arguments } });
    let path = workspace.target().join("xtask/webdriver.json");
    std::fs::create_dir_all(workspace.target().join("xtask"))
        .and_then(|()| std::fs::write(&path, capabilities.to_string()))
        .map_err(|error| Failure::new(format!("cannot write {}: {error}", path.display())))?;
    Ok(path.into())
}

/// The path with the folder of wasm-bindgen's programs in front: wasm-pack looks its test runner up there.
fn path_with(first: Option<OsString>) -> Result<OsString, Failure> {
    let rest = std::env::var_os("PATH").unwrap_or_default();
    let folders = first.into_iter().map(Into::into).chain(std::env::split_paths(&rest));
    std::env::join_paths(folders).map_err(|error| Failure::new(format!("cannot extend PATH: {error}")))
}
