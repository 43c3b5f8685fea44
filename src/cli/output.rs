//! Standard output: text, JSON and tables. A reader that has gone away (`| head`) is no failure.

use std::io::{ErrorKind, Write};

use anyhow::Context;
use serde::Serialize;

/// Prints a text; it ends with one line feed.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let text = text.trim_end_matches('\n');
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("standard output cannot be written")
        }
        _ => Ok(()),
    }
}

/// Prints a value as indented JSON.
pub(super) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print(&serde_json::to_string_pretty(value).context("the result is no JSON")?)
}

/// Aligns rows by column, numbers to the right; the first row is the heading.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column));
    let shape: Vec<(usize, bool)> = (0..columns)
        .map(|column| {
            let width = cells(column).map(|cell| cell.chars().count()).max();
            let is_number = cells(column).skip(1).all(|cell| is_number(cell));
            (width.unwrap_or(0), is_number)
        })
        .collect();
    rows.iter()
        .map(|row| {
            let cells: Vec<String> = row
                .iter()
                .zip(&shape)
                .map(|(cell, &(width, is_number))| match is_number {
                    true => format!("{cell:>width$}"),
                    false => format!("{cell:<width$}"),
                })
                .collect();
            format!("{}\n", cells.join("  ").trim_end())
        })
        .collect()
}

/// A number, a number with a unit (`12m`), or the `-` of one that is missing.
fn is_number(cell: &str) -> bool {
    let digits = cell
        .strip_suffix(|last: char| last.is_ascii_alphabetic())
        .unwrap_or(cell);
    cell == "-" || (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let text = table(&[
            row(["name", "n"]),
            row(["ga4", "12m"]),
            row(["0001_eu", "-"]),
        ]);
        assert_eq!(text, "name       n\nga4      12m\n0001_eu    -\n");
    }
}
