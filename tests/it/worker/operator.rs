//! What people do by hand: pausing, sending again, ending. None of it sends anything twice that counts.

use std::process::Output;

use chrono::{TimeDelta, Utc};
use conversion_outbox::config::Config;
use conversion_outbox::db::connect::Database;
use conversion_outbox::destinations::Platform as Destination;
use conversion_outbox::replay::{self, Candidate, Doubt, Filter, Prospect, Risk};
use conversion_outbox::sandbox::{FaultKind, Platform};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::rig::{Rig, Setup, lead, order, with};

const META: Setup = Setup {
    platforms: Some(&[Destination::Meta]),
    worker: "hold_probe_secs = 1",
    meta: "",
    ga4: "",
    google: "",
    ads: "",
    linkedin: "",
    rest: "",
    meta_url: None,
    is_proxied: false,
};

/// Where running totals and rows disagree; nowhere.
const UNTRUE_TOTALS: &str = "
    select coalesce(string_agg(format('%s %s: %s counted, %s there', destination, state, t.total, d.count), ', '), '')
      from conversion_outbox.destination_total t
      full join (select destination, state, count(*) from conversion_outbox.delivery where state <> 'pending' group by 1, 2) d
           using (destination, state)
     where coalesce(t.total, 0) <> coalesce(d.count, 0)";

/// Runs a command with the rig's configuration, changing things with a superuser's login.
async fn command(rig: &Rig, setup: Setup, args: &[&str]) -> Output {
    let config = rig.write("operator.toml", &rig.configuration(setup));
    Command::new(env!("CARGO_BIN_EXE_conversion-outbox"))
        .args(args)
        .args(["--database-url-env", "OPERATOR_URL", "--config"])
        .arg(config)
        .env("OPERATOR_URL", rig.url())
        .output()
        .await
        .expect("it starts")
}

async fn told(rig: &Rig, setup: Setup, args: &[&str]) -> Value {
    let output = command(rig, setup, &[args, &["--json"]].concat()).await;
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {error}");
    serde_json::from_slice(&output.stdout).expect("json")
}

fn surroundings(rig: &Rig, setup: Setup) -> (Config, Database) {
    let config =
        Config::parse(&rig.configuration(setup), "rig.toml", []).expect("a valid configuration");
    let database = Database::open(&config.database).expect("a valid address");
    (config, database)
}

/// The dead letters, oldest first.
async fn dead(database: &Database) -> Vec<Candidate> {
    replay::read(database, &Filter::default(), false, None)
        .await
        .expect("read")
}

#[tokio::test]
async fn a_paused_destination_is_resumed_by_a_person_alone() {
    let rig = Rig::new().await;
    let workers = [rig.work_with(META), rig.work_with(META)];
    let under_way = rig.event_fault(FaultKind::HoldBefore, Platform::Meta, |fault| {
        fault.times = Some(1);
    });
    rig.insert(&[order("under-way")]).await;
    rig.held(under_way, 1).await;
    let paused = [
        "destinations",
        "pause",
        "meta",
        "--reason",
        "an audit of the account",
    ];
    assert_eq!(told(&rig, META, &paused).await["changed"], json!(true));
    let gates = |is_held: bool| {
        let workers = &workers;
        move || {
            workers
                .iter()
                .all(|worker| worker.metric(HELD) == f64::from(u8::from(is_held)))
        }
    };
    eventually(gates(true)).await;
    // A good answer from before says nothing of the pause; neither does a refused token, nor a probe's time.
    rig.sandbox.release(under_way);
    rig.until_state("meta", "order_paid:under-way", "accepted")
        .await;
    rig.insert(&[order("o-1")]).await;
    rig.until_state("meta", "order_paid:o-1", "pending/destination_held")
        .await;
    rig.write("meta.token", "another-token");
    rig.pass(TimeDelta::days(2));
    rig.insert(&[order("o-2")]).await;
    rig.until_state("meta", "order_paid:o-2", "pending/destination_held")
        .await;
    assert_eq!(rig.arrived(Platform::Meta).len(), 1);
    let reason = "select hold_reason || ' ' || hold_advice from conversion_outbox.destination";
    assert_eq!(
        rig.one::<String>(reason).await,
        "paused paused by postgres: an audit of the account"
    );
    rig.write("meta.token", crate::rig::TOKEN);
    let resumed = told(&rig, META, &["destinations", "resume", "meta"]).await;
    assert_eq!(resumed["changed"], json!(true));
    rig.until_final().await;
    assert_eq!(rig.count("meta", "accepted").await, 3);
    let audit = "select string_agg(action || ' ' || login || ' ' || reason, ', ' order by audit_no) from conversion_outbox.audit";
    assert_eq!(
        rig.one::<String>(audit).await,
        "pause postgres an audit of the account, resume postgres resumed by hand"
    );
    for worker in workers {
        worker.drain().await;
    }
}

