//! Two transactions that insert the same event at the same time: one event, whatever the other does.

use crate::harness::{Event, Form, Outbox};
use crate::repeat::counted;

/// How the first transaction ends while the second waits for it.
#[derive(Clone, Copy, Debug)]
enum End {
    Commit,
    Rollback,
}

/// The first inserts and stays open, the second inserts and waits, the first ends. Gives the second's answer: its
/// outcome, or the number of rows it wrote.
async fn race(outbox: &Outbox, event: [&Event; 2], form: [Form; 2], end: End) -> String {
    let first = outbox.session("app").await;
    let second = outbox.session("app").await;
    let pid = second.pid().await;
    first
        .run(&format!("begin; {}", event[0].sql(form[0])))
        .await;
    let sql = event[1].sql(form[1]);
    let answer = async {
        if form[1] == Form::Enqueue {
            second.one::<String>(&sql).await
        } else {
            second
                .attempt(&sql)
                .await
                .expect("never refused")
                .to_string()
        }
    };
    let ending = async {
        outbox.until_blocked(pid).await;
        first
            .run(match end {
                End::Commit => "commit",
                End::Rollback => "rollback",
            })
            .await;
    };
    tokio::join!(answer, ending).0
}

#[tokio::test]
async fn a_twin_waits_and_becomes_a_repeat() {
    for ahead in Form::ALL {
        for behind in Form::ALL {
            let outbox = Outbox::new().await;
            let order = Event::order("order-1");
            let answer = race(&outbox, [&order, &order], [ahead, behind], End::Commit).await;
            let expected = if behind == Form::Enqueue {
                "duplicate"
            } else {
                "0"
            };
            assert_eq!(answer, expected, "{ahead:?} {behind:?}");
            assert_eq!(
                counted(&outbox.admin().await).await,
                "1 1 1 0 {}",
                "{ahead:?} {behind:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_twin_of_a_transaction_that_rolls_back_is_the_first() {
    for behind in Form::ALL {
        let outbox = Outbox::new().await;
        let order = Event::order("order-1").text("event_id", "e-1");
        let answer = race(
            &outbox,
            [&order, &order],
            [Form::Plain, behind],
            End::Rollback,
        )
        .await;
        let expected = if behind == Form::Enqueue {
            "created"
        } else {
            "1"
        };
        assert_eq!(answer, expected, "{behind:?}");
        assert_eq!(counted(&outbox.admin().await).await, "1 1 -", "{behind:?}");
    }
}

#[tokio::test]
async fn a_racing_conflict_is_recorded() {
    for behind in Form::ALL {
        let outbox = Outbox::new().await;
        let order = Event::order("order-1");
        let other = order.clone().set("value", "99");
        let answer = race(
            &outbox,
            [&order, &other],
            [Form::Enqueue, behind],
            End::Commit,
        )
        .await;
        let expected = if behind == Form::Enqueue {
            "conflict"
        } else {
            "0"
        };
        assert_eq!(answer, expected, "{behind:?}");
        assert_eq!(
            counted(&outbox.admin().await).await,
            "1 1 0 1 {value}",
            "{behind:?}"
        );
    }
}

#[tokio::test]
async fn beyond_the_budget_of_locks_the_unique_constraint_decides() {
    for behind in [Form::OnConflict, Form::OnConflictEventId, Form::Enqueue] {
        let outbox = Outbox::new().await;
        let (first, second) = (outbox.session("app").await, outbox.session("app").await);
        let pid = second.pid().await;
        for session in [&first, &second] {
            session.run("begin").await;
            let mine = if std::ptr::eq(session, &first) {
                "a"
            } else {
                "b"
            };
            for n in 0..64 {
                session
                    .run(&Event::order(&format!("{mine}-{n}")).sql(Form::Plain))
                    .await;
            }
        }
        let order = Event::order("order-1");
        first.run(&order.sql(Form::Plain)).await;
        let sql = order.sql(behind);
        let ending = async {
            outbox.until_blocked(pid).await;
            first.run("commit").await;
        };
        tokio::join!(second.run(&sql), ending);
        second.run("commit").await;
        let admin = outbox.admin().await;
        let events: i64 = admin
            .one("select count(*) from conversion_outbox.event")
            .await;
        assert_eq!(events, 129, "{behind:?}");
        assert_eq!(
            admin
                .one::<i64>("select count(*) from conversion_outbox.queue")
                .await,
            129
        );
    }
}

#[tokio::test]
async fn many_at_once_make_one_event() {
    let outbox = Outbox::new().await;
    let mut sessions = Vec::new();
    for _ in 0..8 {
        sessions.push(outbox.session("app").await);
    }
    for round in 0..20 {
        let order = Event::order(&format!("order-{round}"));
        let runs = sessions.iter().enumerate().map(|(n, session)| {
            let sql = order.sql(Form::ALL[(n + round) % 4]);
            async move { session.run(&sql).await }
        });
        futures::future::join_all(runs).await;
    }
    let admin = outbox.admin().await;
    let totals: String = admin
        .one(
            "select (select count(*) from conversion_outbox.event) || ' ' || (select count(*) from conversion_outbox.queue) || ' ' ||
                    (select sum(duplicates) from conversion_outbox.repeat)",
        )
        .await;
    assert_eq!(totals, "20 20 140");
}
