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
            .map(|(_, held)| held.counted())
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

fn key(account: &str, key: &str) -> ConversionKey {
    ConversionKey {
        platform: Platform::GoogleDataManager,
        account: account.to_owned(),
        event_name: "7".to_owned(),
        key: key.to_owned(),
    }
}

/// Records an event of conversion action 7 for an account, worth `value`.
fn put_action(
    ledger: &mut Ledger,
    account: &str,
    ruling: Ruling,
    value: Option<&str>,
    at: TimeDelta,
) -> Verdict {
    let heard = Heard {
        event_name: Some("7".to_owned()),
        account: Some(account.to_owned()),
        value: value.map(str::to_owned),
        currency: value.map(|_| "EUR".to_owned()),
        ..Heard::default()
    };
    let judged = Judged {
        ruling,
        reason: String::new(),
    };
    let envelope = envelope(Platform::GoogleDataManager, Channel::Server, at);
    ledger.record(&envelope, vec![(heard, judged)]);
    ledger.rows().next_back().unwrap().verdict
}

fn overwrite(text: &str) -> Ruling {
    Ruling::Take {
        key: text.to_owned(),
        repeats: Repeats::Overwrite,
    }
}

#[test]
fn an_overwritten_conversion_counts_once_with_its_last_value_and_its_history() {
    let mut ledger = Ledger::new(100);
    let mut put = |value, at| put_action(&mut ledger, "5", overwrite("o1"), value, at);
    assert_eq!(put(Some("129.9"), TimeDelta::zero()), Verdict::Stored);
    assert_eq!(put(Some("67.4"), HOUR), Verdict::Adjusted);
    assert_eq!(put(None, HOUR * 2), Verdict::Adjusted);
    let held = ledger.conversion(&key("5", "o1")).unwrap();
    let amount = Amount {
        value: Some("67.4".to_owned()),
        currency: Some("EUR".to_owned()),
    };
    assert_eq!((held.counted(), held.amount()), (1, &amount));
    let history: Vec<_> = held
        .history()
        .iter()
        .map(|it| (it.verdict, it.amount.value.as_deref()))
        .collect();
    let expected = [
        (Verdict::Stored, Some("129.9")),
        (Verdict::Adjusted, Some("67.4")),
        (Verdict::Adjusted, Some("67.4")),
    ];
    assert_eq!(history, expected);
    let (_, account, counts) = ledger.accounts().next().unwrap();
    let counted = (counts.counted, counts.conversions, counts.doubles);
    assert_eq!((account, counted), ("5", (1, 1, 0)));
}

#[test]
fn a_retracted_conversion_counts_no_more_until_it_is_taken_afresh() {
    let mut ledger = Ledger::new(100);
    let retract = |text: &str| Ruling::Retract {
        conversion: key("5", text),
    };
    let adjust = Ruling::Adjust {
        conversion: key("5", "o1"),
    };
    put_action(&mut ledger, "5", overwrite("o1"), Some("10"), HOUR);
    assert_eq!(
        put_action(&mut ledger, "6", adjust, Some("4"), HOUR),
        Verdict::Adjusted
    );
    assert_eq!(
        put_action(&mut ledger, "6", retract("o1"), None, HOUR),
        Verdict::Retracted
    );
    assert_eq!(
        put_action(&mut ledger, "6", retract("o2"), None, HOUR),
        Verdict::Retracted
    );
    assert_eq!(ledger.rows().next_back().unwrap().reason, FORGOTTEN);
    let held = ledger.conversion(&key("5", "o1")).unwrap();
    assert_eq!(
        (held.counted(), held.amount().value.as_deref()),
        (0, Some("0"))
    );
    assert_eq!(held.history().len(), 3);
    let counts = |ledger: &Ledger| {
        let (_, _, counts) = ledger.accounts().next().unwrap();
        (counts.counted, counts.conversions, counts.doubles)
    };
    assert_eq!(counts(&ledger), (0, 0, 0));
    assert_eq!(
        put_action(&mut ledger, "5", overwrite("o1"), Some("10"), HOUR),
        Verdict::Stored
    );
    assert_eq!(counts(&ledger), (1, 1, 0));
}

#[test]
fn what_processing_drops_is_not_counted() {
    let mut ledger = Ledger::new(100);
    assert_eq!(
        put_action(&mut ledger, "5", Ruling::Drop, Some("10"), HOUR),
        Verdict::Dropped
    );
    assert_eq!(
        ledger.conversion(&key("5", "o1")).map(Conversion::counted),
        None
    );
    assert_eq!(
        ledger.count(Platform::GoogleDataManager, Verdict::Dropped),
        1
    );
}

#[test]
fn a_repeat_that_the_platform_recognises_is_remembered_and_not_counted() {
    let mut ledger = Ledger::new(100);
    let conversion = key("5", "o1");
    let repeat = || Ruling::Repeat {
        conversion: conversion.clone(),
    };
    let first = Ruling::Take {
        key: "o1".to_owned(),
        repeats: Repeats::FirstStands,
    };
    put_action(&mut ledger, "5", first, Some("129.9"), HOUR);
    assert_eq!(
        put_action(&mut ledger, "5", repeat(), Some("10"), HOUR),
        Verdict::Deduplicated
    );
    let held = ledger.conversion(&conversion).unwrap();
    assert_eq!(
        (held.counted(), held.amount().value.as_deref()),
        (1, Some("129.9"))
    );
    assert_eq!(held.history()[1].verdict, Verdict::Deduplicated);
    let mut empty = Ledger::new(100);
    put_action(&mut empty, "5", repeat(), None, HOUR);
    assert_eq!(empty.conversions().count(), 0);
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

#[test]
fn a_tags_event_stands_for_the_same_id_whatever_came_first() {
    let mut ledger = Ledger::new(100);
    let mut put = |key: &str, name: &str, channel, at| {
        let heard = Heard {
            event_name: Some(name.to_owned()),
            ..Heard::default()
        };
        let judged = Judged {
            ruling: Ruling::Take {
                key: key.to_owned(),
                repeats: Repeats::TagStands,
            },
            reason: String::new(),
        };
        let envelope = envelope(Platform::LinkedIn, channel, at);
        ledger.record(&envelope, vec![(heard, judged)]);
        ledger.rows().next_back().unwrap().verdict
    };
    let (tag, api) = (Channel::Browser, Channel::Server);
    assert_eq!(put("a", "tag", tag, HOUR), Verdict::Stored);
    assert_eq!(put("a", "api", api, HOUR * 900), Verdict::Deduplicated);
    assert_eq!(put("a", "api", api, HOUR * 901), Verdict::Deduplicated);
    assert_eq!(put("b", "api", api, HOUR), Verdict::Stored);
    assert_eq!(put("b", "tag", tag, HOUR * 2), Verdict::Deduplicated);
    assert_eq!(put("b", "api", api, HOUR * 3), Verdict::Deduplicated);
    assert_eq!(put("c", "api", api, HOUR), Verdict::Stored);
    assert_eq!(put("c", "other", api, HOUR), Verdict::WouldDouble);
    assert_eq!(put("d", "tag", tag, HOUR), Verdict::Stored);
    assert_eq!(put("d", "tag", tag, HOUR), Verdict::WouldDouble);
    let count = ledger.accounts().next().unwrap().2;
    assert_eq!((count.counted, count.conversions, count.doubles), (6, 4, 2));
}
