//! The strict schema of a conversion event, checked as Rest.li checks it: every error is collected, the fields that are
//! there before those that are missing (`github.com/linkedin/rest.li`, `ValidateDataAgainstSchema`). Messages repeat
//! the value, as LinkedIn's do. Not for what the values mean.

use serde_json::Value;

use super::RULE_PREFIX;

/// From this version on, names may come hashed (`…/marketing/integrations/recent-changes`, September 2026).
const HASHED_NAMES_SINCE: u32 = 202_609;

/// One thing that is wrong with an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flaw {
    /// Where, for example `/user/userIds/0/idType`.
    pub(super) path: String,
    pub(super) message: String,
}

impl Flaw {
    pub(super) fn at(path: impl Into<String>, message: impl Into<String>) -> Flaw {
        Flaw {
            path: path.into(),
            message: message.into(),
        }
    }

    /// The line of LinkedIn's message.
    pub(super) fn line(&self) -> String {
        format!("ERROR :: {} :: {}", self.path, self.message)
    }
}

enum Type {
    Text,
    Long,
    Symbol,
    Urn(&'static str),
    List(&'static Type),
    Object(&'static [Field]),
}

enum Need {
    Optional,
    Required,
    /// Required before hashed names existed; then one of each pair is.
    RequiredBefore(u32),
    /// Unknown before this version.
    Since(u32),
}

struct Field {
    name: &'static str,
    kind: Type,
    need: Need,
}

const fn field(name: &'static str, kind: Type, need: Need) -> Field {
    Field { name, kind, need }
}

const EVENT: &[Field] = &[
    field("conversion", Type::Urn(RULE_PREFIX), Need::Required),
    field("conversionHappenedAt", Type::Long, Need::Required),
    field("conversionValue", Type::Object(VALUE), Need::Optional),
    field("eventId", Type::Text, Need::Optional),
    field("user", Type::Object(USER), Need::Required),
];

const VALUE: &[Field] = &[
    field("currencyCode", Type::Text, Need::Required),
    field("amount", Type::Text, Need::Required),
];

const USER: &[Field] = &[
    field(
        "userIds",
        Type::List(&Type::Object(USER_ID)),
        Need::Required,
    ),
    field("userInfo", Type::Object(USER_INFO), Need::Optional),
    field(
        "lead",
        Type::Urn("urn:li:leadGenFormResponse:"),
        Need::Optional,
    ),
    field("externalIds", Type::List(&Type::Text), Need::Optional),
];

const USER_ID: &[Field] = &[
    field("idType", Type::Symbol, Need::Required),
    field("idValue", Type::Text, Need::Required),
];

const USER_INFO: &[Field] = &[
    field(
        "firstName",
        Type::Text,
        Need::RequiredBefore(HASHED_NAMES_SINCE),
    ),
    field(
        "lastName",
        Type::Text,
        Need::RequiredBefore(HASHED_NAMES_SINCE),
    ),
    field(
        "hashedFirstName",
        Type::Text,
        Need::Since(HASHED_NAMES_SINCE),
    ),
    field(
        "hashedLastName",
        Type::Text,
        Need::Since(HASHED_NAMES_SINCE),
    ),
    field("companyName", Type::Text, Need::Optional),
    field("title", Type::Text, Need::Optional),
    field("countryCode", Type::Text, Need::Optional),
];

const ID_TYPES: [&str; 6] = [
    "SHA256_EMAIL",
    "LINKEDIN_FIRST_PARTY_ADS_TRACKING_UUID",
    "ACXIOM_ID",
    "PLAINTEXT_IP_ADDRESS",
    "SHA256_IP_ADDRESS",
    "GOOGLE_AID",
];

const REQUIRED: &str = "field is required but not found and has no default value";

/// Everything the schema of a version has against an event.
pub(super) fn flaws(event: &Value, version: u32) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    check_record(event, EVENT, "", version, &mut flaws);
    check_names(event, version, &mut flaws);
    flaws
}

fn check(value: &Value, kind: &Type, path: &str, version: u32, flaws: &mut Vec<Flaw>) {
    let plain = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let message = match (kind, value) {
        (Type::Object(fields), _) => return check_record(value, fields, path, version, flaws),
        (Type::List(items), Value::Array(list)) => {
            for (index, item) in list.iter().enumerate() {
                check(item, items, &format!("{path}/{index}"), version, flaws);
            }
            return;
        }
        (Type::List(_), _) => "array type is not backed by a DataList".to_owned(),
        (Type::Long, _) if value.as_i64().is_some() => return,
        (Type::Long, _) => format!("{plain} cannot be coerced to Long"),
        (Type::Symbol, Value::String(text)) if ID_TYPES.contains(&text.as_str()) => return,
        (Type::Symbol, Value::String(text)) => format!("\"{text}\" is not an enum symbol"),
        (Type::Symbol, _) => "enum type is not backed by a String".to_owned(),
        (Type::Text, Value::String(_)) => return,
        (Type::Urn(prefix), Value::String(text)) => {
            let id = text.strip_prefix(prefix);
            if id.is_some_and(|id| !id.is_empty()) {
                return;
            }
            "Invalid Urn format. Invalid prefix.".to_owned()
        }
        (Type::Text | Type::Urn(_), _) => format!("{plain} cannot be coerced to String"),
    };
    flaws.push(Flaw::at(path, message));
}

fn check_record(value: &Value, fields: &[Field], path: &str, version: u32, flaws: &mut Vec<Flaw>) {
    let Value::Object(object) = value else {
        flaws.push(Flaw::at(path, "record type is not backed by a DataMap"));
        return;
    };
    for (name, value) in object {
        let path = format!("{path}/{name}");
        let known = fields.iter().find(|field| field.name == name);
        match known.filter(|field| !matches!(field.need, Need::Since(since) if version < since)) {
            Some(field) => check(value, &field.kind, &path, version, flaws),
            None => flaws.push(Flaw::at(path, "unrecognized field found but not allowed")),
        }
    }
    for field in fields {
        let is_required = match field.need {
            Need::Required => true,
            Need::RequiredBefore(since) => version < since,
            Need::Optional | Need::Since(_) => false,
        };
        if is_required && !object.contains_key(field.name) {
            flaws.push(Flaw::at(format!("{path}/{}", field.name), REQUIRED));
        }
    }
}

/// Where names may come hashed, one of each pair is needed; pairs may be mixed. (That half a name is refused rather
/// than ignored is nowhere documented for these versions.)
fn check_names(event: &Value, version: u32, flaws: &mut Vec<Flaw>) {
    let info = event.get("user").and_then(|user| user.get("userInfo"));
    let Some(info) = info.and_then(Value::as_object) else {
        return;
    };
    let has = |name: &str| info.contains_key(name);
    for (clear, hashed) in [
        ("firstName", "hashedFirstName"),
        ("lastName", "hashedLastName"),
    ] {
        if version >= HASHED_NAMES_SINCE && !has(clear) && !has(hashed) {
            flaws.push(Flaw::at(format!("/user/userInfo/{clear}"), REQUIRED));
        }
    }
}
