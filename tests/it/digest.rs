//! The morning's digest says what the tables say, in every form it is written in.

use chrono::Utc;
use conversion_outbox::digest;
use conversion_outbox::outcome::{Reason, State};
use conversion_outbox::settle::{self, Settlement};
use serde_json::{Value, json};

use crate::harness::{GRANTED, Outbox};
use crate::work::{accepted, claim_events, tried};

/// Ten orders at one destination: six taken, two refused with a nasty code, one suppressed, one still in the queue.
async fn a_day(outbox: &Outbox) {
    let admin = outbox.admin().await;
    admin
        .run("insert into conversion_outbox.destination (name, platform) values ('meta', 'meta')")
        .await;
    let app = outbox.session("app").await;
    app.run(&format!(
        "insert into conversion_outbox.event (event_name, business_id, consent, user_data, click_ids)
         select 'order_paid', 'order-' || n, {GRANTED}, jsonb_build_object('email', 'secret-' || n || '@example.com'),
                case when n % 2 = 0 then '{{\"gclid\": \"x\"}}'::jsonb else '{{}}' end
           from generate_series(1, 10) n"
    ))
    .await;
    let worker = outbox.worker();
    let claimed = claim_events(&worker, 9, 0).await;
    let now = Utc::now();
    let settlements: Vec<Settlement> = claimed
        .iter()
        .enumerate()
        .map(|(n, claimed)| {
            let mut settlement = accepted(claimed.ticket, "meta");
            settlement.settled_at = Some(now);
            settlement.log[0].tried_at = now;
            match n {
                6 | 7 => Settlement {
                    state: State::Rejected,
                    reason: Some(Reason::RefusedByPlatform),
                    error_code: Some("=1|<b>`x".to_owned()),
                    log: vec![settle::Try {
                        tried_at: now,
                        ..tried("rejected", Some(400))
                    }],
                    ..settlement
                },
                8 => Settlement {
                    state: State::Suppressed,
                    reason: Some(Reason::ConsentDenied),
                    tries: 0,
                    attempts: 0,
                    permit: None,
                    log: vec![],
                    ..settlement
                },
                _ => settlement,
            }
        })
        .collect();
    let tickets: Vec<_> = claimed.iter().map(|claimed| claimed.ticket).collect();
    settle::settle(&worker, &settlements, &tickets, 1)
        .await
        .expect("settled");
}

#[tokio::test]
async fn a_day_is_told_to_the_last_event_in_every_form() {
    let outbox = Outbox::new().await;
    a_day(&outbox).await;
    let now = Utc::now();
    let digest = digest::read(
        &outbox.operator(),
        now.date_naive(),
        Some("staging|<i>".to_owned()),
        now,
    )
    .await
    .expect("read");
    let json: Value = serde_json::to_value(&digest).expect("json");
    let events = &json["events"][0];
    assert_eq!(
        (
            &events["events"],
            &events["click_id"],
            &events["email"],
            &events["week_before"]["events"]
        ),
        (&json!(10), &json!(5), &json!(10), &json!(0))
    );
    let delivered = &json["deliveries"][0];
    let whys =
        json!({"suppressed/consent_denied": 1, "rejected/refused_by_platform": 2, "queued": 1});
    assert_eq!(
        (
            &delivered["events"],
            &delivered["meant"],
            &delivered["consented"],
            &delivered["sent"],
            &delivered["accepted"],
            &delivered["in_time"]
        ),
        (
            &json!(10),
            &json!(9),
            &json!(8),
            &json!(8),
            &json!(6),
            &json!(6)
        )
    );
    assert_eq!(
        (&delivered["open"], &delivered["lost"], &delivered["whys"]),
        (&json!(1), &json!(2), &whys)
    );
    assert_eq!(
        json["failures"],
        json!([{"destination": "meta", "outcome": "rejected", "response_code": 400, "error_code": "=1|<b>`x", "answers": 2, "day_before": 0}])
    );
    let task = &json["to_do"][0];
    assert_eq!(
        (&task["urgency"], &task["what"]),
        (
            &json!("soon"),
            &json!("2 did not arrive at meta: refused_by_platform, code =1|<b>`x")
        )
    );

    let markdown = digest::markdown(&digest);
    assert!(
        markdown.contains("| meta        | order_paid | 10"),
        "{markdown}"
    );
    assert!(
        markdown.contains("=1\\|\\<b>\\`x") && !markdown.contains(" =1|"),
        "{markdown}"
    );
    let page = digest::page(&digest);
    assert!(
        page.contains("staging|&lt;i&gt;") && !page.contains("<b>`x"),
        "{page}"
    );
    let csv = digest::csv(&digest);
    assert!(
        csv.contains(",deliveries,meta,order_paid,accepted,6\r\n"),
        "{csv}"
    );
    assert!(
        csv.contains(",failures,meta,,rejected/400/=1|<b>`x,2\r\n"),
        "{csv}"
    );
    assert!(csv.lines().all(|line| !line.contains("secret-")), "{csv}");
    for text in [&markdown, &page, &json.to_string()] {
        assert!(!text.contains("secret-"), "{text}");
    }
}

#[tokio::test]
async fn a_day_without_workers_is_told_as_what_it_is() {
    let outbox = Outbox::new().await;
    let admin = outbox.admin().await;
    let app = outbox.session("app").await;
    app.run(&format!(
        "insert into conversion_outbox.event (event_name, business_id, consent) values ('order_paid', 'o-1', {GRANTED})"
    ))
    .await;
    let told = async || {
        let now = Utc::now();
        let digest = digest::read(&outbox.operator(), now.date_naive(), None, now)
            .await
            .expect("read");
        digest::markdown(&digest)
    };
    let markdown = told().await;
    assert!(
        markdown.contains("1 events were written, and no worker has ever run"),
        "{markdown}"
    );
    // All of them are gone, so none is more alive than another.
    admin
        .run(
            "insert into conversion_outbox.destination (name, platform, last_seen_at)
             select name, 'meta', now() - interval '11 minutes' from unnest('{a,b}'::text[]) name",
        )
        .await;
    let markdown = told().await;
    assert!(
        markdown.contains("no worker serves a, and 1 wait"),
        "{markdown}"
    );
    // They are there, and nothing moves.
    admin
        .run(
            "update conversion_outbox.destination set last_seen_at = now();
             set session_replication_role = replica;
             update conversion_outbox.event set recorded_at = now() - interval '9 hours';
             set session_replication_role = origin",
        )
        .await;
    let markdown = told().await;
    assert!(
        markdown.contains("1 wait for b, and the oldest has been due for 9 hours"),
        "{markdown}"
    );
}

#[tokio::test]
async fn a_day_without_anything_is_told_as_one() {
    let outbox = Outbox::new().await;
    let now = Utc::now();
    let yesterday = now.date_naive().pred_opt().expect("a day");
    let digest = digest::read(&outbox.operator(), yesterday, None, now)
        .await
        .expect("read");
    assert!(digest.is_over());
    let markdown = digest::markdown(&digest);
    for said in [
        "No events occurred",
        "Nothing was to be delivered",
        "Nothing is compared",
        "## What to do\n\nNothing.",
    ] {
        assert!(markdown.contains(said), "{markdown}");
    }
    assert!(digest::page(&digest).contains("No events occurred"));
}
