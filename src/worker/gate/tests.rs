use super::*;
use proptest::prelude::*;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_428_000 + seconds, 0).expect("a time")
}

fn gate() -> Gate {
    Gate::new(8)
}

fn may_probe(gate: &Gate, seconds: i64) -> bool {
    gate.look(at(seconds)) == Pass::Probe
}

#[test]
fn it_shuts_after_failures_in_a_row_and_lets_one_probe_through() {
    let mut gate = gate();
    gate.after_failure(at(0), None);
    gate.after_failure(at(0), None);
    assert_eq!(gate.look(at(0)), Pass::Open);
    gate.after_failure(at(0), None);
    assert_eq!(gate.ask(at(0)), Pass::Shut(Reason::DestinationDown));
    assert_eq!(gate.ask(at(61)), Pass::Probe);
    assert_eq!(
        gate.ask(at(61)),
        Pass::Shut(Reason::DestinationDown),
        "one probe at a time"
    );
    gate.after_failure(at(61), None);
    gate.leave(true);
    assert_eq!(gate.ask(at(61)), Pass::Shut(Reason::DestinationDown));
    assert_eq!(gate.ask(at(200)), Pass::Probe);
    assert!(gate.after_success(at(200), true));
    assert_eq!(gate.last_success_at(), Some(at(200)));
}

#[test]
fn a_success_in_between_starts_the_count_again() {
    let mut gate = gate();
    for n in 0..20 {
        gate.after_failure(at(n), None);
        gate.after_failure(at(n), None);
        assert_eq!(gate.look(at(n)), Pass::Open);
        gate.after_success(at(n), false);
    }
}

#[test]
fn it_opens_step_by_step_and_goes_back_to_one_after_a_failure() {
    let mut gate = gate();
    gate.after_throttling(at(0), None, &PROBES, true);
    assert!(gate.ask(at(100)) == Pass::Probe);
    gate.after_success(at(100), true);
    gate.leave(true);
    assert_eq!(gate.circuit(), "half_open");
    let round = |gate: &mut Gate| {
        let mut under_way = 0;
        while gate.ask(at(100)) == Pass::Open {
            under_way += 1;
        }
        for _ in 0..under_way {
            gate.after_success(at(100), false);
            gate.leave(false);
        }
        under_way
    };
    assert_eq!([1, 2, 4].map(|_| round(&mut gate)), [1, 2, 4]);
    assert_eq!(gate.circuit(), "closed");
    assert_eq!(round(&mut gate), 8);

    gate.after_throttling(at(200), None, &PROBES, true);
    gate.ask(at(300));
    gate.after_success(at(300), true);
    gate.leave(true);
    assert_eq!([1, 2].map(|_| round(&mut gate)), [1, 2]);
    gate.after_failure(at(300), None);
    assert_eq!(round(&mut gate), 1, "back to one at a time");
}

#[test]
fn a_hold_outlasts_failures_and_ends_by_word_or_by_probe() {
    let mut gate = gate();
    gate.hold(at(300));
    gate.after_failure(at(1), Some(Duration::from_secs(1)));
    gate.after_throttling(at(2), None, &PROBES, true);
    assert!(
        !gate.after_success(at(3), false),
        "a request from before the hold lifts nothing"
    );
    assert!(!gate.after_refusal(false));
    assert_eq!(gate.ask(at(10)), Pass::Shut(Reason::DestinationHeld));
    assert!(may_probe(&gate, 300));
    assert_eq!(gate.on_record(), None, "nobody wrote it down yet");
    gate.recorded(Reason::RateLimited);
    assert_eq!(gate.on_record(), None, "something else was written down");
    gate.recorded(Reason::DestinationHeld);
    assert_eq!(gate.on_record(), Some(Reason::DestinationHeld));
    gate.resume(Reason::RateLimited);
    assert!(gate.is_held());
    gate.resume(Reason::DestinationHeld);
    assert_eq!(gate.on_record(), None);
    assert_eq!(gate.ask(at(10)), Pass::Open);
}

