//! Whom a command is about: values read from standard input or a file, as the forms that may stand in a row.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::super::usage;
use crate::identity::{Hashed, SubjectKind, forms};

/// Which of a person's identifiers is given, and where it is read from.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Who {
    /// An e-mail address, or its SHA-256.
    #[arg(long, group = "kind")]
    email: bool,
    /// A telephone number, or its SHA-256; without a country code it is read with identity.default_calling_code.
    #[arg(long, group = "kind")]
    phone: bool,
    /// The application's own id of the person, or its SHA-256.
    #[arg(long, group = "kind")]
    external_id: bool,
    /// Read the value from this file instead of standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "list")]
    from: Option<PathBuf>,
    /// Read many, one a line; without --email, --phone or --external-id each line starts with that word and a space.
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
}

/// One value, in every form that may stand in a row.
pub(super) struct Person {
    pub(super) kind: SubjectKind,
    pub(super) forms: Vec<Hashed>,
    /// As it was written, for a withdrawal by external_id.
    pub(super) raw: String,
}

impl Who {
    /// Whether any kind of identifier is given.
    pub(super) fn is_given(&self) -> bool {
        self.kind().is_some() || self.list.is_some()
    }

    /// Reads everybody. Errors name a line, never what it says.
    pub(super) fn read(&self, calling_code: Option<u16>) -> anyhow::Result<Vec<Person>> {
        let kind = self.kind();
        let text = match (&self.list, &self.from) {
            (Some(file), _) | (None, Some(file)) => read_file(file)?,
            (None, None) => {
                if kind.is_none() {
                    return Err(usage(
                        "name one of --email, --phone and --external-id, or a --list FILE",
                    ));
                }
                let mut text = String::new();
                std::io::stdin()
                    .read_to_string(&mut text)
                    .context("standard input cannot be read")?;
                text
            }
        };
        let lines: Vec<(usize, &str)> = (1..)
            .zip(text.lines())
            .filter(|(_, line)| !line.trim().is_empty())
            .collect();
        if lines.is_empty() || (self.list.is_none() && lines.len() > 1) {
            bail!(
                "one value is wanted, {} were given. Fix: one line, or --list FILE for many",
                lines.len()
            );
        }
        lines
            .into_iter()
            .map(|(n, line)| person(kind, line, calling_code).with_context(|| format!("line {n}")))
            .collect()
    }

    fn kind(&self) -> Option<SubjectKind> {
        match (self.email, self.phone, self.external_id) {
            (true, ..) => Some(SubjectKind::Email),
            (_, true, _) => Some(SubjectKind::Phone),
            (.., true) => Some(SubjectKind::ExternalId),
            _ => None,
        }
    }
}

fn person(
    kind: Option<SubjectKind>,
    line: &str,
    calling_code: Option<u16>,
) -> anyhow::Result<Person> {
    let (kind, raw) = match kind {
        Some(kind) => (kind, line),
        None => {
            let (word, raw) = line
                .trim_start()
                .split_once([' ', '\t'])
                .unwrap_or_default();
            let kind = SubjectKind::ALL
                .into_iter()
                .find(|kind| kind.as_str() == word);
            let kind = kind.context(
                "starts with none of email, phone and external_id. Fix: write that word, a space and the value",
            )?;
            (kind, raw)
        }
    };
    let forms = forms(kind, raw, None, calling_code);
    if forms.is_empty() {
        bail!(
            "this is no {}. Fix: write it as in the event, or its SHA-256; a telephone number with its country code",
            kind.as_str().replace('_', " ")
        );
    }
    Ok(Person {
        kind,
        forms,
        raw: raw.trim().to_owned(),
    })
}

fn read_file(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))
}