const HELD: &str = "conversion_outbox_destination_held{destination=\"meta\"}";

/// Asks again and again, letting others work in between.
async fn eventually(mut holds: impl FnMut() -> bool) {
    let asking = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), asking)
        .await
        .expect("it comes true");
}

#[tokio::test]
async fn a_refusal_while_paused_neither_lifts_nor_replaces_the_pause() {
    let rig = Rig::new().await;
    let worker = rig.work_with(META);
    let under_way = rig.event_fault(FaultKind::HoldBefore, Platform::Meta, |fault| {
        fault.times = Some(1);
    });
    rig.insert(&[order("o-1")]).await;
    rig.held(under_way, 1).await;
    rig.run("select conversion_outbox.pause_destination('meta', 'moving house')")
        .await;
    eventually(|| worker.metric(HELD) > 0.0).await;
    rig.sandbox.put_account(
        Platform::Meta,
        crate::rig::DATASET,
        conversion_outbox::sandbox::Account::with_token("another"),
    );
    rig.sandbox.release(under_way);
    rig.until_state("meta", "order_paid:o-1", "pending/destination_held")
        .await;
    rig.pass(TimeDelta::minutes(10));
    rig.insert(&[order("o-2")]).await;
    rig.until_state("meta", "order_paid:o-2", "pending/destination_held")
        .await;
    let reason = "select hold_reason from conversion_outbox.destination";
    assert_eq!(rig.one::<String>(reason).await, "paused");
    assert_eq!(rig.arrived(Platform::Meta).len(), 1, "the refused one");
    worker.drain().await;
}

#[tokio::test]
async fn what_was_refused_goes_again_once_and_what_was_accepted_never() {
    let rig = Rig::new().await;
    let worker = rig.work_with(META);
    let refusing = rig.event_fault(FaultKind::MetaError, Platform::Meta, |fault| {
        fault.code = Some(100);
        fault.subcode = Some(2_804_019);
    });
    rig.insert(&[order("o-1"), order("o-2")]).await;
    rig.until_final().await;
    assert_eq!(rig.count("meta", "rejected").await, 2);
    rig.sandbox.remove_fault(refusing);
    rig.insert(&[order("good")]).await;
    rig.until_final().await;

    let by = [
        "dead-letters",
        "replay",
        "--destination",
        "meta",
        "--state",
        "rejected",
    ];
    let dry = told(&rig, META, &by).await;
    assert_eq!(
        (&dry["dry_run"], &dry["found"], &dry["changed"]),
        (&json!(true), &json!(2), &json!(0))
    );
    assert_eq!(
        rig.count("meta", "rejected").await,
        2,
        "a dry run changes nothing"
    );
    let refused = command(&rig, META, &[&by[..], &["--yes"]].concat()).await;
    assert_eq!(refused.status.code(), Some(2), "a reason is asked for");
    let refused = command(&rig, META, &["dead-letters", "replay"]).await;
    assert_eq!(refused.status.code(), Some(2), "and a filter, or --all");

    // Two people at once.
    let (_, database) = surroundings(&rig, META);
    let chosen = dead(&database).await;
    let owner = rig.operator();
    let chosen: Vec<(i64, &str)> = chosen
        .iter()
        .map(|one| (one.event_no, one.destination.as_str()))
        .collect();
    let asked = json!({});
    let again = || replay::replay(&owner, &chosen, Doubt::Refuse, "mended", &asked);
    let (one, other) = tokio::join!(again(), again());
    assert_eq!(one.expect("done") + other.expect("done"), 2);
    rig.until_final().await;
    assert_eq!(rig.count("meta", "accepted").await, 3);
    let all: Vec<i64> = vec![1, 2, 3];
    let meta = vec!["meta"; 3];
    let chosen: Vec<(i64, &str)> = all.into_iter().zip(meta).collect();
    let forced = replay::replay(&owner, &chosen, Doubt::Forget, "once more", &asked).await;
    assert_eq!(forced.expect("done"), 0, "accepted is accepted");
    assert_eq!(rig.one::<String>(UNTRUE_TOTALS).await, "");
    assert_eq!(rig.doubles(), 0);
    let shown = told(&rig, META, &["events", "show", "order_paid:o-1"]).await;
    let outcomes: Vec<&str> = shown["deliveries"][0]["log"]
        .as_array()
        .expect("a log")
        .iter()
        .filter_map(|one| one["outcome"].as_str())
        .collect();
    assert_eq!(outcomes, ["batch_rejected", "rejected", "accepted"]);
    assert_eq!(shown["by_hand"][0]["action"], "replay");
    let text = String::from_utf8(
        command(&rig, META, &["events", "show", "order_paid:o-1"])
            .await
            .stdout,
    )
    .expect("text");
    assert!(
        text.contains("meta: try 3 accepted") && !text.contains("example.com"),
        "{text}"
    );
    worker.drain().await;
}

