//! Commands and SQL of the pages work as they stand there.

use clap::{CommandFactory as _, Parser as _};
use conversion_outbox::cli::Cli;

use super::queries::blocks;
use super::{read, stems};
use crate::harness::Outbox;

/// Pages that tell commands.
fn pages() -> Vec<(String, String)> {
    let runbooks = stems("docs/runbooks", ".md")
        .into_iter()
        .map(|name| format!("docs/runbooks/{name}.md"));
    runbooks
        .chain(["deploy/README.md".to_owned()])
        .map(|name| (read(&name), name))
        .map(|(text, name)| (name, text))
        .collect()
}

#[test]
fn every_command_is_understood() {
    let has_reconcile = Cli::command().find_subcommand("reconcile").is_some();
    let mut count = 0;
    for (name, text) in pages() {
        let lines: Vec<String> = blocks(&text, "sh")
            .iter()
            .flat_map(|block| {
                block
                    .lines()
                    .map(|line| line.trim().to_owned())
                    .collect::<Vec<_>>()
            })
            .collect();
        // Also those within a sentence.
        let inline = text
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|code| !code.contains('\n'))
            .map(str::to_owned);
        for line in lines
            .into_iter()
            .chain(inline)
            .filter(|line| line.starts_with("conversion-outbox "))
        {
            let words = words(&line);
            if words[1] == "reconcile" && !has_reconcile {
                continue;
            }
            if let Err(error) = Cli::try_parse_from(&words) {
                panic!("{name}: {line}\n{error}");
            }
            count += 1;
        }
    }
    assert!(count > 30, "only {count} commands were found");
}

#[tokio::test]
async fn every_statement_runs_with_the_reader_s_rights() {
    let outbox = Outbox::new().await;
    let reader = outbox.session("reader").await;
    let mut count = 0;
    for (_, text) in pages() {
        for statement in blocks(&text, "sql") {
            reader.run(&statement).await;
            count += 1;
        }
    }
    assert!(count > 10, "only {count} statements were found");
}

/// As a shell divides them; double quotes alone are used.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (number, part) in line.split('"').enumerate() {
        match number % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}
