//! What a WebAssembly module wants from outside.
//!
//! `env` is where the linker puts what it could not find: a C library, an allocator, a clock of another platform. Nothing
//! in a page provides it, and a bundler that meets it fails.

use std::collections::BTreeSet;
use std::path::Path;

use crate::failure::Failure;

/// Fails when the module wants anything from `env`.
pub fn check(path: &Path) -> Result<(), Failure> {
    let bytes = std::fs::read(path)
        .map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))?;
    let imports = imports(&bytes)
        .ok_or_else(|| Failure::new(format!("{} is not a WebAssembly module", path.display())))?;
    let missing: Vec<String> =
        imports.into_iter().filter(|(module, _)| module == "env").map(|(_, name)| name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{} wants from the module `env`, which no page has: {}",
        path.display(),
        missing.join(", ")
    )))
}

const MAGIC: &[u8] = b"\0asm\x01\0\0\0";
const IMPORT_SECTION: u8 = 2;

/// Module and name of each import; `None` for bytes that are no module.
fn imports(bytes: &[u8]) -> Option<BTreeSet<(String, String)>> {
    let mut rest = Reader(bytes.strip_prefix(MAGIC)?);
    let mut found = BTreeSet::new();
    while !rest.0.is_empty() {
        let section = rest.byte()?;
        let length = rest.number()?;
        let mut content = Reader(rest.take(length)?);
        if section != IMPORT_SECTION {
            continue;
        }
        for _ in 0..content.number()? {
            let (module, name) = (content.text()?, content.text()?);
            content.skip_kind()?;
            found.insert((module, name));
        }
    }
    Some(found)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// LEB128.
    fn number(&mut self) -> Option<usize> {
        let mut number = 0_usize;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            number |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn text(&mut self) -> Option<String> {
        let length = self.number()?;
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }

    fn skip_kind(&mut self) -> Option<()> {
        match self.byte()? {
            // A function, by its type.
            0 => drop(self.number()?),
            1 => {
                self.byte()?;
                self.skip_limits()?;
            }
            2 => self.skip_limits()?,
            // A global: its type, and whether it changes.
            3 => drop(self.take(2)?),
            // A tag: an attribute, and its type.
            4 => {
                self.byte()?;
                self.number()?;
            }
            _ => return None,
        }
        Some(())
    }

    fn skip_limits(&mut self) -> Option<()> {
        let flags = self.byte()?;
        self.number()?;
        if flags & 1 == 1 {
            self.number()?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(imports: &[(&str, &str, &[u8])]) -> Vec<u8> {
        let mut section = vec![imports.len() as u8];
        for (module, name, kind) in imports {
            for text in [module, name] {
                section.push(text.len() as u8);
                section.extend_from_slice(text.as_bytes());
            }
            section.extend_from_slice(kind);
        }
        let mut bytes = MAGIC.to_vec();
        // A section of another kind in front, as every module has one.
        bytes.extend_from_slice(&[1, 4, 1, 0x60, 0, 0]);
        bytes.extend_from_slice(&[IMPORT_SECTION, section.len() as u8]);
        bytes.extend_from_slice(&section);
        bytes
    }

    #[test]
    fn imports_of_every_kind_are_listed() {
        let bytes = module(&[
            ("./bg.js", "call", &[0, 0]),
            ("env", "memory", &[2, 1, 0x80, 0x02, 0x80, 0x80, 0x01]),
            ("env", "table", &[1, 0x70, 0, 1]),
            ("a", "global", &[3, 0x7f, 0]),
            ("env", "malloc", &[0, 0]),
        ]);
        let found = imports(&bytes).unwrap();
        let from_env: Vec<&str> =
            found.iter().filter(|(module, _)| module == "env").map(|(_, name)| name.as_str()).collect();
        assert_eq!((found.len(), from_env), (5, vec!["malloc", "memory", "table"]));
    }

    #[test]
    fn a_module_that_wants_nothing_is_fine_and_what_is_no_module_is_told() {
        assert!(imports(MAGIC).unwrap().is_empty());
        for wrong in [&b""[..], b"\0asm", &module(&[("env", "malloc", &[0, 0])])[..20]] {
            assert!(imports(wrong).is_none());
        }
    }
}
