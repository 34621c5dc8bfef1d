//! Measurements side by side.

use std::ffi::OsString;

use crate::failure::Failure;
use crate::workspace::Workspace;

pub fn run(_workspace: &Workspace, _arguments: Vec<OsString>) -> Result<(), Failure> {
    Err(Failure::new("not there yet"))
}
