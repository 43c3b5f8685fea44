//! Where in a text secrets and personal data are, each kind by a function of its own. Pure and linear in the text.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

/// Names whose value is a secret or a person's. Compared without case, `_` and `-`.
const SECRET_KEYS: [&str; 12] = [
    "accesstoken",
    "apisecret",
    "token",
    "secret",
    "password",
    "authorization",
    "bearer",
    "basic",
    "apikey",
    "appsecret",
    "clientsecret",
    "refreshtoken",
];

/// All of them as byte ranges, by their start; they may overlap.
pub(super) fn secrets(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = [addresses, digits, runs, ips, keyed]
        .iter()
        .flat_map(|find| find(text))
        .collect();
    found.sort_by_key(|range| range.start);
    found
}

/// E-mail addresses, also percent-encoded or escaped in JSON or HTML.
fn addresses(text: &str) -> Vec<Range<usize>> {
    const AT: [&str; 6] = ["@", "%40", "\\u0040", "&#64;", "&commat;", "＠"];
    AT.iter()
        .flat_map(|at| text.match_indices(at))
        .map(|(index, at)| {
            let before = text[..index]
                .trim_end_matches(|c: char| !ends_address(c))
                .len();
            let quoted = text[..index]
                .strip_suffix('"')
                .and_then(|local| local.rfind('"'));
            let rest = &text[index + at.len()..];
            let after = text.len() - rest.trim_start_matches(|c: char| !ends_address(c)).len();
            quoted.unwrap_or(before)..after
        })
        .collect()
}

fn ends_address(c: char) -> bool {
    c.is_whitespace() || c.is_control() || "\"'`<>()[]{}=?,;:/\\".contains(c)
}

/// Phone numbers in any writing, and other long numbers: 8 digits, or 7 after a plus, with single separators between.
fn digits(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut run: Option<Run> = None;
    for (index, c) in text.char_indices() {
        let end = index + c.len_utf8();
        run = match run.take() {
            Some(run) if c.is_numeric() => Some(run.digit(end)),
            Some(run) if run.gap < 3 && " -.()/\u{a0}\u{2011}".contains(c) => Some(run.separator()),
            Some(run) => {
                found.extend(run.phone());
                (c == '+').then_some(Run::plus(index))
            }
            None if c == '+' => Some(Run::plus(index)),
            None if c.is_numeric() => Some(Run::plain(index).digit(end)),
            None => None,
        };
    }
    found.extend(run.and_then(Run::phone));
    found
}

/// Digits seen so far, the separators since the last one, and how many digits make a phone number.
struct Run {
    range: Range<usize>,
    digits: usize,
    gap: usize,
    needed: usize,
}

impl Run {
    fn plain(start: usize) -> Self {
        Self {
            range: start..start,
            digits: 0,
            gap: 0,
            needed: 8,
        }
    }

    fn plus(start: usize) -> Self {
        Self {
            needed: 7,
            ..Self::plain(start)
        }
    }

    fn digit(mut self, end: usize) -> Self {
        self.range.end = end;
        self.digits += 1;
        self.gap = 0;
        self
    }

    fn separator(mut self) -> Self {
        self.gap += 1;
        self
    }

    fn phone(self) -> Option<Range<usize>> {
        (self.digits >= self.needed).then_some(self.range)
    }
}

/// Hashes and tokens: 32 hexadecimal digits; 20 letters and digits mixed; 40 of either; or `EAA…`, as Meta's tokens start.
fn runs(text: &str) -> Vec<Range<usize>> {
    let hex = stretches(text, |c| c.is_ascii_hexdigit()).filter(|range| range.len() >= 32);
    let tokens =
        stretches(text, |c| c.is_ascii_alphanumeric() || c == '_' || c == '-').filter(|range| {
            let run = &text[range.clone()];
            let mixed = run.contains(|c: char| c.is_ascii_digit())
                && run.contains(|c: char| c.is_ascii_alphabetic());
            run.len() >= 40
                || (run.len() >= 20 && mixed)
                || (run.len() >= 8 && run.starts_with("EAA"))
        });
    hex.chain(tokens).collect()
}

/// IP addresses of both families. Loopback and "all interfaces" are no person's and help operators.
fn ips(text: &str) -> Vec<Range<usize>> {
    let v4 = stretches(text, |c| c.is_ascii_digit() || c == '.')
        .filter(|range| is_foreign_v4(&text[range.clone()]));
    let v6 = stretches(text, |c| c.is_ascii_hexdigit() || c == ':' || c == '.')
        .filter(|range| stands_alone(text, range) && is_foreign_v6(&text[range.clone()]));
    v4.chain(v6).collect()
}

/// Whether the run starts with an address; a longer run of dotted numbers counts by its first four.
fn is_foreign_v4(run: &str) -> bool {
    let start: Vec<&str> = run.trim_matches('.').splitn(5, '.').take(4).collect();
    let ip = start.join(".").parse::<Ipv4Addr>();
    ip.is_ok_and(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

/// Whether the run is an address, also with a colon of the sentence at either end.
fn is_foreign_v6(run: &str) -> bool {
    let run = run.trim_end_matches('.');
    [run, run.trim_end_matches(':'), run.trim_start_matches(':')]
        .iter()
        .filter_map(|run| run.parse::<Ipv6Addr>().ok())
        .any(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

/// `core::fmt` holds `e::f`, which reads as an address, but is a part of a word.
fn stands_alone(text: &str, range: &Range<usize>) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    !text[..range.start].ends_with(is_word) && !text[range.end..].starts_with(is_word)
}

/// The value after a name of [`SECRET_KEYS`], across `=`, `:` and quotes; `Authorization: Bearer x` hides both words.
fn keyed(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut key: Option<Key> = None;
    for word in stretches(text, |c| {
        !c.is_whitespace() && !c.is_control() && !"\"'`=:&?;,<>()[]{}\\".contains(c)
    }) {
        let is_hidden_already = text[word.clone()].eq_ignore_ascii_case("redacted");
        let is_value =
            key.is_some_and(|key| key.is_scheme || text[key.end..word.start].contains(['=', ':']));
        key = Key::read(&text[word.clone()], word.end);
        if is_value && !is_hidden_already {
            found.push(word);
        }
    }
    found
}

/// A name whose value follows. "token was revoked" is prose, so a value needs `=` or `:` before it, except after a scheme
/// of the `Authorization` header, where a space is enough.
struct Key {
    end: usize,
    is_scheme: bool,
}

impl Key {
    fn read(word: &str, end: usize) -> Option<Self> {
        let name: String = word.chars().filter(|c| *c != '_' && *c != '-').collect();
        let name = name.to_ascii_lowercase();
        SECRET_KEYS.contains(&name.as_str()).then(|| Self {
            end,
            is_scheme: name == "bearer" || name == "basic",
        })
    }
}

/// The longest stretches of characters that `belongs` accepts, as byte ranges.
fn stretches(text: &str, belongs: impl Fn(char) -> bool) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + text[at..].find(&belongs)?;
        let end = text[start..]
            .find(|c| !belongs(c))
            .map_or(text.len(), |length| start + length);
        at = end;
        Some(start..end)
    })
}
