//! Reads JSON as Google's front end does: by a message's fields, in camelCase or snake_case, and nothing that is not
//! documented (`protobuf.dev/programming-guides/json`). Gives the same object with snake_case names. Not for rules
//! about values.
//!
//! Stricter than Google in one thing: an enum's number is refused where its name is expected.

use chrono::DateTime;
use serde_json::{Map, Value};

/// A message type.
#[derive(Debug)]
pub(in crate::sandbox) struct Message {
    /// Its full name, for example `google.ads.datamanager.v1.Event`.
    pub(in crate::sandbox) name: &'static str,
    pub(in crate::sandbox) fields: &'static [Field],
}

/// A field of a message.
#[derive(Debug)]
pub(in crate::sandbox) struct Field {
    /// In snake_case.
    name: &'static str,
    kind: Kind,
    is_repeated: bool,
    /// The group of fields of which only one may be there.
    one_of: Option<&'static str>,
}

/// An enum type with the names of its values.
#[derive(Debug)]
pub(in crate::sandbox) struct Enum {
    pub(in crate::sandbox) name: &'static str,
    pub(in crate::sandbox) values: &'static [&'static str],
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Double,
    Int32,
    Int64,
    Bool,
    Timestamp,
    Enum(&'static Enum),
    Message(&'static Message),
}

pub(in crate::sandbox) const fn text(name: &'static str) -> Field {
    of(name, Kind::Text)
}

pub(in crate::sandbox) const fn double(name: &'static str) -> Field {
    of(name, Kind::Double)
}

pub(in crate::sandbox) const fn int32(name: &'static str) -> Field {
    of(name, Kind::Int32)
}

pub(in crate::sandbox) const fn int64(name: &'static str) -> Field {
    of(name, Kind::Int64)
}

pub(in crate::sandbox) const fn boolean(name: &'static str) -> Field {
    of(name, Kind::Bool)
}

pub(in crate::sandbox) const fn timestamp(name: &'static str) -> Field {
    of(name, Kind::Timestamp)
}

pub(in crate::sandbox) const fn choice(name: &'static str, of_type: &'static Enum) -> Field {
    of(name, Kind::Enum(of_type))
}

pub(in crate::sandbox) const fn message(name: &'static str, of_type: &'static Message) -> Field {
    of(name, Kind::Message(of_type))
}

const fn of(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        is_repeated: false,
        one_of: None,
    }
}

impl Field {
    /// The same field as a list.
    pub(in crate::sandbox) const fn repeated(self) -> Field {
        Field {
            is_repeated: true,
            ..self
        }
    }

    /// The same field as one of a group of which only one may be there.
    pub(in crate::sandbox) const fn one_of(self, group: &'static str) -> Field {
        Field {
            one_of: Some(group),
            ..self
        }
    }
}

/// The name of a field as JSON has it: `eventTimestamp` for `event_timestamp`.
pub(in crate::sandbox) fn camel_case(snake: &str) -> String {
    let mut words = snake.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |camel, word| {
        let (head, rest) = word.split_at(word.len().min(1));
        camel + &head.to_ascii_uppercase() + rest
    })
}

/// Something that does not parse.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::sandbox) struct Wrong {
    /// Where: `events[0].ad_identifiers`; empty at the top.
    pub(in crate::sandbox) path: String,
    /// What, in Google's words. May repeat the value, as Google's does: never for a log.
    pub(in crate::sandbox) description: String,
    /// The same without the value.
    pub(in crate::sandbox) reason: String,
}

/// Reads a body. An empty one is an empty message.
pub(in crate::sandbox) fn read(of_type: &Message, body: &[u8]) -> Result<Value, Vec<Wrong>> {
    if body.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        let reason = format!(
            "Invalid JSON payload received. Unexpected token at line {}, column {}.",
            error.line(),
            error.column()
        );
        vec![wrong("", &reason, None)]
    })?;
    let mut wrongs = Vec::new();
    let read = read_message(of_type, &value, "", &mut wrongs);
    match read {
        Some(read) if wrongs.is_empty() => Ok(read),
        _ => Err(wrongs),
    }
}

