//! What happens in a story: which orders are paid, and what of them is given back, when.

use chrono::TimeDelta;
use serde_json::json;

use super::Transaction;
use crate::rig::{ago, order, refund, with};

const ORDERS: i64 = 24;
const STEPS: i64 = 9;

/// Numbers that look random and are the same for the same seed: SplitMix64.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From nought to below `end`.
    pub(super) fn up_to(&mut self, end: i64) -> i64 {
        (self.next() % end.unsigned_abs()).cast_signed()
    }

    pub(super) fn one_in(&mut self, n: i64) -> bool {
        self.up_to(n) == 0
    }
}

/// One order, and what is given back of it, in the order of the commits; amounts in cents.
pub(super) struct Order {
    pub(super) id: String,
    pub(super) paid: i64,
    /// Nothing names no amount: all that is left.
    reversals: Vec<Option<i64>>,
    /// Whether it was paid and given back in one transaction.
    pub(super) is_stillborn: bool,
}

impl Order {
    pub(super) fn event_id(&self) -> String {
        format!("order_paid:{}", self.id)
    }

    pub(super) fn reversal_ids(&self) -> impl Iterator<Item = String> {
        (1..=self.reversals.len()).map(|n| format!("{}_refund_{n}", self.id))
    }

    /// What the customer has paid in the end.
    pub(super) fn left(&self) -> i64 {
        let given_back = |left: i64, one: &Option<i64>| left - one.unwrap_or(left).min(left);
        self.reversals.iter().fold(self.paid, given_back)
    }
}

/// A story.
pub(super) struct Plot {
    pub(super) orders: Vec<Order>,
    /// What the application commits in each step.
    pub(super) steps: Vec<Vec<Transaction>>,
}

impl Plot {
    pub(super) fn new(dice: &mut Dice) -> Plot {
        let mut steps: Vec<Vec<Transaction>> = (0..STEPS).map(|_| Vec::new()).collect();
        let orders = (0..ORDERS)
            .map(|n| one(format!("o-{n}"), dice, &mut steps))
            .collect();
        Plot { orders, steps }
    }
}

/// Makes up an order, and writes it into the steps.
fn one(id: String, dice: &mut Dice, steps: &mut [Vec<Transaction>]) -> Order {
    let paid = 1 + dice.up_to(20_000);
    let amount = |cents: i64| format!("{}.{:02}", cents / 100, cents % 100);
    let sale = with(order(&id), json!({ "value": amount(paid) }));
    let is_stillborn = dice.one_in(8);
    let is_early = !is_stillborn && dice.one_in(6);
    let count = if is_stillborn { 1 } else { dice.up_to(4) };
    let reversals: Vec<Option<i64>> = (0..count)
        .map(|_| (!is_stillborn && !dice.one_in(4)).then(|| 1 + dice.up_to(paid)))
        .collect();
    // Rows are written at the database's own time. So only in the first step, before time is moved, is a refund without
    // its order young.
    let mut step = if is_early {
        0
    } else {
        dice.up_to(STEPS - 4) as usize
    };
    let mut back = (1..).zip(&reversals).map(|(n, taken)| {
        let event = refund(&id, n, None);
        // Whoever gives back may note an earlier time.
        let occurred_at = ago(TimeDelta::seconds(dice.up_to(600)));
        match taken {
            Some(cents) => with(
                event,
                json!({ "value": amount(*cents), "currency": "EUR", "occurred_at": occurred_at }),
            ),
            None if n % 2 == 0 => with(event, json!({ "event_name": "order_cancelled" })),
            None => event,
        }
    });
    if is_stillborn {
        steps[step].push([sale].into_iter().chain(back).collect());
    } else {
        // A refund may be committed before its order.
        if is_early && let Some(first) = back.next() {
            steps[step].push(vec![first]);
        }
        steps[step].push(vec![sale]);
        let rest: Vec<_> = back.collect();
        for event in rest {
            step = (step + dice.up_to(3) as usize).min(steps.len() - 1);
            steps[step].push(vec![event.clone()]);
            if dice.one_in(3) {
                // The same webhook again.
                steps[step].push(vec![event]);
            }
        }
    }
    Order {
        id,
        paid,
        reversals,
        is_stillborn,
    }
}
