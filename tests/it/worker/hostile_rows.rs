//! The ugliest rows that plain SQL can write, by an application and by a superuser whom no trigger stops: each is refused with
//! a clear error, or ends in a clear state everywhere, and its neighbours leave at once.

use conversion_outbox::destinations::Platform as Destination;

use crate::rig::{Rig, Setup, granted, order};

/// Where everything is put: a column, and an sql expression.
const UGLY: [(&str, &str); 63] = [
    (
        "properties",
        "jsonb_build_object('x', repeat('y', 5000000))",
    ),
    (
        "properties",
        "(repeat('[', 3000) || repeat(']', 3000))::jsonb",
    ),
    (
        "properties",
        "(repeat('{\"a\":', 60) || '1' || repeat('}', 60))::jsonb",
    ),
    ("properties", "'{\"a\":\"\\u0000\"}'::jsonb"),
    ("properties", "'{\"a\":\"\\ud800\"}'::jsonb"),
    ("properties", "'{\"a\":\"\\ud83d\\ude00\"}'::jsonb"),
    ("properties", "'{\"a\":1e131071}'::jsonb"),
    ("properties", "'{\"a\":1e-16000}'::jsonb"),
    (
        "properties",
        "'{\"items\":[{\"id\":1e30,\"price\":-1,\"quantity\":1e-9}]}'::jsonb",
    ),
    ("properties", "'{\"items\":[[[{\"id\":[1]}]]]}'::jsonb"),
    ("properties", "'{\"items\":{\"id\":1}}'::jsonb"),
    (
        "properties",
        "'{\"items\":[null,true,7,\"x\",{},{\"id\":null},{\"id\":{}},{\"id\":\"\",\"price\":\"9\"}]}'::jsonb",
    ),
    (
        "properties",
        "(select jsonb_build_object('items', jsonb_agg(jsonb_build_object('id', n))) from generate_series(1, 10000) n)",
    ),
    (
        "properties",
        "(select jsonb_build_object('items', jsonb_agg(jsonb_build_object('id', n))) from generate_series(1, 3000) n)",
    ),
    (
        "properties",
        "(select jsonb_object_agg('k' || n, n) from generate_series(1, 3000) n)",
    ),
    (
        "properties",
        "'{\"$serde_json::private::Number\":\"no number\"}'::jsonb",
    ),
    (
        "properties",
        "'{\"a\":[{\"$serde_json::private::Number\":[]}]}'::jsonb",
    ),
    (
        "properties",
        "'{\"tax\":\"x\",\"shipping\":[],\"coupon\":{},\"lead_source\":true}'::jsonb",
    ),
    ("properties", "'[1]'::jsonb"),
    ("properties", "'null'::jsonb"),
    ("properties", "null"),
    ("user_data", "'[]'::jsonb"),
    ("user_data", "'\"ada@example.com\"'::jsonb"),
    (
        "user_data",
        "'{\"email\":true,\"phone\":{\"a\":1},\"first_name\":[\"a\"],\"country\":7,\"external_id\":1e400}'::jsonb",
    ),
    (
        "user_data",
        "'{\"email\":[[\"ada@example.com\"],null,\"\",\"x@\",\"@x\",\"a@b@c.example\"]}'::jsonb",
    ),
    (
        "user_data",
        "'{\"email\":\"ada@example.com\\r\\nX-Evil: 1\",\"user_agent\":\"a\\r\\nb: c\",\"ip_address\":\"::ffff:1.2.3.4\\n\"}'::jsonb",
    ),
    (
        "user_data",
        "jsonb_build_object('email', 'ada@example.com', 'first_name', U&'\\202E\\200B\\FEFF', 'last_name', repeat(U&'\\0301', 3000))",
    ),
    (
        "user_data",
        "jsonb_build_object('email', (select jsonb_agg('a' || n || '@example.com') from generate_series(1, 2500) n))",
    ),
    (
        "user_data",
        "jsonb_build_object('email', 'ada@example.com', 'date_of_birth', '0000-00-00', 'gender', '?', 'postal_code', repeat('0', 9000))",
    ),
    (
        "user_data",
        "jsonb_build_object('unknown', 1, 'password', 'x', 'email', 'ada@example.com')",
    ),
    ("click_ids", "'[]'::jsonb"),
    (
        "click_ids",
        "jsonb_build_object('gclid', repeat('x', 60000), 'ga_client_id', '1.2')",
    ),
    (
        "click_ids",
        "jsonb_build_object('gclid', repeat('x', 600000))",
    ),
    (
        "click_ids",
        "'{\"gclid\":{\"a\":1},\"fbc\":[],\"ga_client_id\":true,\"li_fat_id\":null}'::jsonb",
    ),
    (
        "click_ids",
        "'{\"fbc\":\"fb.1.x.y\\r\\nz\",\"ga_client_id\":\"1.2\\n\",\"ga_session_id\":\"-1\"}'::jsonb",
    ),
    ("value", "'NaN'::numeric"),
    ("value", "'Infinity'::numeric"),
    ("value", "'-Infinity'::numeric"),
    ("value", "1e131071"),
    ("value", "1e-16383"),
    ("value", "-0.01"),
    ("value", "999999999999999999.999999999999999999999999"),
    ("value", "null"),
    ("currency", "'eur'"),
    ("currency", "'EURO'"),
    ("currency", "'XXX'"),
    ("currency", "'ZZZ'"),
    ("currency", "''"),
    ("occurred_at", "'infinity'"),
    ("occurred_at", "'-infinity'"),
    ("occurred_at", "'294276-12-31'"),
    ("occurred_at", "'4713-01-01 BC'"),
    ("occurred_at", "'0001-01-01 BC'"),
    ("consent", "'[]'::jsonb"),
    ("consent", "'\"granted\"'::jsonb"),
    (
        "consent",
        "'{\"ad_storage\":true,\"analytics_storage\":[],\"ad_user_data\":{},\"ad_personalization\":null}'::jsonb",
    ),
    (
        "consent",
        "granted() || jsonb_build_object('version', repeat('v', 3000000))",
    ),
    (
        "consent",
        "granted() || '{\"given_at\":\"infinity\",\"gpc\":\"maybe\",\"tcf\":7,\"decision\":[]}'::jsonb",
    ),
    (
        "traceparent",
        "E'00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\\r\\nX-Evil: 1'",
    ),
    ("tracestate", "E'a=b\\r\\nX-Evil: 1'"),
    ("page_url", "E'https://shop.example/\\r\\nX-Evil: 1'"),
    ("page_url", "'javascript:' || repeat('x', 2000000)"),
    ("action_source", "E'web\\u0007site' || repeat('!', 3000)"),
];

