//! Where the demo's business tells what happened: its account at each platform, and the name that each of its events has
//! there. The operator's configuration, the emulators' worlds and the comparison at the end are all made of this table.

use crate::sandbox::Platform;

/// One destination of the demo that takes conversions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outlet {
    /// Its name in the configuration and in the outbox's tables.
    pub destination: &'static str,
    /// The platform.
    pub platform: Platform,
    /// Dataset, stream, customer or ad account.
    pub account: &'static str,
    /// The business's events with the platform's name, conversion action or rule for each.
    pub names: &'static [(&'static str, &'static str)],
}

/// The Meta dataset of the demo.
pub const DATASET: &str = "100200300400500";

/// The GA4 stream of the demo.
pub const STREAM: &str = "G-DEMO12345";

/// The Google Ads customer that is told through Data Manager, the way for everybody.
pub const CUSTOMER: &str = "1234567890";

/// A second customer, of those that may still use the Google Ads API for uploads. It shares its conversion actions with
/// the first, on whose ads people click.
pub const OLD_CUSTOMER: &str = "2345678901";

/// A third customer, told of orders through Data Manager and of refunds through the Google Ads API, which can retract: that
/// is open to everybody.
pub const RETRACTING_CUSTOMER: &str = "3456789012";

/// The LinkedIn ad account of the demo.
pub const AD_ACCOUNT: &str = "507001122";

/// The conversion rule for a lead at LinkedIn.
pub const LEAD_RULE: &str = "104012";

/// The conversion rule for a qualified lead at LinkedIn.
pub const QUALIFIED_RULE: &str = "104013";

/// All of them. Google and LinkedIn have no name for a refund: Google's conversion is changed, LinkedIn takes nothing back.
pub const OUTLETS: [Outlet; 6] = [
    Outlet {
        destination: "meta",
        platform: Platform::Meta,
        account: DATASET,
        names: &[
            ("order_paid", "Purchase"),
            ("lead_created", "Lead"),
            ("lead_qualified", "LeadQualified"),
            ("deal_won", "DealWon"),
        ],
    },
    Outlet {
        destination: "ga4",
        platform: Platform::Ga4,
        account: STREAM,
        names: &[
            ("order_paid", "purchase"),
            ("order_refunded", "refund"),
            ("lead_created", "generate_lead"),
            ("lead_qualified", "qualify_lead"),
            ("deal_won", "close_convert_lead"),
        ],
    },
    Outlet {
        destination: "google",
        platform: Platform::GoogleDataManager,
        account: CUSTOMER,
        names: &[
            ("order_paid", "7100001"),
            ("lead_created", "7100002"),
            ("lead_qualified", "7100003"),
            ("deal_won", "7100004"),
        ],
    },
    Outlet {
        destination: "google-ads",
        platform: Platform::GoogleAds,
        account: OLD_CUSTOMER,
        names: &[
            ("order_paid", "7200001"),
            ("lead_created", "7200002"),
            ("lead_qualified", "7200003"),
            ("deal_won", "7200004"),
        ],
    },
    Outlet {
        destination: "google-orders",
        platform: Platform::GoogleDataManager,
        account: RETRACTING_CUSTOMER,
        names: &[("order_paid", "7300001")],
    },
    Outlet {
        destination: "linkedin",
        platform: Platform::LinkedIn,
        account: AD_ACCOUNT,
        names: &[
            ("order_paid", "104011"),
            ("lead_created", LEAD_RULE),
            ("lead_qualified", QUALIFIED_RULE),
            ("deal_won", "104014"),
        ],
    },
];

impl Outlet {
    /// The destination of this name; one of the table's.
    pub fn named(destination: &str) -> &'static Outlet {
        let mut outlets = OUTLETS.iter();
        let found = outlets.find(|outlet| outlet.destination == destination);
        found.expect("the demo configures the destinations of its table only")
    }

    /// What the platform calls the event here, if it has such.
    pub fn name_of(&self, event_name: &str) -> Option<&'static str> {
        let mut names = self.names.iter();
        names.find_map(|(event, name)| (*event == event_name).then_some(*name))
    }

    /// The names as an inline table of the configuration.
    pub fn mapping(&self) -> String {
        let pair = |(event, name): &(&str, &str)| format!("{event} = \"{name}\"");
        let pairs: Vec<String> = self.names.iter().map(pair).collect();
        format!("{{ {} }}", pairs.join(", "))
    }
}
