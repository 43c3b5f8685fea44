//! What only the Google Ads API knows: customers and their switches, quotas, which versions live, which users ever
//! clicked. Not for conversion actions, clicks and conversions, which both of Google's APIs share.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::call;

/// When versions end, as year, month, day: the first day on which the version answers no more.
///
/// The end of v22 is past. The others are tentative months, of which the first day is taken; `version_ends` of
/// [`Setup`] says otherwise. (`developers.google.com/google-ads/api/docs/sunset-dates`)
const ENDS: [(u32, &str); 5] = [
    (22, "2026-10-07T00:00:00Z"),
    (23, "2027-02-01T00:00:00Z"),
    (24, "2027-05-01T00:00:00Z"),
    (25, "2027-08-01T00:00:00Z"),
    (26, "2027-11-01T00:00:00Z"),
];

/// A customer account with its switches.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Customer {
    /// Ten digits without hyphens.
    pub id: String,
    /// Whether its Cloud project may still use `uploadClickConversions`, which is closed to whoever sent nothing from
    /// December 2025 to June 2026 (`developers.google.com/ads/blog/posts/2026/05/changes-to-offline-click-conversion`).
    /// Adjustments are open to everybody.
    #[serde(default)]
    pub allowlisted: bool,
    /// Whether enhanced conversions for leads are turned on.
    #[serde(default = "yes")]
    pub ecl_enabled: bool,
    /// Whether the customer data terms are accepted.
    #[serde(default = "yes")]
    pub terms_accepted: bool,
    /// Manager accounts through which alone it can be reached, by `login-customer-id`. Without any it is reached
    /// directly.
    #[serde(default)]
    pub managers: Vec<String>,
    /// How many requests it takes; without it, any number.
    #[serde(default)]
    pub quota: Option<Quota>,
}

/// So many requests in so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Requests taken within the time.
    pub requests: u32,
    /// The time, in seconds by the sandbox's clock.
    pub per_secs: u32,
}

fn yes() -> bool {
    true
}

impl Customer {
    /// A customer that may do everything but upload click conversions.
    #[must_use]
    pub fn new(id: &str) -> Customer {
        Customer {
            id: id.to_owned(),
            allowlisted: false,
            ecl_enabled: true,
            terms_accepted: true,
            managers: Vec::new(),
            quota: None,
        }
    }

    /// The same customer, allowed to upload click conversions.
    #[must_use]
    pub fn allowlisted(self) -> Customer {
        Customer {
            allowlisted: true,
            ..self
        }
    }
}

/// What only the Google Ads API has. A new one takes every customer, and all of them are allowlisted.
#[derive(Debug, Default)]
pub struct World {
    customers: BTreeMap<String, Customer>,
    /// Hashed addresses and numbers that match a click. Without any, all do.
    known_users: BTreeSet<String>,
    version_ends: BTreeMap<u32, DateTime<Utc>>,
    /// When each customer with a quota was asked.
    asked: BTreeMap<String, VecDeque<DateTime<Utc>>>,
    /// Whether a row's index is left out when it is 0.
    pub(super) omits_zero_index: bool,
}

/// Additions to a [`World`].
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Setup {
    /// Customers; from the first one on, no other exists.
    pub customers: Vec<Customer>,
    /// Hashed addresses and phone numbers of users who clicked; from the first one on, a conversion without a click
    /// id and without one of these gets `CLICK_NOT_FOUND`.
    pub known_users: Vec<String>,
    /// When versions end, by their names, for example `v26`.
    pub version_ends: BTreeMap<String, DateTime<Utc>>,
    /// Whether the index of row 0 is left out of error locations, as JSON leaves out zeros. Clients must read both.
    pub omit_zero_index: Option<bool>,
}

