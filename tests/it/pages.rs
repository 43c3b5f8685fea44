//! The pages, as a browser and as a tool get them: every number is what the rows say, and nothing that somebody else wrote
//! becomes markup.

use std::net::SocketAddr;

use conversion_outbox::admin;
use conversion_outbox::config::Config;
use conversion_outbox::config::admin::AdminConfig;
use conversion_outbox::config::secret::SecretRef;
use conversion_outbox::serve;
use conversion_outbox::telemetry::metrics::Metrics;
use conversion_outbox::worker::clock::Clock;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::harness::{Outbox, Session};
use crate::process::Process;
use crate::rig::{Rig, Setup, order};

/// What the browser tests look at too.
const SEED: &str = include_str!("../browser/seed.sql");

/// A listener over a database, as the login of some role.
pub(crate) struct Site {
    address: SocketAddr,
    pub(crate) outbox: Outbox,
    _folder: TempDir,
    _stop: oneshot::Sender<()>,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Site {
    pub(crate) async fn open(role: &str) -> Site {
        let outbox = Outbox::new().await;
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        };
        let worker = file("worker.url", &outbox.url_of("worker"));
        let text = format!(
            "[database]\nurl = {{ file = \"{}\" }}\n[telemetry]\nenvironment = \"a <test>\"\n",
            worker.display()
        );
        let config = Config::parse(&text, "pages.toml", []).expect("a valid configuration");
        let admin = AdminConfig {
            database_url: Some(SecretRef::file(file("admin.url", &outbox.url_of(role)))),
            ..AdminConfig::default()
        };
        let router = admin::router(&admin, &config, &Metrics::new(&[], &[]), Clock::default());
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(serve::serve(
            listener,
            router.expect("opened"),
            async move {
                stopped.await.unwrap_or_default();
            },
        ));
        Site {
            address,
            outbox,
            _folder: folder,
            _stop: stop,
        }
    }

    /// As a browser asks for a page.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "text/html,application/xhtml+xml,*/*;q=0.8")
            .await
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, accept: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.expect("it listens");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("an answer");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        Answer {
            status: head
                .split(' ')
                .nth(1)
                .and_then(|code| code.parse().ok())
                .expect("a status"),
            head: head.to_lowercase(),
            body: body.to_owned(),
        }
    }
}

/// The text of a piece of markup: tags and the words of pictures taken out, white space made single.
fn text(markup: &str) -> String {
    let markup = without_titles(markup);
    let mut found = String::new();
    for (place, part) in markup.split('<').enumerate() {
        let text = match place {
            0 => part,
            _ => part.split_once('>').map_or("", |(_, text)| text),
        };
        found.push_str(text);
        found.push(' ');
    }
    let plain = found
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&amp;", "&");
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn without_titles(markup: &str) -> String {
    let mut parts = markup.split("<title");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |found, part| {
        found + part.split_once("</title>").map_or("", |(_, rest)| rest)
    })
}

/// The rows of the table that has this in its heading: the text of each cell.
fn rows(page: &str, heading: &str) -> Vec<Vec<String>> {
    let page = without_titles(page);
    let table = page
        .split("<table")
        .find(|table| text(table.split("</thead>").next().unwrap_or_default()).contains(heading))
        .unwrap_or_else(|| panic!("no table with {heading} in {page}"));
    let body = table
        .split("<tbody>")
        .nth(1)
        .and_then(|rest| rest.split("</tbody>").next())
        .expect("a body");
    body.split("<tr>")
        .skip(1)
        .map(|row| {
            row.split("<t")
                .skip(1)
                .map(|cell| text(&format!("<t{cell}")))
                .collect()
        })
        .collect()
}

/// The card of one destination: from its heading to the next card.
fn card<'p>(page: &'p str, destination: &str) -> &'p str {
    let name = format!("<bdi class=\"name\">{destination}</bdi>");
    page.split("<h3>")
        .skip(1)
        .find(|card| card.starts_with(&name))
        .unwrap_or_else(|| panic!("no card of {destination} in {page}"))
}

fn with_commas(number: i64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", number / 1000, number % 1000),
    }
}