#[tokio::test]
async fn what_may_have_arrived_goes_again_only_where_it_is_discarded_or_by_force() {
    let rig = Rig::new().await;
    let setup = Setup::only(&[Destination::Meta, Destination::Ga4, Destination::LinkedIn])
        .lines(Destination::Meta, "on_ambiguous = \"uncertain\"");
    let worker = rig.work_with(setup);
    for platform in [Platform::Meta, Platform::Ga4, Platform::LinkedIn] {
        rig.event_fault(FaultKind::ResetAfter, platform, |fault| {
            fault.times = Some(1)
        });
    }
    rig.insert(&[with(lead("l-1"), json!({ "event_id": "l-1" }))])
        .await;
    rig.until_final().await;
    worker.drain().await;
    // The operator changed their mind about Meta, which discards a repeat for two days.
    let setup = Setup { meta: "", ..setup };
    let (config, database) = surroundings(&rig, setup);
    let prospects = |ahead: TimeDelta| {
        let (config, database) = (&config, &database);
        async move {
            let now = Utc::now() + ahead;
            let found = dead(database).await;
            found
                .iter()
                .map(|one| (one.destination.clone(), one.prospect(config, now)))
                .collect::<Vec<_>>()
        }
    };
    let named = |meta, ga4, linkedin| {
        [("ga4", ga4), ("linkedin", linkedin), ("meta", meta)]
            .map(|(name, prospect)| (name.to_owned(), prospect))
            .to_vec()
    };
    let twice = Prospect::AtRisk(Risk::MayCountTwice);
    assert_eq!(
        prospects(TimeDelta::zero()).await,
        named(Prospect::Goes(Doubt::Keep), twice, twice)
    );
    let over = Prospect::AtRisk(Risk::WindowOver);
    assert_eq!(
        prospects(TimeDelta::hours(49)).await,
        named(over, twice, twice)
    );
    let old = Prospect::AtRisk(Risk::TooOld);
    assert_eq!(
        prospects(TimeDelta::days(8)).await[0].1,
        old,
        "GA4 takes nothing so old"
    );

    // The database itself refuses what nobody took the risk for.
    let owner = rig.operator();
    let everywhere = [(1, "meta"), (1, "ga4"), (1, "linkedin")];
    let done = replay::replay(&owner, &everywhere, Doubt::Refuse, "again", &json!({})).await;
    assert_eq!(done.expect("done"), 0);
    let by = [
        "events",
        "replay",
        "l-1",
        "--yes",
        "--reason",
        "the report lacks it",
    ];
    assert_eq!(told(&rig, setup, &by).await["changed"], json!(1));
    let second = rig.work_with(setup);
    rig.until_final().await;
    assert_eq!(rig.state("meta", "l-1").await, "accepted");
    assert_eq!(rig.state("linkedin", "l-1").await, "uncertain/no_answer");
    let forced = [&by[..], &["--force", "--destination", "linkedin"]].concat();
    assert_eq!(told(&rig, setup, &forced).await["changed"], json!(1));
    rig.until_final().await;
    assert_eq!(rig.state("linkedin", "l-1").await, "accepted");
    assert_eq!(rig.one::<String>(UNTRUE_TOTALS).await, "");
    second.drain().await;
}

