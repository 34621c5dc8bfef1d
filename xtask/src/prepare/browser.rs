//! Chromium and its driver: from the system's packages, never downloaded by a build.

use std::path::PathBuf;
use std::process::Command;

use crate::failure::Failure;
use crate::process::{answer, quiet};
use crate::workspace::Workspace;

pub const INSTALL_BROWSER: &str = "on Debian: apt-get install chromium chromium-driver (elsewhere: Chrome or Chromium with the chromedriver of \
     the same version on the path, or CHROMIUM and CHROMEDRIVER with their paths)";
const CHROMIUMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// A browser that tests drive.
pub struct Browser {
    pub chromium: PathBuf,
    pub driver: PathBuf,
    pub version: String,
}

/// The browser of this machine; on a Debian that this process may change, it is installed.
pub fn browser(workspace: &Workspace) -> Result<Browser, Failure> {
    if let Some(browser) = find_browser() {
        return Ok(browser);
    }
    let root = answer("id", &["-u"]).as_deref() == Some("0");
    if root && answer("apt-get", &["--version"]).is_some() {
        let mut update = Command::new("apt-get");
        quiet(workspace, "Reading the list of system packages", update.args(["update", "-qq"]))?;
        let mut install = Command::new("apt-get");
        install.env("DEBIAN_FRONTEND", "noninteractive").args([
            "install",
            "-y",
            "--no-install-recommends",
            "chromium",
            "chromium-driver",
        ]);
        quiet(workspace, "Installing Chromium and its driver", &mut install)?;
    }
    find_browser()
        .ok_or_else(|| Failure::new(format!("Chromium or its driver is missing: {INSTALL_BROWSER}")))
}

pub fn find_browser() -> Option<Browser> {
    let named = |variable: &str| std::env::var(variable).ok().filter(|path| !path.is_empty());
    let candidates = named("CHROMIUM").into_iter().chain(CHROMIUMS.map(str::to_owned));
    let (chromium, version) =
        candidates.into_iter().find_map(|name| Some((on_path(&name)?, answer(&name, &["--version"])?)))?;
    let driver = named("CHROMEDRIVER").unwrap_or_else(|| "chromedriver".to_owned());
    answer(&driver, &["--version"])?;
    Some(Browser { chromium, driver: on_path(&driver)?, version })
}

/// The absolute path of a program: what starts it later looks nothing up.
pub(super) fn on_path(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(name);
    if path.is_absolute() {
        return path.is_file().then_some(path);
    }
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(&file))
        .find(|path| path.is_file())
}