/// What the rows say; tables are written without their schema.
async fn number(admin: &Session, sql: &str) -> i64 {
    let tables = ["event e", "delivery d", "queue"];
    let sql = tables.iter().fold(sql.to_owned(), |sql, table| {
        sql.replace(&format!(" {table}"), &format!(" conversion_outbox.{table}"))
    });
    admin.one(&sql).await
}

/// Of the days that a page shows, by the event's time.
fn last(days: u32) -> String {
    format!("(e.occurred_at at time zone 'UTC')::date > (now() at time zone 'UTC')::date - {days}")
}

#[tokio::test]
async fn the_overview_says_what_the_rows_say() {
    let site = Site::open("reader").await;
    let admin = site.outbox.admin().await;
    admin.run(SEED).await;
    let page = site.get("/").await;
    assert_eq!(page.status, 200, "{}", page.body);
    let page = page.body;
    for destination in ["meta", "ga4", "google", "linkedin"] {
        let card = text(card(&page, destination));
        let of = |rest: &str| {
            format!(
                "select count(*) from delivery d join event e using (event_no) where d.destination = '{destination}' and {rest}"
            )
        };
        let taken = |days| {
            of(&format!(
                "d.state in ('accepted', 'sent') and {}",
                last(days)
            ))
        };
        let today = number(&admin, &taken(1)).await;
        let week = number(&admin, &taken(7)).await;
        assert!(
            card.contains(&format!(
                "{} today {} in 7 days",
                with_commas(today),
                with_commas(week)
            )),
            "{destination}: {today} {week} in {card}"
        );
        let dead = number(
            &admin,
            &of("d.state in ('rejected', 'uncertain', 'exhausted')"),
        )
        .await;
        assert!(
            card.contains(&format!("Dead letters {dead}")),
            "{dead} in {card}"
        );
        let pending = number(&admin, &of("d.state = 'pending'")).await
            + number(&admin, "select count(*) from queue").await;
        assert!(
            card.contains(&format!("Waiting {pending}")),
            "{pending} in {card}"
        );
        let in_time = number(&admin, &of(&format!("d.state in ('accepted', 'sent') and d.tried_at <= e.recorded_at + interval '15 minutes' and {}", last(7)))).await;
        let due = number(&admin, &of(&format!("d.state in ('accepted', 'sent', 'expired', 'rejected', 'uncertain', 'exhausted') and {}", last(7)))).await;
        let share = format!("{:.1}", in_time as f64 / due as f64 * 100.0);
        let share = share.strip_suffix(".0").unwrap_or(&share);
        assert!(
            card.contains(&format!(
                "In 15 min, 7 days {share} % of {}",
                with_commas(due)
            )),
            "{share} of {due} in {card}"
        );
    }
    assert!(
        text(card(&page, "linkedin")).contains("Held")
            && text(card(&page, "meta")).contains("Working")
    );
    assert!(
        text(&page).contains("Not everything works"),
        "the answer comes first"
    );
    assert!(
        text(&page)
            .contains("The platform refuses everything. Replace the token in the secret file")
    );
    for row in rows(&page, "Today 7 days") {
        let of = |days| {
            format!(
                "select count(*) from event e where e.event_name = '{}' and {}",
                row[0],
                last(days)
            )
        };
        assert_eq!(row[1], with_commas(number(&admin, &of(1)).await), "{row:?}");
        assert_eq!(row[2], with_commas(number(&admin, &of(7)).await), "{row:?}");
    }
    let chart = rows(&page, "Day accepted or handed over");
    assert_eq!(chart.len(), 30);
    let sum = |column: usize| -> i64 {
        chart
            .iter()
            .map(|row| {
                row[column]
                    .replace(',', "")
                    .parse::<i64>()
                    .expect("a number")
            })
            .sum()
    };
    let states = "select count(*) from delivery d join event e using (event_no) where d.state";
    assert_eq!(
        sum(1),
        number(
            &admin,
            &format!("{states} in ('accepted', 'sent') and {}", last(30))
        )
        .await
    );
    assert_eq!(
        sum(2),
        number(&admin, &format!("{states} = 'pending' and {}", last(30))).await
    );
    // What nobody has looked at yet waits at each of the four that are served.
    let queued = 4 * number(&admin, "select count(*) from queue").await;
    assert!(
        text(&page).contains(&format!("{queued} deliveries more, not drawn")),
        "{queued}"
    );
    let page = text(&page);
    for said in [
        "closed days differ from your own tables",
        "leads 1 day, the latest",
        "orders 3 days, the latest",
        "23 rows without an event",
    ] {
        assert!(page.contains(said), "{said} in {page}");
    }
    assert_eq!(
        sum(4),
        number(
            &admin,
            &format!(
                "{states} in ('expired', 'rejected', 'uncertain', 'exhausted') and {}",
                last(30)
            )
        )
        .await
    );
}

