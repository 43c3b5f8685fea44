//! The only file that talks to platforms: puts the credential in, sends, reads the answer within limits.
//!
//! Not for deciding anything: it says what came back, or how far a request got before it failed.

mod names;

use std::time::Duration;

use bytes::BytesMut;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use url::Url;

use crate::config::reach::Reach;
use crate::config::secret::Secret;
use crate::destinations::{Credential, HttpRequest, Method, Reply};

/// Sends requests. Cheap to clone; connections are shared.
#[derive(Clone, Debug)]
pub struct Sender {
    reach: Reach,
    public: reqwest::Client,
    anywhere: reqwest::Client,
}

/// How far a request got. Holds no address and no text of the HTTP library, which would print query secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Name, connection or TLS failed: the platform saw nothing.
    #[error("no connection: nothing was delivered")]
    Connect,
    /// The request was under way and no answer came in time.
    #[error("no answer in time: it may have been taken")]
    Timeout,
    /// The connection broke while or after the request was written.
    #[error("the connection broke: it may have been taken")]
    Broken,
    /// The credential cannot be written into a header.
    #[error("the credential holds a character that no header may carry")]
    Credential,
    /// The address, or every address of the name, is a private one: nothing was connected to.
    #[error("the address is a private one, and the destination does not allow those")]
    Private,
}

impl SendError {
    /// For `error.type` and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            SendError::Connect => "connect",
            SendError::Timeout => "timeout",
            SendError::Broken => "broken",
            SendError::Credential => "credential",
            SendError::Private => "private_address",
        }
    }
}

impl Sender {
    /// A sender with the machine's own certificate store, for public addresses.
    pub fn new() -> Result<Sender, reqwest::Error> {
        crate::tls::install_provider();
        Ok(Sender {
            reach: Reach::Public,
            public: client(Reach::Public)?,
            anywhere: client(Reach::Anywhere)?,
        })
    }

    /// The same sender, as far as one destination may reach.
    pub fn within(&self, reach: Reach) -> Sender {
        Sender {
            reach,
            ..self.clone()
        }
    }

    /// The client for an address. Numbers are looked at here, names when they are looked up.
    fn client(&self, url: &Url) -> Result<&reqwest::Client, SendError> {
        match self.reach {
            reach if !reach.takes(url) => Err(SendError::Private),
            Reach::Public => Ok(&self.public),
            Reach::Anywhere => Ok(&self.anywhere),
        }
    }

    /// Sends one request and reads the answer, all within `timeout`.
    pub async fn send(
        &self,
        request: HttpRequest,
        secret: &Secret,
        timeout: Duration,
    ) -> Result<Reply, SendError> {
        let exchange = self.exchange(request, secret);
        match tokio::time::timeout(timeout, exchange).await {
            Ok(result) => result,
            Err(_) => Err(SendError::Timeout),
        }
    }

    async fn exchange(&self, request: HttpRequest, secret: &Secret) -> Result<Reply, SendError> {
        let HttpRequest {
            method,
            mut url,
            headers,
            credential,
            mut body,
        } = request;
        let mut bearer = None;
        match credential {
            Credential::Bearer => {
                let mut value = HeaderValue::from_str(&format!("Bearer {}", secret.expose()))
                    .map_err(|_| SendError::Credential)?;
                value.set_sensitive(true);
                bearer = Some(value);
            }
            Credential::Query(name) => put_in_query(&mut url, name, secret.expose()),
            Credential::Body(name) => put_in_body(&mut body, name, secret.expose()),
        }
        let client = self.client(&url)?;
        let mut builder = match method {
            Method::Get => client.get(url),
            Method::Post => client
                .post(url)
                .header(CONTENT_TYPE, "application/json")
                .body(body),
        };
        for (name, value) in headers {
            builder = builder.header(name, value);
        }
        if let Some(bearer) = bearer {
            builder = builder.header(reqwest::header::AUTHORIZATION, bearer);
        }
        read(builder.send().await.map_err(|error| kind(&error))?).await
    }