impl World {
    /// Adds what is set up; a customer of the same id is replaced.
    pub(in crate::sandbox) fn set_up(&mut self, setup: Setup) -> Result<(), String> {
        let mut ends = BTreeMap::new();
        for (version, end) in setup.version_ends {
            let number = call::number_of(&version);
            let number = number.ok_or_else(|| {
                format!("version_ends: `{version}` is no version; write it as in v26")
            })?;
            ends.insert(number, end);
        }
        if let Some(customer) = setup.customers.iter().find(|it| !is_customer_id(&it.id)) {
            return Err(format!(
                "customers: `{}` must be ten digits without hyphens",
                customer.id
            ));
        }
        self.version_ends.extend(ends);
        self.known_users.extend(setup.known_users);
        if let Some(omit) = setup.omit_zero_index {
            self.omits_zero_index = omit;
        }
        for customer in setup.customers {
            self.put_customer(customer);
        }
        Ok(())
    }

    /// Makes a customer known, or changes it. From the first one on, no other exists.
    pub fn put_customer(&mut self, customer: Customer) {
        self.customers.insert(customer.id.clone(), customer);
    }

    /// Lets a version end at this time.
    pub fn end_version(&mut self, number: u32, at: DateTime<Utc>) {
        self.version_ends.insert(number, at);
    }

    /// Forgets what arrived.
    pub(in crate::sandbox) fn forget(&mut self) {
        self.asked.clear();
    }

    /// What is known, in numbers.
    pub(in crate::sandbox) fn show(&self) -> Value {
        json!({"customers": self.customers.len(), "known_users": self.known_users.len()})
    }

    /// Whether the version answers. Those before v22 and after v26 never do.
    pub(super) fn is_alive(&self, version: &str, now: DateTime<Utc>) -> bool {
        let Some(number) = call::number_of(version) else {
            return false;
        };
        let of_table = ENDS.iter().find(|(listed, _)| *listed == number);
        let of_table = of_table.and_then(|(_, end)| end.parse().ok());
        let end = self.version_ends.get(&number).copied().or(of_table);
        end.is_some_and(|end: DateTime<Utc>| now < end)
    }

    /// Whether whoever asks may act for the customer.
    pub(super) fn is_reached(&self, customer: &str, login: Option<&str>) -> bool {
        let Some(known) = self.customers.get(customer) else {
            return self.customers.is_empty();
        };
        match login {
            _ if known.managers.is_empty() => login.is_none_or(|login| login == customer),
            Some(login) => known.managers.iter().any(|manager| manager == login),
            None => false,
        }
    }

    /// Counts a request against the customer's quota. If it is used up: the seconds to wait.
    pub(super) fn ask(&mut self, customer: &str, now: DateTime<Utc>) -> Result<(), u64> {
        let Some(quota) = self.customers.get(customer).and_then(|it| it.quota) else {
            return Ok(());
        };
        let span = TimeDelta::seconds(quota.per_secs.into());
        let asked = self.asked.entry(customer.to_owned()).or_default();
        while asked.front().is_some_and(|at| now - *at >= span) {
            asked.pop_front();
        }
        let full = usize::try_from(quota.requests).is_ok_and(|most| asked.len() >= most);
        if !full {
            asked.push_back(now);
            return Ok(());
        }
        let left = asked.front().map_or(span, |first| span - (now - *first));
        Err(u64::try_from(left.num_seconds()).unwrap_or(0) + 1)
    }

    /// The customer's switches; none if every customer is taken.
    pub(super) fn customer(&self, id: &str) -> Option<&Customer> {
        self.customers.get(id)
    }

    /// Whether one of these hashes belongs to a user who clicked.
    pub(super) fn knows_user<'a>(&self, mut hashes: impl Iterator<Item = &'a str>) -> bool {
        self.known_users.is_empty() || hashes.any(|hash| self.known_users.contains(hash))
    }
}

/// Whether this is a customer id: ten digits without hyphens.
pub(super) fn is_customer_id(text: &str) -> bool {
    text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit())
}
