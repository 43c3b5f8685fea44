//! Looks names up and keeps only the addresses that a destination may reach. It is asked for every new connection, so a
//! name that leads elsewhere later (DNS rebinding) is caught then. Not for addresses that are written as numbers: those
//! are looked at before a request is made.

use std::error::Error;
use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::config::reach::Reach;

/// Looks up as the machine does.
pub(super) struct Names(pub(super) Reach);

/// Every address of a name is out of reach.
#[derive(Debug, thiserror::Error)]
#[error("the name leads to private addresses only")]
pub(super) struct OutOfReach;

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            // The port is the connector's business.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(within(reach, name.as_str(), found.collect())?)
        })
    }
}

/// The addresses in reach; an error where there are others only.
fn within(reach: Reach, name: &str, found: Vec<SocketAddr>) -> Result<Addrs, OutOfReach> {
    let is_any = !found.is_empty();
    let kept: Vec<SocketAddr> = found
        .into_iter()
        .filter(|address| reach.lets(name, address.ip()))
        .collect();
    match kept.is_empty() && is_any {
        true => Err(OutOfReach),
        false => Ok(Box::new(kept.into_iter())),
    }
}

/// Whether a request failed because its address is out of reach.
pub(super) fn is_out_of_reach(error: &reqwest::Error) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = cause {
        if error.is::<OutOfReach>() {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(name: &str, found: &[&str]) -> Option<Vec<String>> {
        let found = found
            .iter()
            .map(|ip| SocketAddr::new(ip.parse().unwrap(), 0))
            .collect();
        let kept = within(Reach::Public, name, found).ok()?;
        Some(kept.map(|address| address.ip().to_string()).collect())
    }

    #[test]
    fn private_addresses_of_a_name_are_never_connected_to() {
        assert_eq!(
            kept("x.example", &["10.0.0.1", "8.8.8.8", "::1"]),
            Some(vec!["8.8.8.8".to_owned()])
        );
        assert_eq!(kept("x.example", &["127.0.0.1", "fe80::1"]), None);
        assert_eq!(kept("localhost", &["::1"]), Some(vec!["::1".to_owned()]));
        // A name without addresses is no attack.
        assert_eq!(kept("x.example", &[]), Some(Vec::new()));
    }
}
