//! Writing HTML: text is escaped by construction, for `maud` knows no other way to put a value into a page. Its one way
//! round that is named nowhere but here, and a test keeps it so.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
pub(crate) use maud::{Markup, html};

/// A count as people read it: `1,234,567`.
pub(crate) fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let grouped: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).expect("digits"))
        .collect();
    let sign = if number < 0 { "−" } else { "" };
    format!("{sign}{}", grouped.join(","))
}

/// A decimal number as people read it: `1,234.50`. What is none stays as it is.
pub(crate) fn grouped(number: &str) -> String {
    let (whole, fraction) = number.split_once('.').map_or((number, ""), |(w, f)| (w, f));
    let Ok(whole) = whole.parse::<i64>() else {
        return number.to_owned();
    };
    // The sign of -0.5 is not in its whole.
    let sign = if whole == 0 && number.starts_with('-') {
        "−"
    } else {
        ""
    };
    match fraction {
        "" => format!("{sign}{}", count(whole)),
        fraction => format!("{sign}{}.{fraction}", count(whole)),
    }
}

/// `1 event`, `2,000 events`: a count with its noun, whose plural ends in `s`.
pub(crate) fn counted(number: i64, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", count(number))
}

/// `1 delivery`, `2,000 deliveries`.
pub(crate) fn deliveries(number: i64) -> String {
    match number {
        1 => "1 delivery".to_owned(),
        many => format!("{} deliveries", count(many)),
    }
}

/// A share as people read it, `–` of nothing. Never `100 %` where one is missing, nor `0 %` where one is there.
pub(crate) fn percent(part: i64, whole: i64) -> String {
    if whole <= 0 {
        return "–".to_owned();
    }
    let share = part as f64 / whole as f64 * 100.0;
    if part > 0 && share < 0.1 {
        return "< 0.1 %".to_owned();
    }
    if part < whole && share > 99.9 {
        return "> 99.9 %".to_owned();
    }
    let text = format!("{share:.1}");
    format!("{} %", text.strip_suffix(".0").unwrap_or(&text))
}

/// Seconds as people say them: `45 s`, `12 min`, `3 h`, `5 d`.
pub(crate) fn age(seconds: f64) -> String {
    match seconds.max(0.0) as u64 {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// With a capital and a full stop.
pub(crate) fn sentence(text: &str) -> String {
    let mut rest = text.trim_end_matches('.').chars();
    let first = rest.next().into_iter().flat_map(char::to_uppercase);
    first.chain(rest).chain(['.']).collect()
}

/// A moment, which machines can read too.
pub(crate) fn time(at: DateTime<Utc>) -> Markup {
    html! {
        time datetime=(at.to_rfc3339_opts(SecondsFormat::Secs, true)) { (at.format("%F %T UTC")) }
    }
}

/// A day.
pub(crate) fn day(day: NaiveDate) -> Markup {
    html! { time datetime=(day.format("%F")) { (day.format("%-d %b %Y")) } }
}

/// A name that somebody else chose, such as an event's: kept apart from the text around it, whichever way it is written.
pub(crate) fn name(name: &str) -> Markup {
    html! { bdi.name { (name) } }
}

/// An address within the pages with its parameters, encoded: `address("/coverage", &[("days", "7")])`. Empty ones are left out.
pub(crate) fn address(path: &str, params: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (key, value) in params.iter().filter(|(_, value)| !value.is_empty()) {
        query.append_pair(key, value);
    }
    match query.finish() {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

/// A wide table that is moved sideways within its own frame, by keyboard too, while the page stays.
pub(crate) fn wide(label: &str, content: &Markup) -> Markup {
    html! { div.wide role="region" aria-label={ (label) ", table" } tabindex="0" { (content) } }
}

/// How something stands. Told by a word and a shape, never by colour alone.
/// Ordered by how much they want somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tone {
    /// Neither good nor bad.
    Calm,
    /// As it should be.
    Good,
    /// Somebody should look at it.
    Warn,
    /// Broken, until somebody does something.
    Bad,
}

impl Tone {
    /// The class that gives it its colour.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Tone::Good => "good",
            Tone::Warn => "warn",
            Tone::Bad => "bad",
            Tone::Calm => "calm",
        }
    }

    fn shape(self) -> &'static str {
        match self {
            Tone::Good => "✓",
            Tone::Warn => "▲",
            Tone::Bad => "✕",
            Tone::Calm => "○",
        }
    }
}

