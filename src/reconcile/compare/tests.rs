//! The comparison over worlds made by hand and at random.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::outcome::State;
use crate::reconcile::outbox::Standing;

fn entry() -> ReconcileConfig {
    ReconcileConfig {
        name: "orders".to_owned(),
        event: "order_paid".to_owned(),
        query: String::new(),
        database_url: None,
        time_zone: "UTC".to_owned(),
        days: 14,
        late_days: 2,
        tolerance_percent: 5,
        statement_timeout: Duration::from_secs(30),
        rows_max: 1000,
        destinations: None,
        every: Duration::from_secs(3600),
        keep_gaps_days: 90,
    }
}

/// An hour counted from the first moment of the day that is compared.
fn at(hour: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_764_028_800, 0).expect("a time") + TimeDelta::hours(hour)
}

fn days() -> [Day; 3] {
    [-24, 0, 24].map(|hour| Day {
        date: at(hour).date_naive(),
        begins_at: at(hour),
        ends_at: at(hour + 24),
    })
}

fn eur(cents: u32) -> Option<(Exact, String)> {
    let amount = Exact::parse(&format!("{}.{:02}", cents / 100, cents % 100)).expect("cents");
    Some((amount, "EUR".to_owned()))
}

fn row(id: &str, hour: i64, cents: u32) -> SourceRow {
    SourceRow {
        business_id: id.to_owned(),
        event_id: None,
        occurred_at: at(hour),
        money: eur(cents),
        whole: serde_json::Value::Null,
    }
}

fn event(id: &str, hour: i64, cents: u32, state: State) -> OutboxRow {
    let standing = Standing {
        state,
        reason: None,
    };
    OutboxRow {
        event_id: format!("order_paid:{id}"),
        business_id: id.to_owned(),
        occurred_at: at(hour),
        money: eur(cents),
        has_conflict: false,
        is_queued: false,
        standings: BTreeMap::from([("meta".to_owned(), standing)]),
    }
}

fn meta(report: Option<Report>) -> Place {
    Place {
        name: "meta".to_owned(),
        platform: "meta".to_owned(),
        delay: TimeDelta::days(1),
        is_asked: report.is_some(),
        report,
    }
}

fn report(count: u64, ids: &[(&str, u64)]) -> Report {
    Report {
        day: days()[1],
        time_zone: "UTC".to_owned(),
        source: "api".to_owned(),
        conversions: Exact::from(count),
        value: None,
        currency: None,
        ids: Some(ids.iter().map(|(id, n)| ((*id).to_owned(), *n)).collect()),
        counts: Counts::Received,
        fetched_at: at(48),
    }
}

fn compared(source: &[SourceRow], outbox: &[OutboxRow], place: Place, now: i64) -> DayResult {
    let of = |day: Day| -> Vec<SourceRow> {
        source
            .iter()
            .filter(|row| day.holds(row.occurred_at))
            .cloned()
            .collect()
    };
    let [before, today, after] = days().map(of);
    let known = Known {
        days: days(),
        source: [&before, &today, &after],
        far: &[],
        gaps_max: super::GAPS_MAX,
        outbox: outbox.iter().collect(),
        destinations: vec![place],
        now: at(now),
    };
    compare(&entry(), &known)
}

fn whys(day: &DayResult) -> Vec<(&'static str, &str)> {
    day.gaps
        .iter()
        .map(|gap| (gap.why.as_str(), gap.business_id.as_str()))
        .collect()
}

#[test]
fn a_thousand_refusals_hide_nothing_that_was_lost() {
    let refused = (0..super::GAPS_MAX).map(|n| (format!("a{n}"), State::Suppressed));
    let lost = [("lost".to_owned(), State::Rejected)];
    let (mut source, mut outbox) = (Vec::new(), Vec::new());
    for (id, state) in refused.chain(lost) {
        source.push(row(&id, 1, 100));
        outbox.push(event(&id, 1, 100, state));
    }
    let day = compared(&source, &outbox, meta(None), 500);
    assert_eq!(whys(&day)[0], ("rejected", "lost"));
    assert_eq!((day.gaps.len(), day.gaps_left_out), (super::GAPS_MAX, 1));
}

