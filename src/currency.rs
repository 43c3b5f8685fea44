//! Currency codes of ISO 4217, and how many decimals each has.
//!
//! Not for amounts: nothing here converts, rounds or guesses a currency.

use std::fmt;

use serde::{Serialize, Serializer};

/// An active ISO 4217 code, three upper-case letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency(&'static str);

impl Currency {
    /// The code, for example `EUR`.
    pub fn as_str(self) -> &'static str {
        self.0
    }

    /// Decimals of the currency in ISO 4217: 2 for `EUR`, 0 for `JPY`, 3 for `KWD`.
    pub fn minor_units(self) -> u8 {
        let (units, _) = BY_MINOR_UNITS
            .iter()
            .find(|(_, codes)| codes.binary_search(&self.0).is_ok())
            .expect("a Currency is only made of a code in the table");
        *units
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

/// Reads a code in any case, with white space around it: ` usd ` is `USD`.
///
/// `None` for everything else. Currencies that ISO 4217 has withdrawn are refused, and so are its codes without
/// decimals of their own (metals, drawing rights, tests), in which nobody is paid.
pub fn parse(raw: &str) -> Option<Currency> {
    let code = raw.trim().to_ascii_uppercase();
    BY_MINOR_UNITS.iter().find_map(|(_, codes)| {
        let at = codes.binary_search(&code.as_str()).ok()?;
        Some(Currency(codes[at]))
    })
}

/// Every code, in no particular order.
pub fn all() -> impl Iterator<Item = Currency> {
    BY_MINOR_UNITS
        .iter()
        .flat_map(|(_, codes)| codes.iter().map(|code| Currency(code)))
}

/// ISO 4217 list one by decimals, each part sorted. State of 2026: with XAD, XCG and ZWG; without ANG, BGN, HRK, CUC,
/// SLL and ZWL.
const BY_MINOR_UNITS: [(u8, &[&str]); 4] = [(2, TWO), (0, ZERO), (3, THREE), (4, FOUR)];

#[rustfmt::skip]
const TWO: &[&str] = &[
    "AED", "AFN", "ALL", "AMD", "AOA", "ARS", "AUD", "AWG", "AZN", "BAM", "BBD", "BDT", "BMD",
    "BND", "BOB", "BOV", "BRL", "BSD", "BTN", "BWP", "BYN", "BZD", "CAD", "CDF", "CHE", "CHF",
    "CHW", "CNY", "COP", "COU", "CRC", "CUP", "CVE", "CZK", "DKK", "DOP", "DZD", "EGP", "ERN",
    "ETB", "EUR", "FJD", "FKP", "GBP", "GEL", "GHS", "GIP", "GMD", "GTQ", "GYD", "HKD", "HNL",
    "HTG", "HUF", "IDR", "ILS", "INR", "IRR", "JMD", "KES", "KGS", "KHR", "KPW", "KYD", "KZT",
    "LAK", "LBP", "LKR", "LRD", "LSL", "MAD", "MDL", "MGA", "MKD", "MMK", "MNT", "MOP", "MRU",
    "MUR", "MVR", "MWK", "MXN", "MXV", "MYR", "MZN", "NAD", "NGN", "NIO", "NOK", "NPR", "NZD",
    "PAB", "PEN", "PGK", "PHP", "PKR", "PLN", "QAR", "RON", "RSD", "RUB", "SAR", "SBD", "SCR",
    "SDG", "SEK", "SGD", "SHP", "SLE", "SOS", "SRD", "SSP", "STN", "SVC", "SYP", "SZL", "THB",
    "TJS", "TMT", "TOP", "TRY", "TTD", "TWD", "TZS", "UAH", "USD", "USN", "UYU", "UZS", "VED",
    "VES", "WST", "XAD", "XCD", "XCG", "YER", "ZAR", "ZMW", "ZWG",
];

#[rustfmt::skip]
const ZERO: &[&str] = &[
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND",
    "VUV", "XAF", "XOF", "XPF",
];

const THREE: &[&str] = &["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];

const FOUR: &[&str] = &["CLF", "UYW"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_any_case_and_trims() {
        assert_eq!(parse(" usd ").map(Currency::as_str), Some("USD"));
        assert_eq!(parse("Eur").map(Currency::as_str), Some("EUR"));
    }

    #[test]
    fn refuses_names_withdrawn_codes_and_metals() {
        for raw in [
            "",
            "US Dollar",
            "US",
            "USDT",
            "HRK",
            "XAU",
            "XXX",
            "€",
            "ＵＳＤ",
        ] {
            assert_eq!(parse(raw), None, "{raw}");
        }
    }

    #[test]
    fn knows_the_decimals() {
        let units = |raw| parse(raw).map(Currency::minor_units);
        assert_eq!(units("EUR"), Some(2));
        assert_eq!(units("JPY"), Some(0));
        assert_eq!(units("KWD"), Some(3));
        assert_eq!(units("CLF"), Some(4));
    }

    #[test]
    fn every_code_is_sorted_unique_and_well_formed() {
        let mut seen = std::collections::BTreeSet::new();
        for (units, codes) in BY_MINOR_UNITS {
            assert!(codes.is_sorted(), "{units}");
            for code in codes {
                assert!(
                    code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase()),
                    "{code}"
                );
                assert!(seen.insert(code), "{code} twice");
            }
        }
        assert_eq!(seen.len(), 165);
    }
}
