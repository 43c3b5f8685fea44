//! Transaction ids, which must never change, and what is read of errors.

use proptest::prelude::*;

use super::answer::{code, duration};
use super::*;
use serde_json::json;

fn told(event_id: &str) -> String {
    transaction_id(event_id).expect("an id")
}

#[test]
fn an_id_passes_unless_google_would_refuse_it() {
    for id in [
        "order_paid:order-1042",
        "a",
        "4711-x",
        &"x".repeat(64),
        "order_paid#1",
    ] {
        assert_eq!(told(id), id);
    }
    assert_eq!(told("1042"), "event-1042");
    assert_eq!(told(&"1".repeat(58)), format!("event-{}", "1".repeat(58)));
    for id in ["order of alexz@example.com", "@", &"a@b".repeat(40)] {
        assert_eq!(
            transaction_id(id),
            Err(Unsendable::Invalid("event_id")),
            "{id}"
        );
    }
}

#[test]
fn any_other_id_becomes_its_digest() {
    // python3: "event-" + hashlib.sha256("…".encode()).hexdigest()[:58]
    for (id, digest) in [
        (
            "x".repeat(65),
            "event-9537c5fdf120482f7d58d25e9ed583f52c02b4e304ea814db1633ad565",
        ),
        (
            "Bestellung-№-7".into(),
            "event-6ad8b8fc7147a2b337abe2a1eb43ff58707081ea574bad6c9c73e2f80a",
        ),
        (
            "1".repeat(59),
            "event-4fb703f4bf6bd112d2c8450ec4d66cc39456e75a4e10ab8ff25512b76e",
        ),
        (
            "two words".into(),
            "event-a03f1d611645eb53ad16c1af546ca0792dc884505bab57ede80f4dad6b",
        ),
    ] {
        assert_eq!(told(&id), digest, "{id}");
    }
}

#[test]
fn only_what_cannot_be_an_echo_is_kept_of_a_code() {
    assert_eq!(code(&json!("TOO_RECENT_CLICK")), Some("TOO_RECENT_CLICK"));
    for odd in [
        json!("alexz@example.com"),
        json!(""),
        json!("Too recent"),
        json!(7),
        json!("X".repeat(121)),
    ] {
        assert_eq!(code(&odd), None, "{odd}");
    }
}

#[test]
fn a_duration_is_seconds() {
    assert_eq!(
        duration(&json!("30s")),
        Some(std::time::Duration::from_secs(30))
    );
    assert_eq!(
        duration(&json!("1.5s")),
        Some(std::time::Duration::from_millis(1500))
    );
    for odd in [
        json!("30"),
        json!("-1s"),
        json!("1e300s"),
        json!("NaNs"),
        json!(30),
    ] {
        assert_eq!(duration(&odd), None, "{odd}");
    }
}

proptest! {
    #[test]
    fn every_id_is_fit_for_google_and_stays_itself(id in "\\PC{1,200}") {
        let Ok(told) = transaction_id(&id) else {
            prop_assert!(id.contains('@'));
            return Ok(());
        };
        prop_assert!((1..=TRANSACTION_ID_MAX).contains(&told.len()));
        prop_assert!(told.bytes().all(|byte| byte.is_ascii_graphic()));
        prop_assert!(!is_digits(&told));
        prop_assert_eq!(transaction_id(&told).ok(), Some(told.clone()), "what was told once is told again");
    }
}