    /// Asks a token endpoint for an access token: a form, whose fields are secrets, within `timeout`.
    pub async fn ask_token(
        &self,
        url: &Url,
        form: &[(&str, &str)],
        timeout: Duration,
    ) -> Result<Reply, SendError> {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let exchange = async {
            let request = self
                .client(url)?
                .post(url.clone())
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(body);
            read(request.send().await.map_err(|error| kind(&error))?).await
        };
        tokio::time::timeout(timeout, exchange)
            .await
            .unwrap_or(Err(SendError::Timeout))
    }
}

/// Redirects are not followed: no platform documents any, and following one would hand the credential on. A proxy that the
/// environment names is not used: it would see where every request goes, and it, not we, would look the names up. An
/// answer is asked for as it is: what comes compressed all the same is not inflated, and so is no larger than it looks.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
fn client(reach: Reach) -> Result<reqwest::Client, reqwest::Error> {
    let plain = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]);
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .dns_resolver(names::Names(reach))
        .default_headers(plain)
        .connect_timeout(Duration::from_secs(5))
        .pool_idle_timeout(Duration::from_secs(55))
        .tcp_keepalive(Duration::from_secs(30))
        .user_agent(concat!("conversion-outbox/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// An answer, as far as it is read; the connection of one that is longer is dropped.
async fn read(mut response: reqwest::Response) -> Result<Reply, SendError> {
    let mut reply = Reply {
        status: response.status().as_u16(),
        headers: response
            .headers()
            .iter()
            .filter_map(|(name, value)| {
                Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
            })
            .collect(),
        body: Vec::new(),
    };
    let mut read = BytesMut::new();
    while read.len() < Reply::BODY_MAX {
        match response.chunk().await {
            Ok(Some(chunk)) => read.extend_from_slice(&chunk),
            Ok(None) => break,
            Err(_) => return Err(SendError::Broken),
        }
    }
    read.truncate(Reply::BODY_MAX);
    reply.body = read.into();
    Ok(reply)
}

/// A request as a person may read it: the credential is shown as `***`, wherever it goes.
pub fn masked(request: &HttpRequest) -> serde_json::Value {
    let HttpRequest {
        method,
        mut url,
        headers: more,
        credential,
        mut body,
    } = request.clone();
    let mut headers = serde_json::Map::new();
    if method == Method::Post {
        headers.insert("content-type".into(), "application/json".into());
    }
    for (name, value) in more {
        headers.insert(name.to_lowercase(), value.into());
    }
    match credential {
        Credential::Bearer => {
            headers.insert("authorization".into(), "Bearer ***".into());
        }
        Credential::Query(name) => put_in_query(&mut url, name, "***"),
        Credential::Body(name) => put_in_body(&mut body, name, "***"),
    }
    serde_json::json!({
        "method": method.as_str(),
        "url": url.as_str(),
        "headers": headers,
        "body": match method {
            Method::Post => serde_json::from_str(&body).expect("adapters write json"),
            Method::Get => serde_json::Value::Null,
        },
    })
}

fn put_in_query(url: &mut Url, name: &str, secret: &str) {
    url.query_pairs_mut().append_pair(name, secret);
}

/// Bodies are JSON objects with at least one member, so the secret can be put first.
fn put_in_body(body: &mut String, name: &str, secret: &str) {
    body.insert_str(
        1,
        &format!("\"{name}\":{},", serde_json::Value::from(secret)),
    );
}

/// Only a failure to connect is known to have delivered nothing.
fn kind(error: &reqwest::Error) -> SendError {
    if names::is_out_of_reach(error) {
        SendError::Private
    } else if error.is_connect() {
        SendError::Connect
    } else if error.is_timeout() {
        SendError::Timeout
    } else {
        SendError::Broken
    }
}