fn wrong(path: &str, reason: &str, value: Option<&Value>) -> Wrong {
    let description = match value {
        Some(value) => format!("{reason}, {value}"),
        None => reason.to_owned(),
    };
    Wrong {
        path: path.to_owned(),
        description,
        reason: reason.to_owned(),
    }
}

fn misfit(path: &str, type_name: &str, value: &Value) -> Wrong {
    wrong(
        path,
        &format!("Invalid value at '{path}' ({type_name})"),
        Some(value),
    )
}

fn read_message(
    of_type: &Message,
    value: &Value,
    path: &str,
    wrongs: &mut Vec<Wrong>,
) -> Option<Value> {
    let Value::Object(object) = value else {
        let type_name = format!("type.googleapis.com/{}", of_type.name);
        wrongs.push(misfit(path, &type_name, value));
        return None;
    };
    let mut read = Map::new();
    let mut groups = Vec::new();
    for (name, value) in object {
        let found = of_type.fields.iter();
        let mut found = found.filter(|field| field.name == name || camel_case(field.name) == *name);
        let Some(field) = found.next() else {
            let at = if path.is_empty() {
                String::new()
            } else {
                format!(" at '{path}'")
            };
            let reason = format!(
                "Invalid JSON payload received. Unknown name \"{name}\"{at}: Cannot find field."
            );
            wrongs.push(wrong(path, &reason, None));
            continue;
        };
        // As if it were not there.
        if value.is_null() {
            continue;
        }
        let path = if path.is_empty() {
            field.name.to_owned()
        } else {
            format!("{path}.{}", field.name)
        };
        let again = read.contains_key(field.name)
            || field.one_of.is_some_and(|group| groups.contains(&group));
        if again {
            let reason = format!(
                "Invalid value at '{path}' (oneof), oneof field is already set. Cannot set '{name}'"
            );
            wrongs.push(wrong(&path, &reason, None));
            continue;
        }
        groups.extend(field.one_of);
        if let Some(value) = read_field(field, value, &path, wrongs) {
            read.insert(field.name.to_owned(), value);
        }
    }
    Some(Value::Object(read))
}

fn read_field(field: &Field, value: &Value, path: &str, wrongs: &mut Vec<Wrong>) -> Option<Value> {
    if !field.is_repeated {
        return read_one(field.kind, value, path, wrongs);
    }
    let Value::Array(list) = value else {
        wrongs.push(misfit(path, "repeated", value));
        return None;
    };
    let read = list.iter().enumerate().filter_map(|(index, value)| {
        read_one(field.kind, value, &format!("{path}[{index}]"), wrongs)
    });
    Some(Value::Array(read.collect()))
}

fn read_one(kind: Kind, value: &Value, path: &str, wrongs: &mut Vec<Wrong>) -> Option<Value> {
    let number = |text: &str| text.parse::<f64>().ok().filter(|it| it.is_finite());
    let (fits, type_name) = match kind {
        Kind::Message(of_type) => return read_message(of_type, value, path, wrongs),
        Kind::Text => (value.is_string(), "TYPE_STRING".to_owned()),
        Kind::Bool => (value.is_boolean(), "TYPE_BOOL".to_owned()),
        Kind::Double => (
            value.is_number() || value.as_str().is_some_and(|text| number(text).is_some()),
            "TYPE_DOUBLE".to_owned(),
        ),
        Kind::Int32 => (
            integer(value).is_some_and(|it| i32::try_from(it).is_ok()),
            "TYPE_INT32".to_owned(),
        ),
        Kind::Int64 => (integer(value).is_some(), "TYPE_INT64".to_owned()),
        Kind::Timestamp => (
            value
                .as_str()
                .is_some_and(|text| DateTime::parse_from_rfc3339(text).is_ok()),
            "type.googleapis.com/google.protobuf.Timestamp".to_owned(),
        ),
        Kind::Enum(of_type) => (
            value
                .as_str()
                .is_some_and(|text| of_type.values.contains(&text)),
            format!("type.googleapis.com/{}", of_type.name),
        ),
    };
    if fits {
        return Some(value.clone());
    }
    wrongs.push(misfit(path, &type_name, value));
    None
}

