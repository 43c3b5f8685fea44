//! Reading one field after the other, keeping the names of those that could not be used.
//!
//! Also the two fields that every platform takes alike. Never keeps a value that was refused.

use std::net::IpAddr;

use super::text;
use super::value::Plain;

/// Reads the fields of one person for one platform.
#[derive(Default)]
pub(super) struct Fields {
    dropped: Vec<&'static str>,
}

impl Fields {
    /// A field with one value. White space alone counts as absent.
    pub(super) fn one<T>(
        &mut self,
        name: &'static str,
        raw: Option<&str>,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let raw = raw.filter(|raw| !text::trim(raw).is_empty())?;
        let value = read(raw);
        if value.is_none() {
            self.dropped.push(name);
        }
        value
    }

    /// A field with several values: each once, in their order. The name is dropped once, if any value was.
    pub(super) fn each<T: PartialEq>(
        &mut self,
        name: &'static str,
        raw: &[String],
        read: impl Fn(&str) -> Option<T>,
    ) -> Vec<T> {
        let mut values = Vec::with_capacity(raw.len());
        for raw in raw {
            if let Some(value) = self.one(name, Some(raw), &read)
                && !values.contains(&value)
            {
                values.push(value);
            }
        }
        self.dropped.dedup();
        values
    }

    /// The names of the fields that were there and could not be used.
    pub(super) fn dropped(self) -> Vec<&'static str> {
        self.dropped
    }
}

/// The customer's IPv4 or IPv6 address, as it was written but for spaces around it.
pub(super) fn ip_address(raw: &str) -> Option<Plain> {
    let address = text::trim(raw);
    address.parse::<IpAddr>().ok()?;
    Plain::of(address.to_owned())
}

/// The browser's user agent, unchanged.
pub(super) fn user_agent(raw: &str) -> Option<Plain> {
    Plain::of(raw.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_value_leaves_its_name_once() {
        let mut fields = Fields::default();
        let raw = ["", "no", "yes", "no", "yes"].map(str::to_owned);
        let kept = fields.each("email", &raw, |raw| (raw == "yes").then(|| raw.to_owned()));
        assert_eq!(kept, ["yes"]);
        assert_eq!(fields.one("city", Some(" "), |_| None::<()>), None);
        assert_eq!(fields.dropped(), ["email"]);
    }

    #[test]
    fn an_ip_address_is_an_ip_address() {
        let sent = |raw| ip_address(raw).map(|ip| ip.as_str().to_owned());
        assert_eq!(sent(" 203.0.113.7 ").as_deref(), Some("203.0.113.7"));
        assert_eq!(sent("203.0.113.7, 10.0.0.1"), None);
        assert_eq!(sent(&"0".repeat(64)), None);
    }
}
