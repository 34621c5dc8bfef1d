//! What each error means, when it happens, and what to do: a page for every [code](crate::Error::code), which the texts of errors
//! point to.
//!
//! `eventhubs explain <code>` prints the same pages.

use crate::error::ErrorKind;

macro_rules! pages {
    ($($name:ident $kind:ident $code:literal;)+) => {
        $(
            #[doc = include_str!(concat!("../docs/errors/", $code, ".md"))]
            pub mod $name {}
        )+

        /// The page about errors of a kind, as it is written.
        #[allow(dead_code, reason = "the command line prints it")]
        pub(crate) fn page(kind: ErrorKind) -> &'static str {
            match kind {
                $(ErrorKind::$kind => include_str!(concat!("../docs/errors/", $code, ".md")),)+
            }
        }

        /// Every kind, in the order in which they are explained.
        #[allow(dead_code, reason = "the command line lists them")]
        pub(crate) const KINDS: &[ErrorKind] = &[$(ErrorKind::$kind),+];
    };
}

pages! {
    invalid_argument InvalidArgument "invalid-argument";
    invalid_connection_string InvalidConnectionString "invalid-connection-string";
    unauthorized Unauthorized "unauthorized";
    not_found NotFound "not-found";
    message_too_large MessageTooLarge "message-too-large";
    quota_exceeded QuotaExceeded "quota-exceeded";
    server_busy ServerBusy "server-busy";
    timeout Timeout "timeout";
    connection_lost ConnectionLost "connection-lost";
    connect_failed ConnectFailed "connect-failed";
    ownership_lost OwnershipLost "ownership-lost";
    invalid_position InvalidPosition "invalid-position";
    rejected Rejected "rejected";
    closed Closed "closed";
    protocol Protocol "protocol";
    internal Internal "internal";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::error::Error;

    #[test]
    fn every_kind_has_a_page_and_every_page_a_kind() {
        // That no kind is left out is the compiler's to say: `page` matches them all.
        let codes: BTreeSet<String> = KINDS.iter().map(|kind| format!("{}.md", kind.code())).collect();
        assert_eq!(codes.len(), KINDS.len());
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/errors");
        let files = std::fs::read_dir(directory).unwrap();
        let files: BTreeSet<String> =
            files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(files, codes);
        for kind in KINDS {
            let page = page(*kind);
            assert!(page.contains(&format!("Error code: `{}`", kind.code())), "{kind:?}");
            for part in ["# What it means", "# When it happens", "# What to do", "# Example"] {
                assert!(page.contains(part), "{kind:?}: {part}");
            }
        }
    }

    #[test]
    fn errors_point_to_their_pages() {
        let source = include_str!("errors.rs");
        for kind in KINDS {
            let error = Error::new(*kind, "no");
            let url = error.help_url();
            let module = url.strip_prefix("https://docs.rs/eventhubs/latest/eventhubs/errors/").unwrap();
            assert!(source.contains(&format!("\n    {module} ")), "{url}");
            assert!(error.to_string().ends_with(&url), "{error}");
        }
    }
}