#[test]
fn every_difference_has_its_reason() {
    let source = [
        row("good", 1, 100),
        row("forgotten", 2, 100),
        row("dearer", 3, 100),
        row("late", 4, 100),
        row("twice", 5, 100),
        row("twice", 5, 100),
        row("refused", 6, 100),
        row("no-consent", 7, 100),
        row("neighbour", -1, 100),
    ];
    let mut conflict = event("dearer", 3, 200, State::Accepted);
    conflict.has_conflict = true;
    let outbox = [
        event("good", 1, 100, State::Accepted),
        conflict,
        event("late", 90, 100, State::Sent),
        event("twice", 5, 100, State::Accepted),
        event("refused", 6, 100, State::Rejected),
        event("no-consent", 7, 100, State::Suppressed),
        event("unasked", 8, 100, State::Accepted),
        // Told an hour later than the application has it: on this day by the outbox, on the one before by the source.
        event("neighbour", 0, 100, State::Accepted),
    ];
    let day = compared(&source, &outbox, meta(None), 200);
    assert_eq!(
        whys(&day),
        [
            ("no_row", "forgotten"),
            ("other_day", "late"),
            ("conflict", "dearer"),
            ("not_in_source", "unasked"),
            ("duplicate_in_source", "twice"),
            ("rejected", "refused"),
            ("suppressed", "no-consent"),
        ]
    );
    assert_eq!((day.source_rows, day.source_duplicates), (7, 1));
    assert_eq!((day.outbox_rows, day.matched, day.missing), (7, 6, 1));
    assert_eq!((day.extra, day.value_differs, day.other_day), (1, 1, 1));
    assert_eq!(day.source_value["EUR"].to_string(), "7");
    let [meta] = day.destinations.as_slice() else {
        panic!("one destination")
    };
    assert_eq!(
        (meta.accepted, meta.sent, meta.rejected, meta.suppressed),
        (4, 1, 1, 1)
    );
    // Seven rows, one without consent; five arrived, one of them unasked.
    assert_eq!(
        (meta.expected, meta.difference.to_string().as_str()),
        (6, "-1")
    );
    assert!(day.is_closed && day.is_finding());
    assert_eq!(meta.arrived_value["EUR"].to_string(), "6");
}

#[test]
fn refunds_of_one_order_find_their_own() {
    let source = [row("o", 1, 300), row("o", 2, 500), row("o", 3, 300)];
    let second = OutboxRow {
        event_id: "r-2".into(),
        ..event("o", 2, 500, State::Accepted)
    };
    let third = OutboxRow {
        event_id: "r-3".into(),
        ..event("o", 3, 300, State::Accepted)
    };
    let day = compared(&source, &[third, second], meta(None), 200);
    assert_eq!(whys(&day), [("fewer_rows", "o")]);
    // Which of two equal refunds is missing, the ids tell where the query returns them.
    let mut told = source.clone();
    for (row, id) in told.iter_mut().zip(["r-1", "r-2", "r-3"]) {
        row.event_id = Some(id.to_owned());
    }
    let second = OutboxRow {
        event_id: "r-2".into(),
        ..event("o", 2, 500, State::Accepted)
    };
    let first = OutboxRow {
        event_id: "r-1".into(),
        ..event("o", 1, 300, State::Accepted)
    };
    let day = compared(&told, &[first, second], meta(None), 200);
    assert_eq!(day.gaps.len(), 1);
    assert_eq!(day.gaps[0].event_id.as_deref(), Some("r-3"));
}

