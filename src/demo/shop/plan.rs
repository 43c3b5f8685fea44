//! Decides beforehand who buys each basket, when, and which story it becomes.

use chrono::{DateTime, TimeDelta, Utc};

use super::crm::Lead;
use super::scenario::Scenario;
use super::selling::Sale;
use crate::demo::orders::{self, Amount, Basket};
use crate::demo::people::Person;
use crate::demo::random::Random;

/// The span in which the baskets were sold. Far inside every platform's age limit.
const SPAN: TimeDelta = TimeDelta::hours(20);

/// The newest basket is this old, so that the steps that follow a sale are not in the future.
const NEWEST: TimeDelta = TimeDelta::minutes(5);

/// Leads are people of their own, numbered from here, far above every household.
const FIRST_LEAD: u64 = 1_000_000;

/// One sale for every basket, in the order of trading.
pub(super) fn sales(seed: u64, now: DateTime<Utc>) -> Vec<Sale> {
    let mut baskets = orders::baskets();
    orders::move_to(&mut baskets, now - NEWEST, SPAN);
    baskets
        .into_iter()
        .enumerate()
        .map(|(place, basket)| sale(seed, place, basket))
        .collect()
}

/// The lead of this number, counted from zero, who comes by at the time of an order.
pub(super) fn lead(seed: u64, number: usize, at: DateTime<Utc>) -> Lead {
    let place = u64::try_from(number).expect("a usize fits u64");
    let mut random = Random::of(seed, FIRST_LEAD + place);
    Lead {
        number: i64::try_from(number).expect("leads are few") + 1,
        at,
        person: Person::new(seed, FIRST_LEAD + place),
        worth: Amount {
            cents: 100 * (200 + random.below(9_800)),
        },
        scenario: Scenario::of_lead(number),
    }
}

fn sale(seed: u64, place: usize, basket: Basket) -> Sale {
    let scenario = Scenario::of_order(place);
    let person = Person::new(seed, basket.household);
    let person = match scenario {
        Scenario::Plain => person,
        Scenario::Guest => person.as_guest(),
        // Where the story is about something else, refused consent or a lost cookie must not hide it.
        _ => person.as_regular(),
    };
    let order_id = format!("order-{}", basket.number);
    Sale {
        order_id,
        at: basket.sold_at - scenario.lateness(),
        basket,
        person,
        scenario,
    }
}
