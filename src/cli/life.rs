//! One event's life as a person reads it: what it is, what stands, and what happened in the order of time.

use serde_json::Value;

use super::output;

/// The facts, the deliveries, and the timeline.
pub(super) fn readable(life: &Value) -> String {
    let mut text = String::new();
    for (name, told) in facts(life) {
        if !told.is_empty() {
            text.push_str(&format!("{name:<12} {told}\n"));
        }
    }
    text.push('\n');
    text.push_str(&output::table(&standings(life)));
    text.push('\n');
    for (at, told) in timeline(life) {
        text.push_str(&format!("{at}  {told}\n"));
    }
    text
}

fn facts(life: &Value) -> [(&'static str, String); 10] {
    let value = words(&life["value"]);
    let money = match value.is_empty() {
        true => String::new(),
        false => format!("{value} {}", words(&life["currency"])),
    };
    let repeats = &life["repeats"];
    let repeated = match repeats.is_null() {
        true => String::new(),
        false => format!(
            "{} the same, {} with other {}",
            words(&repeats["duplicates"]),
            words(&repeats["conflicts"]),
            words(&repeats["differs"])
        ),
    };
    let members = life["consent"].as_object().into_iter().flatten();
    let consent: Vec<String> = members
        .map(|(key, value)| format!("{key} {}", words(value)))
        .collect();
    [
        ("event", words(&life["event_id"])),
        ("name", words(&life["event_name"])),
        ("business id", words(&life["business_id"])),
        ("occurred", words(&life["occurred_at"])),
        ("value", money),
        ("adjusts", words(&life["depends_on"])),
        ("consent", consent.join(", ")),
        ("row holds", words(&life["holds"])),
        ("warnings", words(&life["warnings"])),
        ("came again", repeated),
    ]
}

fn standings(life: &Value) -> Vec<Vec<String>> {
    let heading = [
        "destination",
        "state",
        "reason",
        "code",
        "tries",
        "allowed data",
    ];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    for delivery in deliveries(life) {
        let cell = |key: &str| match words(&delivery[key]) {
            text if text.is_empty() => "-".to_owned(),
            text => text,
        };
        rows.push(
            [
                "destination",
                "state",
                "reason",
                "error_code",
                "tries",
                "allowed_data",
            ]
            .map(cell)
            .to_vec(),
        );
    }
    rows
}

/// What happened, oldest first, as (time, words).
fn timeline(life: &Value) -> Vec<(String, String)> {
    let mut told: Vec<(String, String)> =
        vec![(words(&life["recorded_at"]), "recorded".to_owned())];
    let mut tell = |at: &Value, what: String| {
        if let Some(at) = at.as_str() {
            told.push((at.to_owned(), what));
        }
    };
    for one in list(&life["reversed_by"]) {
        tell(
            &one["recorded_at"],
            format!(
                "{} takes back {}",
                words(&one["event_id"]),
                words(&one["value"])
            ),
        );
    }
    for one in list(&life["withdrawals"]) {
        tell(
            &one["at"],
            format!("consent withdrawn: {}", words(&one["signals"])),
        );
    }
    for one in list(&life["by_hand"]) {
        tell(
            &one["at"],
            format!(
                "{} by {}: {}",
                words(&one["action"]),
                words(&one["login"]),
                words(&one["reason"])
            ),
        );
    }
    for delivery in deliveries(life) {
        let name = words(&delivery["destination"]);
        for one in list(&delivery["log"]) {
            let details = [
                ("status", "response_code"),
                ("code", "error_code"),
                ("code", "code"),
                ("trace", "trace_id"),
            ];
            let details: Vec<String> = details
                .iter()
                .map(|(word, key)| (word, words(&one[*key])))
                .filter(|(_, told)| !told.is_empty())
                .map(|(word, told)| format!(", {word} {told}"))
                .collect();
            let what = format!(
                "{name}: try {} {}{}",
                words(&one["try"]),
                words(&one["outcome"]),
                details.concat()
            );
            tell(&one["at"], what);
        }
        let state = format!(
            "{} {}",
            words(&delivery["state"]),
            words(&delivery["reason"])
        );
        let state = state.trim_end();
        tell(&delivery["settled_at"], format!("{name}: {state}"));
        tell(
            &delivery["announced_at"],
            format!("{name}: a request was announced, and nothing is known of it yet"),
        );
        tell(
            &delivery["in_doubt_since"],
            format!("{name}: from here on it may have arrived without an answer"),
        );
        tell(
            &delivery["hold"]["since"],
            format!("{name} is held: {}", words(&delivery["hold"]["advice"])),
        );
        let late = &delivery["late_answer"];
        tell(
            &late["settled_at"],
            format!(
                "{name}: the platform's last word of request {}: {} {}",
                words(&late["receipt"]),
                words(&late["status"]),
                words(&late["reasons"])
            ),
        );
        if words(&delivery["state"]) == "pending" {
            tell(&delivery["due_at"], format!("{name}: due ({state})"));
        }
    }
    told.sort_by(|(one, _), (other, _)| one.cmp(other));
    told
}

fn deliveries(life: &Value) -> &[Value] {
    list(&life["deliveries"])
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A value as plain words; nothing for null and for what is empty.
fn words(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(words).collect::<Vec<_>>().join(", "),
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| (key, words(value)))
            .filter(|(_, told)| !told.is_empty())
            .map(|(key, told)| format!("{key} {told}"))
            .collect::<Vec<_>>()
            .join("; "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_life_is_told_in_the_order_of_time() {
        let life = json!({
            "event_id": "o-1", "event_name": "order_paid", "business_id": "o-1", "recorded_at": "2026-11-25T09:00:00+00:00",
            "value": "12.5", "currency": "EUR", "consent": { "ad_storage": "granted" }, "warnings": [],
            "withdrawals": [{ "at": "2026-11-25T09:00:02+00:00", "signals": ["ad_storage"] }],
            "deliveries": [{ "destination": "meta", "state": "suppressed", "reason": "withdrawn", "tries": 1,
                "settled_at": "2026-11-25T09:00:03+00:00",
                "log": [{ "try": 1, "at": "2026-11-25T09:00:01+00:00", "outcome": "retry", "response_code": 503 }] }],
        });
        let text = readable(&life);
        let places: Vec<usize> = [
            "recorded",
            "try 1 retry, status 503",
            "consent withdrawn: ad_storage",
            "meta: suppressed withdrawn",
        ]
        .iter()
        .map(|told| {
            text.find(told)
                .unwrap_or_else(|| panic!("{told} is missing in\n{text}"))
        })
        .collect();
        assert!(places.is_sorted(), "{text}");
        assert!(text.contains("value        12.5 EUR\n"), "{text}");
        assert!(!text.contains("warnings"), "{text}");
    }
}
