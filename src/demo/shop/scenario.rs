//! Which story each order and lead goes through. The stories themselves are told in the parent's table.

use chrono::TimeDelta;

/// What happens to one order or lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scenario {
    /// Paid once, the event written by a plain insert.
    Plain,
    /// The payment webhook comes again later.
    WebhookAgain,
    /// The payment webhook comes twice at once on two connections, and once more.
    WebhookRace,
    /// The payment webhook comes again with another amount.
    WebhookChanged,
    /// The transaction that writes order and event is rolled back, and the customer goes away.
    RolledBack,
    /// The first transaction is rolled back, the second one commits.
    PaidAtSecondTry,
    /// A customer without any identifier.
    Guest,
    /// Recorded four days late: GA4 takes 72 hours.
    FourDaysLate,
    /// Recorded ten days late: Meta takes seven days.
    TenDaysLate,
    /// Recorded a hundred days late: Google and LinkedIn take ninety.
    HundredDaysLate,
    /// All money is given back in the transaction after the payment.
    FullRefund,
    /// All money is given back some scenes later, when the payment has long been told.
    ReturnedLater,
    /// All money is given back in the transaction of the payment.
    TakenBackAtOnce,
    /// Two parts of the money are given back.
    PartRefunds,
    /// A lead that is only created.
    LeadCreated,
    /// A lead that sales qualifies.
    LeadQualified,
    /// A lead that becomes a deal.
    DealWon,
}

impl Scenario {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 17] = [
        Self::Plain,
        Self::WebhookAgain,
        Self::WebhookRace,
        Self::WebhookChanged,
        Self::RolledBack,
        Self::PaidAtSecondTry,
        Self::Guest,
        Self::FourDaysLate,
        Self::TenDaysLate,
        Self::HundredDaysLate,
        Self::FullRefund,
        Self::ReturnedLater,
        Self::TakenBackAtOnce,
        Self::PartRefunds,
        Self::LeadCreated,
        Self::LeadQualified,
        Self::DealWon,
    ];

    /// The story of the order at this place. A fixed rota, so that eighty orders are enough to see every one.
    pub(super) fn of_order(place: usize) -> Self {
        match place % 80 {
            3 | 23 | 43 | 63 => Self::WebhookAgain,
            7 | 37 | 57 => Self::WebhookRace,
            11 => Self::WebhookChanged,
            13 | 53 | 73 => Self::RolledBack,
            17 | 47 => Self::PaidAtSecondTry,
            19 | 59 => Self::Guest,
            29 => Self::FourDaysLate,
            69 => Self::TenDaysLate,
            79 => Self::HundredDaysLate,
            31 => Self::FullRefund,
            61 => Self::ReturnedLater,
            67 => Self::TakenBackAtOnce,
            41 => Self::PartRefunds,
            _ => Self::Plain,
        }
    }

    /// The story of the lead of this number.
    pub(super) fn of_lead(number: usize) -> Self {
        [Self::LeadCreated, Self::LeadQualified, Self::DealWon][number % 3]
    }

    /// How much earlier than its basket the order happened.
    pub(super) fn lateness(self) -> TimeDelta {
        match self {
            Self::FourDaysLate => TimeDelta::days(4),
            Self::TenDaysLate => TimeDelta::days(10),
            Self::HundredDaysLate => TimeDelta::days(100),
            _ => TimeDelta::zero(),
        }
    }
}
