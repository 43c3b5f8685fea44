//! The getters of a [`Reader`]: one for each form a value can have.
//!
//! A variable holds only text, so a number, a word or a list is understood from text there, and only there.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use url::{Host, Url};

use super::fault::Place;
use super::read::{Reader, nearest};
use super::secret::SecretRef;
use super::tree::{Node, Value};

impl Reader<'_> {
    /// Text, empty text included.
    pub fn text(&mut self, key: &str) -> Option<String> {
        match self.take(key)?.value {
            Value::Text(text) => Some(text),
            _ => self.wrong(key, "must be text", "put it in double quotes"),
        }
    }

    /// The address of an API, by default the platform's own.
    pub fn address(&mut self, key: &str, default: &str) -> Url {
        let configured = self.text(key).and_then(|text| {
            let url = Url::parse(&text).ok().filter(keeps_secrets);
            if url.is_none() {
                self.fault(
                    key,
                    "must be an https address without user, query or fragment",
                    "write an address such as https://api.example.com, https unless it is this machine",
                );
            }
            url
        });
        configured
            .unwrap_or_else(|| Url::parse(default).expect("the platform's own address is a URL"))
    }

    /// Text that obeys a rule. `rule` ends the sentence that starts with the key, such as `must be digits only`.
    pub fn text_where(
        &mut self,
        key: &str,
        holds: impl FnOnce(&str) -> bool,
        rule: &str,
        fix: &str,
    ) -> Option<String> {
        let text = self.text(key)?;
        if holds(&text) {
            Some(text)
        } else {
            self.wrong(key, rule, fix)
        }
    }

    /// Text that must be there and must not be empty. `what` as for [`Reader::require`].
    pub fn required_text(&mut self, key: &str, what: &str) -> Option<String> {
        self.require(key, what);
        self.text_where(
            key,
            |text| !text.trim().is_empty(),
            "must not be empty",
            what,
        )
    }

    /// A whole number within bounds, both included.
    pub fn integer(&mut self, key: &str, bounds: RangeInclusive<u32>) -> Option<u32> {
        let node = self.take(key)?;
        let number = match &node.value {
            Value::Integer(number) => u32::try_from(*number).ok(),
            Value::Text(text) if node.is_from_variable() => text.trim().parse().ok(),
            _ => None,
        };
        match number {
            Some(number) if bounds.contains(&number) => Some(number),
            _ => self.wrong(
                key,
                &format!(
                    "must be a whole number from {} to {}",
                    bounds.start(),
                    bounds.end()
                ),
                "write such a number, without quotes",
            ),
        }
    }

    /// A span of time, given as a whole number of seconds.
    pub fn seconds(&mut self, key: &str, bounds: RangeInclusive<u32>) -> Option<Duration> {
        self.integer(key, bounds)
            .map(|seconds| Duration::from_secs(seconds.into()))
    }

    /// A span of time, given as a whole number of milliseconds.
    pub fn milliseconds(&mut self, key: &str, bounds: RangeInclusive<u32>) -> Option<Duration> {
        self.integer(key, bounds)
            .map(|millis| Duration::from_millis(millis.into()))
    }

    /// A span of time, given as a whole number of hours.
    pub fn hours(&mut self, key: &str, bounds: RangeInclusive<u32>) -> Option<Duration> {
        self.integer(key, bounds)
            .map(|hours| Duration::from_secs(u64::from(hours) * 3600))
    }

    /// A share from 0 to 1, such as `0.25`; `0` and `1` need no fraction.
    pub fn share(&mut self, key: &str) -> Option<f64> {
        let node = self.take(key)?;
        let share = match &node.value {
            Value::Float(share) => Some(*share),
            Value::Integer(0) => Some(0.0),
            Value::Integer(1) => Some(1.0),
            Value::Text(text) if node.is_from_variable() => text.trim().parse().ok(),
            _ => None,
        };
        match share {
            Some(share) if (0.0..=1.0).contains(&share) => Some(share),
            _ => self.wrong(
                key,
                "must be a number from 0 to 1",
                "write a share such as 0.25",
            ),
        }
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, key: &str) -> Option<bool> {
        let node = self.take(key)?;
        match &node.value {
            Value::Boolean(boolean) => Some(*boolean),
            Value::Text(text) if node.is_from_variable() && text == "true" => Some(true),
            Value::Text(text) if node.is_from_variable() && text == "false" => Some(false),
            _ => self.wrong(
                key,
                "must be true or false",
                "write true or false, without quotes",
            ),
        }
    }

    /// One word of a closed list.
    pub fn one_of<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let word = self.text(key)?;
        self.choose(key, &word, choices)
    }

    /// A list of texts. In a variable: divided by commas.
    pub fn list_of_text(&mut self, key: &str) -> Option<Vec<String>> {
        let node = self.take(key)?;
        let list = match node.value {
            Value::Text(text) if matches!(node.place, Place::Variable(_)) => Some(
                text.split(',')
                    .map(|part| part.trim().to_owned())
                    .filter(|part| !part.is_empty())
                    .collect(),
            ),
            Value::List(items) => items
                .into_iter()
                .map(|item| match item.value {
                    Value::Text(text) => Some(text),
                    _ => None,
                })
                .collect(),
            _ => None,
        };
        list.or_else(|| {
            self.wrong(
                key,
                "must be a list of texts",
                "write it as [\"one\", \"two\"]",
            )
        })
    }

    /// A list of words of a closed list.
    pub fn list_of<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> Option<Vec<T>> {
        let words = self.list_of_text(key)?;
        words
            .iter()
            .map(|word| self.choose(key, word, choices))
            .collect()
    }

    /// A table of texts under any keys. Empty if absent.
    pub fn map_of_text(&mut self, key: &str) -> BTreeMap<String, String> {
        self.map(
            key,
            "must be text",
            "put it in double quotes",
            |node| match node.value {
                Value::Text(text) if !text.is_empty() => Some(text),
                _ => None,
            },
        )
    }

    /// A table of texts under any keys, each of which obeys a rule, as in [`Reader::text_where`]. Empty if absent.
    pub fn map_of_text_where(
        &mut self,
        key: &str,
        holds: fn(&str) -> bool,
        rule: &str,
        fix: &str,
    ) -> BTreeMap<String, String> {
        self.table(key, |inner| {
            let names: Vec<String> = inner.table.keys().cloned().collect();
            let pair = |name: String| {
                let text = inner.text_where(&name, holds, rule, fix)?;
                Some((name, text))
            };
            Some(names.into_iter().filter_map(pair).collect())
        })
        .unwrap_or_default()
    }

    /// A table under any keys, each a word of a closed list. Empty if absent.
    pub fn map_of<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> BTreeMap<String, T> {
        let rule = format!("must be one of {}", quoted(choices));
        self.map(key, &rule, "write one of them", |node| match node.value {
            Value::Text(text) => choices
                .iter()
                .find(|(name, _)| *name == text)
                .map(|(_, chosen)| *chosen),
            _ => None,
        })
    }

    /// A table under any keys, each a text or `false`, which gives `None`. Empty if absent.
    pub fn map_of_text_or_false(&mut self, key: &str) -> BTreeMap<String, Option<String>> {
        let fix = "write a name in double quotes, or false to switch it off";
        self.map(key, "must be a name or false", fix, |node| {
            match node.value {
                Value::Boolean(false) => Some(None),
                Value::Text(ref text) if node.is_from_variable() && text == "false" => Some(None),
                Value::Text(text) if !text.is_empty() => Some(Some(text)),
                _ => None,
            }
        })
    }

    /// A reference to a secret: `{ file = "…" }` or `{ env = "…" }`, with an optional `trim`.
    pub fn secret(&mut self, key: &str) -> Option<SecretRef> {
        let node = self.take(key)?;
        if !matches!(node.value, Value::Table(_)) {
            return self.wrong(
                key,
                "must be a reference, not a literal",
                &match node.place {
                    Place::Variable(name) => {
                        format!(
                            "set {name}__FILE to a path or {name}__ENV to the name of a variable"
                        )
                    }
                    _ => format!(
                        "write {key} = {{ file = \"/path\" }} or {key} = {{ env = \"NAME\" }}"
                    ),
                },
            );
        }
        self.table(key, SecretRef::read)
    }

    /// A reference to a secret that must be there. `what` as for [`Reader::require`].
    pub fn required_secret(&mut self, key: &str, what: &str) -> Option<SecretRef> {
        self.require(key, what);
        self.secret(key)
    }

    fn choose<T: Copy>(&mut self, key: &str, word: &str, choices: &[(&str, T)]) -> Option<T> {
        if let Some((_, chosen)) = choices.iter().find(|(name, _)| *name == word) {
            return Some(*chosen);
        }
        let fix = match nearest(word, choices.iter().map(|(name, _)| *name)) {
            Some(name) => format!("did you mean \"{name}\"?"),
            None => "write one of them".to_owned(),
        };
        self.wrong(key, &format!("must be one of {}", quoted(choices)), &fix)
    }

    fn map<T>(
        &mut self,
        key: &str,
        rule: &str,
        fix: &str,
        mut convert: impl FnMut(Node) -> Option<T>,
    ) -> BTreeMap<String, T> {
        self.table(key, |inner| {
            inner.accept_rest();
            let mut found = BTreeMap::new();
            for (name, node) in inner.table.clone() {
                match convert(node) {
                    Some(value) => {
                        found.insert(name, value);
                    }
                    None => inner.fault(&name, rule, fix),
                }
            }
            Some(found)
        })
        .unwrap_or_default()
    }
}

fn quoted<T>(choices: &[(&str, T)]) -> String {
    choices
        .iter()
        .map(|(name, _)| format!("\"{name}\""))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Plain http would show tokens and identifiers to the network, so it stays within this machine.
fn keeps_secrets(url: &Url) -> bool {
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return false,
    };
    let has_extras = !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some();
    !has_extras && (url.scheme() == "https" || (url.scheme() == "http" && is_loopback))
}
