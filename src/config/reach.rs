//! Which addresses a destination's requests may go to, so that a name or an address in the configuration cannot turn the
//! worker on services inside the network (server-side request forgery). Pure: `send/names.rs` holds names to it when it
//! connects.
//!
//! Source of the ranges: IANA, IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890 and its updates).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// How far a destination's requests may go. This machine is always in reach where the operator wrote it himself: as
/// `localhost` or as a loopback address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Public addresses.
    #[default]
    Public,
    /// Private ones too: `allow_private_addresses = true`.
    Anywhere,
}

impl Reach {
    /// Whether the host of an address may be used as it is written. What a name leads to is only known when it is looked
    /// up, see [`Reach::lets`].
    pub fn takes(self, url: &Url) -> bool {
        match url.host() {
            None => false,
            Some(Host::Domain(_)) => true,
            Some(Host::Ipv4(address)) => self.takes_address(address.into()),
            Some(Host::Ipv6(address)) => self.takes_address(address.into()),
        }
    }

    fn takes_address(self, address: IpAddr) -> bool {
        self == Reach::Anywhere || address.is_loopback() || is_public(address)
    }

    /// Whether a connection may be made to this one of a name's addresses. `localhost` is this machine and nothing else.
    pub fn lets(self, name: &str, address: IpAddr) -> bool {
        match self {
            Reach::Anywhere => true,
            Reach::Public if name.eq_ignore_ascii_case("localhost") => address.is_loopback(),
            Reach::Public => is_public(address),
        }
    }
}

/// Whether an address is one of the public internet.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !matches!(
        address.octets(),
        // "This" network, private, loopback.
        [0 | 10 | 127, ..]
            // Shared by carriers (RFC 6598), link-local with the clouds' metadata services.
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 168, ..]
            // Protocol assignments, documentation, relays of 6to4, measurements.
            | [192, 0, 0 | 2, _]
            | [192, 88, 99, _]
            | [198, 18..=19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
            // Multicast, reserved, broadcast.
            | [224..=255, ..]
    )
}

/// Only what is handed out of 2000::/3 is public; loopback, link-local, unique-local and multicast lie outside. Addresses
/// that carry an IPv4 address are as public as that one.
fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(embedded) = embedded(address) {
        return is_public_v4(embedded);
    }
    match address.segments() {
        // Protocol assignments with Teredo, documentation.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// The IPv4 address in an IPv6 one: mapped (`::ffff:0:0/96`), translated (`64:ff9b::/96`), 6to4 (`2002::/16`).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let parts = match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => (high, low),
        [0x2002, high, low, ..] => (high, low),
        _ => return None,
    };
    Some(Ipv4Addr::from(
        u32::from(parts.0) << 16 | u32::from(parts.1),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_of_the_public_internet_is_known() {
        let private = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:1ff::1",
            "2001:db8::1",
            "2002:a9fe:a9fe::1",
            "2002:7f00:1::",
            "3fff:fff::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
        ];
        for address in private {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        let public = [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "192.167.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2001:4860:4860::8888",
            "2001:200::1",
            "2002:808:808::1",
            "2a03:2880:f12f:83:face:b00c::25de",
        ];
        for address in public {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn this_machine_is_in_reach_only_where_it_is_written() {
        let takes = |url: &str| Reach::Public.takes(&Url::parse(url).unwrap());
        for url in [
            "http://127.0.0.1:8080",
            "http://localhost:8080",
            "http://[::1]:8080",
            "https://example.com",
        ] {
            assert!(takes(url), "{url}");
        }
        // However it is spelt.
        for url in [
            "https://10.1.2.3",
            "https://0xa9fea9fe",
            "https://2852039166",
            "https://[::ffff:10.0.0.1]",
        ] {
            assert!(!takes(url), "{url}");
            assert!(Reach::Anywhere.takes(&Url::parse(url).unwrap()), "{url}");
        }
        let lets = |name, address: &str| Reach::Public.lets(name, address.parse().unwrap());
        assert!(lets("localhost", "127.0.0.1") && lets("LocalHost", "::1"));
        assert!(!lets("localhost", "8.8.8.8") && !lets("rebound.example", "127.0.0.1"));
        assert!(lets("graph.facebook.com", "8.8.8.8") && !lets("graph.facebook.com", "10.0.0.1"));
        assert!(Reach::Anywhere.lets("inside.example", "10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn a_private_number_in_the_configuration_needs_the_switch() {
        let faults = |lines: &str| {
            let text = format!(
                "[database]\nurl = {{ env = \"X\" }}\n[[destination]]\nname = \"google\"\nplatform = \"google_data_manager\"
operating_account = \"1234567890\"\nservice_account = {{ env = \"KEY\" }}\nconversion_actions = {{ order_paid = \"1\" }}\n{lines}"
            );
            let parsed = crate::config::Config::parse(&text, "c.toml", []);
            let faults = parsed
                .err()
                .map(|faults| faults.list().to_vec())
                .unwrap_or_default();
            faults
                .into_iter()
                .map(|fault| format!("{} {}", fault.path, fault.message))
                .collect::<Vec<_>>()
        };
        for key in ["base_url", "token_url"] {
            for private in [
                "https://10.0.0.7",
                "https://169.254.169.254/x",
                "https://[fd00::1]",
                "https://0x0a000001",
            ] {
                let line = format!("{key} = \"{private}\"");
                assert_eq!(
                    faults(&line),
                    [format!(
                        "destination \"google\": {key} is a private address"
                    )]
                );
                assert!(faults(&format!("{line}\nallow_private_addresses = true")).is_empty());
            }
            // Nor does the switch take encryption away.
            let plain = faults(&format!(
                "{key} = \"http://10.0.0.7\"\nallow_private_addresses = true"
            ));
            assert_eq!(plain.len(), 1, "{plain:?}");
            for fine in [
                "http://127.0.0.1:8080",
                "http://localhost:8080",
                "http://[::1]:8080",
                "https://gateway.example",
            ] {
                assert!(faults(&format!("{key} = \"{fine}\"")).is_empty(), "{fine}");
            }
        }
    }
}
