//! The page's table of conversions that met more than one event: what changed them, and what they are worth now. Not
//! for all conversions: those are at `/_sandbox/conversions`.

use super::{escape, or_dash, platform_title, section};
use crate::sandbox::dedup::{Amount, Change, Conversion, ConversionKey};
use crate::sandbox::ledger::Ledger;

/// Most conversions shown, and most changes of one.
const SHOWN_MAX: usize = 50;
const CHANGES_MAX: usize = 5;

const HEAD: &str = "<th scope=\"col\">Platform, account</th><th scope=\"col\">Event</th>\
    <th scope=\"col\">Event or transaction id</th><th scope=\"col\" class=\"num\">Counted</th>\
    <th scope=\"col\" class=\"num\">Worth</th><th scope=\"col\">What it met, oldest first</th>";

/// The section; empty when there is no such conversion.
pub(super) fn render(ledger: &Ledger) -> String {
    let mut changed: Vec<_> = ledger
        .conversions()
        .filter(|(_, held)| held.history().len() > 1)
        .collect();
    let latest = |held: &Conversion| held.history().last().map(|change| change.at);
    changed.sort_unstable_by(|(key, held), (other_key, other)| {
        let newest_first = latest(other).cmp(&latest(held));
        newest_first.then_with(|| key.cmp(other_key))
    });
    let total = changed.len();
    let shown = changed.into_iter().take(SHOWN_MAX);
    let rows: String = shown.map(|(key, held)| row(key, held)).collect();
    if rows.is_empty() {
        return String::new();
    }
    let note = format!("{} of {total}, last changed first", total.min(SHOWN_MAX));
    section(
        "changed",
        "Conversions that met more than one event",
        &note,
        HEAD,
        &rows,
    )
}

fn row(key: &ConversionKey, held: &Conversion) -> String {
    let history = held.history();
    let skipped = history.len().saturating_sub(CHANGES_MAX);
    let more = if skipped > 0 {
        format!("<li class=\"quiet\">{skipped} earlier</li>")
    } else {
        String::new()
    };
    let changes: String = history[skipped..].iter().map(change).collect();
    let counted = match held.counted() {
        0 | 1 => "num",
        _ => "num bad",
    };
    format!(
        "<tr><td>{platform}<br><span class=\"mono quiet\">{account}</span></td>\
         <td class=\"name\">{name}</td><td class=\"mono id\">{id}</td><td class=\"{counted}\">{count}</td>\
         <td class=\"num\">{worth}</td><td><ol class=\"changes\">{more}{changes}</ol></td></tr>\n",
        platform = platform_title(key.platform),
        account = or_dash(Some(&key.account)),
        name = or_dash(Some(&key.event_name)),
        id = or_dash(Some(&key.key)),
        count = held.counted(),
        worth = amount(held.amount()),
    )
}

fn change(change: &Change) -> String {
    let verdict = change.verdict.as_str();
    format!(
        "<li><span class=\"mono\">{}</span> <span class=\"verdict {verdict}\">{}</span> {}</li>",
        change.at.format("%H:%M:%S"),
        verdict.replace('_', " "),
        amount(&change.amount),
    )
}

/// An amount with its currency.
pub(super) fn amount(amount: &Amount) -> String {
    match (&amount.value, &amount.currency) {
        (Some(value), Some(currency)) => escape(&format!("{value} {currency}")),
        (value, currency) => or_dash(value.as_deref().or(currency.as_deref())),
    }
}
