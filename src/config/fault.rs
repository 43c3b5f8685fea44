//! What is wrong with a configuration, said so that a person can repair it in one go.
//!
//! A fault never carries a configured value, only names, rules and fixes: a token typed into the wrong
//! field must not reach a terminal or a log.

use std::fmt;

/// Where a value, or its absence, was seen. The order is the order of the report.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The file as a whole, for what is missing from it.
    File,
    /// A line of the file, counted from 1.
    Line(usize),
    /// An environment variable, by name.
    Variable(String),
}

/// One thing to repair.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Where it was seen.
    pub place: Place,
    /// The key, as a person would name it: `worker.lease_secs` or `destination "meta": access_token`.
    pub path: String,
    /// The rule that is broken, as the end of a sentence that starts with the path.
    pub message: String,
    /// What to write instead.
    pub fix: String,
}

/// Everything wrong with one configuration, sorted by line, variables last. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults {
    file: String,
    list: Vec<Fault>,
}

impl Faults {
    /// Sorts the faults found in `file`. `None` if there are none.
    pub fn new(file: &str, mut list: Vec<Fault>) -> Option<Faults> {
        list.sort();
        list.dedup();
        (!list.is_empty()).then(|| Faults {
            file: file.to_owned(),
            list,
        })
    }

    /// A single fault found in `file`.
    pub fn one(file: &str, fault: Fault) -> Faults {
        Faults {
            file: file.to_owned(),
            list: vec![fault],
        }
    }

    /// The file they were found in.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The faults in the order of the report.
    pub fn list(&self) -> &[Fault] {
        &self.list
    }
}

impl std::error::Error for Faults {}

impl fmt::Display for Faults {
    /// One fault a line: `config.toml:12: worker.lease_secs must be a whole number. Fix: …`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.list.iter().enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            match &fault.place {
                Place::File => write!(out, "{}: ", self.file)?,
                Place::Line(line) => write!(out, "{}:{line}: ", self.file)?,
                Place::Variable(name) => write!(out, "environment variable {name}: ")?,
            }
            if !fault.path.is_empty() {
                write!(out, "{} ", fault.path)?;
            }
            let end = if fault.fix.ends_with('?') { "" } else { "." };
            write!(out, "{}. Fix: {}{end}", fault.message, fault.fix)?;
        }
        Ok(())
    }
}
