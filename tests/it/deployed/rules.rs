//! The rules, their tests and their runbooks belong together.

use std::collections::BTreeSet;

use super::{read, stems};

const RUNBOOKS: &str = "https://runbooks.example.com/conversion-outbox/";

/// What a rule says, as text: alerts only.
pub(super) struct Alert {
    pub(super) name: String,
    text: String,
}

impl Alert {
    /// The value of a key that stands on one line.
    pub(super) fn value(&self, key: &str) -> &str {
        let found = self
            .text
            .lines()
            .find_map(|line| line.trim().strip_prefix(key)?.strip_prefix(": "));
        found.unwrap_or_else(|| panic!("{} has no {key}", self.name))
    }
}

/// Every alert of the plain file.
pub(super) fn alerts() -> Vec<Alert> {
    let text = read("deploy/prometheus/rules.yml");
    let alerts = text.split("- alert: ").skip(1).map(|text| Alert {
        name: text.lines().next().expect("a name").to_owned(),
        text: text.to_owned(),
    });
    alerts.collect()
}

#[test]
fn every_alert_says_how_bad_it_is_and_what_to_do() {
    for alert in alerts() {
        let name = &alert.name;
        assert!(name.starts_with("ConversionOutbox"), "{name}");
        assert!(
            ["page", "ticket"].contains(&alert.value("severity")),
            "{name}"
        );
        assert!(alert.value("summary").len() > 20, "{name}");
        assert_eq!(alert.value("description"), ">-", "{name}");
        assert_eq!(alert.value("runbook_url"), format!("{RUNBOOKS}{name}.md"));
    }
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let names: BTreeSet<String> = alerts().into_iter().map(|alert| alert.name).collect();
    let mut pages: BTreeSet<String> = stems("docs/runbooks", ".md").into_iter().collect();
    assert!(pages.remove("README"));
    assert_eq!(names, pages);
    let index = read("docs/runbooks/README.md");
    for name in names {
        assert!(
            index.contains(&format!("[{name}]({name}.md)")),
            "the index lacks {name}"
        );
        let page = read(&format!("docs/runbooks/{name}.md"));
        let headings: Vec<&str> = page
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .collect();
        assert_eq!(
            headings,
            ["Meaning", "Impact", "Diagnosis", "Mitigation"],
            "{name}"
        );
        assert!(page.starts_with(&format!("# {name}\n")));
    }
}

/// A case of `promtool test rules` where it fires, with its annotations, and one where it does not.
#[test]
fn every_alert_is_tested_firing_and_quiet() {
    let cases =
        read("deploy/prometheus/rules_test.yml") + &read("deploy/prometheus/rules_weeks_test.yml");
    for Alert { name, .. } in alerts() {
        let quiet = format!("alertname: {name}, eval_time:");
        let is_quiet = cases
            .lines()
            .any(|line| line.contains(&quiet) && line.ends_with("exp_alerts: [] }"));
        let firing = format!("- alertname: {name}\n");
        let fires = cases.split(&firing).skip(1).any(|case| {
            let case = case.split("alertname:").next().expect("text");
            case.contains("- exp_labels: {")
                && case.contains("exp_annotations:")
                && case.contains("summary: ")
        });
        assert!(is_quiet, "{name} has no case where it stays quiet");
        assert!(fires, "{name} has no case where it fires");
    }
}

/// The operator's resource is the plain file, two spaces further in.
#[test]
fn the_operator_s_rules_are_the_plain_ones() {
    let plain = read("deploy/prometheus/rules.yml");
    let resource = read("deploy/prometheus/prometheus-rule.yaml");
    let (head, body) = resource.split_once("spec:\n").expect("a spec");
    assert!(head.contains("kind: PrometheusRule\n"));
    let groups = &plain[plain.find("groups:").expect("groups")..];
    for (number, (plain, resource)) in groups.lines().zip(body.lines()).enumerate() {
        assert_eq!(
            plain,
            resource.strip_prefix("  ").unwrap_or(resource),
            "line {number} of the groups"
        );
    }
    assert_eq!(groups.lines().count(), body.lines().count());
}
