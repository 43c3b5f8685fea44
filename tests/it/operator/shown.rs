//! What the pages of operators show: the same figures as the commands, nothing of any person, no secret, and no markup of others.

use serde_json::Value;

use super::{CANARY, Office, TOKEN};

#[tokio::test]
async fn no_page_shows_a_person_or_a_secret() {
    let office = Office::open().await;
    let browser = office.operator().await;
    office.outbox.admin().await.run(
        "insert into conversion_outbox.repeat (event_id, duplicates, conflicts, differs) values ('o-1', 2, 1, '{value,user_data}');
         insert into conversion_outbox.withdrawal (business_id, signals) values ('o-1-b', '{ad_storage}');
         update conversion_outbox.event set warnings = '[{\"field\": \"user_data.canary7f3a9c@example.com\", \"rule\": \"is not read\"}]' where event_id = 'o-1'",
    ).await;
    for page in [
        "/dead-letters",
        "/dead-letters/list",
        "/dead-letters/replay?destination=meta",
        "/dead-letters/skip?destination=meta",
        "/events",
        "/events/o-1",
        "/events/l-1",
        "/events?q=o-1",
        "/events?q=o-1-b",
        "/events?q=nothing",
        "/destinations",
        "/destinations?destination=meta",
        "/destinations/meta/pause",
        "/destinations/meta/test",
        "/login",
        "/events/none",
        "/audit/7",
    ] {
        let shown = browser.get(page).await;
        assert!(
            matches!(shown.status, 200 | 404),
            "{page}: {} {}",
            shown.status,
            shown.body
        );
        for hidden in [CANARY, TOKEN, "1701234567", "192.0.2.77", "example.com"] {
            assert!(
                !shown.body.contains(hidden),
                "{page} shows {hidden}: {}",
                shown.body
            );
        }
    }
}

#[tokio::test]
async fn one_event_is_told_whole() {
    let office = Office::open().await;
    let browser = office.operator().await;
    office.outbox.admin().await.run(
        "insert into conversion_outbox.repeat (event_id, duplicates, conflicts, differs) values ('o-1', 2, 1, '{value,user_data}');
         insert into conversion_outbox.withdrawal (business_id, signals) values ('o-1-b', '{ad_storage}')",
    ).await;
    let page = browser.get("/events/o-1").await;
    for text in [
        "order_paid",
        "o-1-b",
        "5 EUR",
        "Written again 2 times with the same content",
        "It differed in: value, user data",
        "refused by platform",
        "100/2804019",
        "HTTP 400",
        "try 1: rejected",
        "12 ms",
        "https://traces.example/trace/0102030405060708090a0b0c0d0e0f10",
        "https://traces.example/trace/0af7651916cd43dd8448eb211c80319c",
        "3 of four signals granted, 1 denied; 1 taken back since.",
        "event, email",
        "Global Privacy Control",
        "v3",
        "2026-11-25 09:00:00 UTC",
        "consent taken back by business_id",
        "<svg",
        "Send again",
        "email, first name, ip address, phone",
    ] {
        assert!(page.body.contains(text), "{text}: {}", page.body);
    }
    let search = browser.get("/events?q=%20o-1%20").await;
    assert!(search.body.contains("What happened"), "found by its id");
    office.outbox.admin().await.run(
        "insert into conversion_outbox.event (event_id, event_name, business_id, consent) values ('o-1-refund', 'order_refunded', 'o-1-b', '{\"decision\":{\"meta\":[\"event\"]}}')",
    ).await;
    let of_order = browser.get("/events?q=o-1-b").await;
    for text in [
        "2 events of",
        "href=\"/events/o-1\"",
        "href=\"/events/o-1-refund\"",
    ] {
        assert!(of_order.body.contains(text), "{text}: {}", of_order.body);
    }
    let mistyped = browser.get("/events?q=o-4").await;
    assert!(
        mistyped.body.contains("Did you mean") && mistyped.body.contains("/events/o-2"),
        "{}",
        mistyped.body
    );
}

#[tokio::test]
async fn hostile_ids_are_text_and_can_be_opened() {
    let office = Office::open().await;
    let browser = office.operator().await;
    let hostile = [
        "\"><script>alert(1)</script>",
        "a/../../b?c#d%2e",
        "..",
        "' onmouseover='x",
        "\u{202e}evil",
        "{{7*7}}&amp;",
    ];
    for id in hostile {
        let id = id.replace('\'', "''");
        office.outbox.admin().await.run(&format!(
            "insert into conversion_outbox.event (event_id, event_name, business_id, consent) values ('{id}', 'order_paid', 'hostile', '{{\"decision\":{{\"meta\":[\"event\"]}}}}');
             insert into conversion_outbox.delivery (event_no, destination, state, reason, settled_at, error_code)
               select event_no, 'meta', 'rejected', 'invalid_event', now(), '<i>&\"' from conversion_outbox.event where event_id = '{id}'"
        )).await;
    }
    for page in [
        "/events?q=hostile",
        "/dead-letters/list?destination=meta",
        "/dead-letters",
    ] {
        let shown = browser.get(page).await;
        assert_eq!(shown.status, 200, "{page}");
        for markup in ["<script>alert", "<i>", "=\"\"><script"] {
            assert!(!shown.body.contains(markup), "{page}: {markup}");
        }
    }
    // Each link leads to its own event.
    let listed = browser.get("/events?q=hostile").await;
    let mut opened = 0;
    for part in listed.body.split("<th scope=\"row\"><a href=\"").skip(1) {
        let (href, _) = part.split_once('"').expect("an end");
        let page = browser.get(&href.replace("&amp;", "&")).await;
        assert_eq!(page.status, 200, "{href}");
        assert!(page.body.contains("What happened"), "{href}");
        opened += 1;
    }
    assert_eq!(opened, hostile.len());
    // The code is text in the address of its group too.
    let group = browser
        .get("/dead-letters/list?destination=meta&code=%3Ci%3E%26%22")
        .await;
    assert_eq!(
        group.body.matches("<th scope=\"row\">").count(),
        hostile.len()
    );
}

