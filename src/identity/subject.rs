//! The forms in which a person may stand in an event's row, hashed: what a suppression list compares.
//!
//! Platforms hash one address in several forms, and an application may have hashed it by any of their rules before it
//! wrote the row. So each value has all these forms, and two values are the same person's if they share one.

use super::phone::{self, Home};
use super::value::Hashed;
use super::{google, meta, place, text};

/// What a person may be recognised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SubjectKind {
    /// E-mail address.
    Email,
    /// Telephone number.
    Phone,
    /// The application's own id of the person.
    ExternalId,
}

impl SubjectKind {
    /// Every kind.
    pub const ALL: [SubjectKind; 3] = [
        SubjectKind::Email,
        SubjectKind::Phone,
        SubjectKind::ExternalId,
    ];

    /// Its name, as in `user_data`.
    pub fn as_str(self) -> &'static str {
        match self {
            SubjectKind::Email => "email",
            SubjectKind::Phone => "phone",
            SubjectKind::ExternalId => "external_id",
        }
    }
}

/// The SHA-256 of each form of a value; none where it is no such value. 64 hexadecimal digits are taken for a SHA-256
/// that somebody made of one of the forms.
///
/// An address: as Meta and LinkedIn, as GA4 and Google Ads, and as Data Manager hash it (a Google address without dots and
/// tag). A number: E.164 with and without `+`; `country` (ISO 3166-1) and `calling_code` say how to read one without code.
/// An id: as it stands, for letters of another case may be another person.
pub fn forms(
    kind: SubjectKind,
    raw: &str,
    country: Option<&str>,
    calling_code: Option<u16>,
) -> Vec<Hashed> {
    match text::form(raw) {
        text::Form::Sha256 => return Hashed::given(raw).into_iter().collect(),
        // No platform takes it, and an id may well look like one.
        text::Form::Md5 if kind != SubjectKind::ExternalId => return Vec::new(),
        text::Form::Md5 | text::Form::Clear => {}
    }
    let normal: Vec<Option<String>> = match kind {
        SubjectKind::Email => vec![
            meta::email(raw),
            google::email(raw),
            google::email_without_tag(raw),
        ],
        SubjectKind::Phone => {
            let home = Home {
                country: country.and_then(place::country),
                calling_code,
            };
            let digits = phone::e164(raw, home).or_else(|| phone::digits(raw));
            vec![
                digits.as_ref().map(|digits| format!("+{digits}")),
                digits.clone(),
            ]
        }
        SubjectKind::ExternalId => vec![Some(text::trim(raw).to_owned())],
    };
    let mut forms: Vec<Hashed> = Vec::new();
    for hashed in normal.iter().flatten().filter_map(|text| Hashed::of(text)) {
        if !forms.contains(&hashed) {
            forms.push(hashed);
        }
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meet(kind: SubjectKind, one: &str, other: &str) -> bool {
        let others = forms(kind, other, None, Some(49));
        let own = forms(kind, one, None, Some(49));
        own.iter().any(|form| others.contains(form))
    }

    #[test]
    fn one_person_is_recognised_in_every_spelling() {
        use SubjectKind::{Email, ExternalId, Phone};
        let prehashed = |text: &str| Hashed::of(text).expect("not empty").to_string();
        for (kind, one, other) in [
            (Email, "janedoe@gmail.com", " Jane.Doe+shop@Gmail.com\n"),
            (Email, "jane@example.com", "JANE@EXAMPLE.COM"),
            (
                Email,
                "Jane.Doe@gmail.com",
                &prehashed("jane.doe@gmail.com"),
            ),
            (
                Email,
                "Jane.Doe+a@gmail.com",
                &prehashed("janedoe@gmail.com"),
            ),
            (
                Email,
                "Jane.Doe+a@gmail.com",
                &prehashed("janedoe+a@gmail.com").to_uppercase(),
            ),
            (Phone, "030 901820", "+49 (0)30 90 18 20"),
            (Phone, "0049 30 901820", &prehashed("4930901820")),
            (Phone, "030 901820", &prehashed("+4930901820")),
            (ExternalId, " customer-7", "customer-7"),
            (ExternalId, "customer-7", &prehashed("customer-7")),
        ] {
            assert!(meet(kind, one, other), "{kind:?} {one} {other}");
            assert!(meet(kind, other, one), "{kind:?} {other} {one}");
        }
    }

    #[test]
    fn another_person_is_not() {
        use SubjectKind::{Email, ExternalId, Phone};
        for (kind, one, other) in [
            (Email, "jane.doe@example.com", "janedoe@example.com"),
            (Email, "jane+a@example.com", "jane@example.com"),
            (Email, "nobody", "nobody"),
            (Email, "", ""),
            (Phone, "030 901820", "030 901821"),
            (Phone, "call me", "call me"),
            (ExternalId, "aB", "Ab"),
            (ExternalId, " ", " "),
        ] {
            assert!(!meet(kind, one, other), "{kind:?} {one} {other}");
        }
    }
}
