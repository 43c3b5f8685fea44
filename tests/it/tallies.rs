//! The tallies say what the rows say, at every moment of an event's life, whoever changes a row and whenever they are folded.

use conversion_outbox::claim::{Claimed, Ticket};
use conversion_outbox::outcome::{Reason, State};
use conversion_outbox::settle::{self, Settlement};
use conversion_outbox::tally;
use serde_json::{Value, json};

use crate::harness::{GRANTED, Outbox, Session};
use crate::work::{accepted, claim_due, claim_events, failed, tried, write_events};

/// Nothing would be mended by counting the rows, and folding changes no figure.
async fn agree(outbox: &Outbox, admin: &Session, when: &str) -> Value {
    let mended: i64 = admin
        .one("select conversion_outbox.recount_tallies()")
        .await;
    assert_eq!(mended, 0, "{when}");
    let before = figures(admin).await;
    while tally::fold(&outbox.worker()).await.expect("folded") {}
    assert_eq!(figures(admin).await, before, "{when}: folded");
    let left: i64 = admin
        .one("select count(*) from conversion_outbox.delivery_tally_news")
        .await;
    assert_eq!(left, 0, "{when}");
    before
}

fn tickets(claimed: &[Claimed]) -> Vec<Ticket> {
    claimed.iter().map(|claimed| claimed.ticket).collect()
}

async fn figures(admin: &Session) -> Value {
    admin
        .one(
            "select jsonb_build_object(
               'events', (select jsonb_agg(to_jsonb(e) - 'day' order by e.event_name) from conversion_outbox.event_day e),
               'deliveries', (select jsonb_object_agg(concat_ws('/', destination, state, reason), array[deliveries, retried, in_time])
                                from conversion_outbox.delivery_day),
               'answers', (select jsonb_object_agg(concat_ws('/', destination, outcome, response_code, error_code), answers)
                             from conversion_outbox.answer_hour))",
        )
        .await
}