#[tokio::test]
async fn coverage_says_what_the_rows_say() {
    let site = Site::open("worker").await;
    let admin = site.outbox.admin().await;
    admin.run(SEED).await;
    for days in [1, 7, 30] {
        let page = site.get(&format!("/coverage?days={days}")).await.body;
        for row in rows(&page, "Event Events Click id") {
            let event = &row[0];
            let of = |rest: &str| {
                format!(
                    "select count(*) from event e where e.event_name = '{event}' and {rest} and {}",
                    last(days)
                )
            };
            let events = number(&admin, &of("true")).await;
            assert_eq!(row[1], with_commas(events), "{days} {row:?}");
            for (column, what) in [
                (2, "e.click_ids ? 'gclid'"),
                (3, "e.user_data ? 'email'"),
                (4, "e.user_data ? 'phone'"),
                (5, "e.user_data ? 'external_id'"),
                (6, "e.consent ->> 'ad_user_data' = 'granted'"),
            ] {
                let carried = number(&admin, &of(what)).await;
                let said = format!("{} of {}", with_commas(carried), with_commas(events));
                assert!(
                    events == 0 || row[column].contains(&said),
                    "{days} {what}: {said} in {row:?}"
                );
            }
        }
        for row in rows(&page, "Event Destination Events") {
            let (event, destination) = (&row[0], &row[1]);
            let of = |rest: &str| {
                format!(
                    "select count(*) from delivery d join event e using (event_no) where d.destination = '{destination}' and e.event_name = '{event}' and {rest} and {}",
                    last(days)
                )
            };
            let deliveries = number(&admin, &of("true")).await;
            let unmeant = number(
                &admin,
                &of("d.reason in ('filtered_by_route', 'unsupported_event')"),
            )
            .await;
            let suppressed = number(&admin, &of("d.state = 'suppressed'")).await;
            let unknown = number(&admin, &of("d.reason = 'no_identifier'")).await;
            let taken = number(&admin, &of("d.state in ('accepted', 'sent')")).await;
            let refused = number(&admin, &of("(d.state = 'uncertain' or d.reason in ('refused_by_platform', 'attempts_used_up'))")).await;
            let first = |cell: &str| {
                cell.split(' ')
                    .next()
                    .unwrap_or_default()
                    .replace(',', "")
                    .parse::<i64>()
                    .expect("a number")
            };
            let steps: Vec<i64> = row[3..8].iter().map(|cell| first(cell)).collect();
            let meant = deliveries - unmeant;
            assert_eq!(
                steps,
                [
                    meant,
                    meant - suppressed,
                    meant - suppressed - unknown,
                    taken + refused,
                    taken
                ],
                "{days} {row:?}"
            );
            let live = destination != "meta-of-a-shop-that-was-closed-and-is-still-named-here";
            let queued = number(&admin, &format!("select count(*) from queue q join event e using (event_no) where e.event_name = '{event}' and {live} and {}", last(days))).await;
            assert_eq!(
                first(&row[8]),
                queued + number(&admin, &of("d.state = 'pending'")).await,
                "{days} {row:?}"
            );
        }
    }
    // Narrowed to one event and destination, all numbers are of these.
    let page = site
        .get("/coverage?days=30&event=order_paid&destination=meta")
        .await
        .body;
    assert_eq!(rows(&page, "Event Destination Events").len(), 1);
    assert_eq!(rows(&page, "Event Events Click id").len(), 1);
    let taken = number(&admin, &format!("select count(*) from delivery d join event e using (event_no) where d.destination = 'meta' and e.event_name = 'order_paid' and d.state = 'accepted' and {}", last(30))).await;
    assert!(text(card(&page, "meta")).contains(&format!("Accepted {}", with_commas(taken))));
    assert!(
        page.contains("<option value=\"order_paid\" selected>"),
        "{page}"
    );
}

