//! How somebody wrote a telephone number down: which digits, and whether the country is among them.
//!
//! Knows no country; that is the parent's part.

use super::super::text;

/// How a number was written down, with its ASCII digits. Debug, which would print them, is for tests alone.
#[cfg_attr(test, derive(Debug, PartialEq, Eq))]
pub(super) enum Written {
    /// With `+` or `00`; those are cut.
    International(String),
    /// With one leading zero: to be dialled inside some country.
    National(String),
    /// Neither: the country code is either missing or lacks its `+`.
    Bare(String),
}

impl Written {
    /// Keeps the ASCII digits before any extension. Nothing is refused here.
    pub(super) fn read(raw: &str) -> Self {
        let text = without_extension(raw);
        let plus = text
            .chars()
            .find(|c| c.is_ascii_digit() || matches!(c, '+' | '\u{FF0B}'))
            .is_some_and(|c| !c.is_ascii_digit());
        let digits = text::without(text, |c| !c.is_ascii_digit());
        if plus || digits.starts_with("00") {
            Self::International(digits.trim_start_matches('0').to_owned())
        } else if digits.starts_with('0') {
            Self::National(digits)
        } else {
            Self::Bare(digits)
        }
    }
}

/// Cuts `ext. 9`, `x9`, `#9` and, of a `tel:` link, everything behind the first `;`.
fn without_extension(raw: &str) -> &str {
    let text = raw.split_once(';').map_or(raw, |(number, _)| number);
    let before = text.trim_end_matches(|c: char| c.is_ascii_digit() || text::is_space(c));
    if before.len() == text.len() {
        return text;
    }
    let mark = before.trim_end_matches(['.', ':']);
    let number = mark.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '#');
    let is_extension = ["x", "ext", "extn", "extension", "#"]
        .iter()
        .any(|word| mark[number.len()..].eq_ignore_ascii_case(word));
    if is_extension { number } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plus_counts_only_before_the_digits() {
        assert_eq!(
            Written::read("(+49) 30"),
            Written::International("4930".to_owned())
        );
        assert_eq!(
            Written::read("000049 30"),
            Written::International("4930".to_owned())
        );
        assert_eq!(
            Written::read("030 + 1"),
            Written::National("0301".to_owned())
        );
        assert_eq!(
            Written::read("tel: 49 30"),
            Written::Bare("4930".to_owned())
        );
    }

    #[test]
    fn only_words_for_an_extension_are_cut() {
        assert_eq!(
            without_extension("650 555 1212 Extension 9"),
            "650 555 1212 "
        );
        assert_eq!(without_extension("tel 6505551212"), "tel 6505551212");
        assert_eq!(without_extension("650 555 1212 ext"), "650 555 1212 ext");
    }
}
