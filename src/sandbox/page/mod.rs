//! The page at `/`: what arrived and with what verdict. Rendered here and complete without scripts; the script in
//! it only fetches the page again. Not for scripts of others: those read `/_sandbox/events` and `/_sandbox/summary`.

mod calls;
mod conversions;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State as Shared};
use axum::http::Response;
use axum::routing::get;
use chrono::SecondsFormat;
use serde_json::Value;

use super::Recording;
use super::dedup::Amount;
use super::exchange::{Platform, Reply};
use super::ledger::{AccountCount, Ledger};
use super::report::Filter;
use super::row::{Row, Verdict};
use super::state::State;

const TEMPLATE: &str = include_str!("page.html");

/// Newest events shown.
const SHOWN_MAX: usize = 200;

/// Nothing from outside, nothing framed; the inline style and script are the page's own.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
    img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The page's routes.
pub(super) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/", get(page))
        .route("/_sandbox", get(page))
        .route("/_sandbox/", get(page))
}

async fn page(
    Shared(state): Shared<Arc<State>>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Response<Body> {
    // A filter that means nothing shows everything: a page is no place for an error object.
    let filter = Filter::parse(&pairs).unwrap_or_default();
    let html = state.read(|ledger| render(&state, ledger, &filter));
    let reply = Reply::text(200, "text/html; charset=utf-8", html)
        .with_header("content-security-policy", POLICY);
    reply
        .with_header("x-content-type-options", "nosniff")
        .into_response()
}

fn render(state: &State, ledger: &Ledger, filter: &Filter) -> String {
    let shown: Vec<&Row> = ledger
        .rows()
        .rev()
        .filter(|row| filter.takes(row))
        .take(SHOWN_MAX)
        .collect();
    let summary: String = ledger
        .accounts()
        .map(|(platform, account, count)| summary_row(platform, account, count))
        .collect();
    let events: String = shown.iter().map(|row| event_row(row)).collect();
    let now = state.clock.now().to_rfc3339_opts(SecondsFormat::Secs, true);
    let parts = [
        ("{{now}}", now.replace('T', " ").replace('Z', " UTC")),
        ("{{note}}", note(state, ledger)),
        (
            "{{summary}}",
            or_empty(
                summary,
                11,
                "Nothing has arrived yet. Point a destination’s base_url here.",
            ),
        ),
        ("{{changed}}", conversions::render(ledger)),
        ("{{calls}}", calls::render(ledger)),
        ("{{events}}", or_empty(events, 9, "No event matches.")),
        ("{{shown}}", shown.len().to_string()),
        ("{{total}}", ledger.last_seq().to_string()),
        (
            "{{platforms}}",
            choices(
                Platform::ALL.map(Platform::as_str),
                filter.platform.map(Platform::as_str),
            ),
        ),
        (
            "{{verdicts}}",
            choices(
                Verdict::ALL.map(Verdict::as_str),
                filter.verdict.map(Verdict::as_str),
            ),
        ),
        (
            "{{account}}",
            escape(filter.account.as_deref().unwrap_or_default()),
        ),
        (
            "{{event_name}}",
            escape(filter.event_name.as_deref().unwrap_or_default()),
        ),
        (
            "{{event_id}}",
            escape(filter.event_id.as_deref().unwrap_or_default()),
        ),
    ];
    fill(TEMPLATE, &parts)
}

/// Puts the parts into the template in one pass: what was put in is not looked at again, so no event can smuggle
/// in a placeholder.
fn fill(template: &str, parts: &[(&str, String)]) -> String {
    let mut html = String::new();
    let mut rest = template;
    while let Some(start) = rest.find("{{") {
        let (before, at) = rest.split_at(start);
        html.push_str(before);
        match parts.iter().find(|(name, _)| at.starts_with(name)) {
            Some((name, text)) => {
                html.push_str(text);
                rest = &at[name.len()..];
            }
            None => {
                html.push_str("{{");
                rest = &at[2..];
            }
        }
    }
    html + rest
}

fn note(state: &State, ledger: &Ledger) -> String {
    let mut notes = Vec::new();
    if state.recording == Recording::CountOnly {
        let total = |platform: Platform| state.sink_of(platform).total().requests;
        let counts = Platform::ALL.map(|platform| format!("{platform} {}", total(platform)));
        notes.push(format!(
            "This is a sink: requests are counted, not judged ({}).",
            counts.join(", ")
        ));
    }
    if ledger.dropped_rows() > 0 {
        notes.push(format!(
            "{} older rows were dropped to stay within the memory limit.",
            ledger.dropped_rows()
        ));
    }
    if notes.is_empty() {
        String::new()
    } else {
        format!("<p class=\"note\">{}</p>", notes.join(" "))
    }
}

fn summary_row(platform: Platform, account: &str, count: &AccountCount) -> String {
    let of = |verdict: Verdict| count.verdicts.get(&verdict).copied().unwrap_or_default();
    let doubles = if count.doubles > 0 { "num bad" } else { "num" };
    let others = [
        Verdict::Collapsed,
        Verdict::Vanished,
        Verdict::Validated,
        Verdict::Fault,
    ]
    .map(of)
    .iter()
    .sum::<u64>();
    format!(
        "<tr><th scope=\"row\">{}</th><td class=\"mono\">{}</td><td class=\"num\">{}</td><td class=\"num\">{}</td>\
         <td class=\"num\">{}</td><td class=\"{doubles}\">{}</td><td class=\"num\">{}</td><td class=\"num\">{}</td>\
         <td class=\"num\">{}</td><td class=\"num\">{}</td><td class=\"num\">{others}</td></tr>\n",
        platform_title(platform),
        or_dash(Some(account)),
        count.requests,
        count.counted,
        count.conversions,
        count.doubles,
        of(Verdict::Adjusted) + of(Verdict::Retracted),
        of(Verdict::Deduplicated),
        of(Verdict::Dropped),
        of(Verdict::Rejected),
    )
}

fn event_row(row: &Row) -> String {
    let time = row.received_at.format("%H:%M:%S%.3f");
    let amount = conversions::amount(&Amount {
        value: row.value.clone(),
        currency: row.currency.clone(),
    });
    let status = row
        .status
        .map_or_else(|| "cut".to_owned(), |status| status.to_string());
    let verdict = row.verdict.as_str();
    let summary = if row.reason.is_empty() {
        "Event as received".to_owned()
    } else {
        escape(&row.reason)
    };
    let channel = if row.channel == super::Channel::Browser {
        " <span class=\"tag\">browser</span>"
    } else {
        ""
    };
    let status = if channel.is_empty() {
        status
    } else {
        or_dash(None)
    };
    format!(
        "<tr><th scope=\"row\" class=\"num\">{seq}</th><td class=\"mono\"><time datetime=\"{stamp}\">{time}</time></td>\
         <td>{platform}<br><span class=\"mono quiet\">{account}</span></td><td class=\"name\">{name}{channel}</td>\
         <td class=\"mono id\">{id}</td><td class=\"num\">{amount}</td>\
         <td><span class=\"verdict {verdict}\">{label}</span></td><td class=\"num\">{status}</td>\
         <td class=\"why\"><details data-seq=\"{seq}\"><summary>{summary}</summary>\
         <pre tabindex=\"0\" role=\"group\" aria-label=\"Event {seq} as JSON\">{json}</pre></details></td></tr>\n",
        seq = row.seq,
        stamp = row.received_at.to_rfc3339_opts(SecondsFormat::Millis, true),
        platform = platform_title(row.platform),
        account = or_dash(Some(&row.account)),
        name = or_dash(row.event_name.as_deref()),
        id = or_dash(row.event_id.as_deref()),
        label = verdict.replace('_', " "),
        json = escape(&pretty(&row.event)),
    )
}

fn platform_title(platform: Platform) -> &'static str {
    match platform {
        Platform::Meta => "Meta",
        Platform::Ga4 => "GA4",
        Platform::GoogleDataManager => "Google Data Manager",
        Platform::GoogleAds => "Google Ads",
        Platform::LinkedIn => "LinkedIn",
    }
}