/// One column after another is ugly, the rest as it should be.
fn columns(id: &str, column: &str, expression: &str) -> (String, String) {
    let mut columns = vec![
        ("event_name", "'order_paid'".to_owned()),
        ("business_id", format!("'{id}'")),
        ("value", "49.90".to_owned()),
        ("currency", "'EUR'".to_owned()),
        ("consent", "granted()".to_owned()),
        ("user_data", "'{\"email\":\"ada@example.com\"}'".to_owned()),
        ("click_ids", "'{\"ga_client_id\":\"1.2\"}'".to_owned()),
    ];
    columns.retain(|(name, _)| *name != column);
    columns.push((column, expression.to_owned()));
    let list = |part: fn(&(&str, String)) -> String| columns.iter().map(part).collect::<Vec<_>>();
    (
        list(|(name, _)| (*name).to_owned()).join(", "),
        list(|(_, value)| value.clone()).join(", "),
    )
}

/// With the good consent written out.
fn spelt(sql: &str) -> String {
    sql.replace("granted()", &format!("'{}'::jsonb", granted()))
}

/// Why the database refuses a statement, as `code message`; nothing where it does not.
async fn refusal(client: &tokio_postgres::Client, sql: &str) -> Option<(String, String)> {
    let error = client.batch_execute(&spelt(sql)).await.err()?;
    let error = error.as_db_error().expect("an answer of the server's");
    Some((error.code().code().to_owned(), error.message().to_owned()))
}

/// What may be said instead of taking a row: rules of ours (OB), of the table (23514, 23502), or of json, numbers, times and
/// texts as PostgreSQL has them.
fn is_clear(code: &str) -> bool {
    code.starts_with("OB")
        || [
            "23514", "23502", "22P02", "22P05", "22003", "22008", "22007", "22023", "54001",
        ]
        .contains(&code)
}

