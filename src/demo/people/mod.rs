//! Invented customers with everything that makes real ones hard: names from many scripts, phone numbers as people type
//! them, missing or already hashed e-mail addresses, lost click ids, and every kind of consent.
//!
//! A person is a function of the seed and a number: the same on every machine and in every run. Addresses end in
//! `.example`, IP addresses and phone numbers are from ranges kept for documentation: none belongs to anybody.

mod choice;
mod places;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

pub use choice::Choice;
use places::{PLACES, Place};

use super::random::Random;
use crate::sandbox::Platform;

const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";

/// One invented customer.
#[derive(Debug, Clone)]
pub struct Person {
    /// The household's number, or a made-up one for a lead.
    pub number: u64,
    /// What this person allowed.
    pub choice: Choice,
    place: &'static Place,
    name: (&'static str, &'static str),
    phone: Option<String>,
    email: Email,
    /// Has an account, whose number serves as external id.
    account: bool,
    /// The browser kept Meta's `_fbp` cookie.
    browser_id: bool,
    /// Came by a click on an advertisement, and the browser kept what Meta and Google Ads put into the address.
    ad_click: bool,
    /// Came from LinkedIn once, and the browser kept the `li_fat_id` cookie.
    linkedin_click: bool,
    /// The browser kept Google Analytics' `_ga` cookie.
    ga_client: bool,
    /// Source of the invented ids.
    salt: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Email {
    Clear,
    Hashed,
    Missing,
}

impl Person {
    /// The person of this number in the run of this seed.
    pub fn new(seed: u64, number: u64) -> Self {
        let mut random = Random::of(seed, number);
        let choice = Choice::of(&mut random);
        let place = random.pick(&PLACES);
        let name = *random.pick(place.names);
        let digits = format!("{:02}", random.below(100));
        let written = place.phones.get(random.index(place.phones.len().max(1)));
        let phone = written.map(|written| written.replace("##", &digits));
        let email = match random.below(10) {
            0 if !choice.rests_on_email() => Email::Missing,
            1 => Email::Hashed,
            _ => Email::Clear,
        };
        Self {
            number,
            choice,
            place,
            name,
            phone: phone.filter(|_| random.percent(80)),
            email,
            // Whoever gave no e-mail address is known by account, so that only guests are out of reach.
            account: email == Email::Missing || random.percent(50),
            browser_id: random.percent(60),
            ad_click: random.percent(30),
            ga_client: random.percent(85),
            salt: random.next(),
            linkedin_click: random.percent(20),
        }
    }

    /// The same person buying as a guest with every cookie refused: nothing is left to be recognised by.
    pub fn as_guest(self) -> Self {
        Self {
            choice: Choice::Granted,
            email: Email::Missing,
            phone: None,
            account: false,
            browser_id: false,
            ad_click: false,
            linkedin_click: false,
            ga_client: false,
            ..self
        }
    }

    /// The same person with full consent and nothing missing, for stories that are about something else.
    pub fn as_regular(self) -> Self {
        Self {
            choice: Choice::Granted,
            email: Email::Clear,
            account: true,
            browser_id: true,
            ga_client: true,
            ..self
        }
    }

    /// Whether the platform can recognise this person, where everything may be told that is there: Meta by any
    /// identifier, Data Manager by any but an id of ours (and whoever has one has left a whole address), LinkedIn by a
    /// name alone, Google Ads by a click, an address or a number, GA4 only by its client id.
    pub fn is_known_to(&self, platform: Platform) -> bool {
        match platform {
            Platform::Meta | Platform::GoogleDataManager | Platform::LinkedIn => !self.is_guest(),
            Platform::Ga4 => self.ga_client,
            Platform::GoogleAds => {
                self.ad_click || self.email != Email::Missing || self.phone.is_some()
            }
        }
    }

    /// The click on an advertisement at Google that brought this person, if one did.
    pub fn google_click(&self) -> Option<String> {
        let id = format!("Cj0KCQ{:016x}", self.salt.rotate_left(17));
        self.ad_click.then_some(id)
    }

    /// First and last name, for the shop's own tables.
    pub fn full_name(&self) -> String {
        format!("{} {}", self.name.0, self.name.1)
    }

