//! Small questions about text that several platforms' rules share.
//!
//! Not a rule of any platform: those are in `meta.rs`, `google.rs` and `linkedin.rs`.

/// Unicode white space, and the byte order mark that spreadsheets leave at the start of an export.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || c == '\u{FEFF}'
}

/// Cuts white space at both ends.
pub(super) fn trim(raw: &str) -> &str {
    raw.trim_matches(is_space)
}

/// Unicode lower case, the Greek final sigma included; neither composes nor decomposes accents.
pub(super) fn lower(raw: &str) -> String {
    raw.to_lowercase()
}

/// The text without the characters that `unwanted` names.
pub(super) fn without(raw: &str, unwanted: impl Fn(char) -> bool) -> String {
    raw.chars().filter(|c| !unwanted(*c)).collect()
}

/// The text, unless nothing is left of it.
pub(super) fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// What a value looks like before anything is done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Not hashed yet.
    Clear,
    /// 64 hexadecimal digits: the application hashed it already.
    Sha256,
    /// 32 hexadecimal digits: an MD5, which no platform here can match.
    Md5,
}

/// Tells a clear value from a digest, white space around it aside.
pub(super) fn form(raw: &str) -> Form {
    let text = trim(raw);
    match text.len() {
        64 if is_hex(text) => Form::Sha256,
        32 if is_hex(text) => Form::Md5,
        _ => Form::Clear,
    }
}

/// Splits an address at its only `@`; `None` where there is none, more than one, or white space within.
pub(super) fn split_email(address: &str) -> Option<(&str, &str)> {
    let (local, domain) = address.split_once('@')?;
    let sound = !local.is_empty() && !domain.contains('@') && !address.contains(is_space);
    (sound && is_dotted(domain)).then_some((local, domain))
}

/// Whether an id that leaves in the clear looks like an address or a telephone number, which must not.
pub(super) fn names_a_person(id: &str) -> bool {
    id.contains('@') || trim(id).starts_with('+')
}

/// Whether a domain has at least two labels and none of them is empty.
fn is_dotted(domain: &str) -> bool {
    domain.contains('.') && domain.split('.').all(|label| !label.is_empty())
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lower_knows_the_final_sigma_and_the_dotted_i() {
        assert_eq!(lower("ΣΟΦΟΣ"), "σοφος");
        assert_eq!(lower("İ"), "i\u{307}");
    }

    #[test]
    fn trim_takes_every_kind_of_space() {
        assert_eq!(trim("\u{FEFF}\u{A0} a b \t\r\n"), "a b");
    }

    #[test]
    fn form_is_anchored_at_both_ends() {
        let sha = "62A14E44F765419D10FEA99367361A727C12365E2520F32218D505ED9AA0F62F";
        assert_eq!(form(&format!(" {sha}\n")), Form::Sha256);
        assert_eq!(form(&format!("{sha}0")), Form::Clear);
        assert_eq!(form(&format!("x{sha}")), Form::Clear);
        assert_eq!(form("5d41402abc4b2a76b9719d911017c592"), Form::Md5);
    }

    #[test]
    fn an_address_has_one_at_and_a_dotted_domain() {
        assert_eq!(split_email("a@b.c"), Some(("a", "b.c")));
        for raw in [
            "", "a", "@b.c", "a@b", "a@b.", "a@.b", "a@b..c", "a@@b.c", "a b@c.d",
        ] {
            assert_eq!(split_email(raw), None, "{raw}");
        }
    }
}
