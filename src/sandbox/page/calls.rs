//! The page's table of calls that carry no event: token endpoints and status look-ups. Not for events.

use super::{escape, platform_title, section};
use crate::sandbox::calls::CallCount;
use crate::sandbox::exchange::Platform;
use crate::sandbox::ledger::Ledger;

const HEAD: &str = "<th scope=\"col\">Platform</th><th scope=\"col\">Path</th>\
    <th scope=\"col\" class=\"num\">Calls</th><th scope=\"col\" class=\"num\">Most at once</th>\
    <th scope=\"col\">Answers</th>";

/// The section; empty when there was no such call.
pub(super) fn render(ledger: &Ledger) -> String {
    let rows: String = ledger
        .calls()
        .map(|(platform, path, count)| row(platform, path, count))
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    section(
        "calls",
        "Calls without events",
        "tokens and look-ups",
        HEAD,
        &rows,
    )
}

fn row(platform: Platform, path: &str, count: &CallCount) -> String {
    let statuses = count.statuses.iter();
    let statuses: Vec<String> = statuses
        .map(|(status, count)| format!("{count} × {status}"))
        .collect();
    format!(
        "<tr><th scope=\"row\">{}</th><td class=\"mono\">{}</td><td class=\"num\">{}</td><td class=\"num\">{}</td>\
         <td>{}</td></tr>\n",
        platform_title(platform),
        escape(path),
        count.calls,
        count.at_once_max,
        statuses.join(", "),
    )
}
