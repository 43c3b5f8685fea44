//! Every query that is deployed: of rules, dashboards and runbooks.

use serde_json::Value;

use super::{read, stems};

/// A query and where it stands.
pub(super) struct Query {
    pub(super) place: String,
    pub(super) text: String,
}

/// All of them.
pub(super) fn all() -> Vec<Query> {
    let mut found = of_rules();
    for name in stems("deploy/grafana", ".json") {
        let dashboard: Value =
            serde_json::from_str(&read(&format!("deploy/grafana/{name}.json"))).expect("JSON");
        collect(&dashboard, &name, &mut found);
    }
    for name in stems("docs/runbooks", ".md") {
        for block in blocks(&read(&format!("docs/runbooks/{name}.md")), "promql") {
            let lines = block.lines().filter(|line| !line.trim().is_empty());
            found.extend(lines.map(|line| Query {
                place: name.clone(),
                text: line.trim().to_owned(),
            }));
        }
    }
    assert!(found.len() > 100, "only {} queries", found.len());
    found
}

/// Blocks of this language in a page, also such as belong to an item of a list.
pub(super) fn blocks(page: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    let parts = page.split(&opening).skip(1);
    parts
        .map(|part| part.split("```").next().expect("text").to_owned())
        .collect()
}

/// `expr` of the rules: on its line, or the deeper lines below `expr: |`.
fn of_rules() -> Vec<Query> {
    let text = read("deploy/prometheus/rules.yml");
    let mut found = Vec::new();
    let mut lines = text.lines().peekable();
    let mut place = String::new();
    while let Some(line) = lines.next() {
        let line = line.trim().trim_start_matches("- ");
        if let Some(name) = line
            .strip_prefix("alert: ")
            .or(line.strip_prefix("record: "))
        {
            place = name.to_owned();
        }
        let Some(first) = line.strip_prefix("expr: ") else {
            continue;
        };
        let mut query = first.trim_start_matches('|').to_owned();
        while let Some(more) = lines.next_if(|more| first == "|" && more.starts_with("          "))
        {
            query.push_str(more);
            query.push('\n');
        }
        found.push(Query {
            place: place.clone(),
            text: query,
        });
    }
    found
}

/// Every `expr` and `definition` below this value.
fn collect(value: &Value, place: &str, found: &mut Vec<Query>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect(value, place, found)),
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if name == "expr" || name == "definition" => {
                        found.push(Query {
                            place: place.to_owned(),
                            text: text.clone(),
                        });
                    }
                    _ => collect(value, place, found),
                }
            }
        }
        _ => {}
    }
}