#[test]
fn what_a_platform_says_is_held_against_what_arrived() {
    let source = [row("a", 1, 100), row("b", 2, 100), row("c", 3, 100)];
    let outbox = [
        event("a", 1, 100, State::Sent),
        event("b", 2, 100, State::Sent),
        event("c", 3, 100, State::Suppressed),
    ];
    let told = report(5, &[("a", 2), ("c", 1), ("stranger", 2)]);
    let day = compared(&source, &outbox, meta(Some(told.clone())), 200);
    assert_eq!(
        whys(&day),
        [
            ("reported_never_sent", "c"),
            ("reported_never_sent", "stranger"),
            ("not_reported", "b"),
            ("reported_again", "a"),
            ("suppressed", "c"),
        ]
    );
    let meta_result = &day.destinations[0];
    assert_eq!(
        meta_result.difference.to_string(),
        "3",
        "five reported, two arrived of two"
    );
    assert_eq!(meta_result.whys["reported_never_sent/no event"], 1);
    // Of what is ascribed to advertisements, nothing follows.
    let attributed = Report {
        counts: Counts::Attributed,
        ids: None,
        ..told
    };
    let day = compared(&source, &outbox, meta(Some(attributed)), 200);
    assert_eq!(day.destinations[0].difference, Exact::ZERO);
    assert_eq!(day.destinations[0].reported, Some(Exact::from(5)));
}

#[test]
fn the_platform_s_day_is_compared_with_what_arrived_on_that_day() {
    // The platform counts days that begin five hours later.
    let mut told = report(2, &[]);
    told.ids = None;
    (told.day.begins_at, told.day.ends_at) = (at(5), at(29));
    let source = [
        row("early", 1, 100),
        row("noon", 12, 100),
        row("next", 26, 100),
    ];
    let outbox = [
        event("early", 1, 100, State::Accepted),
        event("noon", 12, 100, State::Accepted),
        event("next", 26, 100, State::Accepted),
    ];
    let day = compared(&source, &outbox, meta(Some(told)), 200);
    assert_eq!(day.destinations[0].arrived_in_reported_day, Some(2));
    assert_eq!(day.destinations[0].difference, Exact::ZERO);
    assert_eq!(
        day.destinations[0].closes_at,
        at(24 + 48),
        "late_days end last"
    );
}

#[test]
fn what_is_lost_is_not_made_up_for_by_what_the_platform_counted_of_its_own() {
    let source = [row("a", 1, 100), row("b", 2, 100)];
    let lost = [
        event("a", 1, 100, State::Expired),
        event("b", 2, 100, State::Rejected),
    ];
    let told = |count| Report {
        ids: None,
        ..report(count, &[])
    };
    let at_meta = |outbox: &[OutboxRow], count| {
        let day = compared(&source, outbox, meta(Some(told(count))), 200);
        let one = &day.destinations[0];
        (one.difference.to_string(), one.is_within, day.is_finding())
    };
    assert_eq!(at_meta(&lost, 2), ("-2".into(), false, true));
    assert_eq!(at_meta(&lost, 5), ("5".into(), false, true));
    // Of one kind they add up: one did not arrive, and of the other the platform knows nothing.
    let half = [
        event("a", 1, 100, State::Accepted),
        event("b", 2, 100, State::Rejected),
    ];
    assert_eq!(at_meta(&half, 0), ("-2".into(), false, true));
}

#[test]
fn what_no_list_of_ids_can_hold_is_not_missing_from_it() {
    let long = "x".repeat(101);
    let ids = ["a@example.com", long.as_str(), "plain"];
    let source = ids.map(|id| row(id, 1, 100));
    let outbox = ids.map(|id| event(id, 1, 100, State::Accepted));
    let day = compared(&source, &outbox, meta(Some(report(3, &[]))), 200);
    assert_eq!(whys(&day), [("not_reported", "plain")]);
}