    /// The `user_data` column, as raw as a checkout form leaves it.
    pub fn user_data(&self) -> Value {
        let (city, region, postal_code) = self.place.address;
        let mut fields = Map::new();
        let mut put = |key: &str, value: Value| fields.insert(key.to_owned(), value);
        put("country", json!(self.place.country));
        put("postal_code", json!(postal_code));
        put("user_agent", json!(USER_AGENT));
        if self.is_guest() {
            return Value::Object(fields);
        }
        put("first_name", json!(self.name.0));
        put("last_name", json!(self.name.1));
        put("city", json!(city));
        put("region", json!(region));
        put(
            "ip_address",
            json!(format!("203.0.113.{}", self.salt % 254 + 1)),
        );
        match self.email {
            Email::Clear => drop(put("email", json!(format!("  {}", self.email_address())))),
            Email::Hashed => drop(put(
                "email",
                json!(sha256_hex(&self.email_address().to_lowercase())),
            )),
            Email::Missing => {}
        }
        if let Some(phone) = &self.phone {
            put("phone", json!(phone));
        }
        if self.account {
            put("external_id", json!(format!("customer-{}", self.number)));
        }
        Value::Object(fields)
    }

    /// The `click_ids` column for a purchase at this time: the visit was shortly before it, the click on a day before.
    pub fn click_ids(&self, at: DateTime<Utc>) -> Value {
        let visit = (at - TimeDelta::minutes(12)).timestamp_millis();
        let click = (at - TimeDelta::hours(26)).timestamp_millis();
        let mut fields = Map::new();
        let mut put = |key: &str, value: String| fields.insert(key.to_owned(), json!(value));
        if self.browser_id {
            put(
                "fbp",
                format!("fb.1.{click}.{}", self.salt % 10_000_000_000),
            );
        }
        if self.ad_click {
            put("fbc", format!("fb.1.{click}.IwAR{:016x}", self.salt));
        }
        if let Some(id) = self.google_click() {
            put("gclid", id);
        }
        if self.linkedin_click {
            let salt = self.salt.rotate_left(29);
            let (first, rest) = (salt >> 32, salt & 0xffff_ffff);
            put(
                "li_fat_id",
                format!("{first:08x}-5717-4562-b3fc-{rest:012x}"),
            );
        }
        if self.ga_client {
            put(
                "ga_client_id",
                format!("{}.{}", self.salt % 2_000_000_000 + 1, click / 1_000),
            );
            put("ga_session_id", format!("{}", visit / 1_000));
        }
        Value::Object(fields)
    }

    /// The `consent` column for something done at this time; the choice was made when the visit began.
    pub fn consent(&self, at: DateTime<Utc>) -> Value {
        self.choice
            .column(at - TimeDelta::minutes(12), self.place.country)
    }

    fn is_guest(&self) -> bool {
        self.email == Email::Missing && !self.account
    }

    /// Written with capitals, as people do.
    fn email_address(&self) -> String {
        format!("Customer.{}@Mail.Example", self.number)
    }
}

fn sha256_hex(text: &str) -> String {
    Sha256::digest(text)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn people() -> impl Iterator<Item = Person> {
        (0..2_000).map(|number| Person::new(7, number))
    }

    #[test]
    fn a_person_is_the_same_every_time() {
        let at = DateTime::from_timestamp(1_795_000_000, 0).expect("a time");
        let [one, two] = [Person::new(7, 41), Person::new(7, 41)];
        assert_eq!(one.user_data(), two.user_data());
        assert_eq!(one.click_ids(at), two.click_ids(at));
        assert_eq!(one.consent(at), two.consent(at));
    }

    #[test]
    fn everything_odd_occurs() {
        let kinds: BTreeSet<String> = people()
            .map(|person| format!("{:?} {:?}", person.choice, person.email))
            .collect();
        // Seven choices with three kinds of e-mail, less the two decisions that rest on having one.
        assert_eq!(kinds.len(), 7 * 3 - 2, "{kinds:?}");
        assert!(people().any(|person| !person.is_known_to(Platform::Ga4)));
        assert!(people().any(|person| !person.is_known_to(Platform::GoogleAds)));
        for key in ["gclid", "li_fat_id"] {
            let has = |person: &Person| person.click_ids(Utc::now()).get(key).is_some();
            assert!(people().any(|person| has(&person)), "{key}");
            assert!(people().any(|person| !has(&person)), "{key}");
        }
        assert!(people().any(|person| person.phone.is_none()));
    }

    #[test]
    fn guests_are_unknown_everywhere_and_others_to_few() {
        for platform in Platform::ALL {
            assert!(people().all(|person| !person.as_guest().is_known_to(platform)));
        }
        for platform in [
            Platform::Meta,
            Platform::GoogleDataManager,
            Platform::LinkedIn,
        ] {
            assert!(people().all(|person| person.is_known_to(platform)));
        }
    }

    #[test]
    fn a_guest_leaves_nothing_to_be_recognised_by() {
        let guest = Person::new(7, 3).as_guest();
        let keys: Vec<String> = guest
            .user_data()
            .as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect();
        assert_eq!(keys, ["country", "postal_code", "user_agent"]);
        assert_eq!(guest.click_ids(Utc::now()), json!({}));
    }
}
