//! The outbox against the application's own tables: a small shop, whose orders and what became of them are known.

mod commands;
mod gaps;
mod kept;
mod source;
mod workers;

use chrono::{DateTime, NaiveDate, Utc};
use conversion_outbox::config::Config;
use conversion_outbox::config::reconcile::ReconcileConfig;
use conversion_outbox::db::connect::Database;
use conversion_outbox::reconcile::ReconcileError;
use conversion_outbox::reconcile::compare::GAPS_MAX;
use conversion_outbox::reconcile::compute::{Days, With};
use conversion_outbox::reconcile::result::DayResult;
use conversion_outbox::reconcile::source::Source;
use tempfile::TempDir;

use crate::harness::{Outbox, Session};

/// The shop's own table, which a worker may read and nobody else.
pub(super) const TABLES: &str = "
    create schema shop;
    create table shop.orders (id text, paid_at timestamptz, total numeric, currency text default 'EUR', consent jsonb);
    grant usage on schema shop to conversion_outbox_worker, conversion_outbox_operator;
    grant select on shop.orders to conversion_outbox_worker, conversion_outbox_operator;";

pub(super) const QUERY: &str = "select id as business_id, paid_at as occurred_at, total as value, currency, consent \
    from shop.orders where paid_at >= $1 and paid_at < $2";

/// A configuration with Meta and GA4 and one entry, of paid orders unless it says otherwise.
pub(super) fn configuration(url: &str, query: &str, entry: &str) -> String {
    let event = match entry.contains("event = ") {
        true => "",
        false => "event = \"order_paid\"",
    };
    format!(
        r#"
[database]
url = {url}
[[destination]]
name = "meta"
platform = "meta"
dataset_id = "1234567890"
access_token = {{ env = "TOKEN" }}
[[destination]]
name = "ga4"
platform = "ga4"
measurement_id = "G-TEST123"
api_secret = {{ env = "TOKEN" }}
[[reconcile]]
name = "orders"
{event}
query = """{query}"""
{entry}
"#
    )
}

/// A database with the shop's table in it.
pub(super) struct Shop {
    pub(super) outbox: Outbox,
    pub(super) admin: Session,
    pub(super) database: Database,
    config: Config,
    now: DateTime<Utc>,
    _folder: TempDir,
}

impl Shop {
    /// A shop that is looked at long after the last of its days.
    pub(super) async fn open(entry: &str) -> Shop {
        Shop::asking(QUERY, entry).await
    }

    /// One whose entry has another query.
    pub(super) async fn asking(query: &str, entry: &str) -> Shop {
        let outbox = Outbox::new().await;
        let admin = outbox.admin().await;
        admin.run(TABLES).await;
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("url");
        std::fs::write(&file, outbox.url_of("worker")).expect("written");
        let url = format!("{{ file = \"{}\" }}", file.display());
        let text = configuration(&url, query, entry);
        Shop {
            database: outbox.worker(),
            config: Config::parse(&text, "shop.toml", []).expect("valid"),
            now: time("2024-12-01T00:00:00Z"),
            outbox,
            admin,
            _folder: folder,
        }
    }

    pub(super) fn entry(&self) -> &ReconcileConfig {
        &self.config.reconcile[0]
    }

    /// The way to the shop's own table.
    pub(super) fn source(&self) -> Source {
        Source::open(self.entry(), &self.config.database).expect("a valid address")
    }

    /// Days, computed as a worker does.
    pub(super) async fn days(
        &self,
        first: &str,
        last: &str,
    ) -> Result<Vec<DayResult>, ReconcileError> {
        let source = self.source();
        let with = With {
            entry: self.entry(),
            destinations: &self.config.destinations,
            database: &self.database,
            source: &source,
            now: self.now,
            gaps_max: GAPS_MAX,
        };
        let mut days = Days::begin(with, date(first), date(last)).await?;
        let mut found = Vec::new();
        while let Some(day) = days.next().await? {
            found.push(day);
        }
        Ok(found)
    }

    /// One day.
    pub(super) async fn day(&self, day: &str) -> DayResult {
        self.days(day, day).await.expect("computed").remove(0)
    }

    /// An order of the shop's own table.
    pub(super) async fn sells(&self, id: &str, at: &str, total: &str) {
        let insert = format!(
            "insert into shop.orders (id, paid_at, total) values ('{id}', '{at}', {total})"
        );
        self.admin.run(&insert).await;
    }

    /// Its event, with its state at Meta as `state/reason`; GA4 was sent it. `queued`: nobody looked at it yet.
    pub(super) async fn tells(&self, id: &str, at: &str, value: &str, state: &str) {
        let consent = crate::harness::GRANTED;
        self.admin
            .run(&format!(
                "insert into conversion_outbox.event (event_name, business_id, occurred_at, value, currency, consent)
                 values ('order_paid', '{id}', '{at}', {value}, 'EUR', {consent})"
            ))
            .await;
        if state == "queued" {
            return;
        }
        let (state, reason) = match state.split_once('/') {
            Some((state, reason)) => (state, format!("'{reason}'")),
            None => (state, "null".to_owned()),
        };
        self.admin
            .run(&format!(
                "with told as (
                   delete from conversion_outbox.queue q using conversion_outbox.event e
                    where e.event_no = q.event_no and e.event_id = 'order_paid:{id}' returning e.event_no)
                 insert into conversion_outbox.delivery
                   (event_no, destination, state, reason, tries, attempts, tried_at, payload_hash, settled_at, due_at)
                 select event_no, d.name, d.state, d.reason, 1, 1, now(), sha256('x'), case when d.state <> 'pending' then now() end,
                        case when d.state = 'pending' then now() end
                   from told, (values ('meta', '{state}', {reason}), ('ga4', 'sent', null)) d (name, state, reason)"
            ))
            .await;
    }

    /// An order and its event.
    pub(super) async fn both(&self, id: &str, at: &str, state: &str) {
        self.sells(id, at, "10.00").await;
        self.tells(id, at, "10.00", state).await;
    }
}

pub(super) fn date(text: &str) -> NaiveDate {
    text.parse().expect("a date")
}

pub(super) fn time(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

/// Gaps as `place why id reason`.
pub(super) fn listed(day: &DayResult) -> Vec<String> {
    let shown = |gap: &conversion_outbox::reconcile::result::Gap| {
        let place = gap.destination.as_deref().unwrap_or("outbox");
        let reason = gap.reason.as_deref().unwrap_or_default();
        let text = format!("{place} {} {} {reason}", gap.why.as_str(), gap.business_id);
        text.trim_end().to_owned()
    };
    day.gaps.iter().map(shown).collect()
}
