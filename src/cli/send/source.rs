//! Where events come from: standard input or files, read on a thread of their own.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tokio::sync::mpsc;

/// Pieces that may lie ready; reading waits when sending is slower.
const AHEAD: usize = 4096;

/// A line or a file, and how it is called in an error.
pub(super) struct Piece {
    pub(super) text: Bytes,
    /// Which line of it, from 1; 0 is the whole.
    pub(super) line: u64,
    /// Index of the source.
    pub(super) source: usize,
}

/// The names of the sources, and what is read from them.
pub(super) struct Pieces {
    names: Vec<String>,
    /// What was read, or why it could not be.
    pub(super) pieces: mpsc::Receiver<Result<Piece, String>>,
    /// All bytes of all files, where they are known.
    pub(super) total: Option<u64>,
}

impl Pieces {
    /// Starts to read: whole files, or lines. No path, or `-`, is standard input.
    pub(super) fn read(mut paths: Vec<PathBuf>, whole: bool) -> Self {
        if paths.is_empty() {
            paths.push(PathBuf::from("-"));
        }
        let names = paths.iter().map(|path| name(path)).collect();
        let size =
            |path: &PathBuf| path.metadata().ok().filter(std::fs::Metadata::is_file).map(|file| file.len());
        let total = paths.iter().map(size).sum();
        let (sender, pieces) = mpsc::channel(AHEAD);
        std::thread::spawn(move || {
            for (source, path) in paths.iter().enumerate() {
                let read = open(path).and_then(|file| read(file, whole, source, &sender));
                if let Err(error) = read {
                    // Nobody listens any more when this fails.
                    let _ = sender.blocking_send(Err(format!("cannot read {}: {error}", name(path))));
                    return;
                }
            }
        });
        Pieces { names, pieces, total }
    }

    /// `line 17 of orders.jsonl`
    pub(super) fn place(&self, source: usize, line: u64) -> String {
        let name = self.names.get(source).map_or("the input", String::as_str);
        match line {
            0 => name.to_owned(),
            line => format!("line {line} of {name}"),
        }
    }
}

fn read(
    mut file: Box<dyn BufRead>,
    whole: bool,
    source: usize,
    sender: &mpsc::Sender<Result<Piece, String>>,
) -> io::Result<()> {
    if whole {
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let _ = sender.blocking_send(Ok(Piece { text: text.into(), line: 0, source }));
        return Ok(());
    }
    for line in 1.. {
        let mut text = Vec::new();
        if file.read_until(b'\n', &mut text)? == 0 {
            break;
        }
        if text.ends_with(b"\n") {
            text.pop();
            if text.ends_with(b"\r") {
                text.pop();
            }
        }
        if sender.blocking_send(Ok(Piece { text: text.into(), line, source })).is_err() {
            break;
        }
    }
    Ok(())
}

fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    // A folder can be opened, and says only when it is read that it is one.
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder"));
    }
    Ok(Box::new(BufReader::with_capacity(256 << 10, file)))
}

fn name(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str, whole: bool) -> Vec<(u64, String)> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("input");
        std::fs::write(&path, text).unwrap();
        let mut pieces = Pieces::read(vec![path], whole);
        assert_eq!(pieces.total, Some(text.len() as u64));
        let mut found = Vec::new();
        while let Some(piece) = pieces.pieces.blocking_recv() {
            let piece = piece.unwrap();
            found.push((piece.line, String::from_utf8(piece.text.to_vec()).unwrap()));
        }
        found
    }

    #[test]
    fn lines_lose_their_ends_and_nothing_else() {
        let lines = all("a\r\n\n b \nlast", false);
        assert_eq!(lines, [(1, "a".into()), (2, String::new()), (3, " b ".into()), (4, "last".into())]);
        assert_eq!(all("a\n", false), [(1, "a".into())]);
        assert_eq!(all("", false), []);
    }

    #[test]
    fn a_whole_file_is_one_piece() {
        assert_eq!(all("a\nb\n", true), [(0, "a\nb\n".into())]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let mut pieces = Pieces::read(vec![PathBuf::from("/no/such/file")], false);
        let error = pieces.pieces.blocking_recv().unwrap().err().unwrap();
        assert!(error.starts_with("cannot read /no/such/file: "), "{error}");
        assert_eq!(pieces.place(0, 7), "line 7 of /no/such/file");
    }
}
