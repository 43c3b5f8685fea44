//! Access tokens that end, are taken back, or are wanted by many at once.

use chrono::TimeDelta;
use conversion_outbox::destinations::Platform as Destination;
use conversion_outbox::sandbox::google::{RefreshClient, ServiceAccount};
use conversion_outbox::sandbox::{FaultKind, Platform, Verdict};
use serde_json::Value;

use super::{DATA_MANAGER, data_manager};
use crate::rig::{ACTION, CUSTOMER, Rig, Setup, order};

#[tokio::test]
async fn a_revoked_token_is_renewed_without_a_hold() {
    let rig = Rig::new().await;
    let worker = rig.work_with(data_manager());
    rig.insert(&[order("o-1")]).await;
    rig.until_state(DATA_MANAGER, "order_paid:o-1", "sent")
        .await;
    rig.sandbox.google(|world| world.revoke_access_tokens());
    rig.insert(&[order("o-2")]).await;
    rig.until_state(DATA_MANAGER, "order_paid:o-2", "sent")
        .await;
    let tries: i64 = rig
        .one("select sum(tries)::bigint from conversion_outbox.delivery")
        .await;
    assert_eq!(tries, 2);
    let tokens = rig
        .sandbox
        .read(|ledger| ledger.call(Platform::GoogleDataManager, "/token"));
    assert_eq!(tokens.calls, 2);
    worker.drain().await;
}

#[tokio::test]
async fn a_token_is_asked_for_once_however_many_need_it_and_renewed_before_it_ends() {
    let rig = Rig::new().await;
    rig.fault(FaultKind::Latency, Platform::GoogleDataManager, |fault| {
        (fault.path, fault.latency_ms) = (Some("/token".into()), Some(100));
    });
    let events: Vec<Value> = (0..40).map(|n| order(&format!("o-{n}"))).collect();
    rig.insert(&events).await;
    let worker = rig.work_with(data_manager().lines(
        Destination::GoogleDataManager,
        "batch_size = 1\nconcurrency = 8",
    ));
    rig.until_final().await;
    let calls = |rig: &Rig| {
        rig.sandbox
            .read(|ledger| ledger.call(Platform::GoogleDataManager, "/token"))
    };
    assert_eq!((calls(&rig).calls, calls(&rig).at_once_max), (1, 1));
    // Good for an hour, renewed when less than four minutes are left.
    rig.later(TimeDelta::minutes(57)).await;
    rig.insert(&[order("o-40")]).await;
    rig.until_state(DATA_MANAGER, "order_paid:o-40", "sent")
        .await;
    assert_eq!(calls(&rig).calls, 2);
    let refused = rig
        .sandbox
        .read(|ledger| ledger.count(Platform::GoogleDataManager, Verdict::Rejected));
    assert_eq!(refused, 0);
    worker.drain().await;
}

#[tokio::test]
async fn a_refresh_token_that_was_taken_back_holds_until_there_is_another() {
    let rig = Rig::new().await;
    rig.sandbox.google(|world| {
        world.add_client(RefreshClient::new("client", "secret", "first"));
        world.add_service_account(ServiceAccount::of_sandbox());
    });
    rig.write("client.secret", "secret");
    rig.write("refresh.token", "first");
    let keys = format!(
        "[[destination]]\nname = \"user\"\nplatform = \"google_data_manager\"\noperating_account = \"{CUSTOMER}\"
base_url = \"{0}\"\ntoken_url = \"{0}/token\"\nconversion_actions = {{ order_paid = \"{ACTION}\" }}
oauth = {{ client_id = \"client\", client_secret = {{ file = \"{1}/client.secret\" }}, refresh_token = {{ file = \"{1}/refresh.token\" }} }}",
        rig.sandbox.url(),
        rig.folder.path().display()
    );
    let setup = Setup {
        rest: keys.leak(),
        ..Setup::only(&[])
    };
    let worker = rig.work_with(setup);
    rig.insert(&[order("o-1")]).await;
    rig.until_state("user", "order_paid:o-1", "sent").await;
    rig.sandbox.google(|world| {
        world.revoke_refresh_token("first");
        world.revoke_access_tokens();
    });
    rig.insert(&[order("o-2")]).await;
    rig.until_state("user", "order_paid:o-2", "pending/destination_held")
        .await;
    let told: String = rig
        .one("select hold_reason || ' ' || hold_code from conversion_outbox.destination where name = 'user'")
        .await;
    assert_eq!(told, "credential invalid_grant");
    rig.sandbox.google(|world| {
        world.add_client(RefreshClient::new("client", "secret", "second"));
    });
    rig.write("refresh.token", "second");
    rig.until_state("user", "order_paid:o-2", "sent").await;
    let attempts: i16 = rig
        .one("select max(attempts) from conversion_outbox.delivery where destination = 'user'")
        .await;
    assert_eq!(attempts, 1);
    worker.drain().await;
}
