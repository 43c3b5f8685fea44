//! Google's two ways: answers that come late, refunds that change what was counted, tokens that end.

mod ads;
mod late;
mod refunds;
mod tokens;

use chrono::TimeDelta;
use conversion_outbox::destinations::Platform as Destination;
use conversion_outbox::sandbox::Conversion;

use crate::rig::{Rig, Setup};

pub(super) const DATA_MANAGER: &str = "google_data_manager";

pub(super) fn data_manager() -> Setup {
    Setup::only(&[Destination::GoogleDataManager])
}

/// The conversion of an order at an action, as the platform holds it.
pub(super) fn conversion(rig: &Rig, action: &str, order: &str) -> Option<Conversion> {
    rig.sandbox.read(|ledger| {
        ledger
            .conversions()
            .find(|(key, _)| key.event_name == action && key.key == format!("order_paid:{order}"))
            .map(|(_, conversion)| conversion.clone())
    })
}

pub(super) fn worth(rig: &Rig, action: &str, order: &str) -> (u64, f64) {
    let conversion = conversion(rig, action, order).expect("it was counted");
    let value = conversion.amount().value.clone().unwrap_or_default();
    (conversion.counted(), value.parse().expect("a number"))
}

pub(super) async fn all_asked(rig: &Rig) {
    rig.until("not exists (select from conversion_outbox.request where settled_at is null)")
        .await;
}

/// Lets time pass, and what is due then be done.
pub(super) async fn pass(rig: &Rig, time: TimeDelta) {
    rig.until("not exists (select from conversion_outbox.queue)")
        .await;
    rig.later(time).await;
    rig.until(&format!(
        "not exists (select from conversion_outbox.queue)
         and not exists (select from conversion_outbox.delivery where state = 'pending' and due_at <= '{now}')
         and not exists (select from conversion_outbox.request where settled_at is null and due_at <= '{now}')",
        now = rig.clock.now().to_rfc3339()
    ))
    .await;
}