#[test]
fn a_number_told_too_early_or_never_closes_no_day() {
    let source = [row("a", 1, 100)];
    let accepted = [event("a", 1, 100, State::Accepted)];
    let early = Report {
        fetched_at: at(47),
        ids: None,
        ..report(1, &[])
    };
    let day = compared(&source, &accepted, meta(Some(early.clone())), 500);
    assert!(
        !day.is_closed && day.open_because[0].contains("told before they were final"),
        "{:?}",
        day.open_because
    );
    let silent = Place {
        report: None,
        is_asked: true,
        ..meta(None)
    };
    let day = compared(&source, &accepted, silent.clone(), 500);
    assert_eq!(day.open_because, ["meta: its numbers were not told yet"]);
    // Nobody waits for what the platform does not know any more.
    for report in [None, Some(early.clone())] {
        let forgotten = Place {
            report,
            is_asked: false,
            ..silent.clone()
        };
        assert!(compared(&source, &accepted, forgotten, 500).is_closed);
    }
    let said_again = Report {
        fetched_at: at(48),
        ..early
    };
    assert!(compared(&source, &accepted, meta(Some(said_again)), 500).is_closed);
}

#[test]
fn a_day_closes_when_nothing_is_expected_any_more() {
    let source = [row("a", 1, 100)];
    let accepted = [event("a", 1, 100, State::Accepted)];
    let open = compared(&source, &accepted, meta(None), 71);
    assert!(
        !open.is_closed && !open.is_finding(),
        "late rows are waited for"
    );
    assert_eq!(open.open_because.len(), 1);
    assert!(compared(&source, &accepted, meta(None), 72).is_closed);
    let waiting = [event("a", 1, 100, State::Pending)];
    let open = compared(&source, &waiting, meta(None), 500);
    assert_eq!(open.open_because, ["meta: 1 still wait"]);
    let slow = Place {
        delay: TimeDelta::days(3),
        ..meta(None)
    };
    let open = compared(&source, &accepted, slow, 72);
    assert_eq!((open.is_closed, open.closes_at), (false, at(24 + 72)));
}

const STATES: [State; 10] = [
    State::Pending,
    State::Accepted,
    State::Sent,
    State::Suppressed,
    State::Skipped,
    State::Expired,
    State::Rejected,
    State::Uncertain,
    State::Exhausted,
    State::Cancelled,
];

prop_compose! {
    /// One order: whether the source and the outbox have it, when, for how much, and what became of it.
    fn order()(in_source in any::<bool>(), in_outbox in any::<bool>(), id in 0_u8..12, hour in -20_i64..44, late in 0_i64..3,
               cents in 0_u32..3, state in 0_usize..10) -> (Option<SourceRow>, Option<OutboxRow>) {
        let name = id.to_string();
        let source = in_source.then(|| row(&name, hour, cents));
        let outbox = in_outbox.then(|| event(&name, hour + late, cents, STATES[state]));
        (source, outbox)
    }
}

#[test]
fn an_id_in_another_spelling_is_not_forgotten() {
    for (theirs, ours) in [
        ("ORD-7", "ord-7"),
        (" ord-7 ", "ORD -7"),
        ("00123", "123"),
        ("ÄÖ-1", "äö-1"),
    ] {
        let source = [row(theirs, 1, 500), row("other", 1, 500)];
        let outbox = [event(ours, 1, 500, State::Accepted)];
        let day = compared(&source, &outbox, meta(None), 200);
        assert_eq!(
            whys(&day)[..3],
            [
                ("no_row", "other"),
                ("other_spelling", theirs),
                ("not_in_source", ours)
            ]
        );
        assert_eq!(day.gaps[1].reason, Some(format!("{ours:?} in the outbox")));
        assert_eq!(day.missing, 2);
        let (events, refused) = crate::reconcile::backfill::forgotten(&day, &source);
        assert_eq!((events.len(), refused.len()), (1, 1));
        assert_eq!(refused[0].business_id, theirs);
    }
}

