//! Dashboards are whole: laid out without overlaps, with a data source that can be chosen, every panel explained.

use std::collections::BTreeSet;

use serde_json::Value;

use super::rules::alerts;
use super::{read, stems};

fn dashboards() -> Vec<(String, Value)> {
    let names = stems("deploy/grafana", ".json").into_iter();
    let found: Vec<_> = names
        .map(|name| {
            let text = read(&format!("deploy/grafana/{name}.json"));
            (name, serde_json::from_str(&text).expect("JSON"))
        })
        .collect();
    assert_eq!(found.len(), 3);
    found
}

fn list<'v>(value: &'v Value, pointer: &str) -> &'v Vec<Value> {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .unwrap_or_else(|| panic!("no {pointer}"))
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name} in {value}"))
}

#[test]
fn panels_are_laid_out_and_explained() {
    for (name, dashboard) in dashboards() {
        assert!(dashboard["schemaVersion"].as_u64() >= Some(36), "{name}");
        let panels = list(&dashboard, "/panels");
        let ids: BTreeSet<u64> = panels
            .iter()
            .map(|panel| panel["id"].as_u64().expect("an id"))
            .collect();
        assert_eq!(ids.len(), panels.len(), "{name}: panels share an id");
        let mut taken = BTreeSet::new();
        for panel in panels {
            let title = text(panel, "title");
            let [x, y, w, h] =
                ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().expect("a place"));
            assert!(
                w > 0 && h > 0 && x + w <= 24,
                "{name}: {title} is not on the grid"
            );
            for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                assert!(
                    taken.insert(cell),
                    "{name}: {title} lies over another panel"
                );
            }
            if panel["type"] != "row" {
                assert!(
                    text(panel, "description").len() > 30,
                    "{name}: {title} is not explained"
                );
                assert!(
                    !list(panel, "/targets").is_empty(),
                    "{name}: {title} asks nothing"
                );
                assert!(
                    panel["fieldConfig"]["defaults"]["unit"].is_string(),
                    "{name}: {title} has no unit"
                );
            }
        }
    }
}

#[test]
fn the_data_source_is_a_choice_everywhere() {
    for (name, dashboard) in dashboards() {
        let mut count = 0;
        each(&dashboard, &mut |member, value| {
            if member == "datasource" {
                assert_eq!(value["uid"], "${datasource}", "{name}");
                count += 1;
            }
        });
        assert!(count > 20, "{name}");
        let names: Vec<&str> = list(&dashboard, "/templating/list")
            .iter()
            .map(|one| text(one, "name"))
            .collect();
        assert_eq!(
            names,
            [
                "datasource",
                "job",
                "destination",
                "event_type",
                "pages",
                "runbooks"
            ],
            "{name}"
        );
    }
}

/// Each leads to the others, to the built-in pages and to the runbooks.
#[test]
fn dashboards_lead_on() {
    for (name, dashboard) in dashboards() {
        let links = list(&dashboard, "/links");
        let leads = |part: &str| links.iter().any(|link| text(link, "url").starts_with(part));
        assert!(leads("${pages}/") && leads("${runbooks}/"), "{name}");
        let tags = list(&dashboard, "/tags");
        assert!(
            links
                .iter()
                .any(|link| link["type"] == "dashboards"
                    && link["tags"] == Value::from(tags.clone())),
            "{name}"
        );
    }
}

#[test]
fn alerts_lead_to_dashboards_that_there_are() {
    let uids: Vec<String> = dashboards()
        .iter()
        .map(|(_, dashboard)| text(dashboard, "uid").to_owned())
        .collect();
    for alert in alerts() {
        let url = alert.value("dashboard_url");
        let rest = url
            .strip_prefix("https://grafana.example.com/d/")
            .expect("the address that is replaced");
        let (uid, variables) = rest.split_once('?').unwrap_or((rest, ""));
        assert!(
            uids.iter().any(|known| known == uid),
            "{}: {url}",
            alert.name
        );
        for variable in variables.split('&').filter(|text| !text.is_empty()) {
            let name = variable
                .strip_prefix("var-")
                .and_then(|rest| rest.split_once('='))
                .expect("a variable")
                .0;
            assert!(
                ["job", "destination", "event_type"].contains(&name),
                "{}: {url}",
                alert.name
            );
        }
    }
}

/// Calls for each member of each object below this value.
fn each<'v>(value: &'v Value, call: &mut impl FnMut(&'v str, &'v Value)) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| each(value, call)),
        Value::Object(members) => members.iter().for_each(|(name, value)| {
            call(name, value);
            each(value, call);
        }),
        _ => {}
    }
}