#[tokio::test]
async fn errors_say_what_the_rows_say() {
    let site = Site::open("operator").await;
    let admin = site.outbox.admin().await;
    admin.run(SEED).await;
    let page = site.get("/errors?days=30").await.body;
    let since = "tried_at >= ((now() at time zone 'UTC')::date - 29) at time zone 'UTC'";
    let tries = "(select destination, outcome, response_code, error_code, tried_at from conversion_outbox.attempt
                  union all
                  select destination, state, response_code, error_code, tried_at from conversion_outbox.delivery where tries = 1) t";
    let failed = number(
        &admin,
        &format!(
            "select count(*) from {tries} where outcome not in ('accepted', 'sent') and {since}"
        ),
    )
    .await;
    let all = number(
        &admin,
        &format!("select count(*) from {tries} where {since}"),
    )
    .await;
    assert!(failed > 50, "the seed has errors");
    assert!(
        text(&page).contains(&format!("{} of {}.", with_commas(failed), with_commas(all))),
        "{failed} of {all} in {}",
        text(&page)
    );
    let table = rows(&page, "Destination and answer All");
    let shown: i64 = table
        .iter()
        .map(|row| row[1].replace(',', "").parse::<i64>().expect("a number"))
        .sum();
    assert_eq!(shown, failed);
    let refused = table
        .iter()
        .find(|row| row[0] == "meta HTTP 400 · 2804019")
        .expect("refused by Meta");
    assert_eq!(refused[1], number(&admin, &format!("select count(*) from {tries} where destination = 'meta' and error_code = '2804019' and {since}")).await.to_string());
    assert_eq!(refused.len(), 32, "a column a day");
    // The latest event of a kind is there, and leads to its page.
    let latest: String = admin
        .one("select event_id from conversion_outbox.event join conversion_outbox.delivery using (event_no)
               where destination = 'meta' and error_code = '2804019' order by tried_at desc, event_no desc limit 1")
        .await;
    assert!(
        page.contains(&format!("href=\"/events/{latest}\"")),
        "{latest}"
    );
    assert!(text(&page).contains("It is a dead letter now"));
    let narrow = site.get("/errors?days=1&destination=ga4").await.body;
    assert!(
        rows(&narrow, "Destination and answer All")
            .iter()
            .all(|row| row[0].starts_with("ga4 "))
    );
}

#[tokio::test]
async fn every_id_that_differs_is_on_some_page_of_its_day() {
    let site = Site::open("worker").await;
    let admin = site.outbox.admin().await;
    let days = include_str!("../../sql/bench/fill_reconciliation.sql");
    admin.run(&days.replace("$1", "120::bigint")).await;
    let day: String = admin.one("select current_date::text").await;
    let mut found = std::collections::BTreeSet::new();
    let mut path = format!("/reconciliation/orders/{day}");
    let mut pages = 0;
    loop {
        let page = site.get(&path).await;
        pages += 1;
        assert!(page.status == 200 && pages <= 6, "{path}: {}", page.status);
        for row in rows(&page.body, "Business id") {
            assert!(found.insert(row[..2].to_vec()), "twice: {row:?}");
        }
        let next = page.body.split_once("rel=\"next\" href=\"");
        let Some((_, next)) = next else { break };
        let (next, _) = next.split_once('"').expect("an end");
        path = next.replace("&amp;", "&");
    }
    assert_eq!((found.len(), pages), (5 * 120, 6));
    let page = site
        .get(&format!("/reconciliation/orders/{day}?page=0"))
        .await;
    assert_eq!(page.status, 400);
    let far = format!("/reconciliation/orders/{day}?destination=meta-a&page=2");
    assert_eq!(rows(&site.get(&far).await.body, "Business id").len(), 20);
}

