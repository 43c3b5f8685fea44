//! The configuration before it means anything: one tree of values, each knowing where it came from.
//!
//! The file makes the tree, the environment is laid over it. No key has a meaning here except
//! `destination`, whose tables are addressed by their name in a variable.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Place};

/// Every variable that configures the worker starts so; the rest of the name is the path, parts divided by `__`.
pub(super) const VARIABLE_PREFIX: &str = "CONVERSION_OUTBOX__";

/// A table: keys and what they hold.
pub(super) type Table = BTreeMap<String, Node>;

/// A value and where it came from. It has no `Debug`, since it may be a secret typed in by mistake.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// What a key can hold. A variable always holds text; the reader turns it into what it expects.
#[derive(Clone)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    List(Vec<Node>),
    Table(Table),
    /// A date or a number too large: nothing in the configuration takes these.
    Other,
}

impl Node {
    pub(super) fn is_from_variable(&self) -> bool {
        matches!(self.place, Place::Variable(_))
    }
}

/// The tree of a TOML document, or all its faults of syntax.
pub(super) fn parse(text: &str) -> Result<Table, Vec<Fault>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(table(text, document.get_ref()));
    }
    // `Display` of the error quotes the line, which may hold a secret; its message does not.
    Err(errors
        .iter()
        .map(|error| Fault {
            place: error
                .span()
                .map_or(Place::File, |span| Place::Line(line(text, span.start))),
            path: String::new(),
            message: format!("is not valid TOML: {}", error.message().replace('\n', ", ")),
            fix: "correct the syntax of this line or the one before it".to_owned(),
        })
        .collect())
}

/// Lays variables over the tree. Values win over the file; a name that leads nowhere is a fault.
pub(super) fn overlay(
    tree: &mut Table,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Vec<Fault> {
    let sorted: BTreeMap<String, String> = variables.into_iter().collect();
    let mut faults = Vec::new();
    for (name, text) in sorted {
        let Some(path) = name.strip_prefix(VARIABLE_PREFIX) else {
            continue;
        };
        let path = path.to_ascii_lowercase();
        let keys: Vec<&str> = path.split("__").collect();
        let place = Place::Variable(name.clone());
        let leaf = Node {
            place: place.clone(),
            value: Value::Text(text),
        };
        let placed = match keys.as_slice() {
            keys if keys.iter().any(|key| key.is_empty()) => Err((
                "has an empty part in its name",
                "divide the parts by exactly two underscores",
            )),
            ["destination", name, rest @ ..] if !rest.is_empty() => match destination(tree, name) {
                Some(found) => {
                    set(found, rest, leaf);
                    Ok(())
                }
                None => Err((
                    "names a destination that the file does not have",
                    "add a [[destination]] of this name to the file, or correct the variable",
                )),
            },
            ["destination", ..] => Err((
                "does not say which key of which destination it sets",
                "write CONVERSION_OUTBOX__DESTINATION__<NAME>__<KEY>",
            )),
            keys => {
                set(tree, keys, leaf);
                Ok(())
            }
        };
        if let Err((message, fix)) = placed {
            faults.push(Fault {
                place,
                path: String::new(),
                message: message.to_owned(),
                fix: fix.to_owned(),
            });
        }
    }
    faults
}

/// The name of a destination as it stands in a variable, in lower case: a variable cannot hold a hyphen.
pub(super) fn variable_form(name: &str) -> String {
    name.replace('-', "_")
}

fn destination<'t>(tree: &'t mut Table, wanted: &str) -> Option<&'t mut Table> {
    let Value::List(list) = &mut tree.get_mut("destination")?.value else {
        return None;
    };
    list.iter_mut().find_map(|node| match &mut node.value {
        Value::Table(table) => match &table.get("name")?.value {
            Value::Text(name) if variable_form(name) == wanted => Some(table),
            _ => None,
        },
        _ => None,
    })
}

fn set(table: &mut Table, keys: &[&str], leaf: Node) {
    match keys {
        [] => {}
        [key] => {
            table.insert((*key).to_owned(), leaf);
        }
        [key, rest @ ..] => {
            let node = table.entry((*key).to_owned()).or_insert_with(|| Node {
                place: leaf.place.clone(),
                value: Value::Table(Table::new()),
            });
            // A reference is replaced whole: `{ env = … }` of the file and `__FILE` of a variable would contradict.
            let replaces_reference = matches!(rest, ["file" | "env"]) && !node.is_from_variable();
            if replaces_reference || !matches!(node.value, Value::Table(_)) {
                *node = Node {
                    place: leaf.place.clone(),
                    value: Value::Table(Table::new()),
                };
            }
            if let Value::Table(inner) = &mut node.value {
                set(inner, rest, leaf);
            }
        }
    }
}

fn table(text: &str, source: &DeTable<'_>) -> Table {
    source
        .iter()
        .map(|(key, value)| {
            // The key's line, except for `[[…]]`, where the value knows the line of each header.
            let place = Place::Line(line(text, key.span().start));
            (
                key.get_ref().to_string(),
                Node {
                    place,
                    value: convert(text, value.get_ref()),
                },
            )
        })
        .collect()
}

fn convert(text: &str, source: &DeValue<'_>) -> Value {
    match source {
        DeValue::String(string) => Value::Text(string.to_string()),
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
            .map_or(Value::Other, Value::Integer),
        DeValue::Boolean(boolean) => Value::Boolean(*boolean),
        DeValue::Array(array) => Value::List(
            array
                .iter()
                .map(|item| Node {
                    place: Place::Line(line(text, item.span().start)),
                    value: convert(text, item.get_ref()),
                })
                .collect(),
        ),
        DeValue::Table(inner) => Value::Table(table(text, inner)),
        DeValue::Float(float) => float.as_str().parse().map_or(Value::Other, Value::Float),
        DeValue::Datetime(_) => Value::Other,
    }
}

fn line(text: &str, offset: usize) -> usize {
    1 + text.as_bytes()[..offset.min(text.len())]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
}
