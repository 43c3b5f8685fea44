//! Logging in and out, and everything that is tried instead.

use chrono::TimeDelta;

use super::{Browser, CANARY, Office, TOKEN, encoded};

const PAUSE: &str = "/destinations/meta/pause";

async fn is_paused(office: &Office) -> bool {
    office
        .one("select exists (select from conversion_outbox.destination where hold_reason is not null)")
        .await
}

#[tokio::test]
async fn the_token_is_shown_once_and_the_session_does_the_rest() {
    let office = Office::open().await;
    let browser = office.browser();
    // Whoever looks without a session guesses nothing: led to the log-in and back, as often as wanted.
    for _ in 0..7 {
        let led = browser.get("/dead-letters?destination=meta").await;
        assert_eq!(led.status, 303);
        assert_eq!(
            led.header("location"),
            Some("/login?next=%2Fdead-letters%3Fdestination%3Dmeta")
        );
    }
    let login = browser
        .get("/login?next=%2Fdead-letters%3Fdestination%3Dmeta")
        .await;
    let mut fields = login.form("/login");
    assert_eq!(
        fields,
        [(
            "next".to_owned(),
            "/dead-letters?destination=meta".to_owned()
        )]
    );
    fields.push(("token".into(), TOKEN.into()));
    let entered = browser.post("/login", &fields).await;
    assert_eq!(
        (entered.status, entered.header("location")),
        (303, Some("/dead-letters?destination=meta"))
    );
    let cookie = entered.header("set-cookie").expect("a session");
    assert!(
        cookie.starts_with("conversion_outbox_session=") && !cookie.contains(TOKEN),
        "{cookie}"
    );
    assert!(
        cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"),
        "{cookie}"
    );
    let page = browser.get("/dead-letters?destination=meta").await;
    assert_eq!(page.status, 200);
    // No other site's frame, no cache, no other content.
    for (header, value) in [
        ("x-frame-options", "DENY"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(page.header(header), Some(value), "{}", page.head);
    }
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(
        policy.contains("frame-ancestors 'none'") && policy.contains("form-action 'self'"),
        "{policy}"
    );
    // The session is for pages: what tools are for takes the token.
    assert_eq!(browser.get("/status").await.status, 200);

    // Out again: this very cookie is worth nothing any more.
    let kept = browser.cookie.borrow().clone();
    let out = browser.get("/login").await.form("/logout");
    let stranger = browser
        .post("/logout", &[("form".into(), "x".into())])
        .await;
    assert_eq!(stranger.status, 403);
    let gone = browser.post("/logout", &out).await;
    assert!(
        gone.header("set-cookie")
            .is_some_and(|cookie| cookie.contains("Max-Age=0")),
        "{}",
        gone.head
    );
    browser.cookie.replace(kept);
    assert_eq!(browser.get("/dead-letters").await.status, 303);
}

#[tokio::test]
async fn beyond_this_machine_the_session_needs_an_encrypted_way() {
    let office = Office::open().await;
    for headers in [
        &["Host: outbox.example", "Origin: https://outbox.example"][..],
        &[
            "Host: localhost",
            "Origin: https://localhost",
            "X-Forwarded-Proto: https",
        ],
    ] {
        let browser = office.browser();
        let token = encoded(&[("token".into(), TOKEN.into())]);
        let entered = browser.ask("POST /login", headers, &token).await;
        let cookie = entered.header("set-cookie").expect("a session");
        assert!(
            cookie.starts_with("__Host-conversion_outbox_session=") && cookie.ends_with("; Secure"),
            "{cookie}"
        );
        assert_eq!(
            browser.ask("GET /dead-letters", headers, "").await.status,
            200
        );
        // The unprotected name is not taken there: anybody on the way could have set it.
        let plain = browser
            .cookie
            .borrow()
            .as_ref()
            .map(|cookie| cookie.replace("__Host-", ""));
        browser.cookie.replace(plain);
        assert_eq!(
            browser.ask("GET /dead-letters", headers, "").await.status,
            303
        );
    }
}

#[tokio::test]
async fn wrong_tokens_wait_and_nobody_is_sent_elsewhere() {
    let office = Office::open().await;
    let browser = office.operator().await;
    // Wherever it should lead, it leads to a page of ours, and no header is written by it.
    for next in [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "/x\r\nSet-Cookie: a=b",
        "javascript:alert(1)",
    ] {
        let fields = [
            ("token".to_owned(), TOKEN.to_owned()),
            ("next".to_owned(), next.to_owned()),
        ];
        let entered = office.browser().post("/login", &fields).await;
        assert_eq!(
            (entered.status, entered.header("location")),
            (303, Some("/")),
            "{next}"
        );
        assert!(!entered.head.contains("a=b"), "{}", entered.head);
        let path = format!(
            "/login?next={}",
            encoded(&[(next.to_owned(), String::new())]).trim_end_matches('=')
        );
        let page = office.browser().get(&path).await;
        assert_eq!(page.form("/login"), [("next".to_owned(), "/".to_owned())]);
    }
    let guesser = office.browser();
    for _ in 0..5 {
        let wrong = guesser.log_in("a-token-that-nobody-guesseS").await;
        assert_eq!(wrong.status, 401);
        assert!(
            wrong.body.contains("not the token") && wrong.header("set-cookie").is_none(),
            "{}",
            wrong.head
        );
    }
    let throttled = guesser.log_in(TOKEN).await;
    assert_eq!(throttled.status, 429, "even the right one waits");
    assert!(throttled.header("retry-after").is_some());
    assert_eq!(
        (office.refusals("token"), office.refusals("throttled")),
        (5, 1)
    );
    // Who is in already is not kept out by somebody who guesses.
    assert_eq!(browser.get("/dead-letters").await.status, 200);
}

#[tokio::test]
async fn a_session_ends_and_cannot_be_made_up_or_handed_over() {
    let office = Office::open().await;
    let browser = office.operator().await;
    let first = browser.cookie.borrow().clone();
    // Handed to the browser beforehand, a session is replaced, not taken over.
    browser.log_in(TOKEN).await;
    assert_ne!(*browser.cookie.borrow(), first);
    let forged = office.browser();
    for made_up in [
        "conversion_outbox_session=",
        "conversion_outbox_session=x",
        "conversion_outbox_session=AAAA.BBBB",
    ] {
        forged.cookie.replace(Some(made_up.to_owned()));
        assert_eq!(forged.get("/dead-letters").await.status, 303, "{made_up}");
    }
    let mut changed = first.clone().expect("a session");
    changed.replace_range(40..41, if &changed[40..41] == "A" { "B" } else { "A" });
    forged.cookie.replace(Some(changed));
    assert_eq!(forged.get("/dead-letters").await.status, 303);
    assert_eq!(office.refusals("session"), 4);

    // Used, it is written anew; unused for half an hour it is over, also for a form that lay open.
    let form = browser.get(PAUSE).await.form(PAUSE);
    office.clock.advance(TimeDelta::minutes(29));
    let renewed = browser.get("/dead-letters").await;
    assert!(renewed.header("set-cookie").is_some(), "{}", renewed.head);
    office.clock.advance(TimeDelta::minutes(29));
    assert_eq!(browser.get("/dead-letters").await.status, 200);
    office.clock.advance(TimeDelta::minutes(31));
    let late = browser
        .post(PAUSE, &with(&form, &[("reason", "late")]))
        .await;
    assert_eq!(late.status, 401, "{}", late.body);
    assert!(!is_paused(&office).await);

    // Another token ends every session.
    browser.log_in(TOKEN).await;
    assert_eq!(browser.get("/dead-letters").await.status, 200);
    std::fs::write(office.folder.path().join("token"), "another-token-of-ours").expect("written");
    assert_eq!(browser.get("/dead-letters").await.status, 303);
}

fn with(form: &[(String, String)], more: &[(&str, &str)]) -> Vec<(String, String)> {
    let more = more
        .iter()
        .map(|(key, value)| ((*key).into(), (*value).into()));
    form.iter().cloned().chain(more).collect()
}

#[tokio::test]
async fn no_other_site_no_other_session_and_no_second_time() {
    let office = Office::open().await;
    let (browser, other) = (office.operator().await, office.operator().await);
    let form = browser.get(PAUSE).await.form(PAUSE);
    let filled = with(&form, &[("reason", "the sale is over")]);
    let body = encoded(&filled);
    let here = format!("http://{}", office.address);
    for headers in [
        &["Origin: https://evil.example"][..],
        &["Origin: null"],
        &["Origin: http://localhost"],
        &["Sec-Fetch-Site: cross-site"],
        &["Sec-Fetch-Site: same-site", &format!("Origin: {here}")],
        // No browser says nothing.
        &[],
    ] {
        let refused = browser.ask(&format!("POST {PAUSE}"), headers, &body).await;
        assert_eq!(refused.status, 403, "{headers:?}");
    }
    assert_eq!(office.refusals("origin"), 6);
    let log_in = encoded(&[("token".into(), TOKEN.into())]);
    let elsewhere = office.browser();
    let led_in = elsewhere
        .ask("POST /login", &["Origin: https://evil.example"], &log_in)
        .await;
    assert_eq!((led_in.status, led_in.header("set-cookie")), (403, None));

    // Without the form's word, with that of another form, of another session, or too old.
    let linkedin = browser
        .get("/destinations/linkedin/pause")
        .await
        .form("/destinations/linkedin/pause");
    let others = other.get(PAUSE).await.form(PAUSE);
    for wrong in [&[][..], &linkedin, &others] {
        let refused = browser.post(PAUSE, &with(wrong, &[("reason", "x")])).await;
        assert_eq!(refused.status, 403);
        assert!(
            refused.body.contains("nothing was done"),
            "{}",
            refused.body
        );
    }
    office.clock.advance(TimeDelta::minutes(20));
    browser.get("/dead-letters").await;
    office.clock.advance(TimeDelta::minutes(11));
    assert_eq!(
        browser.post(PAUSE, &filled).await.status,
        403,
        "an old form"
    );
    assert_eq!(office.refusals("form"), 4);
    assert!(!is_paused(&office).await);
    assert_eq!(
        office
            .one::<i64>("select count(*) from conversion_outbox.audit")
            .await,
        0
    );

    // Sent twice at once and once more later, it counts once; and what was done in between stays.
    let form = browser.get(PAUSE).await.form(PAUSE);
    let filled = with(&form, &[("reason", "the sale is over")]);
    let (one, two) = tokio::join!(browser.post(PAUSE, &filled), browser.post(PAUSE, &filled));
    assert_eq!((one.status, two.status), (303, 303), "{}", one.body);
    assert_eq!(
        (one.header("location"), two.header("location")),
        (Some("/audit/1"), Some("/audit/1"))
    );
    office.outbox.admin().await.run("update conversion_outbox.destination set hold_reason = null, hold_advice = null, held_since = null, probe_at = null, paused_by = null, paused_because = null").await;
    let again = browser.post(PAUSE, &filled).await;
    assert_eq!(again.header("location"), Some("/audit/1"));
    assert_eq!(office.refusals("repeat"), 2);
    assert!(!is_paused(&office).await);
    assert_eq!(
        office
            .one::<i64>("select count(*) from conversion_outbox.audit")
            .await,
        1
    );
}

#[tokio::test]
async fn any_replica_takes_the_session_and_knows_what_a_form_did() {
    let office = Office::open().await;
    let browser = office.operator().await;
    let form = browser.get(PAUSE).await.form(PAUSE);
    let filled = with(&form, &[("reason", "the sale is over")]);
    assert_eq!(browser.post(PAUSE, &filled).await.status, 303);
    // The same service, another process.
    let Office { outbox, stop, .. } = office;
    drop(stop);
    let second = Office::over(outbox, Some(TOKEN), "operator").await;
    let moved = Browser::at(second.address);
    moved.cookie.replace(browser.cookie.borrow().clone());
    assert_eq!(moved.get("/dead-letters").await.status, 200);
    let again = moved.post(PAUSE, &filled).await;
    assert_eq!(
        (again.status, again.header("location")),
        (303, Some("/audit/1"))
    );
    assert_eq!(
        second
            .one::<i64>("select count(*) from conversion_outbox.audit")
            .await,
        1
    );
}

#[tokio::test]
async fn without_a_token_or_the_right_there_is_nothing_to_press() {
    let outbox = crate::harness::Outbox::new().await;
    outbox.admin().await.run(super::SEED).await;
    let office = Office::over(outbox, None, "operator").await;
    let visitor = office.browser();
    for page in [
        "/dead-letters",
        "/dead-letters/replay?destination=meta",
        "/events/o-1",
        "/destinations",
    ] {
        let shown = visitor.get(page).await;
        assert_eq!(shown.status, 200, "{page}");
        assert!(!shown.body.contains("method=\"post\""), "{page}");
    }
    let login = visitor.get("/login").await;
    assert!(
        login.body.contains("admin.token") && !login.body.contains("method=\"post\""),
        "{}",
        login.body
    );
    assert_eq!(visitor.log_in(TOKEN).await.status, 403);
    for path in [
        PAUSE,
        "/destinations/meta/resume",
        "/destinations/meta/test",
        "/dead-letters/skip",
    ] {
        let fields = [
            ("destination".to_owned(), "meta".to_owned()),
            ("reason".to_owned(), "x".to_owned()),
        ];
        assert_eq!(visitor.post(path, &fields).await.status, 403, "{path}");
    }
    for page in [PAUSE, "/destinations/meta/test"] {
        assert_eq!(visitor.get(page).await.status, 403, "{page}");
    }
    // A login without the rights may log in, and is told what it lacks.
    let Office { outbox, stop, .. } = office;
    drop(stop);
    let office = Office::over(outbox, Some(TOKEN), "reader").await;
    let reader = office.operator().await;
    let told = reader.fill_in(PAUSE, PAUSE, &[("reason", "x")]).await;
    assert_eq!(told.status, 403);
    assert!(
        told.body.contains("conversion_outbox_operator") && !told.body.contains(CANARY),
        "{}",
        told.body
    );
}