#[tokio::test]
async fn nothing_that_somebody_wrote_becomes_markup() {
    let site = Site::open("worker").await;
    let admin = site.outbox.admin().await;
    admin.run(SEED).await;
    admin
        .run(
            "alter table conversion_outbox.event drop constraint event_name_is_snake_case;
             set session_replication_role = replica;
             update conversion_outbox.event_tally_news set event_name = '<script>alert(\"name\")</script>' where event_name = 'order_refunded';
             update conversion_outbox.delivery_tally_news set event_name = '<script>alert(\"name\")</script>' where event_name = 'order_refunded';
             update conversion_outbox.answer_tally_news set error_code = '\"><script>alert(2)</script>' where error_code = '2804019';
             insert into conversion_outbox.destination (name, platform, hold_reason, hold_code, hold_advice, held_since, probe_at)
             values ('\"''><script>alert(3)</script>', '<i>', 'credential', '<u>', '<img src=x onerror=alert(4)>', now(), now())",
        )
        .await;
    for path in [
        "/",
        "/coverage",
        "/coverage?days=30",
        "/errors?days=30",
        "/coverage?event=%3Cscript%3Ealert(5)",
        "/coverage?destination=%3Cscript%3E",
        "/%3Cscript%3E",
    ] {
        let answer = site.get(path).await;
        let page = answer.body;
        assert_eq!(page.matches("<script").count(), 1, "{path}: {page}");
        assert!(
            !page.contains("<img")
                && !page.contains("<u>")
                && !page.contains("<i>")
                && !page.contains("<b>100"),
            "{path}: {page}"
        );
        assert!(
            !page.contains(" style=") && !page.contains(" onclick"),
            "{path}"
        );
        assert!(
            page.contains("a &lt;test&gt;"),
            "the environment is there, escaped"
        );
    }
    let page = site.get("/errors?days=30").await.body;
    assert!(
        page.contains("/events/%3Cscript%3Ealert%28%221%22%29%3C%2Fscript%3E")
            || page.contains("/events/a%2Fb%3Fc%23d%2520%26amp%3B"),
        "{page}"
    );
    assert!(text(&site.get("/").await.body).contains("<script>alert(\"name\")</script>"));
}

#[tokio::test]
async fn an_empty_database_is_shown_in_a_friendly_way() {
    let site = Site::open("worker").await;
    for (path, said) in [
        ("/", "Nothing is set up yet"),
        ("/coverage", "Nothing was meant for a platform in 7 days"),
        ("/errors", "Nothing was sent in the last 7 days"),
    ] {
        let answer = site.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert!(
            text(&answer.body).contains(said),
            "{path}: {}",
            text(&answer.body)
        );
        for header in [
            "content-type: text/html; charset=utf-8",
            "cache-control: no-store",
            "x-content-type-options: nosniff",
            "content-security-policy: default-src 'none'; style-src 'self'; script-src 'self';",
            "vary: accept",
        ] {
            assert!(answer.head.contains(header), "{header} in {}", answer.head);
        }
    }
    let admin = site.outbox.admin().await;
    admin
        .run("insert into conversion_outbox.destination (name, platform) values ('meta', 'meta')")
        .await;
    // Nothing could go wrong yet: that is not called working, and how to begin is shown so that it works.
    let page = site.get("/").await.body;
    assert!(
        text(&page).contains("Ready: the one destination waits"),
        "{page}"
    );
    let example = page.split("<pre><code>").nth(1).expect("an example");
    let example = example.split("</code>").next().expect("its end");
    admin
        .run(&example.replace("&gt;", ">").replace("&quot;", "\""))
        .await;
    let page = text(&site.get("/").await.body);
    assert!(
        page.contains("Yes, it works.") && page.contains("order_paid 1 1"),
        "{page}"
    );
}