#[test]
fn what_others_say_meanwhile_makes_no_second_probe() {
    let mut gate = gate();
    gate.after_throttling(at(0), None, &PROBES, true);
    assert_eq!(gate.ask(at(300)), Pass::Probe);
    gate.after_failure(at(300), Some(Duration::ZERO));
    gate.hold(at(301));
    assert_eq!(gate.look(at(400)), Pass::Shut(Reason::DestinationHeld));
    assert!(!gate.after_success(at(400), false));
    gate.leave(true);
    assert_eq!(
        gate.look(at(400)),
        Pass::Probe,
        "it said nothing of the hold"
    );
}

#[test]
fn the_record_says_when_the_next_probe_is_due_but_for_a_probe_of_our_own() {
    let mut gate = gate();
    gate.follow_hold(at(300));
    assert!(!may_probe(&gate, 299) && may_probe(&gate, 300));
    gate.follow_hold(at(400));
    assert!(!may_probe(&gate, 399), "another worker has the probe");
    gate.follow_hold(at(0));
    assert!(may_probe(&gate, 0), "a person asks for one");
    gate.resume(Reason::DestinationHeld);
    let throttles = Throttles {
        count: 5,
        since: Some(at(0)),
    };
    gate.follow_throttling(at(60), throttles);
    assert_eq!(gate.look(at(59)), Pass::Shut(Reason::RateLimited));
    assert_eq!(gate.throttles().count, 5);
    assert_eq!(gate.on_record(), Some(Reason::RateLimited));
}

#[test]
fn throttling_is_obeyed_to_the_second() {
    let mut gate = gate();
    gate.after_throttling(at(0), Some(Duration::from_secs(60)), &PROBES, true);
    assert_eq!(gate.look(at(59)), Pass::Shut(Reason::RateLimited));
    assert!(may_probe(&gate, 62));
}

#[test]
fn throttling_in_spite_of_its_wish_is_left_alone_for_longer_than_that() {
    let wish = Some(Duration::from_secs(1));
    let is_open_soon = |times| {
        let mut gate = gate();
        for _ in 0..times {
            gate.after_throttling(at(0), wish, &PROBES, true);
        }
        // The wish, and the first delay's share on top.
        may_probe(&gate, 2)
    };
    assert!(is_open_soon(1));
    let early = (0..100).filter(|_| is_open_soon(7)).count();
    assert!(early < 30, "one in thirty: {early} of 100");
}

#[test]
fn what_was_under_way_together_is_throttled_once() {
    let mut gate = gate();
    let until = gate.after_throttling(at(0), Some(Duration::from_secs(60)), &PROBES, false);
    for _ in 0..7 {
        assert!(gate.after_throttling(at(0), None, &PROBES, false) >= until);
    }
    assert_eq!(gate.throttles().count, 1);
    gate.after_throttling(at(90), None, &PROBES, true);
    assert_eq!(gate.throttles().count, 2);
}

#[test]
fn throttling_again_and_again_is_left_alone_for_longer() {
    let longest = |times: u32| {
        let waits = (0..200).map(|_| {
            let mut gate = gate();
            for _ in 0..times {
                gate.after_throttling(at(0), None, &PROBES, true);
            }
            (0..100)
                .find(|&second| may_probe(&gate, second))
                .expect("the cap is a minute")
        });
        waits.max().expect("there are some")
    };
    assert!(longest(1) <= 1);
    assert!(longest(6) > 8);
}

/// What may happen to a gate.
#[derive(Clone, Copy, Debug)]
enum Step {
    Ask,
    Success,
    Refusal,
    Failure(Option<u64>),
    Throttling(Option<u64>),
    Hold(u64),
    /// A request that is over without a word: not sent after all, or panicked.
    Nothing,
    Recorded(u64),
    Resume,
    Pass(i64),
}

fn any_step() -> impl Strategy<Value = Step> {
    let wish = || proptest::option::of(0..120_u64);
    prop_oneof![
        8 => Just(Step::Ask),
        5 => Just(Step::Success),
        1 => Just(Step::Refusal),
        3 => wish().prop_map(Step::Failure),
        1 => wish().prop_map(Step::Throttling),
        1 => (0..600_u64).prop_map(Step::Hold),
        1 => Just(Step::Nothing),
        1 => (0..600_u64).prop_map(Step::Recorded),
        1 => Just(Step::Resume),
        4 => (0..90_i64).prop_map(Step::Pass),
    ]
}

