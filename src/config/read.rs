//! A table of the configuration while it is read.
//!
//! A [`Reader`] never stops at the first fault: it notes it, gives `None`, and reading goes on, so that a
//! person sees everything at once. It knows which keys were asked for; what is left over is a fault too.
//! It knows nothing about what the keys mean. The getters for each form of value are in `values.rs`.

use std::collections::BTreeSet;

use super::fault::{Fault, Faults, Place};
use super::tree::{self, Node, Table, Value};

/// One table being read. Every getter takes a key, notes a fault if the value does not fit, and returns
/// `None` when there is no usable value: `reader.integer("batch_size", 1..=1000).unwrap_or(50)`.
pub struct Reader<'f> {
    pub(super) table: Table,
    place: Place,
    /// What stands before a key in a fault: `worker.` or `destination "meta": `.
    prefix: String,
    asked: BTreeSet<String>,
    accepts_rest: bool,
    faults: &'f mut Vec<Fault>,
}

/// Reads a whole configuration: the text of the file, laid over by the variables.
///
/// `read` receives the top table. Returns its result if no fault was noted.
pub fn read_config<T>(
    text: &str,
    file: &str,
    variables: impl IntoIterator<Item = (String, String)>,
    read: impl FnOnce(&mut Reader<'_>) -> Option<T>,
) -> Result<T, Faults> {
    let mut faults = Vec::new();
    let config = match tree::parse(text) {
        Ok(mut top) => {
            faults.extend(tree::overlay(&mut top, variables));
            let mut reader = Reader::new(top, Place::File, String::new(), &mut faults);
            let config = read(&mut reader);
            reader.finish();
            config
        }
        Err(syntax) => {
            faults = syntax;
            None
        }
    };
    match (Faults::new(file, faults), config) {
        (None, Some(config)) => Ok(config),
        (Some(faults), _) => Err(faults),
        (None, None) => unreachable!("a reader that gives no configuration notes why"),
    }
}

impl<'f> Reader<'f> {
    fn new(table: Table, place: Place, prefix: String, faults: &'f mut Vec<Fault>) -> Reader<'f> {
        Reader {
            table,
            place,
            prefix,
            asked: BTreeSet::new(),
            accepts_rest: false,
            faults,
        }
    }

    /// Notes a fault if the key is absent; the getter called afterwards then gives `None` in silence.
    /// `what` says what belongs there and where to find it.
    pub fn require(&mut self, key: &str, what: &str) {
        self.asked.insert(key.to_owned());
        if !self.has(key) {
            self.fault(key, "is required", &format!("add {key}: {what}"));
        }
    }

    /// A table that may be absent.
    pub fn table<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&mut Reader<'_>) -> Option<T>,
    ) -> Option<T> {
        let node = self.take(key)?;
        let Value::Table(table) = node.value else {
            return self.wrong(
                key,
                "must be a table",
                &format!("write [{key}] on a line of its own"),
            );
        };
        let prefix = format!("{}{key}.", self.prefix);
        self.nested(table, node.place, prefix, read)
    }

    /// A table that is read even if absent, so that defaults and missing keys are found as if it were empty.
    pub fn section<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&mut Reader<'_>) -> Option<T>,
    ) -> Option<T> {
        let place = self.place.clone();
        self.table.entry(key.to_owned()).or_insert(Node {
            place,
            value: Value::Table(Table::new()),
        });
        self.table(key, read)
    }

    /// An array of tables, `[[key]]`: those that could be read. Faults call a table by its `name`, where it has one.
    pub fn tables<T>(
        &mut self,
        key: &str,
        mut read: impl FnMut(&mut Reader<'_>) -> Option<T>,
    ) -> Vec<T> {
        let Some(node) = self.take(key) else {
            return Vec::new();
        };
        let Value::List(items) = node.value else {
            self.fault(
                key,
                "must be a list of tables",
                &format!("write [[{key}]] with two brackets"),
            );
            return Vec::new();
        };
        let mut found = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let Value::Table(table) = item.value else {
                self.fault(
                    key,
                    "must be a list of tables",
                    &format!("write [[{key}]] for each"),
                );
                continue;
            };
            let prefix = match table.get("name").map(|node| &node.value) {
                Some(Value::Text(name)) if is_name(name) => format!("{key} \"{name}\": "),
                _ => format!("{key} number {}: ", index + 1),
            };
            found.extend(self.nested(table, item.place, prefix, &mut read));
        }
        found
    }

    /// Notes a fault of this key. `message` ends the sentence that starts with the key; `fix` is what to do.
    /// Neither may hold a configured value.
    pub fn fault(&mut self, key: &str, message: &str, fix: &str) {
        let place = self
            .table
            .get(key)
            .map_or(&self.place, |node| &node.place)
            .clone();
        self.faults.push(Fault {
            place,
            path: format!("{}{}", self.prefix, shown(key)),
            message: message.to_owned(),
            fix: fix.to_owned(),
        });
    }

    /// Notes a fault of a key of one table of a list, which its `name` tells; otherwise as [`Reader::fault`].
    pub fn fault_within(&mut self, list: &str, name: &str, key: &str, message: &str, fix: &str) {
        let is_named = |table: &Table| matches!(table.get("name").map(|node| &node.value), Some(Value::Text(text)) if text == name);
        let items = match self.table.get(list).map(|node| &node.value) {
            Some(Value::List(items)) => items.as_slice(),
            _ => &[],
        };
        let place = items.iter().find_map(|item| match &item.value {
            Value::Table(table) if is_named(table) => {
                Some(&table.get(key).map_or(item, |node| node).place)
            }
            _ => None,
        });
        self.faults.push(Fault {
            place: place.unwrap_or(&self.place).clone(),
            path: format!("{}{list} \"{name}\": {key}", self.prefix),
            message: message.to_owned(),
            fix: fix.to_owned(),
        });
    }

    /// Whether the key is set at all.
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Lets keys nobody asks for pass, where a fault already noted makes it impossible to know them.
    pub fn accept_rest(&mut self) {
        self.accepts_rest = true;
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Node> {
        self.asked.insert(key.to_owned());
        self.table.get(key).cloned()
    }

    pub(super) fn wrong<T>(&mut self, key: &str, message: &str, fix: &str) -> Option<T> {
        self.fault(key, message, fix);
        None
    }

    fn nested<T>(
        &mut self,
        table: Table,
        place: Place,
        prefix: String,
        read: impl FnOnce(&mut Reader<'_>) -> Option<T>,
    ) -> Option<T> {
        let mut inner = Reader::new(table, place, prefix, self.faults);
        let result = read(&mut inner);
        inner.finish();
        result
    }

    /// Every key nobody asked for is a fault.
    fn finish(mut self) {
        if self.accepts_rest {
            return;
        }
        let unknown: Vec<String> = self
            .table
            .keys()
            .filter(|key| !self.asked.contains(*key))
            .cloned()
            .collect();
        for key in unknown {
            let fix = match nearest(&key, self.asked.iter().map(String::as_str)) {
                Some(known) => format!("did you mean {known}?"),
                None => {
                    let known: Vec<&str> = self.asked.iter().map(String::as_str).collect();
                    format!("remove it; the keys known here are {}", known.join(", "))
                }
            };
            self.fault(&key, "is not a known key", &fix);
        }
    }
}

/// A key or a name as a fault shows it. One that does not look like any may be a secret that was pasted into the wrong
/// place: those are long, or mix capitals and digits.
pub(super) fn shown(name: &str) -> &str {
    let is_short = name.len() <= 40
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_- .".contains(c));
    let is_mixed = name.contains(|c: char| c.is_ascii_uppercase())
        && name.contains(|c: char| c.is_ascii_digit());
    match is_short && !is_mixed {
        true => name,
        false => "(one that is not shown)",
    }
}

/// Whether the text may name a destination: 1 to 40 characters, lower-case words and digits, divided by
/// single hyphens or underscores, a letter first.
pub fn is_name(text: &str) -> bool {
    text.len() <= 40
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.split(['-', '_']).all(|word| {
            !word.is_empty()
                && word
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        })
}

/// The known word a person most likely meant: two slips at most, fewer in short words.
pub fn nearest<'n>(word: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    known
        .map(|name| (strsim::damerau_levenshtein(word, name), name))
        .filter(|(slips, name)| *slips <= 2 && *slips < name.len().min(word.len()))
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