/// A short word with a tone: the state of a destination, say.
pub(crate) fn badge(tone: Tone, word: &str) -> Markup {
    html! {
        span class={ "badge " (tone.class()) } { span.shape aria-hidden="true" { (tone.shape()) } " " (word) }
    }
}

/// Something that must not be overlooked.
pub(crate) fn notice(tone: Tone, body: &Markup) -> Markup {
    html! { div class={ "notice " (tone.class()) } { (body) } }
}

/// One way to narrow a page: a `select` of a form that works without a script. `options` are value and text.
pub(crate) fn choice(key: &str, label: &str, options: &[(String, String)], chosen: &str) -> Markup {
    html! {
        label.field {
            span { (label) }
            select name=(key) {
                @for (value, text) in options {
                    option value=(value) selected[value == chosen] { (text) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_readable_and_shares_honest() {
        let counts = [0, 999, 1000, 1_234_567, -1000, i64::MIN].map(count);
        assert_eq!(
            counts,
            [
                "0",
                "999",
                "1,000",
                "1,234,567",
                "−1,000",
                "−9,223,372,036,854,775,808"
            ]
        );
        let amounts = ["49.90", "1234567.5", "-1000", "-0.5", "1e9", ""].map(grouped);
        assert_eq!(
            amounts,
            ["49.90", "1,234,567.5", "−1,000", "−0.5", "1e9", ""]
        );
        assert_eq!(counted(1, "event"), "1 event");
        assert_eq!(counted(0, "event"), "0 events");
        let shares = [
            (0, 0),
            (0, 5),
            (5, 5),
            (1, 1_000_000),
            (999_999, 1_000_000),
            (1, 3),
            (1, 2),
        ];
        assert_eq!(
            shares.map(|(part, whole)| percent(part, whole)),
            ["–", "0 %", "100 %", "< 0.1 %", "> 99.9 %", "33.3 %", "50 %"]
        );
        assert_eq!(
            [f64::NAN, -1.0, 119.9, 7200.0, 1e9].map(age),
            ["0 s", "0 s", "119 s", "2 h", "11574 d"]
        );
    }

    #[test]
    fn addresses_are_encoded() {
        assert_eq!(address("/errors", &[]), "/errors");
        assert_eq!(
            address("/coverage", &[("event", "a&b=<\">"), ("destination", "")]),
            "/coverage?event=a%26b%3D%3C%22%3E"
        );
    }

    #[test]
    fn nothing_goes_round_the_escaping() {
        fn look(folder: &std::path::Path) {
            for entry in std::fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("readable").path();
                if path.is_dir() {
                    look(&path);
                } else if path.extension().is_some_and(|kind| kind == "rs") {
                    let text = std::fs::read_to_string(&path).expect("text");
                    let way_round = ["Pre", "Escaped"].concat();
                    assert!(!text.contains(&way_round), "{}", path.display());
                }
            }
        }
        look(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    }

    proptest! {
        /// Whatever a name holds, a page that shows it has no more tags and attributes than with any other name.
        #[test]
        fn text_never_becomes_markup(text in any::<String>()) {
            let page = |text: &str| html! { p title=(text) { (name(text)) a href=(address("/x", &[("q", text)])) {} } }.into_string();
            let marks = |page: &str| ['<', '>', '"'].map(|mark| page.matches(mark).count());
            prop_assert_eq!(marks(&page(&text)), marks(&page("harmless")));
        }
    }
}
