//! The console: a page that was built beforehand, served from memory, and what it may know about the emulator that
//! serves it.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use serde_json::json;

use super::super::server::Shared;
use crate::broker::NamespaceConfig;

/// The page's files, by their path below the page.
#[derive(Debug)]
pub(in crate::emulator) struct Console {
    files: HashMap<String, File>,
}

#[derive(Debug)]
struct File {
    content_type: &'static str,
    content: Bytes,
}

const INDEX: &str = "index.html";
/// A console has a few files of some hundred kilobytes. A folder with more than this is another one.
const MOST_BYTES: u64 = 64 * 1024 * 1024;
const MOST_FILES: usize = 500;
/// What the page may load and reach: itself, wasm, and any namespace.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; \
     font-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

impl Console {
    /// Reads a folder that holds a built console.
    ///
    /// # Errors
    /// When it has no page, is too large to be one, or cannot be read.
    pub(in crate::emulator) fn load(folder: &Path) -> io::Result<Self> {
        let mut files = HashMap::new();
        let mut room = MOST_BYTES;
        read_folder(folder, "", &mut files, &mut room)?;
        if !files.contains_key(INDEX) {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("it has no {INDEX}")));
        }
        Ok(Console { files })
    }

    /// The page.
    pub(super) fn page(&self) -> Option<Response<Full<Bytes>>> {
        // Its name stays the same while its content changes with every version.
        self.answer(INDEX, HeaderValue::from_static("no-cache"))
    }

    /// A file of the page: `assets/index-4fe1.js`. The build names each by its content, so it never changes. Files beside
    /// the page have no such name, and would hide hubs that are named as they are.
    pub(super) fn file(&self, segments: &[&str]) -> Option<Response<Full<Bytes>>> {
        if segments.len() < 2 {
            return None;
        }
        self.answer(&segments.join("/"), HeaderValue::from_static("public, max-age=31536000, immutable"))
    }

    fn answer(&self, path: &str, caching: HeaderValue) -> Option<Response<Full<Bytes>>> {
        let file = self.files.get(path)?;
        let mut answer = Response::new(Full::new(file.content.clone()));
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(file.content_type));
        headers.insert(CACHE_CONTROL, caching);
        protect(&mut answer);
        Some(answer)
    }
}

/// What the page offers to connect to: this emulator's hubs, and the key if it is the one that everybody knows.
pub(super) fn about(shared: &Shared) -> Response<Full<Bytes>> {
    let hubs: Vec<_> = shared
        .namespace
        .hubs()
        .into_iter()
        .map(|hub| json!({"name": hub.name, "partitions": hub.partitions, "consumerGroups": hub.consumer_groups}))
        .collect();
    let mut about = json!({ "hubs": hubs });
    if shared.development_key_opens {
        about["keyName"] = "RootManageSharedAccessKey".into();
        about["key"] = NamespaceConfig::DEVELOPMENT_KEY.into();
    }
    let mut answer = Response::new(Full::new(Bytes::from(about.to_string())));
    *answer.status_mut() = StatusCode::OK;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    protect(&mut answer);
    answer
}

fn protect(answer: &mut Response<Full<Bytes>>) {
    let headers = answer.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
}

fn read_folder(
    folder: &Path,
    below: &str,
    files: &mut HashMap<String, File>,
    room: &mut u64,
) -> io::Result<()> {
    let too_large = || {
        let limit = MOST_BYTES / (1024 * 1024);
        io::Error::other(format!("it has more than {MOST_FILES} files or {limit} MiB, and so is no console"))
    };
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with('.') {
            continue;
        }
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        let kind = entry.file_type()?;
        if kind.is_dir() {
            read_folder(&entry.path(), &path, files, room)?;
        } else if kind.is_file() {
            *room = room.checked_sub(entry.metadata()?.len()).ok_or_else(too_large)?;
            if files.len() == MOST_FILES {
                return Err(too_large());
            }
            let content = Bytes::from(fs::read(entry.path())?);
            files.insert(path.clone(), File { content_type: content_type(&path), content });
        }
    }
    Ok(())
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        // Without it browsers compile the module only once all of it is there.
        Some("wasm") => "application/wasm",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        Some("json" | "map") => "application/json; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("assets")).unwrap();
        for (path, content) in [
            (INDEX, "<html>"),
            ("assets/a-1.js", "1"),
            ("assets/b-2.wasm", "2"),
            ("secret.txt", "3"),
            (".env", "4"),
        ] {
            fs::write(folder.path().join(path), content).unwrap();
        }
        folder
    }

    #[test]
    fn the_page_is_asked_for_again_and_its_files_are_not() {
        let console = Console::load(built().path()).unwrap();
        let page = console.page().unwrap();
        assert_eq!(page.headers()[CACHE_CONTROL], "no-cache");
        assert_eq!(page.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
        let policy = page.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("script-src 'self' 'wasm-unsafe-eval'"), "{policy}");
        for (path, content_type) in
            [("a-1.js", "text/javascript; charset=utf-8"), ("b-2.wasm", "application/wasm")]
        {
            let file = console.file(&["assets", path]).unwrap();
            assert_eq!(file.headers()[CONTENT_TYPE], content_type);
            assert!(file.headers()[CACHE_CONTROL].to_str().unwrap().contains("immutable"));
        }
    }

    #[test]
    fn only_files_of_the_page_are_served() {
        let console = Console::load(built().path()).unwrap();
        for path in
            [&["secret.txt"][..], &[".env"], &["assets", "..", "secret.txt"], &["assets"], &["a", "b"], &[]]
        {
            assert!(console.file(path).is_none(), "{path:?}");
        }
    }

    #[test]
    fn a_folder_without_a_page_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Console::load(folder.path()).unwrap_err().to_string().contains(INDEX));
        assert!(Console::load(&folder.path().join("nowhere")).is_err());
    }
}
