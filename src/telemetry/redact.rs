//! Takes secrets and personal data out of text that others wrote: platforms' error messages and bodies, error chains, URLs.
//!
//! Platforms often echo what they were sent. This is a second net, generous on purpose: an id too many is hidden rather
//! than an address too few. It is not a licence to log bodies.

mod finders;

use std::borrow::Cow;

use url::Url;

/// At most so much of a text is kept, in bytes; enough for any platform's error object.
pub const KEPT_BYTES: usize = 2048;

/// At most so much of a text is looked at, in bytes, so that a huge body costs little.
const READ_BYTES: usize = 8 * KEPT_BYTES;

const PLACEHOLDER: &str = "[redacted]";

/// Hides e-mail addresses, IP addresses, phone numbers and other digits from 8 on, hashes (hex from 32 on), long tokens,
/// and the values of names like `access_token`. Keeps at most [`KEPT_BYTES`], cut at a character.
///
/// ```
/// # use conversion_outbox::telemetry::redact::scrub;
/// assert_eq!(scrub("no user jane@example.com (code 190)"), "no user [redacted] (code 190)");
/// ```
pub fn scrub(text: &str) -> Cow<'_, str> {
    let text = readable(text);
    let secrets = finders::secrets(text);
    if secrets.is_empty() {
        return Cow::Borrowed(cut(text, KEPT_BYTES));
    }
    let mut kept = String::with_capacity(text.len().min(KEPT_BYTES));
    let mut at = 0;
    for secret in secrets {
        if secret.start >= at {
            kept.push_str(&text[at..secret.start]);
            kept.push_str(PLACEHOLDER);
        }
        at = at.max(secret.end);
    }
    kept.push_str(&text[at..]);
    kept.truncate(cut(&kept, KEPT_BYTES).len());
    Cow::Owned(kept)
}

/// Scheme, host, port and path, with every query value replaced: `https://host/path?key=REDACTED`. Path segments that
/// look like a secret or an id are replaced too; user, password and fragment are dropped.
pub fn scrub_url(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    let path: Vec<&str> = url.path().split('/').map(scrub_segment).collect();
    let query: Vec<String> = url
        .query_pairs()
        .map(|(key, _)| format!("{}=REDACTED", scrub_segment(&key)))
        .collect();
    let mark = if query.is_empty() { "" } else { "?" };
    format!(
        "{}://{host}{port}{}{mark}{}",
        url.scheme(),
        path.join("/"),
        query.join("&")
    )
}

fn scrub_segment(segment: &str) -> &str {
    if scrub(segment) == segment {
        segment
    } else {
        "REDACTED"
    }
}

/// The part of `text` that is looked at. A word cut in two could hide half a hash from the finders, so it goes whole.
fn readable(text: &str) -> &str {
    let start = cut(text, READ_BYTES);
    if start.len() == text.len() {
        return text;
    }
    match start.rfind(char::is_whitespace) {
        Some(end) => &start[..end],
        None => "",
    }
}

fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests;
