//! The proof that something may leave, small enough to be stored beside what was sent.

use super::{Choice, Kind};
use crate::event::OutboxEvent;

/// Which data kinds may leave, and the two advertising signals that platforms are told. A bit set, stored with the
/// delivery as the record of what a payload was built from.
///
/// Bits 0 to 15: data kinds in the order of [`Kind`]. Bits 16 and 17: `ad_user_data`, bits 18 and 19:
/// `ad_personalization`; 0 unspecified, 1 granted, 2 denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit(i32);

/// An event together with the permit to send some of it.
#[derive(Clone, Copy, Debug)]
pub struct Permitted<'a> {
    event: &'a OutboxEvent,
    permit: Permit,
}

impl Permit {
    pub(super) fn new(
        kinds: impl Iterator<Item = Kind>,
        user_data: Choice,
        personalization: Choice,
    ) -> Permit {
        let kinds = kinds.fold(0, |bits, kind| bits | kind_bit(kind));
        Permit(kinds | choice_bits(user_data) << 16 | choice_bits(personalization) << 18)
    }

    /// A permit read back from the database.
    pub fn from_bits(bits: i32) -> Permit {
        Permit(bits)
    }

    /// For the database.
    pub fn bits(self) -> i32 {
        self.0
    }

    /// Whether data of this kind may leave.
    pub fn allows(self, kind: Kind) -> bool {
        self.0 & kind_bit(kind) != 0
    }

    /// The answer on sending user data for advertising.
    pub fn ad_user_data(self) -> Choice {
        choice(self.0 >> 16 & 3)
    }

    /// The answer on personalised advertising.
    pub fn ad_personalization(self) -> Choice {
        choice(self.0 >> 18 & 3)
    }

    /// What both permits allow: a retry may say less than the first try, never more.
    pub fn and(self, other: Permit) -> Permit {
        let kinds = self.0 & other.0 & 0xffff;
        let user_data = stricter(self.ad_user_data(), other.ad_user_data());
        let personalization = stricter(self.ad_personalization(), other.ad_personalization());
        Permit(kinds | choice_bits(user_data) << 16 | choice_bits(personalization) << 18)
    }

    /// Joins the permit to its event.
    pub(crate) fn over(self, event: &OutboxEvent) -> Permitted<'_> {
        Permitted {
            event,
            permit: self,
        }
    }
}

impl<'a> Permitted<'a> {
    /// The event.
    pub fn event(&self) -> &'a OutboxEvent {
        self.event
    }

    /// What may leave of it.
    pub fn permit(&self) -> Permit {
        self.permit
    }
}

fn kind_bit(kind: Kind) -> i32 {
    1 << kind as i32
}

fn choice_bits(choice: Choice) -> i32 {
    match choice {
        Choice::Unspecified => 0,
        Choice::Granted => 1,
        Choice::Denied => 2,
    }
}

fn choice(bits: i32) -> Choice {
    match bits {
        1 => Choice::Granted,
        2 => Choice::Denied,
        _ => Choice::Unspecified,
    }
}

fn stricter(one: Choice, other: Choice) -> Choice {
    match (one, other) {
        (Choice::Denied, _) | (_, Choice::Denied) => Choice::Denied,
        (Choice::Unspecified, _) | (_, Choice::Unspecified) => Choice::Unspecified,
        _ => Choice::Granted,
    }
}
