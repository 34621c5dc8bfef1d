//! The tests that run as WebAssembly: in Node and in headless Chromium, an emulator beside them.

use std::ffi::OsString;
use std::process::Command;

use serde_json::json;

use crate::emulator::Running;
use crate::failure::Failure;
use crate::prepare;
use crate::process::counted;
use crate::report::{Counts, Report};
use crate::workspace::Workspace;

/// How long one test file may run, in seconds; wasm-bindgen's runner gives up after 20.
const TIMEOUT: &str = "120";

/// The hubs of the emulator: name and partitions. Tests that need one of their own create it.
const HUBS: [&str; 2] = ["eh1:4", "eh2:1"];

enum Place {
    Node,
    Chromium,
}

pub fn steps(workspace: &Workspace, report: &mut Report) {
    // One for both: what it is called is compiled into the tests.
    let mut service = None;
    report.step("wasm: in Node", || run(workspace, &mut service, Place::Node));
    report.step("wasm: in headless Chromium", || run(workspace, &mut service, Place::Chromium));
}

fn run(workspace: &Workspace, service: &mut Option<Running>, place: Place) -> Result<Counts, Failure> {
    prepare::wasm_target(workspace)?;
    let pack = prepare::wasm_pack(workspace)?;
    let bindgen = prepare::wasm_bindgen(workspace)?;
    let service = match service {
        Some(running) => running,
        None => service.insert(emulator(workspace)?),
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
    tests.env("CARGO_TARGET_DIR", workspace.target().join("wasm/test"));
    tests.env("PATH", path_with(bindgen.parent().map(OsString::from))?);
    tests.env("WASM_BINDGEN_TEST_TIMEOUT", TIMEOUT);
    // Pages have no environment: tests read this one with `env!` when they are compiled.
    tests.env("EVENTHUBS_TEST_CONNECTION_STRING", &service.connection_string);
    let counts = counted(&mut tests)?;
    if counts.passed == 0 {
        return Err(Failure::new("wasm-pack ran no test"));
    }
    Ok(counts)
}

fn emulator(workspace: &Workspace) -> Result<Running, Failure> {
    let options = HUBS.map(|hub| ["--hub", hub]).concat();
    Running::start(&prepare::binary(workspace, "debug")?, &options)
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
