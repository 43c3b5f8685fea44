//! The ledger's rules: repeats, channels, windows, bounds.

use bytes::Bytes;
use chrono::{DateTime, TimeDelta};

use super::*;
use crate::sandbox::exchange::{Channel, Repeats};

const HOUR: TimeDelta = TimeDelta::hours(1);

fn envelope(platform: Platform, channel: Channel, at: TimeDelta) -> Envelope {
    Envelope {
        platform,
        account: "1".to_owned(),
        path: String::new(),
        channel,
        received_at: DateTime::from_timestamp(1_795_428_000, 0).unwrap() + at,
        status: Some(200),
        digest: String::new(),
        body: Bytes::new(),
    }
}

fn take(
    ledger: &mut Ledger,
    key: &str,
    repeats: Repeats,
    channel: Channel,
    at: TimeDelta,
) -> Verdict {
    let ruling = Ruling::Take {
        key: key.to_owned(),
        repeats,
    };
    put(ledger, ruling, channel, at)
}

fn put(ledger: &mut Ledger, ruling: Ruling, channel: Channel, at: TimeDelta) -> Verdict {
    let heard = Heard {
        event_name: Some("Purchase".to_owned()),
        ..Heard::default()
    };
    let judged = Judged {
        ruling,
        reason: String::new(),
    };
    ledger.record(
        &envelope(Platform::Meta, channel, at),
        vec![(heard, judged)],
    );
    ledger.rows().next_back().unwrap().verdict
}

#[test]
fn a_repeat_from_the_other_channel_is_dropped_for_48_hours() {
    let mut ledger = Ledger::new(100);
    let mut put = |channel, at| take(&mut ledger, "o1", Repeats::DropAcrossChannels, channel, at);
    assert_eq!(put(Channel::Browser, TimeDelta::zero()), Verdict::Stored);
    assert_eq!(put(Channel::Server, HOUR * 47), Verdict::Deduplicated);
    assert_eq!(put(Channel::Browser, HOUR * 200), Verdict::Stored);
    let doubles: Vec<u64> = ledger
        .accounts()
        .map(|(_, _, count)| count.doubles)
        .collect();
    assert_eq!(doubles, [1]);
}

#[test]
fn a_repeat_from_the_same_channel_would_double() {
    let mut ledger = Ledger::new(100);
    let mut put = |at| {
        take(
            &mut ledger,
            "o1",
            Repeats::DropAcrossChannels,
            Channel::Server,
            at,
        )
    };
    assert_eq!(put(TimeDelta::zero()), Verdict::Stored);
    assert_eq!(put(HOUR), Verdict::WouldDouble);
    assert_eq!(
        ledger
            .conversions()
            .map(|(_, counted)| counted)
            .collect::<Vec<_>>(),
        [2]
    );
    let counts = ledger.accounts().next().unwrap().2.clone();
    assert_eq!(
        (
            counts.requests,
            counts.counted,
            counts.conversions,
            counts.doubles
        ),
        (2, 2, 1, 1)
    );
}

#[test]
fn a_second_server_event_after_a_dropped_one_would_double() {
    let mut ledger = Ledger::new(100);
    let mut put = |channel| {
        take(
            &mut ledger,
            "o1",
            Repeats::DropAcrossChannels,
            channel,
            HOUR,
        )
    };
    assert_eq!(put(Channel::Browser), Verdict::Stored);
    assert_eq!(put(Channel::Server), Verdict::Deduplicated);
    assert_eq!(put(Channel::Server), Verdict::WouldDouble);
}

#[test]
fn first_stands_for_ever_and_others_count_again() {
    let mut ledger = Ledger::new(100);
    let mut put = |key, repeats, at| take(&mut ledger, key, repeats, Channel::Server, at);
    assert_eq!(
        put("t1", Repeats::FirstStands, TimeDelta::zero()),
        Verdict::Stored
    );
    assert_eq!(
        put("t1", Repeats::FirstStands, HOUR * 900),
        Verdict::Deduplicated
    );
    assert_eq!(put("r1", Repeats::CountAgain, HOUR), Verdict::Stored);
    assert_eq!(put("r1", Repeats::CountAgain, HOUR), Verdict::WouldDouble);
}

#[test]
fn what_was_not_taken_is_not_counted() {
    let mut ledger = Ledger::new(100);
    for ruling in [
        Ruling::Reject,
        Ruling::Collapse,
        Ruling::Vanish,
        Ruling::Validate,
    ] {
        put(&mut ledger, ruling, Channel::Server, HOUR);
    }
    let heard = Heard {
        event_name: Some("Purchase".to_owned()),
        ..Heard::default()
    };
    ledger.record_fault(
        &envelope(Platform::Meta, Channel::Server, HOUR),
        vec![heard],
        "scripted",
    );
    let counts = ledger.accounts().next().unwrap().2.clone();
    assert_eq!((counts.requests, counts.counted), (5, 0));
    assert_eq!(counts.verdicts.len(), 5);
    assert_eq!(
        take(
            &mut ledger,
            "o1",
            Repeats::FirstStands,
            Channel::Server,
            HOUR
        ),
        Verdict::Stored
    );
}

#[test]
fn memory_is_bounded_and_says_what_it_lost() {
    let mut ledger = Ledger::new(2);
    for key in ["a", "b", "c", "d"] {
        take(
            &mut ledger,
            key,
            Repeats::FirstStands,
            Channel::Server,
            HOUR,
        );
    }
    assert_eq!(
        (
            ledger.rows().len(),
            ledger.dropped_rows(),
            ledger.forgotten_keys()
        ),
        (2, 2, 2)
    );
    assert_eq!(
        (
            ledger.last_seq(),
            ledger.count(Platform::Meta, Verdict::Stored)
        ),
        (4, 4)
    );
    ledger.reset();
    assert_eq!(
        (
            ledger.rows().len(),
            ledger.last_seq(),
            ledger.conversions().count()
        ),
        (0, 0, 0)
    );
}

#[test]
fn verdicts_are_found_by_their_text() {
    for verdict in Verdict::ALL {
        assert_eq!(Verdict::named(verdict.as_str()), Some(verdict));
        assert_eq!(serde_json::to_value(verdict).unwrap(), verdict.as_str());
    }
    assert_eq!(Verdict::named("nonsense"), None);
}