#[tokio::test]
async fn figures_are_those_of_the_commands() {
    let office = Office::open().await;
    let browser = office.operator().await;
    office.outbox.admin().await.run(
        "insert into conversion_outbox.event (event_id, event_name, business_id, consent)
           select 'm-' || n, 'order_paid', 'm', '{\"decision\":{\"meta\":[\"event\"]}}' from generate_series(1, 120) n;
         delete from conversion_outbox.queue;
         insert into conversion_outbox.delivery (event_no, destination, state, reason, settled_at, error_code)
           select event_no, 'meta', 'exhausted', 'attempts_used_up', '2026-11-20 10:00Z', '503' from conversion_outbox.event where event_id like 'm-%';
         insert into conversion_outbox.delivery (event_no, destination, state, reason, settled_at, error_code)
           select event_no, 'linkedin', 'exhausted', 'attempts_used_up', '2026-11-20 10:00Z', '503' from conversion_outbox.event where event_id like 'm-%'",
    ).await;
    let groups = browser.get("/dead-letters").await;
    for text in [
        "243 deliveries ended",
        "120 exhausted at",
        "1 rejected at",
        "1 uncertain at",
    ] {
        assert!(groups.body.contains(text), "{text}: {}", groups.body);
    }
    // Page by page, each once, though all died at the same moment.
    let mut seen = Vec::new();
    let mut next = Some("/dead-letters/list?state=exhausted".to_owned());
    let mut pages = 0;
    while let Some(path) = next {
        let page = browser.get(&path).await;
        assert_eq!(page.status, 200, "{path}");
        seen.extend(rows(&page.body));
        next = page
            .body
            .split_once("rel=\"next\" href=\"")
            .and_then(|(_, rest)| rest.split_once('"'))
            .map(|(href, _)| href.replace("&amp;", "&"));
        pages += 1;
    }
    let count = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!((pages, count, seen.len()), (5, 240, 240));

    // A limit as a worker puts it on record.
    office
        .outbox
        .admin()
        .await
        .run("insert into conversion_outbox.rate_limit values ('meta', '-infinity')")
        .await;
    let fresh = browser.get("/destinations").await;
    assert!(
        fresh.body.contains("10 of 10 may leave at once"),
        "{}",
        fresh.body
    );

    // Destinations: the page and the JSON at the same address.
    let bearer = format!("Authorization: Bearer {TOKEN}");
    let json = office.browser().ask("GET /status", &[&bearer], "").await;
    let json: Value = serde_json::from_str(&json.body).expect("json");
    assert_eq!(json["destinations"][1]["totals"]["rejected"], 2);
    office.outbox.admin().await.run(
        "update conversion_outbox.destination set last_seen_at = now() - interval '3 days' where name = 'linkedin';
         update conversion_outbox.rate_limit set next_at = now() + interval '1 hour';
         insert into conversion_outbox.policy (destination, version, policy) values ('meta', 'abc123', '{}');
         insert into conversion_outbox.request (destination, receipt, sent_at, due_at) values ('meta', 'r', now() - interval '3 hours', now())",
    ).await;
    let page = browser.get("/destinations").await;
    for text in [
        "1 working, 1 not served.",
        "rejected 2",
        "No worker has served it since",
        "all turns are given away until",
        "100 requests in 60 s",
        "abc123",
        "1 open",
        "from file ",
        "meta.token",
        "fingerprint",
        "Access token",
    ] {
        assert!(page.body.contains(text), "{text}: {}", page.body);
    }
    let only = browser.get("/destinations?destination=meta").await;
    assert!(
        !only.body.contains("aria-label=\"linkedin\"") && only.body.contains("aria-label=\"meta\"")
    );
    assert_eq!(
        browser.get("/destinations?destination=metta").await.status,
        404
    );
}

/// Event and destination of each row.
fn rows(body: &str) -> Vec<(String, String)> {
    let name = |text: &str| {
        text.split_once("<bdi class=\"name\">")
            .and_then(|(_, rest)| rest.split_once("</bdi>"))
            .map(|(name, rest)| (name.to_owned(), rest.to_owned()))
    };
    body.split("<th scope=\"row\">")
        .skip(1)
        .filter_map(|row| {
            let (event, rest) = name(row)?;
            let (_, rest) = name(&rest)?;
            let (destination, _) = name(&rest)?;
            Some((event, destination))
        })
        .collect()
}
