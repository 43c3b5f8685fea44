//! A worker whose host keeps wrong time: what is due and what is too old goes by the database's clock all the same.

use chrono::TimeDelta;
use conversion_outbox::destinations::Platform as Destination;
use conversion_outbox::sandbox::{FaultKind, Platform};
use conversion_outbox::worker::clock::Clock;
use serde_json::json;

use crate::rig::{Rig, Setup, ago, order, with};

#[tokio::test]
async fn a_host_with_a_wrong_clock_neither_hammers_nor_sleeps_nor_expires() {
    for wrong_by in [TimeDelta::hours(2), TimeDelta::hours(-2)] {
        let mut rig = Rig::new().await;
        rig.clock = Clock::wrong_by(wrong_by);
        let down = rig.event_fault(FaultKind::Status, Platform::Meta, |fault| {
            fault.status = Some(503);
        });
        let worker = rig.work_with(Setup::only(&[Destination::Meta]));
        // An hour younger than Meta takes, and one that Meta does not take any more.
        let (young, old) = (
            ago(TimeDelta::hours(7 * 24 - 1)),
            ago(TimeDelta::hours(7 * 24 + 1)),
        );
        rig.insert(&[
            with(order("young"), json!({ "occurred_at": young })),
            with(order("old"), json!({ "occurred_at": old })),
        ])
        .await;
        rig.until_state("meta", "order_paid:young", "pending").await;
        let due = "select due_at between tried_at and tried_at + interval '10 seconds'
                      and abs(extract(epoch from tried_at - now())) < 30
                     from conversion_outbox.delivery where state = 'pending' and tries > 0";
        assert!(rig.one::<bool>(due).await, "{wrong_by}");
        rig.until_state("meta", "order_paid:old", "expired").await;
        assert!(rig.sandbox.remove_fault(down));
        rig.until_final().await;
        assert_eq!(rig.state("meta", "order_paid:young").await, "accepted");
        worker.drain().await;
    }
}
