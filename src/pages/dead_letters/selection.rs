//! Which dead letters are meant: the same in the address of a page, in the fields of a form, and under its seal.

use crate::operations::Filter;
use crate::outcome::{Reason, State};
use crate::pages::html::{Markup, address, html};
use crate::pages::trouble::Trouble;

/// What is written for letters without a code.
const NO_CODE: &str = "(none)";

/// So many are done with one form; the next form does the next.
pub(super) const AT_ONCE: i64 = 10_000;

/// Dead letters that have all of what is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selection {
    pub(super) destination: Option<String>,
    pub(super) state: Option<State>,
    pub(super) died_of: Option<Reason>,
    /// Empty: those without a code.
    pub(super) code: Option<String>,
    pub(super) event_name: Option<String>,
    pub(super) event_id: Option<String>,
}

impl Selection {
    /// The names of what it is made of, in addresses and forms.
    pub(super) const KEYS: [&'static str; 6] = [
        "destination",
        "state",
        "died_of",
        "code",
        "event_name",
        "event_id",
    ];

    /// Reads the values of [`Selection::KEYS`], in their order.
    pub(super) fn read(values: [Option<String>; 6]) -> Result<Selection, Trouble> {
        let [destination, state, died_of, code, event_name, event_id] = values;
        let wrong = |what: &str| Trouble::Asked(format!("there is no {what} of that name"));
        let state = state
            .map(|word| State::parse(&word).ok_or_else(|| wrong("state")))
            .transpose()?;
        let died_of = died_of
            .map(|word| Reason::parse(&word).ok_or_else(|| wrong("reason")))
            .transpose()?;
        Ok(Selection {
            destination,
            state,
            died_of,
            code: code.map(|code| if code == NO_CODE { String::new() } else { code }),
            event_name,
            event_id,
        })
    }

    fn values(&self) -> [&str; 6] {
        let code = self.code.as_deref();
        [
            self.destination.as_deref().unwrap_or_default(),
            self.state.map(State::as_str).unwrap_or_default(),
            self.died_of.map(Reason::as_str).unwrap_or_default(),
            code.map_or("", |code| if code.is_empty() { NO_CODE } else { code }),
            self.event_name.as_deref().unwrap_or_default(),
            self.event_id.as_deref().unwrap_or_default(),
        ]
    }

    /// The page at this path about them, with more parameters.
    pub(super) fn address(&self, path: &str, more: &[(&str, &str)]) -> String {
        let own = Selection::KEYS.into_iter().zip(self.values());
        let params: Vec<(&str, &str)> = own.chain(more.iter().copied()).collect();
        address(path, &params)
    }

    /// The same as fields of a form.
    pub(super) fn fields(&self) -> Markup {
        html! {
            @for (key, value) in Selection::KEYS.into_iter().zip(self.values()) {
                @if !value.is_empty() { input type="hidden" name=(key) value=(value); }
            }
        }
    }

    /// Whether anything is meant in particular: nobody means everything without saying so.
    pub(super) fn is_empty(&self) -> bool {
        *self == Selection::default()
    }

    /// As the library wants it.
    pub(super) fn filter(&self) -> Filter {
        Filter {
            destination: self.destination.clone(),
            state: self.state.map(State::as_str),
            reason: self.died_of.map(Reason::as_str),
            error_code: self.code.clone(),
            event_name: self.event_name.clone(),
            event_ids: self.event_id.clone().map(|id| vec![id]),
            ..Filter::default()
        }
    }

    /// The same, for something that is done to them from a page.
    pub(super) fn filter_to_do(&self) -> Filter {
        Filter {
            limit: Some(AT_ONCE),
            by: Some("the page"),
            ..self.filter()
        }
    }

    /// In words, as the end of a sentence.
    pub(super) fn words(&self) -> Markup {
        html! {
            @match self.state { Some(state) => { (state.as_str()) }, None => { "dead" } }
            @if let Some(reason) = self.died_of { " for " (reason.as_str().replace('_', " ")) }
            @match self.code.as_deref() {
                None => {},
                Some("") => { ", without a code" },
                Some(code) => { ", code " code { (code) } },
            }
            @if let Some(name) = &self.destination { ", at " bdi.name { (name) } }
            @if let Some(name) = &self.event_name { ", of the name " bdi.name { (name) } }
            @if let Some(id) = &self.event_id { ", of the event " bdi.name { (id) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_back_as_what_it_was_made_of() {
        let selection = Selection {
            destination: Some("meta".into()),
            state: Some(State::Rejected),
            died_of: Some(Reason::RefusedByPlatform),
            code: Some(String::new()),
            event_name: None,
            event_id: Some("a/../b?c=d&\"<".into()),
        };
        let address = selection.address("/dead-letters/replay", &[("force", "1")]);
        let url = url::Url::parse("http://h")
            .expect("a url")
            .join(&address)
            .expect("an address");
        let find = |key: &str| {
            url.query_pairs()
                .find(|(name, _)| name == key)
                .map(|(_, value)| value.into_owned())
        };
        assert_eq!(find("force").as_deref(), Some("1"));
        let read = Selection::read(Selection::KEYS.map(find)).ok();
        assert_eq!(read, Some(selection));
        assert!(
            Selection::read(["x", "dead", "", "", "", ""].map(|text| Some(text.into()))).is_err()
        );
    }
}
