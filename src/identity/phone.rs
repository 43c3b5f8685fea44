//! Telephone numbers in E.164.
//!
//! What dialling plans know (trunk prefixes, which countries keep a leading zero, which codes exist) is the
//! `phonenumber` crate's. A number that is already international needs none of it, and is the usual case: it is read
//! here, without a regular expression. Not for asking whether a number is in service.

mod written;

use phonenumber::country::Id;
use phonenumber::metadata::DATABASE;
use phonenumber::{Metadata, Type};

use written::Written;

/// Digits of E.164 with the country code, least and most.
const LENGTH: std::ops::RangeInclusive<usize> = 7..=15;

/// The kinds of numbers that reach a person or a company from abroad.
const KINDS: [Type; 9] = [
    Type::Mobile,
    Type::FixedLine,
    Type::Voip,
    Type::PersonalNumber,
    Type::TollFree,
    Type::SharedCost,
    Type::PremiumRate,
    Type::Uan,
    Type::Pager,
];

/// Where a number without a country code may be at home.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Home<'a> {
    /// The person's country, upper-case ISO 3166-1 alpha-2. Asked first.
    pub(super) country: Option<&'a str>,
    /// The calling code the operator configured, for example 44.
    pub(super) calling_code: Option<u16>,
}

/// Builds the dialling plans, some 150 ms of work, so that the first event need not wait for it. Blocks.
pub fn warm_up() {
    plan_of_code(1);
}

/// The digits of a number in E.164, without `+`; `None` where its country is not certain.
pub(super) fn e164(raw: &str, home: Home<'_>) -> Option<String> {
    let digits = match Written::read(raw) {
        Written::International(digits) => international(digits)?,
        Written::National(digits) => home.plans().find_map(|plan| dialled(plan, &digits))?,
        Written::Bare(digits) => home
            .plans()
            .find_map(|plan| bare(plan, &digits))
            .or_else(|| home.is_known().then(|| complete(&digits)).flatten())?,
    };
    LENGTH.contains(&digits.len()).then_some(digits)
}

/// The digits as they stand, for a platform that asks no more than a country code in front: the last resort where
/// [`e164`] finds no answer. A national form is refused.
pub(super) fn digits(raw: &str) -> Option<String> {
    let digits = match Written::read(&raw.replace("(0)", "")) {
        Written::International(digits) | Written::Bare(digits) => digits,
        Written::National(_) => return None,
    };
    LENGTH.contains(&digits.len()).then_some(digits)
}

impl Home<'_> {
    fn is_known(self) -> bool {
        self.country.is_some() || self.calling_code.is_some()
    }

    fn plans(self) -> impl Iterator<Item = &'static Metadata> {
        let by_country = self.country.and_then(|id| DATABASE.by_id(id));
        let by_code = self.calling_code.and_then(plan_of_code);
        by_country.into_iter().chain(by_code)
    }
}

/// Reads `+44 …` and `0044 …` alike. Only a zero after the country code needs the dialling plan: it is a trunk prefix
/// in Britain, written `(0)` or not, and a part of the number in Italy.
fn international(digits: String) -> Option<String> {
    let (plan, national) = split_code(&digits)?;
    if national.starts_with('0') {
        dialled(plan, &format!("+{digits}"))
    } else {
        Some(digits)
    }
}

/// A number as somebody inside the plan's country dials it, or with `+`.
fn dialled(plan: &Metadata, number: &str) -> Option<String> {
    let region: Id = plan.id().parse().ok()?;
    let parsed = phonenumber::parse(Some(region), number).ok()?;
    let national = parsed.national().to_string();
    let code = parsed.code().value();
    let plan = if code == plan.country_code() {
        plan
    } else {
        plan_of_code(code)?
    };
    fits(plan, &national).then(|| format!("{code}{national}"))
}

/// A number that starts with neither `+` nor zero. Where people dial a trunk prefix at home, one that starts with the
/// country's own code has lost its `+`; where they do not, it is first of all a national number. The library knows
/// the rest, but reads these two its own way: it takes the prefix 8 of Russia off twice.
fn bare(plan: &Metadata, digits: &str) -> Option<String> {
    let code = plan.country_code().to_string();
    let fitting = |national: &str| fits(plan, national).then(|| format!("{code}{national}"));
    let lost_plus = || digits.strip_prefix(&code).and_then(fitting);
    let found = match plan.national_prefix() {
        Some(trunk) => {
            let dialled = || digits.strip_prefix(trunk).and_then(fitting);
            lost_plus().or_else(dialled).or_else(|| fitting(digits))
        }
        None => fitting(digits).or_else(lost_plus),
    };
    found.or_else(|| dialled(plan, digits))
}