proptest! {
    /// Whatever happens: nothing goes out while it is shut, never more than is allowed are under way at once, one probe at a
    /// time; and once the destination answers well it opens for all again.
    #[test]
    fn it_keeps_its_promises(ceiling in 1..20_u32, steps in proptest::collection::vec(any_step(), 1..200)) {
        let mut gate = Gate::new(ceiling);
        let mut now = 0;
        // Requests under way, oldest first: whether each is a probe.
        let mut under_way: Vec<bool> = Vec::new();
        for step in steps {
            let shut = gate.shut;
            match step {
                Step::Ask => {
                    let before = u32::try_from(under_way.len()).expect("few");
                    match gate.ask(at(now)) {
                        Pass::Open => {
                            prop_assert!(shut.is_none(), "it is shut");
                            prop_assert!(before < gate.allowed() && gate.allowed() <= ceiling);
                            under_way.push(false);
                        }
                        Pass::Probe => {
                            prop_assert!(shut.is_some_and(|shut| shut.until <= at(now)), "it is not time yet");
                            prop_assert!(!under_way.contains(&true), "one at a time");
                            under_way.push(true);
                        }
                        Pass::Full => prop_assert!(before >= gate.allowed()),
                        Pass::Shut(_) => prop_assert!(shut.is_some()),
                    }
                }
                Step::Pass(seconds) => now += seconds,
                Step::Resume => gate.resume(Reason::DestinationHeld),
                Step::Recorded(seconds) => {
                    let until = at(now) + Duration::from_secs(seconds);
                    gate.follow_throttling(until, Throttles { count: 1, since: Some(at(now)) });
                }
                // The rest are answers, of the oldest request that is under way.
                _ if under_way.is_empty() => {}
                answer => {
                    let is_probe = under_way.remove(0);
                    match answer {
                        Step::Success => drop(gate.after_success(at(now), is_probe)),
                        Step::Refusal => drop(gate.after_refusal(is_probe)),
                        Step::Failure(wish) => gate.after_failure(at(now), wish.map(Duration::from_secs)),
                        Step::Throttling(wish) => {
                            gate.after_throttling(at(now), wish.map(Duration::from_secs), &PROBES, is_probe);
                        }
                        Step::Hold(seconds) => gate.hold(at(now) + Duration::from_secs(seconds)),
                        _ => {}
                    }
                    gate.leave(is_probe);
                }
            }
        }
        for is_probe in under_way.drain(..) {
            gate.leave(is_probe);
        }
        // Time passes, and everything is answered well from now on.
        now += 7200;
        for _ in 0..ceiling * 4 {
            let is_probe = match gate.ask(at(now)) {
                Pass::Probe => true,
                Pass::Open => false,
                other => return Err(TestCaseError::fail(format!("it does not open again: {other:?}"))),
            };
            gate.after_success(at(now), is_probe);
            gate.leave(is_probe);
        }
        prop_assert_eq!((gate.circuit(), gate.allowed()), ("closed", ceiling));
    }
}

#[test]
fn only_a_person_ends_a_pause() {
    let mut gate = gate();
    gate.hold(at(300));
    assert_eq!(gate.ask(at(300)), Pass::Probe);
    gate.pause(true);
    assert!(
        gate.after_success(at(301), true),
        "the probe lifts the hold below"
    );
    gate.leave(true);
    assert_eq!(gate.ask(at(302)), Pass::Shut(Reason::DestinationHeld));
    gate.hold(at(600));
    gate.resume(Reason::DestinationHeld);
    gate.after_refusal(false);
    gate.after_failure(at(303), None);
    let far = at(300_000_000_000);
    assert_eq!(gate.look(far), Pass::Shut(Reason::DestinationHeld));
    assert_eq!(gate.circuit(), "open");
    gate.pause(false);
    assert_eq!(gate.ask(at(304)), Pass::Open);
    assert_eq!(gate.last_success_at(), Some(at(301)));
}
