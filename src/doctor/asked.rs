//! What a platform is asked by a test, told beforehand.

use crate::config::destination::DestinationConfig;
use crate::destinations::{Credentials, Settings};

/// Every request that [`super::examine`] makes to the platform of a destination, a sentence each; a test event not among them.
pub fn asked(destination: &DestinationConfig) -> Vec<String> {
    let mut said = Vec::new();
    if let Credentials::OAuth(oauth) = destination.settings.credentials() {
        let host = oauth.token_url.host_str().unwrap_or_default();
        said.push(format!("the credential, to {host}, for an access token"));
    }
    said.push(match &destination.settings {
        Settings::Meta(_) => {
            "a request with an empty list of events, which is refused for being empty: the platform looks at token and dataset first".to_owned()
        }
        Settings::Ga4(_) => {
            "an event of nobody to the validating address, which records nothing".to_owned()
        }
        Settings::GoogleDataManager(_) => {
            "for each conversion action an event of nobody that is only validated".to_owned()
        }
        Settings::GoogleAds(settings) => {
            let listed = "a query for the conversion actions";
            match settings.adjusts_destination {
                Some(_) => listed.to_owned(),
                None => format!("{listed}, and an upload of nobody that is only validated"),
            }
        }
        Settings::LinkedIn(_) => {
            "a query for the conversion rules of the ad account; no event, for LinkedIn counts whatever is sent".to_owned()
        }
    });
    said
}
