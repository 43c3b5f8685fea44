//! A folder for the files of one demo or bench: configuration and made-up secrets. It goes with its owner.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A folder of this process's own, readable by nobody else, removed when dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes `conversion-outbox-<name>-<process id>` in the system's temporary folder.
    pub fn make(name: &str) -> io::Result<Folder> {
        let process = std::process::id();
        let path = std::env::temp_dir().join(format!("conversion-outbox-{name}-{process}"));
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Folder(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What remains is a folder of our own; a failure to remove it harms nobody.
        drop(std::fs::remove_dir_all(&self.0));
    }
}
