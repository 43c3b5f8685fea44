//! Settling, erasing, withdrawing and repeating, all at once on the same rows: nobody is ended for the sake of another, or
//! the worker is and tries again; never is an erasure lost or a total wrong.

use chrono::TimeDelta;
use conversion_outbox::destinations::Platform as Destination;
use conversion_outbox::sandbox::{FaultKind, Platform};

use super::until_with_time;
use crate::rig::{Rig, Setup, insert_in, lead, order};

const PLATFORMS: &[Destination] = &[Destination::Meta, Destination::Ga4, Destination::LinkedIn];

#[tokio::test]
async fn settling_erasing_withdrawing_and_repeating_race_without_a_deadlock_for_the_application() {
    const COUNT: usize = 60;
    let rig = Rig::new().await;
    // Half of Meta's requests fail, so that waiting deliveries are updated, not only fresh ones inserted.
    rig.event_fault(FaultKind::Status, Platform::Meta, |fault| {
        (fault.status, fault.every) = (Some(503), Some(2));
    });
    let setup = Setup {
        worker: "backoff_initial_secs = 1\nbackoff_cap_secs = 1",
        ..Setup::only(PLATFORMS)
    };
    let workers = [rig.work_with(setup), rig.work_with(setup)];
    let ids: Vec<String> = (0..COUNT).map(|n| format!("o-{n}")).collect();
    rig.insert(
        &ids.iter()
            .flat_map(|id| [order(id), lead(id)])
            .collect::<Vec<_>>(),
    )
    .await;
    let erasing = async {
        let (client, connection) =
            tokio_postgres::connect(&rig.url_of("postgres"), tokio_postgres::NoTls)
                .await
                .expect("connected");
        tokio::spawn(connection);
        // Backwards and many at a time, against the order in which workers settle.
        for some in ids.rchunks(7) {
            let listed: Vec<&str> = some.iter().rev().map(String::as_str).collect();
            client
                .query_one(
                    "select conversion_outbox.erase_subject(business_ids => $1)",
                    &[&listed],
                )
                .await
                .expect("an erasure is not ended for a worker's sake");
        }
    };
    let withdrawing = async {
        let app = rig.app().await;
        for id in ids.iter().step_by(2) {
            app.query(
                "select conversion_outbox.withdraw_consent(business_id => $1)",
                &[id],
            )
            .await
            .expect("nobody waits");
        }
    };
    let repeating = async {
        let mut app = rig.app().await;
        for id in &ids {
            let transaction = app.transaction().await.expect("begun");
            insert_in(&transaction, &[order(id), lead(id)]).await;
            transaction.commit().await.expect("committed");
        }
    };
    // Leases run out under the workers' hands, as after a pause of the whole machine.
    let passing = async {
        for _ in 0..20 {
            rig.pass(TimeDelta::seconds(61));
            rig.until_for(std::time::Duration::from_millis(20), "false")
                .await;
        }
    };
    futures::join!(erasing, withdrawing, repeating, passing);
    rig.sandbox.clear_faults();
    until_with_time(
        &rig,
        super::SOME_FAILURES,
        "not exists (select from conversion_outbox.queue)
         and not exists (select from conversion_outbox.delivery where state = 'pending')",
    )
    .await;
    let all: i64 = rig
        .one("select count(*) from conversion_outbox.delivery")
        .await;
    assert_eq!(all, 2 * 3 * i64::try_from(COUNT).expect("a few"));
    let personal: i64 = rig
        .one("select count(*) from conversion_outbox.event where user_data <> '{}'")
        .await;
    assert_eq!(personal, 0);
    let wrong: i64 = rig
        .one(
            "select count(*) from (
               select destination, state, sum(total) as n from conversion_outbox.delivery_total group by 1, 2 having sum(total) <> 0
               except select destination, state, count(*) from conversion_outbox.delivery group by 1, 2) w",
        )
        .await;
    assert_eq!(wrong, 0, "totals are exact");
    for worker in workers {
        worker.drain().await;
    }
}
