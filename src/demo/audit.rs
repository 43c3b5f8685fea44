//! The comparison that matters: what the business says happened against what the platforms counted.
//!
//! The business speaks through the shop's own tables, the platforms through the emulators' ledgers. The outbox's own
//! tables are asked one thing only: whether a conversion that no platform counted is at least visible as a dead letter.

use std::collections::{BTreeMap, BTreeSet};

use super::people::Platform;
use super::shop::{Expected, Fate, Truth};
use crate::db::connect::Database;
use crate::db::error::DatabaseError;
use crate::sandbox::{self, Ledger, Verdict};

const HAPPENED: &str = include_str!("../../sql/demo/happened.sql");
const DELIVERIES: &str = include_str!("../../sql/demo/deliveries.sql");

/// What the comparison found. Lists hold `platform: event id`.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    /// Conversions that happened, should be counted, were not, and are not visible as dead letters either.
    pub lost: Vec<String>,
    /// Conversions that a platform counted more than once.
    pub double_counted: Vec<String>,
    /// Conversions that a platform counted although it never should have heard of them.
    pub leaked: Vec<String>,
    /// Conversions that were not counted and stand among the dead letters.
    pub dead_uncounted: Vec<String>,
    /// Events that the shop's tables and the shop's own account disagree about.
    pub disputed: Vec<String>,
    /// Conversions that the platforms counted, all together.
    pub counted: u64,
}

/// Compares.
pub async fn audit(
    database: &Database,
    ledger: &Counted,
    truth: &Truth,
) -> Result<Audit, DatabaseError> {
    let mut happened = BTreeSet::new();
    for row in database.query(HAPPENED, &[]).await? {
        happened.insert((
            row.try_get::<_, String>("event_id")?,
            row.try_get::<_, String>("event_name")?,
        ));
    }
    let mut dead = BTreeSet::new();
    for row in database.query(DELIVERIES, &[]).await? {
        let state: String = row.try_get("state")?;
        if matches!(state.as_str(), "rejected" | "uncertain" | "exhausted") {
            dead.insert((
                row.try_get::<_, String>("destination")?,
                row.try_get::<_, String>("event_id")?,
            ));
        }
    }

    let mut audit = Audit::default();
    let told: BTreeSet<(String, String)> = truth
        .committed()
        .iter()
        .map(|(id, expected)| (id.clone(), expected.name.to_owned()))
        .collect();
    audit.disputed = happened
        .symmetric_difference(&told)
        .map(|(id, _)| id.clone())
        .collect();
    for (name, platform) in [("meta", Platform::Meta), ("ga4", Platform::Ga4)] {
        for (id, expected) in truth.committed() {
            let times = ledger.times(platform, id, expected);
            let line = || format!("{name}: {id}");
            audit.counted += times.min(1);
            match (expected.at(platform), times) {
                (Fate::Counted, 0) if dead.contains(&(name.to_owned(), id.clone())) => {
                    audit.dead_uncounted.push(line())
                }
                (Fate::Counted, 0) => audit.lost.push(line()),
                (Fate::Counted, 1) => {}
                (Fate::Counted, _) => audit.double_counted.push(line()),
                (_, 0) => {}
                (_, _) => audit.leaked.push(line()),
            }
        }
    }
    for id in truth.never_happened() {
        if ledger.knows(id) {
            audit.leaked.push(format!("rolled back: {id}"));
        }
    }
    Ok(audit)
}

/// How often the platforms counted what, as their ledgers say.
#[derive(Debug, Default)]
pub struct Counted {
    /// Meta: by event name and event id.
    meta: BTreeMap<(String, String), u64>,
    /// GA4 purchases: by transaction id.
    purchases: BTreeMap<String, u64>,
    /// GA4's other events carry no id: by event name and microseconds, which are unique in the shop.
    others: BTreeMap<(String, i64), u64>,
    ids: BTreeSet<String>,
}

impl Counted {
    /// Reads the ledger.
    pub fn read(ledger: &Ledger) -> Counted {
        let mut counted = Counted::default();
        for row in ledger.rows() {
            let (Some(name), true) = (
                &row.event_name,
                row.verdict.counts() || row.verdict == Verdict::Deduplicated,
            ) else {
                continue;
            };
            let id = row.event_id.clone().unwrap_or_default();
            counted.ids.insert(id.clone());
            let times = u64::from(row.verdict.counts());
            let entry = match (row.platform, name.as_str()) {
                (sandbox::Platform::Meta, _) => counted.meta.entry((name.clone(), id)).or_default(),
                (sandbox::Platform::Ga4, "purchase") => counted.purchases.entry(id).or_default(),
                (sandbox::Platform::Ga4, _) => {
                    let body: serde_json::Value =
                        serde_json::from_slice(&row.body).unwrap_or_default();
                    let micros = body["timestamp_micros"].as_i64().unwrap_or_default();
                    counted.others.entry((name.clone(), micros)).or_default()
                }
                // The shop sends nothing there.
                _ => continue,
            };
            *entry += times;
        }
        counted
    }

    fn times(&self, platform: Platform, id: &str, expected: &Expected) -> u64 {
        let micros = expected.occurred_at.timestamp_micros();
        let other = |name: &str| self.others.get(&(name.to_owned(), micros)).copied();
        match (platform, expected.name) {
            (Platform::Meta, name) => {
                let name = match name {
                    "order_paid" => "Purchase",
                    "lead_created" => "Lead",
                    "lead_qualified" => "LeadQualified",
                    "deal_won" => "DealWon",
                    _ => return 0,
                };
                self.meta.get(&(name.to_owned(), id.to_owned())).copied()
            }
            (Platform::Ga4, "order_paid") => self.purchases.get(&expected.business_id).copied(),
            (Platform::Ga4, "order_refunded") => other("refund"),
            (Platform::Ga4, "lead_created") => other("generate_lead"),
            (Platform::Ga4, "lead_qualified") => other("qualify_lead"),
            (Platform::Ga4, "deal_won") => other("close_convert_lead"),
            (Platform::Ga4, _) => None,
        }
        .unwrap_or(0)
    }

    fn knows(&self, id: &str) -> bool {
        self.ids.contains(id)
    }
}
