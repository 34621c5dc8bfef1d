//! `eventhubs explain`: what an error's code means.

use std::error::Error;

use clap::Args;

use crate::errors;

/// Explain an error's code: what it means, when it happens, what to do.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct ExplainArgs {
    /// The code, as it stands in parentheses behind an error; all of them are listed without it
    code: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  eventhubs explain connect-failed
  eventhubs explain";

impl ExplainArgs {
    pub(super) fn run(self) -> Result<(), Box<dyn Error>> {
        print!("{}", text(self.code.as_deref())?);
        Ok(())
    }
}

fn text(code: Option<&str>) -> Result<String, String> {
    let Some(code) = code else {
        let width = errors::KINDS.iter().map(|kind| kind.code().len()).max().unwrap_or(0);
        let line = |page: &'static str| page.lines().next().unwrap_or_default();
        let lines = errors::KINDS
            .iter()
            .map(|kind| format!("{:width$}  {}\n", kind.code(), line(errors::page(*kind))));
        return Ok(lines.collect());
    };
    let wanted = code.trim().to_ascii_lowercase().replace('_', "-");
    match errors::KINDS.iter().find(|kind| kind.code() == wanted) {
        Some(kind) => Ok(plain(errors::page(*kind))),
        None => Err(format!("no error has the code '{code}': `eventhubs explain` lists them")),
    }
}

/// A page for a terminal: no lines that only the documentation's tests need, no links that lead nowhere here.
fn plain(page: &str) -> String {
    let mut text = String::new();
    let mut is_code = false;
    for line in page.lines() {
        if line.starts_with("```") {
            is_code = !is_code;
        } else if is_code {
            if line != "#" && !line.starts_with("# ") {
                text.push_str(&format!("    {line}\n"));
            }
        } else if let Some(heading) = line.strip_prefix("# ") {
            text.push_str(&format!("{}\n", heading.to_uppercase()));
        } else {
            text.push_str(&format!("{}\n", unlinked(line)));
        }
    }
    text
}

/// `[text](target)` without its target, where that is a path of the documentation.
fn unlinked(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some((before, link)) = rest.split_once('[') {
        text.push_str(before);
        match link.split_once("](").and_then(|(label, rest)| Some((label, rest.split_once(')')?.1))) {
            Some((label, behind)) => {
                text.push_str(label);
                rest = behind;
            }
            None => {
                text.push('[');
                rest = link;
            }
        }
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_reads_well_on_a_terminal() {
        for kind in errors::KINDS {
            let page = text(Some(kind.code())).unwrap();
            assert!(page.contains("WHAT TO DO"), "{page}");
            assert!(!page.contains("```") && !page.contains("](") && !page.contains("\n    # "), "{page}");
        }
        assert_eq!(text(Some("Not_Found")), text(Some("not-found")));
    }

    #[test]
    fn codes_are_listed_and_unknown_ones_are_refused() {
        assert_eq!(text(None).unwrap().lines().count(), errors::KINDS.len());
        assert!(text(Some("oops")).unwrap_err().contains("explain"));
    }
}
