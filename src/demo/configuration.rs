//! The configuration of the demo: all platforms, each asked what it counted, and the shop's own tables to compare with.

use std::path::Path;

use super::outlets::{
    AD_ACCOUNT, CUSTOMER, DATASET, OLD_CUSTOMER, Outlet, RETRACTING_CUSTOMER, STREAM,
};
use super::worlds;
use crate::sandbox::Platform;

/// Each of Google's APIs has the same token endpoint; in the sandbox their calls are counted apart.
pub(super) fn token_url(sandbox: &str, platform: Platform) -> String {
    format!("{sandbox}/{platform}/token")
}

/// What an operator would write, with short delays so that the demo does not take hours.
pub(super) fn configuration(folder: &Path, sandbox: &str) -> String {
    let folder = folder.display();
    let actions = Outlet::named("google").mapping();
    let old_actions = Outlet::named("google-ads").mapping();
    let order_actions = Outlet::named("google-orders").mapping();
    let rules = Outlet::named("linkedin").mapping();
    let google_tokens = token_url(sandbox, Platform::GoogleDataManager);
    let ads_tokens = token_url(sandbox, Platform::GoogleAds);
    let [client_id, ..] = worlds::ADS_CLIENT;
    let oauth = format!(
        r#"{{ client_id = "{client_id}", client_secret = {{ file = "{folder}/google-ads.secret" }}, refresh_token = {{ file = "{folder}/google-ads.refresh" }} }}"#
    );
    format!(
        r#"# Written by the demo. The sandbox stands in for all platforms.
[database]
url = {{ file = "{folder}/database.url" }}
pool_size = 6

[worker]
backoff_initial_secs = 1
backoff_cap_secs = 2
hold_probe_secs = 1
lease_secs = 20
request_timeout_secs = 5

[identity]
default_calling_code = 1

[[destination]]
name = "meta"
platform = "meta"
dataset_id = "{DATASET}"
access_token = {{ file = "{folder}/meta.token" }}
base_url = "{sandbox}"
[destination.report]
days_back = 14

[[destination]]
name = "ga4"
platform = "ga4"
measurement_id = "{STREAM}"
api_secret = {{ file = "{folder}/ga4.secret" }}
base_url = "{sandbox}"
[destination.report]
property_id = "345678901"
service_account = {{ file = "{folder}/google.json" }}
token_url = "{google_tokens}"
base_url = "{sandbox}"

[[destination]]
name = "google"
platform = "google_data_manager"
operating_account = "{CUSTOMER}"
service_account = {{ file = "{folder}/google.json" }}
token_url = "{google_tokens}"
conversion_actions = {actions}
batch_size = 25
concurrency = 1
status_first_secs = 1
status_pause_max_secs = 1
# A day in a few seconds: Google's own limit is 300 a minute.
rate_limit = {{ requests = 6000, per_secs = 60 }}
base_url = "{sandbox}"
[destination.report]
service_account = {{ file = "{folder}/google.json" }}
token_url = "{google_tokens}"
base_url = "{sandbox}"

[[destination]]
name = "google-ads"
platform = "google_ads"
customer_id = "{OLD_CUSTOMER}"
oauth = {oauth}
token_url = "{ads_tokens}"
conversion_actions = {old_actions}
base_url = "{sandbox}"
[destination.report]

[[destination]]
name = "google-orders"
platform = "google_data_manager"
operating_account = "{RETRACTING_CUSTOMER}"
service_account = {{ file = "{folder}/google.json" }}
token_url = "{google_tokens}"
conversion_actions = {order_actions}
refund_mode = "ads_api_retraction"
routes = {{ events = ["order_paid"] }}
status_first_secs = 1
status_pause_max_secs = 1
# A day in a few seconds: Google's own limit is 300 a minute.
rate_limit = {{ requests = 6000, per_secs = 60 }}
base_url = "{sandbox}"
[destination.report]
service_account = {{ file = "{folder}/google.json" }}
token_url = "{google_tokens}"
base_url = "{sandbox}"

# What the customers of google-orders return.
[[destination]]
name = "google-returns"
platform = "google_ads"
customer_id = "{RETRACTING_CUSTOMER}"
oauth = {oauth}
token_url = "{ads_tokens}"
conversion_actions = {order_actions}
adjusts_destination = "google-orders"
routes = {{ events = ["order_refunded"] }}
base_url = "{sandbox}"

[[destination]]
name = "linkedin"
platform = "linkedin"
ad_account = "{AD_ACCOUNT}"
access_token = {{ file = "{folder}/linkedin.token" }}
rules = {rules}
base_url = "{sandbox}"
[destination.report]
currency = "USD"

# The shop's own tables are the truth.
[[reconcile]]
name = "orders"
event = "order_paid"
query = "select order_id as business_id, paid_at as occurred_at, total as value, 'USD' as currency from shop.orders where paid_at >= $1 and paid_at < $2"

[[reconcile]]
name = "leads"
event = "lead_created"
query = "select 'lead_' || lead_no as business_id, created_at as occurred_at, null::numeric as value, null::text as currency from shop.leads where created_at >= $1 and created_at < $2"

[[reconcile]]
name = "deals"
event = "deal_won"
query = "select 'deal_' || lead_no as business_id, won_at as occurred_at, amount as value, 'USD' as currency from shop.deals where won_at >= $1 and won_at < $2"
"#
    )
}