#[tokio::test]
async fn an_application_writes_the_ugliest_rows() {
    let rig = Rig::new().await;
    let worker = rig.work_with(Setup::all());
    let app = rig.app().await;
    let mut taken = Vec::new();
    for (n, (column, expression)) in UGLY.iter().enumerate() {
        for (way, id) in [("insert", format!("i-{n}")), ("enqueue", format!("e-{n}"))] {
            let (names, values) = columns(&id, column, expression);
            let sql = match way {
                "insert" => {
                    format!("insert into conversion_outbox.event ({names}) values ({values})")
                }
                _ => {
                    let named = names.split(", ").zip(split(&values));
                    let named: Vec<String> = named
                        .map(|(name, value)| format!("{name} => {value}"))
                        .collect();
                    format!("select conversion_outbox.enqueue({})", named.join(", "))
                }
            };
            match refusal(&app, &sql).await {
                None => taken.push((id, *column, *expression)),
                Some((code, message)) => {
                    assert!(is_clear(&code), "{column} {expression}: {code} {message}");
                    assert!(message.len() < 400, "{column} {expression}: {message}");
                }
            }
        }
    }
    rig.insert(&[order("neighbour")]).await;
    for destination in Destination::ALL {
        let is_there = format!(
            "exists (select from conversion_outbox.delivery join conversion_outbox.event using (event_no)
              where destination = '{}' and business_id = 'neighbour' and state in ('accepted', 'sent'))",
            destination.name()
        );
        rig.until(&is_there).await;
    }
    // Beyond the time of an event of next year there is none that is not over.
    rig.until_final().await;
    assert!(
        taken.len() > 60,
        "most of it is mended at the door: {}",
        taken.len()
    );
    let defects: i64 = rig
        .one("select count(*) from conversion_outbox.delivery where reason = 'defect'")
        .await;
    assert_eq!(defects, 0);
    // Whatever was dropped, the order itself arrived.
    let lost: Vec<String> = {
        let arrived = rig.arrived(conversion_outbox::sandbox::Platform::Meta);
        let is_there = |id: &str| {
            arrived
                .iter()
                .any(|row| row.event_id.as_deref() == Some(&format!("order_paid:{id}")))
        };
        let optional = |column: &str| {
            !["value", "currency", "occurred_at", "consent", "user_data"].contains(&column)
        };
        let lost = taken
            .iter()
            .filter(|(id, column, _)| optional(column) && !is_there(id));
        lost.map(|(_, column, expression)| format!("{column} {expression}"))
            .collect()
    };
    assert_eq!(lost, Vec::<String>::new());
    worker.drain().await;
}

/// Values between commas that stand in no brackets and no quotes.
fn split(values: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut quoted) = (Vec::new(), 0, 0_i32, false);
    for (at, c) in values.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            '(' | '[' if !quoted => depth += 1,
            ')' | ']' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                parts.push(values[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(values[start..].trim());
    parts
}

#[tokio::test]
async fn a_superuser_writes_past_every_trigger() {
    let rig = Rig::new().await;
    let mut taken = 0;
    let admin = rig.superuser().await;
    admin
        .batch_execute("set session_replication_role = replica")
        .await
        .expect("a superuser");
    for (n, (column, expression)) in UGLY.iter().enumerate() {
        let (names, values) = columns(&format!("s-{n}"), column, expression);
        let (names, values) = match names.contains("occurred_at") {
            true => (names, values),
            false => (format!("{names}, occurred_at"), format!("{values}, now()")),
        };
        let sql = format!(
            "with written as (insert into conversion_outbox.event (event_id, {names}) values ('s-{n}', {values}) returning event_no)
             insert into conversion_outbox.queue (event_no) select event_no from written"
        );
        match refusal(&admin, &sql).await {
            None => taken += 1,
            Some((code, message)) => {
                assert!(is_clear(&code), "{column} {expression}: {code} {message}")
            }
        }
    }
    // Two ids that look alike are two events.
    for (id, name) in [
        ("U&'caf\\00E9'", "composed"),
        ("U&'cafe\\0301'", "decomposed"),
    ] {
        let (names, values) = columns(name, "source", "'x'");
        let sql = format!(
            "insert into conversion_outbox.event (event_id, {names}) values ({id}, {values})"
        );
        assert_eq!(refusal(&rig.app().await, &sql).await, None);
    }
    assert!(taken > 35, "{taken}");
    let worker = rig.work_with(Setup::all());
    rig.insert(&[order("neighbour")]).await;
    rig.until_state("meta", "order_paid:neighbour", "accepted")
        .await;
    rig.until_final().await;
    let open: i64 = rig
        .one("select count(*) from conversion_outbox.event e where (select count(*) from conversion_outbox.delivery d where d.event_no = e.event_no) <> 5")
        .await;
    assert_eq!(open, 0, "each has an end at each of five destinations");
    let defects: i64 = rig
        .one("select count(*) from conversion_outbox.delivery where reason = 'defect'")
        .await;
    assert_eq!(defects, 0);
    let alike: i64 = rig
        .one("select count(*) from conversion_outbox.delivery join conversion_outbox.event using (event_no)
               where destination = 'meta' and state = 'accepted' and business_id in ('composed', 'decomposed')")
        .await;
    assert_eq!(alike, 2);
    // Nothing of a row became a line of a request's head.
    let requests = rig.sandbox.read(|ledger| ledger.rows().count());
    assert!(requests > 50, "{requests}");
    worker.drain().await;
}
