//! The servers of one connection string, each as a configuration of its own: tokio-postgres bounds the making of a
//! socket, not what follows, so a first server that takes connections and never answers would keep the others from
//! being tried.

use std::hash::{BuildHasher, RandomState};

use tokio_postgres::Config;
use tokio_postgres::config::{Host, LoadBalanceHosts, TargetSessionAttrs};

/// How many servers the string names.
pub(super) fn count(all: &Config) -> usize {
    all.get_hosts().len().max(all.get_hostaddrs().len())
}

/// One configuration for each server, in the order in which they are tried. Of several, only one that takes writes is
/// any good: the worker does nothing else.
pub(super) fn one_by_one(all: &Config) -> Vec<Config> {
    let count = count(all);
    let is_uneven = |len: usize| len > 1 && len != count;
    if count < 2
        || is_uneven(all.get_ports().len())
        || is_uneven(all.get_hosts().len())
        || is_uneven(all.get_hostaddrs().len())
    {
        // Nothing to tell apart, or a mistake, which tokio-postgres names better.
        return vec![all.clone()];
    }
    let mut each: Vec<Config> = (0..count).map(|n| one(all, n)).collect();
    if all.get_load_balance_hosts() == LoadBalanceHosts::Random {
        // The standard library seeds its hasher anew each time.
        let draw = RandomState::new().hash_one(count) % count as u64;
        each.rotate_left(usize::try_from(draw).expect("it is below the count"));
    }
    each
}

/// The n-th server with everything that is said of all.
fn one(all: &Config, n: usize) -> Config {
    let mut one = Config::new();
    match all.get_hosts().get(n) {
        Some(Host::Tcp(name)) => drop(one.host(name)),
        Some(Host::Unix(path)) => drop(one.host_path(path)),
        None => {}
    }
    if let Some(address) = all.get_hostaddrs().get(n) {
        one.hostaddr(*address);
    }
    if let Some(port) = all.get_ports().get(n).or(all.get_ports().first()) {
        one.port(*port);
    }
    if let Some(user) = all.get_user() {
        one.user(user);
    }
    if let Some(password) = all.get_password() {
        one.password(password);
    }
    if let Some(name) = all.get_dbname() {
        one.dbname(name);
    }
    if let Some(options) = all.get_options() {
        one.options(options);
    }
    if let Some(name) = all.get_application_name() {
        one.application_name(name);
    }
    if let Some(patience) = all.get_connect_timeout() {
        one.connect_timeout(*patience);
    }
    if let Some(patience) = all.get_tcp_user_timeout() {
        one.tcp_user_timeout(*patience);
    }
    one.keepalives(all.get_keepalives());
    one.keepalives_idle(all.get_keepalives_idle());
    if let Some(interval) = all.get_keepalives_interval() {
        one.keepalives_interval(interval);
    }
    if let Some(retries) = all.get_keepalives_retries() {
        one.keepalives_retries(retries);
    }
    one.ssl_mode(all.get_ssl_mode());
    one.ssl_negotiation(all.get_ssl_negotiation());
    one.channel_binding(all.get_channel_binding());
    one.target_session_attrs(match all.get_target_session_attrs() {
        TargetSessionAttrs::Any => TargetSessionAttrs::ReadWrite,
        asked => asked,
    });
    one
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<Config> {
        one_by_one(&text.parse().expect("a valid string"))
    }

    #[test]
    fn each_server_keeps_what_is_said_of_all() {
        let each = split(
            "host=a,/run/b hostaddr=10.0.0.1,10.0.0.2 port=1,2 user=u password=p dbname=d options='-c x=y' \
             application_name=n sslmode=require sslnegotiation=direct connect_timeout=3 tcp_user_timeout=4 keepalives=0 \
             keepalives_idle=5 keepalives_interval=6 keepalives_retries=7 channel_binding=require",
        );
        let alone: Config =
            "host=/run/b hostaddr=10.0.0.2 port=2 user=u password=p dbname=d options='-c x=y' application_name=n \
             sslmode=require sslnegotiation=direct connect_timeout=3 tcp_user_timeout=4 keepalives=0 keepalives_idle=5 \
             keepalives_interval=6 keepalives_retries=7 channel_binding=require target_session_attrs=read-write"
                .parse()
                .expect("a valid string");
        assert_eq!(each.len(), 2);
        assert_eq!(each[1], alone);
        assert_eq!(each[0].get_hosts(), [Host::Tcp("a".to_owned())]);
        assert_eq!(each[0].get_ports(), [1]);
    }

    #[test]
    fn one_port_is_for_all_and_one_server_stays_as_it_is() {
        let each = split("host=a,b port=7");
        assert_eq!(each[1].get_ports(), [7]);
        let alone = split("host=a");
        assert_eq!(alone[0].get_target_session_attrs(), TargetSessionAttrs::Any);
        assert_eq!(split("host=a,b,c port=1,2").len(), 1, "a mistake stays one");
    }
}