/// An integer, as a JSON number or as a string: 64-bit integers come as either.
fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_i64(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    static COLOUR: Enum = Enum {
        name: "test.Colour",
        values: &["RED"],
    };
    static INNER: Message = Message {
        name: "test.Inner",
        fields: &[
            text("plain_text"),
            double("amount").one_of("number"),
            int64("big_number").one_of("number"),
        ],
    };
    static OUTER: Message = Message {
        name: "test.Outer",
        fields: &[
            message("inner_list", &INNER).repeated(),
            choice("colour", &COLOUR),
            timestamp("happened_at"),
            boolean("is_on"),
            int32("small"),
        ],
    };

    fn parse(value: &Value) -> Result<Value, Vec<String>> {
        read(&OUTER, value.to_string().as_bytes())
            .map_err(|wrongs| wrongs.into_iter().map(|it| it.description).collect())
    }

    #[test]
    fn both_casings_become_snake_case_and_nulls_are_absent() {
        let snake = json!({"inner_list": [{"plain_text": "a", "amount": 1.5}, {"big_number": "7"}], "colour": "RED",
            "happened_at": "2026-11-20T13:32:18+01:00", "is_on": true, "small": 3});
        let camel = json!({"innerList": [{"plainText": "a", "amount": 1.5}, {"bigNumber": "7"}], "colour": "RED",
            "happenedAt": "2026-11-20T13:32:18+01:00", "isOn": true, "small": 3});
        assert_eq!(parse(&snake), Ok(snake.clone()));
        assert_eq!(parse(&camel), Ok(snake));
        assert_eq!(parse(&json!({"colour": null})), Ok(json!({})));
        assert_eq!(read(&OUTER, b""), Ok(json!({})));
    }

    #[test]
    fn everything_that_does_not_parse_is_told() {
        let unknown = "Invalid JSON payload received. Unknown name \"foo\": Cannot find field.";
        for (body, expected) in [
            (json!({"foo": 1}), unknown),
            (
                json!({"innerList": [{"x": 1}]}),
                "Invalid JSON payload received. Unknown name \"x\" at 'inner_list[0]': Cannot find field.",
            ),
            (
                json!({"happenedAt": 1_795_168_338}),
                "Invalid value at 'happened_at' (type.googleapis.com/google.protobuf.Timestamp), 1795168338",
            ),
            (
                json!({"colour": "BLUE"}),
                "Invalid value at 'colour' (type.googleapis.com/test.Colour), \"BLUE\"",
            ),
            (
                json!({"isOn": "true"}),
                "Invalid value at 'is_on' (TYPE_BOOL), \"true\"",
            ),
            (
                json!({"small": 3_000_000_000_u64}),
                "Invalid value at 'small' (TYPE_INT32), 3000000000",
            ),
            (
                json!({"innerList": [{"plainText": 1}]}),
                "Invalid value at 'inner_list[0].plain_text' (TYPE_STRING), 1",
            ),
            (
                json!({"innerList": {}}),
                "Invalid value at 'inner_list' (repeated), {}",
            ),
            (
                json!({"innerList": [{"amount": 1, "bigNumber": 2}]}),
                "Invalid value at 'inner_list[0].big_number' (oneof), oneof field is already set. Cannot set 'bigNumber'",
            ),
            (
                json!([]),
                "Invalid value at '' (type.googleapis.com/test.Outer), []",
            ),
        ] {
            assert_eq!(parse(&body), Err(vec![expected.to_owned()]), "{body}");
        }
        assert_eq!(
            parse(&json!({"foo": 1, "small": "x"})).unwrap_err().len(),
            2
        );
        assert!(read(&OUTER, b"{").is_err());
    }
}
