//! What a request asks of a page: the parameters behind the question mark.

use std::collections::BTreeMap;
use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::trouble::Trouble;

/// Longer than anything that is asked for.
const LENGTH_MAX: usize = 300;

/// Parameters by name. Empty ones count as not given, for that is how a form sends what was left open.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Params, Infallible> {
        let query = parts.uri.query().unwrap_or_default();
        Ok(Params(
            url::form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .filter(|(_, value)| !value.is_empty())
                .collect(),
        ))
    }
}

impl Params {
    /// The values of these names, in their order. Anything else, or anything twice, is refused.
    pub(crate) fn only<const N: usize>(
        self,
        known: [&str; N],
    ) -> Result<[Option<String>; N], Trouble> {
        let mut given = BTreeMap::new();
        for (name, value) in self.0 {
            if !known.contains(&name.as_str()) {
                return Err(Trouble::Asked(match known.is_empty() {
                    true => {
                        "this page has no parameters: leave out what is behind the ?".to_owned()
                    }
                    false => format!(
                        "this page knows no parameter of that name; it knows {}",
                        known.join(", ")
                    ),
                }));
            }
            if value.chars().count() > LENGTH_MAX || value.contains('\0') {
                return Err(Trouble::Asked(format!(
                    "{name} is no value that this page could know: write at most {LENGTH_MAX} characters, none of them NUL"
                )));
            }
            if given.insert(name.clone(), value).is_some() {
                return Err(Trouble::Asked(format!("{name} is there twice: leave one")));
            }
        }
        Ok(known.map(|name| given.remove(name)))
    }
}

/// How many days up to today a page looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Period {
    Day,
    Week,
    Month,
}

impl Period {
    pub(crate) const ALL: [Period; 3] = [Period::Day, Period::Week, Period::Month];

    /// Reads `days`; seven where nothing is said.
    pub(crate) fn read(text: Option<&str>) -> Result<Period, Trouble> {
        match text {
            None | Some("7") => Ok(Period::Week),
            Some("1") => Ok(Period::Day),
            Some("30") => Ok(Period::Month),
            Some(_) => Err(Trouble::Asked("days is 1, 7 or 30".to_owned())),
        }
    }

    /// The number of days, today among them.
    pub(crate) fn days(self) -> i32 {
        match self {
            Period::Day => 1,
            Period::Week => 7,
            Period::Month => 30,
        }
    }

    /// As a person says it.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Period::Day => "today",
            Period::Week => "7 days",
            Period::Month => "30 days",
        }
    }
}