/// A number that is complete but for its `+`.
fn complete(digits: &str) -> Option<String> {
    let (plan, national) = split_code(digits)?;
    fits(plan, national).then(|| digits.to_owned())
}

/// Whether the plan has numbers of this length with these first digits. The library's own pattern is not anchored at
/// the end, and only the kinds of numbers, not the plan as a whole, know their lengths.
fn fits(plan: &Metadata, national: &str) -> bool {
    let length = u16::try_from(national.len()).unwrap_or(u16::MAX);
    let is_possible = KINDS
        .iter()
        .filter_map(|kind| plan.descriptors().get(*kind))
        .any(|numbers| numbers.possible_length().contains(&length));
    is_possible && plan.descriptors().general().is_match(national)
}

/// The country code, one to three digits, and what follows it. No code is the beginning of another.
fn split_code(digits: &str) -> Option<(&'static Metadata, &str)> {
    (1..=3).find_map(|length| {
        let (code, national) = digits.split_at_checked(length)?;
        Some((plan_of_code(code.parse().ok()?)?, national))
    })
}

/// The plan of the country that leads a calling code: the USA for 1.
fn plan_of_code(code: u16) -> Option<&'static Metadata> {
    DATABASE.by_code(&code)?.into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at<'a>(
        country: impl Into<Option<&'a str>>,
        calling_code: impl Into<Option<u16>>,
    ) -> Home<'a> {
        Home {
            country: country.into(),
            calling_code: calling_code.into(),
        }
    }

    fn check(raw: &str, home: Home<'_>, expected: Option<&str>) {
        assert_eq!(e164(raw, home).as_deref(), expected, "{raw} at {home:?}");
    }

    #[test]
    fn international_forms_need_no_home() {
        for raw in [
            "+442079460958",
            "0044 20 7946 0958",
            "+44 (0)20 7946 0958",
            "+44 020 7946 0958",
            "(+44) 20-7946.0958",
            "＋44 20 7946 0958",
            "tel:+44-20-7946-0958;ext=12",
            "+44 20 7946 0958 ext. 12",
            "+44 20 7946 0958 x12",
            "+44 20 7946 0958 #12",
        ] {
            check(raw, Home::default(), Some("442079460958"));
        }
    }

    #[test]
    fn a_zero_that_is_part_of_the_number_stays() {
        check("+39 06 6982 1234", Home::default(), Some("390669821234"));
        check("+39 (0)6 6982 1234", Home::default(), Some("390669821234"));
        check("06 6982 1234", at("IT", None), Some("390669821234"));
    }

    #[test]
    fn national_forms_need_a_home() {
        check("020 7946 0958", Home::default(), None);
        check("6505551212", Home::default(), None);
        check("020 7946 0958", at(None, 44), Some("442079460958"));
        check("020 7946 0958", at("GB", None), Some("442079460958"));
        check("(650) 555-1212", at("US", None), Some("16505551212"));
        check("1 650 555 1212", at("US", None), Some("16505551212"));
        check("8 495 123-45-67", at("RU", None), Some("74951234567"));
        check("8 808 123-45-67", at("RU", None), Some("78081234567"));
        check("601 123 456", at("CZ", None), Some("420601123456"));
        check("011 44 20 7946 0958", at("US", None), Some("442079460958"));
    }

    #[test]
    fn the_persons_country_comes_before_the_default() {
        check("030 901820", at("DE", 44), Some("4930901820"));
        check("020 7946 0958", at("DE", 44), Some("492079460958"));
    }

    #[test]
    fn a_lost_plus_is_found_again() {
        check("49 30 901820", at("DE", None), Some("4930901820"));
        check("16505551212", at("PL", None), Some("16505551212"));
        check("48 123 45 67", at("PL", None), Some("48481234567"));
    }

    #[test]
    fn refuses_what_is_no_number() {
        for raw in [
            "",
            "+",
            "x",
            "#",
            "not a phone",
            "+0 12",
            "+999 1234567",
            "٠١٢٣٤٥٦٧٨٩",
            "+1234567890123456",
        ] {
            check(raw, at("US", None), None);
        }
    }

    #[test]
    fn every_plan_reads_its_own_example() {
        for plan in DATABASE.iter().filter(|plan| plan.id() != "001") {
            let Some(example) = plan
                .descriptors()
                .mobile()
                .and_then(|numbers| numbers.example())
            else {
                continue;
            };
            let complete = format!("{}{example}", plan.country_code());
            check(&format!("+{complete}"), Home::default(), Some(&complete));
            check(example, at(plan.id(), None), Some(&complete));
            let dialled = format!("{}{example}", plan.national_prefix().unwrap_or_default());
            // Colombians dial no prefix before a mobile number.
            check(
                &dialled,
                at(plan.id(), None),
                (plan.id() != "CO").then_some(complete.as_str()),
            );
        }
    }
}