fn pretty(json: &str) -> String {
    let value: Option<Value> = serde_json::from_str(json).ok();
    let text = value.and_then(|value| serde_json::to_string_pretty(&value).ok());
    text.unwrap_or_else(|| "The event’s content was not recorded.".to_owned())
}

fn choices<const N: usize>(names: [&str; N], chosen: Option<&str>) -> String {
    let option = |name: &str| {
        let selected = if chosen == Some(name) {
            " selected"
        } else {
            ""
        };
        format!(
            "<option value=\"{name}\"{selected}>{}</option>",
            name.replace('_', " ")
        )
    };
    names.iter().map(|name| option(name)).collect()
}

/// A section with one table.
fn section(id: &str, title: &str, note: &str, head: &str, rows: &str) -> String {
    format!(
        "<section aria-labelledby=\"{id}-title\">\n<div class=\"scroll\" tabindex=\"0\" role=\"group\" \
         aria-labelledby=\"{id}-title\">\n<table>\n<caption id=\"{id}-title\">{title} <small>{note}</small></caption>\n\
         <thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody>\n</table>\n</div>\n</section>"
    )
}

fn or_empty(rows: String, columns: u32, text: &str) -> String {
    if rows.is_empty() {
        format!("<tr><td colspan=\"{columns}\" class=\"empty\">{text}</td></tr>")
    } else {
        rows
    }
}

fn or_dash(text: Option<&str>) -> String {
    match text.filter(|text| !text.is_empty()) {
        Some(text) => escape(text),
        None => {
            "<span class=\"quiet\" aria-hidden=\"true\">–</span><span class=\"unseen\">none</span>"
                .to_owned()
        }
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrived_cannot_become_markup_or_a_placeholder() {
        assert_eq!(
            escape("<img src=x onerror='a'>&\""),
            "&lt;img src=x onerror=&#39;a&#39;&gt;&amp;&quot;"
        );
        let parts = [
            ("{{events}}", "{{now}}".to_owned()),
            ("{{now}}", "12".to_owned()),
        ];
        assert_eq!(
            fill("a {{events}} {{now}} {{other}}", &parts),
            "a {{now}} 12 {{other}}"
        );
    }
}
