//! The digest as CSV (RFC 4180): one measure a line, for a spreadsheet or a warehouse.

use super::Digest;
use crate::funnel::Step;

/// Columns: day, section, destination, event_name, measure, value. Sections are `events`, `deliveries`, `losses`, `failures`,
/// `dead_letters`, `reconciliation` and `to_do`; amounts are left out.
pub fn csv(digest: &Digest) -> String {
    let mut lines = Lines {
        text: "day,section,destination,event_name,measure,value\r\n".to_owned(),
        day: digest.day.to_string(),
    };
    for row in &digest.events {
        let today = row.today;
        for (measure, value) in [
            ("events", today.events),
            ("click_id", today.click_id),
            ("email", today.email),
            ("phone", today.phone),
            ("external_id", today.external_id),
            ("consent_granted", today.consent_granted),
            ("consent_denied", today.consent_denied),
            ("consent_unspecified", today.consent_unspecified),
            ("events_week_before", row.week_before.events),
        ] {
            lines.add("events", "", &row.event_name, measure, &value.to_string());
        }
    }
    for row in &digest.deliveries {
        let (funnel, mut add) = (&row.funnel, |section: &str, measure: &str, value: i64| {
            lines.add(
                section,
                &row.destination,
                &row.event_name,
                measure,
                &value.to_string(),
            );
        });
        add("deliveries", "events", funnel.total());
        for step in Step::ALL {
            add("deliveries", step.as_str(), funnel.reached(step));
        }
        add("deliveries", "in_time", row.in_time);
        add("deliveries", "unconfirmed", funnel.unconfirmed());
        add("deliveries", "open", funnel.open());
        add("deliveries", "lost", funnel.lost());
        for (loss, count) in Step::ALL.iter().flat_map(|step| funnel.losses(*step)) {
            add("losses", &loss.text(), count);
        }
    }
    for row in &digest.failures {
        let status = row
            .response_code
            .map_or("none".to_owned(), |code| code.to_string());
        let measure = [
            Some(row.outcome.as_str()),
            Some(&status),
            row.error_code.as_deref(),
        ];
        let measure: Vec<&str> = measure.into_iter().flatten().collect();
        lines.add(
            "failures",
            &row.destination,
            "",
            &measure.join("/"),
            &row.answers.to_string(),
        );
    }
    for group in &digest.dead_letters {
        let measure = [
            Some(group.state.as_str()),
            group.reason.as_deref(),
            group.error_code.as_deref(),
        ];
        let measure: Vec<&str> = measure.into_iter().flatten().collect();
        lines.add(
            "dead_letters",
            &group.destination,
            "",
            &measure.join("/"),
            &group.count.to_string(),
        );
    }
    for day in &digest.reconciliation {
        let mut add = |destination: &str, measure: &str, value: String| {
            let measure = format!("{}/{}/{measure}", day.entry, day.day);
            lines.add(
                "reconciliation",
                destination,
                &day.event_name,
                &measure,
                &value,
            );
        };
        add("", "is_closed", day.is_closed.to_string());
        for (measure, value) in [
            ("source", day.source_rows),
            ("outbox", day.outbox_rows),
            ("missing", day.missing),
            ("extra", day.extra),
            ("value_differs", day.value_differs),
        ] {
            add("", measure, value.to_string());
        }
        for one in &day.destinations {
            add(&one.destination, "expected", one.expected.to_string());
            add(&one.destination, "arrived", one.arrived().to_string());
            if let Some(reported) = one.reported {
                add(&one.destination, "reported", reported.to_string());
            }
            add(&one.destination, "difference", one.difference.to_string());
        }
    }
    for task in &digest.to_do {
        lines.add("to_do", "", "", task.urgency.as_str(), &task.what);
    }
    lines.text
}

struct Lines {
    text: String,
    day: String,
}

impl Lines {
    fn add(
        &mut self,
        section: &str,
        destination: &str,
        event_name: &str,
        measure: &str,
        value: &str,
    ) {
        let day = self.day.clone();
        let fields = [&day, section, destination, event_name, measure, value].map(field);
        self.text.push_str(&fields.join(","));
        self.text.push_str("\r\n");
    }
}

/// Quoted where it must be, and never a formula for a spreadsheet that reads it.
pub(crate) fn field(text: &str) -> String {
    let is_number = text.parse::<f64>().is_ok();
    let text = match text.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r') if !is_number => format!("'{text}"),
        _ => text.to_owned(),
    };
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_and_no_formula() {
        let fields = ["plain", "a,b", "say \"no\"", "=1+1", "-3", "-3.5", "-x"].map(field);
        assert_eq!(
            fields,
            [
                "plain",
                "\"a,b\"",
                "\"say \"\"no\"\"\"",
                "'=1+1",
                "-3",
                "-3.5",
                "'-x"
            ]
        );
    }
}