#[tokio::test]
async fn what_cannot_be_shown_is_said_to_people_and_to_tools() {
    let site = Site::open("worker").await;
    for (method, path, status, said) in [
        ("GET", "/coverage?days=8", 400, "days is 1, 7 or 30"),
        (
            "GET",
            "/coverage?day=7",
            400,
            "it knows days, event, destination",
        ),
        ("GET", "/coverage?days=7&days=1", 400, "days is there twice"),
        ("GET", "/coverage?event=%00", 400, "event is no value"),
        (
            "GET",
            "/errors?destination=nobody",
            400,
            "no worker has registered",
        ),
        ("GET", "/?x=1", 400, "leave out what is behind the ?"),
        ("GET", "/nothing", 404, "the overview leads to every page"),
        ("GET", "/events/%ff", 400, "the address is no text"),
        (
            "GET",
            "/destinations/%fe/pause",
            400,
            "the address is no text",
        ),
        ("GET", "/events/a%00b", 400, "the address is no text"),
        (
            "GET",
            "/dead-letters?destination=nobody",
            404,
            "no worker has registered",
        ),
        (
            "GET",
            "/reconciliation/orders/-262143-01-01",
            400,
            "the day is written",
        ),
        ("POST", "/coverage", 405, "read with GET"),
        ("DELETE", "/", 405, "read with GET"),
    ] {
        let page = site.ask(method, path, "text/html").await;
        assert_eq!(page.status, status, "{path}");
        assert!(
            page.head.contains("content-type: text/html") && page.body.contains("<h1>"),
            "{path}: {}",
            page.head
        );
        assert!(
            text(&page.body)
                .to_lowercase()
                .contains(&said.to_lowercase()),
            "{path}: {}",
            text(&page.body)
        );
        let json = site.ask(method, path, "*/*").await;
        assert_eq!(json.status, status, "{path}");
        assert!(
            json.head.contains("content-type: application/json") && json.body.contains(said),
            "{path}: {}",
            json.body
        );
        assert_eq!(
            status == 405,
            json.head.contains("allow: get"),
            "{}",
            json.head
        );
    }
    // A form sends what was left open as nothing.
    assert_eq!(
        site.get("/coverage?days=&event=&destination=").await.status,
        200
    );
    let head = site.ask("HEAD", "/", "text/html").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let head = site.ask("HEAD", "/nothing", "text/html").await;
    assert_eq!((head.status, head.body.as_str()), (404, ""));
}

#[tokio::test]
async fn a_schema_that_is_behind_is_not_called_a_database_that_is_away() {
    let site = Site::open("reader").await;
    let admin = site.outbox.admin().await;
    admin
        .run("drop view conversion_outbox.destination_backlog cascade")
        .await;
    let page = site.get("/").await;
    assert_eq!(page.status, 503);
    for said in ["conversion-outbox migrate up", "href=\"/\">Try again"] {
        assert!(page.body.contains(said), "{said} in {}", page.body);
    }
}

#[tokio::test]
async fn assets_are_kept_by_browsers_and_pages_are_not() {
    let site = Site::open("worker").await;
    let page = site.get("/").await.body;
    let mut assets: Vec<&str> = page
        .split('"')
        .filter(|part| part.starts_with("/assets/"))
        .collect();
    assets.sort_unstable();
    assets.dedup();
    assert_eq!(assets.len(), 3, "{assets:?}");
    for asset in assets {
        let answer = site.ask("GET", asset, "*/*").await;
        assert_eq!(answer.status, 200, "{asset}");
        assert!(answer.head.contains("immutable"), "{}", answer.head);
        let etag = answer
            .head
            .lines()
            .find_map(|line| line.strip_prefix("etag: "))
            .expect("an etag");
        let again = site
            .ask(
                "GET",
                asset,
                &format!("*/*\r\nIf-None-Match: W/\"x\", {etag}"),
            )
            .await;
        assert_eq!((again.status, again.body.as_str()), (304, ""), "{asset}");
        assert!(
            !answer.body.contains("http://") || asset.ends_with("mark.svg"),
            "nothing is fetched from elsewhere"
        );
    }
    assert_eq!(
        site.get("/assets/0000000000000000/style.css").await.status,
        404
    );
}

#[tokio::test]
async fn a_port_that_is_taken_costs_the_pages_only_where_nobody_asked_for_them() {
    // Whoever has it: this test, or a worker of another one.
    let _taken = TcpListener::bind(("127.0.0.1", 9465)).await;
    let rig = Rig::new().await;
    let worker = Process::start(&rig, Setup::default());
    rig.insert(&[order("o-1")]).await;
    rig.until_final().await;
    assert!(
        worker
            .log()
            .contains("the admin listener and its pages are off"),
        "{}",
        worker.log()
    );
    worker.kill().await;

    let asked = Setup {
        rest: "[admin]\nlisten = \"127.0.0.1:9465\"",
        ..Setup::default()
    };
    let mut worker = Process::start(&rig, asked);
    assert_eq!(worker.ended().await, Some(1));
    assert!(
        worker
            .log()
            .contains("admin.listen: cannot listen on 127.0.0.1:9465"),
        "{}",
        worker.log()
    );
}
