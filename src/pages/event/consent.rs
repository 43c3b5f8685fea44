//! What was on record as consent, in words: the evidence, and what it permitted where.

use std::borrow::Cow;

use serde_json::Value;

use super::{list, moment, words};
use crate::pages::html::{Markup, Tone, badge, html, name, wide};
use crate::telemetry::redact::scrub;

/// The four signals, and what each is about.
const SIGNALS: [(&str, &str); 4] = [
    ("ad_storage", "Storage for advertising"),
    ("analytics_storage", "Storage for analytics"),
    ("ad_user_data", "Personal data to advertising platforms"),
    ("ad_personalization", "Personalised advertising"),
];

/// A word that the application chose, such as the version of a consent banner. What could name somebody is hidden: a space,
/// an @ or a long number makes a text that is scrubbed.
pub(super) fn shown(text: &str) -> Cow<'_, str> {
    let is_word = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "._:/-+".contains(c));
    let digits = text
        .split(|c: char| !c.is_ascii_digit())
        .map(str::len)
        .max();
    match is_word && digits.unwrap_or(0) < 8 && text.len() <= 64 {
        true => Cow::Borrowed(text),
        false => scrub(text),
    }
}

/// Everything on record.
pub(super) fn evidence(life: &Value) -> Markup {
    let consent = &life["consent"];
    let taken_back: Vec<&str> = list(&consent["withdrawn"])
        .filter_map(Value::as_str)
        .collect();
    let fact = |key: &str| {
        consent[key]
            .as_str()
            .filter(|text| !text.is_empty())
            .map(shown)
    };
    html! {
        p { (sentence(consent, &taken_back)) }
        (wide("Signals", &html! {
            table {
                thead { tr { th scope="col" { "Signal" } th scope="col" { "On record" } th scope="col" { "Since" } } }
                tbody {
                    @for (signal, about) in SIGNALS {
                        tr {
                            th scope="row" { (about) " " code { (signal) } }
                            td { (choice(consent[signal].as_str())) }
                            td { @if taken_back.contains(&signal) { (badge(Tone::Bad, "taken back")) } @else { "as it was" } }
                        }
                    }
                }
            }
        }))
        dl.facts {
            dt { "Given" } dd { @if consent["given_at"].is_string() { (given(&consent["given_at"])) } @else { "no time on record" } }
            @for (key, label) in [("source", "Collected by"), ("version", "Version"), ("legal_basis", "Legal basis"), ("region", "Region")] {
                dt { (label) } dd { @match fact(key) { Some(text) => { (text) }, None => { "not on record" } } }
            }
            dt { "Global Privacy Control" } dd { @if consent["gpc"] == true { "on" } @else { "not on" } }
            @if consent["tcf"] == true { dt { "TCF string" } dd { "kept as evidence" } }
            @if consent["gpp"] == true { dt { "GPP string" } dd { "kept as evidence" } }
            @for (whom, kinds) in consent["decision"].as_object().into_iter().flatten() {
                dt { "Decided for " (name(whom)) } dd { (kinds_or_none(&words(kinds))) }
            }
        }
        @for one in list(&life["withdrawals"]) {
            p { "Taken back " (moment(&one["withdrawn_at"])) ": " (words(&one["signals"])) ", for " @if one["by"] == "person" { "the person" } @else { "this order or lead" } "." }
        }
        (permitted(life))
    }
}

fn sentence(consent: &Value, taken_back: &[&str]) -> String {
    let of = |choice: &str| {
        SIGNALS
            .iter()
            .filter(|(signal, _)| consent[*signal] == choice)
            .count()
    };
    let said = match (of("granted"), of("denied")) {
        (0, 0) if consent["decision"].is_object() => {
            "A decision of the application's own is on record".to_owned()
        }
        (0, 0) => "No signal was granted or denied".to_owned(),
        (4, 0) => "All four signals were granted".to_owned(),
        (0, 4) => "All four signals were denied".to_owned(),
        (granted, denied) => format!("{granted} of four signals granted, {denied} denied"),
    };
    match taken_back.len() {
        0 => format!("{said}."),
        count => format!("{said}; {count} taken back since."),
    }
}

fn choice(choice: Option<&str>) -> Markup {
    match choice {
        Some("granted") => badge(Tone::Good, "granted"),
        Some("denied") => badge(Tone::Bad, "denied"),
        Some("unspecified") => badge(Tone::Calm, "unspecified"),
        _ => html! { "not on record" },
    }
}

fn given(at: &Value) -> Markup {
    let text = at.as_str().unwrap_or_default();
    match text.parse::<chrono::DateTime<chrono::Utc>>() {
        Ok(_) => moment(at),
        Err(_) => html! { (shown(text)) },
    }
}

/// What each destination was permitted to have.
fn permitted(life: &Value) -> Markup {
    html! {
        (wide("Permitted", &html! {
            table {
                thead { tr { th scope="col" { "Destination" } th scope="col" { "Permitted to have" } } }
                tbody {
                    @for one in list(&life["deliveries"]) {
                        tr {
                            th scope="row" { (name(one["destination"].as_str().unwrap_or_default())) }
                            td {
                                @match (one["allowed_data"].as_array(), one["state"].as_str()) {
                                    (Some(_), _) => { (kinds_or_none(&words(&one["allowed_data"]))) },
                                    (None, Some("suppressed")) => { "nothing: " (one["reason"].as_str().unwrap_or_default().replace('_', " ")) },
                                    (None, Some("pending")) => { "not decided yet" },
                                    (None, Some("accepted" | "sent" | "uncertain" | "exhausted")) => { "not on record" },
                                    (None, _) => { "nothing was made of it" },
                                }
                            }
                        }
                    }
                }
            }
        }))
    }
}

fn kinds_or_none(kinds: &str) -> String {
    match kinds {
        "" => "nothing".to_owned(),
        kinds => kinds.replace('_', " "),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_word_is_shown_and_what_could_name_somebody_is_not() {
        for word in [
            "cookiebot",
            "v3.2",
            "art-6-1-a",
            "DE",
            "2026-11",
            "https://cmp/v2",
        ] {
            assert_eq!(shown(word), word);
        }
        for (text, hidden) in [
            ("banner of jane@example.com", "jane"),
            ("+491701234567", "4917"),
            ("call 0170 1234567", "1234567"),
        ] {
            assert!(!shown(text).contains(hidden), "{}", shown(text));
        }
    }

    #[test]
    fn evidence_is_told_in_words() {
        let life = json!({
            "consent": {
                "ad_storage": "granted", "analytics_storage": "denied", "ad_user_data": "granted", "ad_personalization": "unspecified",
                "given_at": "2026-11-25T09:00:00Z", "source": "cookiebot", "gpc": true, "withdrawn": ["ad_storage"],
                "decision": { "meta": ["event", "click_id"] } },
            "withdrawals": [{ "by": "person", "signals": ["ad_storage"], "withdrawn_at": "2026-11-25T10:00:00Z" }],
            "deliveries": [
                { "destination": "meta", "state": "accepted", "allowed_data": ["event", "email"] },
                { "destination": "ga4", "state": "suppressed", "reason": "no_consent", "allowed_data": null }],
        });
        let told = evidence(&life).into_string();
        for text in [
            "2 of four signals granted, 1 denied; 1 taken back since.",
            "cookiebot",
            "2026-11-25 09:00:00 UTC",
            "Decided for",
            "event, click id",
            "for the person",
            "event, email",
            "nothing: no consent",
            "taken back",
        ] {
            assert!(told.contains(text), "{text} in {told}");
        }
    }
}
