//! The signed statement with which a service account asks for a token: a JWT, RS256.
//!
//! Source: developers.google.com/identity/protocols/oauth2/service-account, "Preparing to make an authorized API call";
//! RFC 7523.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use serde_json::json;
use url::Url;

use crate::config::secret::Secret;

/// How long the statement is good for, in seconds: the longest that is taken.
const LIFETIME: i64 = 3600;

#[derive(Deserialize)]
struct Key {
    client_email: String,
    private_key: String,
    private_key_id: Option<String>,
}

/// Signs the statement with the key file's content. The error ends a sentence that begins with the key.
pub(super) fn signed(
    key: &Secret,
    scope: &str,
    audience: &Url,
    now: DateTime<Utc>,
) -> Result<String, &'static str> {
    let key: Key = serde_json::from_str(key.expose())
        .map_err(|_| "is not the JSON of a service account (client_email, private_key)")?;
    let der = PrivatePkcs8KeyDer::from_pem_slice(key.private_key.as_bytes())
        .map_err(|_| "holds a private_key that is not PEM in PKCS #8")?;
    let pair = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der())
        .map_err(|_| "holds a private_key that is no RSA key of 2048 bits or more")?;
    let mut header = json!({ "alg": "RS256", "typ": "JWT" });
    if let Some(id) = &key.private_key_id {
        header["kid"] = id.as_str().into();
    }
    let claims = json!({
        "iss": key.client_email,
        "scope": scope,
        "aud": audience.as_str(),
        "iat": now.timestamp(),
        "exp": now.timestamp() + LIFETIME,
    });
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let statement = format!("{}.{}", part(header), part(claims));
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        statement.as_bytes(),
        &mut signature,
    )
    .map_err(|_| "could not be used for signing")?;
    Ok(format!("{statement}.{}", URL_SAFE_NO_PAD.encode(signature)))
}
