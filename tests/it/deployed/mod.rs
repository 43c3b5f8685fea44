//! Alerts, runbooks and dashboards, as far as files can tell: that they belong together, and speak of what this program has.
//! Whether their queries find anything, `tests/prometheus.py` asks a real Prometheus.

mod dashboards;
mod metrics;
mod queries;
mod rules;
mod runbooks;

use std::path::{Path, PathBuf};

/// A file or folder of the repository.
fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// A file of the repository.
fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Names of the files of a folder with this ending, without it.
fn stems(folder: &str, ending: &str) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(path(folder))
        .expect("the folder is there")
        .map(|entry| entry.expect("it is read").file_name().into_string())
        .filter_map(|name| name.expect("text").strip_suffix(ending).map(str::to_owned))
        .collect();
    names.sort();
    names
}
