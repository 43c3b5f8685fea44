//! ISO 4217 alphabetic codes in use, which both platforms demand. Not for amounts.

/// Active codes of ISO 4217 list one (money and funds), without the metals, the test code and "no currency".
const CODES: &str = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN \
BZD CAD CDF CHF CLF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ \
GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD \
MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR \
RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH \
UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG";

/// Whether this is an upper-case ISO 4217 code.
pub(super) fn is_code(text: &str) -> bool {
    text.len() == 3 && CODES.split(' ').any(|code| code == text)
}

#[cfg(test)]
mod tests {
    use super::is_code;

    #[test]
    fn knows_codes_and_nothing_else() {
        assert!(is_code("EUR") && is_code("ZWG") && is_code("AED"));
        assert!(
            !is_code("eur")
                && !is_code("XYZ")
                && !is_code("")
                && !is_code("EUR USD")
                && !is_code("EU")
        );
    }
}
