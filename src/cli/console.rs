//! Where the built console is.

use std::fs;
use std::path::{Path, PathBuf};

/// Where it may be, seen from the folder of this program: unpacked beside it, as `cargo xtask console` builds it, or
/// installed as Unix does.
const PLACES: [&str; 3] = ["console", "../console", "../share/eventhubs/console"];
/// What tells its page from any other.
const TITLE: &str = "<title>Event Hubs console</title>";

/// The folder with the console that belongs to this program, if there is one.
pub(super) fn find() -> Option<PathBuf> {
    let program = std::env::current_exe().and_then(fs::canonicalize).ok()?;
    find_from(program.parent()?)
}

fn find_from(folder: &Path) -> Option<PathBuf> {
    PLACES
        .into_iter()
        .map(|place| folder.join(place))
        .find(|place| fs::read_to_string(place.join("index.html")).is_ok_and(|page| page.contains(TITLE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_console_is_found_beside_the_program_and_another_page_is_not() {
        let home = tempfile::tempdir().unwrap();
        let programs = home.path().join("release");
        let console = home.path().join("console");
        fs::create_dir(&programs).unwrap();
        fs::create_dir(&console).unwrap();
        assert_eq!(find_from(&programs), None);
        fs::write(console.join("index.html"), "<title>Another page</title>").unwrap();
        assert_eq!(find_from(&programs), None);
        fs::write(console.join("index.html"), format!("<html>{TITLE}</html>")).unwrap();
        assert_eq!(find_from(&programs), Some(programs.join("../console")));
    }
}