proptest! {
    /// Whatever happened, all numbers add up, every missing and extra id is listed, and no order of reading matters.
    #[test]
    fn numbers_add_up(orders in proptest::collection::vec(order(), 0..30), now in 0_i64..200) {
        let source: Vec<SourceRow> = orders.iter().filter_map(|(row, _)| row.clone()).collect();
        let mut outbox: Vec<OutboxRow> = orders.iter().filter_map(|(_, event)| event.clone()).collect();
        for (n, event) in outbox.iter_mut().enumerate() {
            event.event_id = format!("e-{n}");
        }
        let day = compared(&source, &outbox, meta(None), now);
        let meta_result = &day.destinations[0];
        let count = |why: &[Why]| {
            day.gaps.iter().filter(|gap| gap.destination.is_none() && why.contains(&gap.why)).count() as u64
        };
        let today = days()[1];
        let rows = source.iter().filter(|row| today.holds(row.occurred_at)).count() as u64;
        prop_assert_eq!(day.source_rows + day.source_duplicates, rows);
        prop_assert_eq!(day.outbox_rows, outbox.iter().filter(|event| today.holds(event.occurred_at)).count() as u64);
        prop_assert_eq!(day.matched + day.missing, day.source_rows);
        prop_assert_eq!(count(&[Why::NoRow, Why::FewerRows, Why::OtherSpelling]), day.missing);
        prop_assert_eq!(count(&[Why::NotInSource]), day.extra);
        prop_assert_eq!(count(&[Why::ValueDiffers, Why::Conflict]), day.value_differs);
        prop_assert_eq!(count(&[Why::OtherDay]), day.other_day);
        let stood = meta_result.arrived() + meta_result.withheld() + meta_result.lost() + meta_result.pending + meta_result.in_queue;
        prop_assert_eq!(stood, day.matched + day.extra);
        prop_assert_eq!(meta_result.whys.values().sum::<u64>(), stood - meta_result.arrived());
        // A source row and an event of one id are never both left over.
        let left = |why: Why| day.gaps.iter().filter(move |gap| gap.why == why).map(|gap| gap.business_id.clone());
        let extra: Vec<String> = left(Why::NotInSource).collect();
        prop_assert!(left(Why::NoRow).chain(left(Why::FewerRows)).all(|id| !extra.contains(&id)));

        let (mut shuffled, mut backwards) = (outbox.clone(), source.clone());
        shuffled.reverse();
        backwards.reverse();
        let again = compared(&backwards, &shuffled, meta(None), now);
        prop_assert_eq!((again.matched, again.missing, again.extra), (day.matched, day.missing, day.extra));
        prop_assert_eq!((again.source_value, again.outbox_value), (day.source_value, day.outbox_value));
    }

    /// Where the application forgot nothing and everything arrived, nothing is told.
    #[test]
    fn a_perfect_day_has_no_gaps(hours in proptest::collection::vec(-24_i64..48, 0..20)) {
        let (source, outbox): (Vec<_>, Vec<_>) = hours
            .iter()
            .enumerate()
            .map(|(n, hour)| (row(&n.to_string(), *hour, 100), event(&n.to_string(), *hour, 100, State::Accepted)))
            .unzip();
        let day = compared(&source, &outbox, meta(None), 200);
        prop_assert_eq!(&day.gaps, &Vec::new());
        prop_assert_eq!(day.destinations[0].difference, Exact::ZERO);
        prop_assert!(day.is_closed && !day.is_finding());
    }
}

#[test]
fn long_lists_are_cut_and_counted() {
    let source: Vec<SourceRow> = (0..GAPS_MAX + 5)
        .map(|n| row(&n.to_string(), 1, 100))
        .collect();
    let day = compared(&source, &[], meta(None), 200);
    assert_eq!(
        (day.gaps.len(), day.gaps_left_out, day.missing),
        (GAPS_MAX, 5, 1005)
    );
}