#[tokio::test]
async fn every_change_of_a_row_is_counted_whoever_makes_it() {
    let outbox = Outbox::new().await;
    let (admin, worker) = (outbox.admin().await, outbox.worker());
    admin
        .run("insert into conversion_outbox.destination (name, platform) values ('meta', 'meta')")
        .await;
    write_events(&outbox, 6).await;
    let queued = agree(&outbox, &admin, "queued").await;
    assert_eq!(queued["events"][0]["events"], 6, "{queued}");

    // One is accepted, one refused, one waits after an error, one is suppressed, one will not be known, one stays queued.
    let claimed = claim_events(&worker, 5, 0).await;
    let ended = |n: usize, state, reason, outcome, code| Settlement {
        state,
        reason: Some(reason),
        log: vec![tried(outcome, code)],
        ..accepted(claimed[n].ticket, "meta")
    };
    let settlements = [
        accepted(claimed[0].ticket, "meta"),
        ended(
            1,
            State::Rejected,
            Reason::RefusedByPlatform,
            "rejected",
            Some(400),
        ),
        failed(claimed[2].ticket, 1, 100),
        Settlement {
            tries: 0,
            attempts: 0,
            log: vec![],
            permit: None,
            ..ended(3, State::Suppressed, Reason::ConsentDenied, "", None)
        },
        ended(4, State::Uncertain, Reason::NoAnswer, "ambiguous", None),
    ];
    settle::settle(&worker, &settlements, &tickets(&claimed), 1)
        .await
        .expect("settled");
    let settled = agree(&outbox, &admin, "settled").await;
    assert_eq!(settled["events"][0]["events"], 6);
    assert_eq!(settled["events"][0]["consent_granted"], 6);
    assert_eq!(settled["deliveries"].as_object().expect("some").len(), 5);
    assert_eq!(
        settled["answers"],
        json!({"meta/accepted/200": 1, "meta/rejected/400": 1, "meta/retry/503": 1, "meta/ambiguous": 1}),
        "what was suppressed met no platform"
    );

    // A claim alone counts nothing; the second try is one more answer.
    let due = claim_due(&worker, 3600).await;
    assert_eq!(due.len(), 1);
    assert_eq!(agree(&outbox, &admin, "claimed").await, settled);
    let second = Settlement {
        tries: 2,
        attempts: 2,
        ..accepted(due[0].ticket, "meta")
    };
    settle::settle(&worker, &[second], &[], 1)
        .await
        .expect("settled");
    let again = agree(&outbox, &admin, "tried again").await;
    assert_eq!(again["deliveries"]["meta/accepted"], json!([2, 1, 0]));
    assert_eq!(again["answers"]["meta/accepted/200"], 2);

    // People: what goes again was answered before and stays counted once.
    let operator = outbox.session("operator").await;
    operator
        .run("select conversion_outbox.replay_deliveries(array_agg(event_no), array_agg(destination), 'mended')
               from conversion_outbox.dead_letter where state = 'rejected'")
        .await;
    let replayed = agree(&outbox, &admin, "replayed").await;
    assert_eq!(
        replayed["deliveries"]["meta/pending/replayed"],
        json!([1, 0, 0])
    );
    assert_eq!(replayed["answers"], again["answers"]);
    let privacy = outbox.session("privacy").await;
    privacy
        .run("select conversion_outbox.erase_subject(array(select 'order-' || n from generate_series(1, 6) n))")
        .await;
    let erased = agree(&outbox, &admin, "erased").await;
    assert_eq!(erased["events"][0]["events"], 6, "an erased event was one");
    assert!(
        erased["deliveries"].get("meta/pending/replayed").is_none(),
        "{erased}"
    );
}

#[tokio::test]
async fn signals_are_counted_by_the_rules_of_the_metrics() {
    let outbox = Outbox::new().await;
    let admin = outbox.admin().await;
    let app = outbox.session("app").await;
    for (n, (user, clicks)) in [
        (r#"{"email": "ada@example.com"}"#, r#"{"gclid": "x"}"#),
        (
            r#"{"email": ["", " "], "phone": [null, "+493012345678"]}"#,
            r#"{"ga_client_id": "1.2", "fbp": "fb.1.2.3"}"#,
        ),
        (
            r#"{"email": [["nested@example.com"]], "phone": 493012345678, "external_id": 7}"#,
            r#"{"fbc": ""}"#,
        ),
        (
            r#"{"external_id": "  "}"#,
            r#"{"gclid": ["x"], "wbraid": 7}"#,
        ),
        ("[]", "7"),
    ]
    .into_iter()
    .enumerate()
    {
        app.run(&format!(
            "insert into conversion_outbox.event (event_name, business_id, consent, user_data, click_ids)
             values ('order_paid', 'o-{n}', {GRANTED}, '{user}', '{clicks}')"
        ))
        .await;
    }
    let queued: Value = admin
        .one("select to_jsonb(e) - 'day' - 'event_name' from conversion_outbox.event_day e")
        .await;
    assert_eq!(
        queued,
        json!({"events": 5, "click_id": 2, "email": 1, "phone": 2, "external_id": 1,
               "consent_granted": 5, "consent_denied": 0, "consent_unspecified": 0})
    );
    // The same when they have left the queue, also where a row holds what the application's insert would have mended.
    admin
        .run(
            "alter table conversion_outbox.event disable trigger user;
             update conversion_outbox.event set click_ids = '7', user_data = '\"x\"', consent = '{\"ad_user_data\": 7}' where business_id = 'o-0';
             alter table conversion_outbox.event enable trigger user;
             delete from conversion_outbox.queue",
        )
        .await;
    let left: Value = admin
        .one("select to_jsonb(e) - 'day' - 'event_name' from conversion_outbox.event_day e")
        .await;
    assert_eq!(
        left,
        json!({"events": 5, "click_id": 1, "email": 0, "phone": 2, "external_id": 1,
               "consent_granted": 4, "consent_denied": 0, "consent_unspecified": 1})
    );
    agree(&outbox, &admin, "left").await;
}

#[tokio::test]
async fn two_who_fold_do_not_wait_for_each_other_and_writers_wait_for_nobody() {
    let outbox = Outbox::new().await;
    let (admin, other) = (outbox.admin().await, outbox.admin().await);
    admin
        .run("insert into conversion_outbox.destination (name, platform) values ('meta', 'meta')")
        .await;
    write_events(&outbox, 2).await;
    let worker = outbox.worker();
    let claimed = claim_events(&worker, 2, 0).await;
    settle::settle(
        &worker,
        &[accepted(claimed[0].ticket, "meta")],
        &tickets(&claimed[..1]),
        1,
    )
    .await
    .expect("settled");
    // Somebody folds and does not commit.
    other
        .run("begin; select conversion_outbox.fold_tallies(100)")
        .await;
    assert!(!tally::fold(&worker).await.expect("no wait"));
    settle::settle(
        &worker,
        &[accepted(claimed[1].ticket, "meta")],
        &tickets(&claimed[1..]),
        1,
    )
    .await
    .expect("no wait");
    other.run("commit").await;
    let seen: Value = figures(&admin).await;
    assert_eq!(seen["deliveries"]["meta/accepted"][0], 2);
    agree(&outbox, &admin, "folded").await;
}

#[tokio::test]
async fn what_was_there_before_is_counted_in_while_others_go_on() {
    let outbox = Outbox::new().await;
    let admin = outbox.admin().await;
    admin
        .run(
            "insert into conversion_outbox.destination (name, platform) values ('meta', 'meta');
             set session_replication_role = replica",
        )
        .await;
    admin
        .run(&format!(
            "with written as (
               insert into conversion_outbox.event (event_id, event_name, business_id, occurred_at, consent)
               select 'old-' || n, 'order_paid', 'old-' || n, now(), {GRANTED} from generate_series(1, 50) n returning event_no)
             insert into conversion_outbox.delivery (event_no, destination, state, tries, attempts, tried_at, settled_at, payload_hash)
             select event_no, 'meta', 'accepted', 1, 1, now(), now(), sha256('x') from written"
        ))
        .await;
    admin.run("set session_replication_role = origin").await;
    // One of them changes before it was ever counted.
    admin
        .run(
            "update conversion_outbox.delivery set state = 'rejected', reason = 'refused_by_platform'
              where event_no = (select min(event_no) from conversion_outbox.delivery)",
        )
        .await;
    let mended: i64 = admin
        .one("select conversion_outbox.recount_tallies()")
        .await;
    assert!(mended > 0);
    let seen = agree(&outbox, &admin, "counted").await;
    assert_eq!(seen["deliveries"]["meta/accepted"][0], 49, "{seen}");
    assert_eq!(
        seen["deliveries"]["meta/rejected/refused_by_platform"][0],
        1
    );
}

/// What waits in the queue is counted there once; who claims it, cancels it, settles it or erases it changes no sum but its own.
#[tokio::test]
async fn a_queue_that_waits_is_counted_once_and_not_read_again() {
    let outbox = Outbox::new().await;
    let (admin, worker) = (outbox.admin().await, outbox.worker());
    admin
        .run("insert into conversion_outbox.destination (name, platform) values ('meta', 'meta'), ('ga4', 'ga4')")
        .await;
    write_events(&outbox, 6).await;
    let queued = "select jsonb_object_agg(destination, events) from conversion_outbox.queued_day";
    let uncounted = "select count(*) from conversion_outbox.queue where not counted";
    let before = figures(&admin).await;
    // The first look only remembers; what is still there at the second waits.
    for left in [6, 0] {
        tally::fold(&worker).await.expect("folded");
        assert_eq!(admin.one::<i64>(uncounted).await, left);
        assert_eq!(figures(&admin).await, before);
        assert_eq!(
            admin.one::<Value>(queued).await,
            json!({"meta": 6, "ga4": 6})
        );
    }
    // A count in vain: nobody has to look at the queue, and the rows say the same.
    agree(&outbox, &admin, "counted in the queue").await;

    // One is done everywhere, one at one destination, and one more comes.
    let claimed = claim_events(&worker, 2, 0).await;
    let settlements = [
        accepted(claimed[0].ticket, "meta"),
        accepted(claimed[0].ticket, "ga4"),
        accepted(claimed[1].ticket, "meta"),
    ];
    settle::settle(&worker, &settlements, &tickets(&claimed[..1]), 1)
        .await
        .expect("settled");
    outbox
        .session("app")
        .await
        .run(&format!(
            "insert into conversion_outbox.event (event_name, business_id, consent) values ('order_paid', 'late', {GRANTED})"
        ))
        .await;
    let settled = agree(&outbox, &admin, "settled").await;
    assert_eq!(settled["events"][0]["events"], 7, "{settled}");
    assert_eq!(
        admin.one::<Value>(queued).await,
        json!({"meta": 5, "ga4": 6})
    );
    admin.run("delete from conversion_outbox.queue").await;
    let left = agree(&outbox, &admin, "left").await;
    assert_eq!(left["events"], settled["events"]);
    let none: i64 = admin
        .one("select count(*) + (select sum(queued) from conversion_outbox.event_tally)::bigint from conversion_outbox.queued_day")
        .await;
    assert_eq!(none, 0);
}

/// Somebody else's publication of all tables asks for the old row of whatever is deleted.
#[tokio::test]
async fn every_table_can_be_published() {
    let outbox = Outbox::new().await;
    let admin = outbox.admin().await;
    let without: i64 = admin
        .one(
            "select count(*) from pg_class c where c.relkind = 'r' and c.relnamespace = 'conversion_outbox'::regnamespace
                and c.relreplident <> 'f' and not exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary)",
        )
        .await;
    assert_eq!(without, 0);
}