#[tokio::test]
async fn what_a_worker_holds_is_not_ended_by_hand_and_the_rest_is() {
    let rig = Rig::new().await;
    let worker = rig.work_with(META);
    rig.until("exists (select from conversion_outbox.destination)")
        .await;
    rig.run("select conversion_outbox.pause_destination('meta', 'a test')")
        .await;
    eventually(|| worker.metric(HELD) > 0.0).await;
    rig.insert(&[order("o-1"), order("o-2")]).await;
    rig.until("(select count(*) from conversion_outbox.delivery where state = 'pending' and lease_until is null) = 2").await;
    rig.run("update conversion_outbox.delivery set lease_until = now() + interval '1 hour', claim_no = claim_no + 1
              where event_no = 2")
        .await;
    let skip = |id: &'static str| ["events", "skip", id, "--yes", "--reason", "a test order"];
    assert_eq!(
        told(&rig, META, &skip("order_paid:o-1")).await["changed"],
        json!(1)
    );
    assert_eq!(
        told(&rig, META, &skip("order_paid:o-2")).await["changed"],
        json!(0)
    );
    assert_eq!(
        rig.state("meta", "order_paid:o-1").await,
        "cancelled/by_operator"
    );
    assert_eq!(rig.one::<String>(UNTRUE_TOTALS).await, "");
    // Whoever ended it may want it after all.
    let by = [
        "events",
        "replay",
        "order_paid:o-1",
        "--yes",
        "--reason",
        "it was none",
    ];
    assert_eq!(told(&rig, META, &by).await["changed"], json!(1));
    rig.run("update conversion_outbox.delivery set lease_until = null; select conversion_outbox.resume_destination('meta')").await;
    rig.until_final().await;
    assert_eq!(rig.count("meta", "accepted").await, 2);
    assert_eq!(rig.one::<String>(UNTRUE_TOTALS).await, "");
    worker.drain().await;
}

#[tokio::test]
async fn dead_letters_are_listed_in_groups_with_advice() {
    let rig = Rig::new().await;
    let worker = rig.work_with(META);
    rig.event_fault(FaultKind::MetaError, Platform::Meta, |fault| {
        fault.code = Some(100);
        fault.subcode = Some(2_804_019);
    });
    rig.insert(&[order("o-1"), order("o-2")]).await;
    rig.until_final().await;
    let groups = told(&rig, META, &["dead-letters", "list", "--by-reason"]).await;
    assert_eq!(
        (&groups[0]["deliveries"], &groups[0]["reason"]),
        (&json!(2), &json!("refused_by_platform"))
    );
    assert!(
        groups[0]["advice"]
            .as_str()
            .is_some_and(|advice| advice.contains("replay"))
    );
    let letters = told(
        &rig,
        META,
        &["dead-letters", "list", "--event-id", "order_paid:o-1"],
    )
    .await;
    assert_eq!(letters.as_array().map(Vec::len), Some(1));
    assert_eq!(
        told(&rig, META, &["dead-letters", "list", "--until", "1d"]).await,
        json!([])
    );
    let events = told(&rig, META, &["events", "list", "--business-id", "o-2"]).await;
    assert_eq!(events[0]["states"], json!({ "meta": "rejected" }));
    let missing = command(&rig, META, &["events", "show", "nobody"]).await;
    assert_eq!(missing.status.code(), Some(1));
    worker.drain().await;
}
