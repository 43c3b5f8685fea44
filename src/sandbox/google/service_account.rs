//! Service accounts: who may ask for a token with a signed assertion. Reads keys; not for reading assertions.
//!
//! `sandbox_service_account.json` beside this file is the sandbox's own: its private key is public, opens nothing
//! anywhere, and must stay so. No platform knows it.

use ring::rsa::KeyPair;
use ring::signature::{self, UnparsedPublicKey};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use serde::Deserialize;
use serde_json::{Value, json};

const SANDBOX_KEY_FILE: &str = include_str!("sandbox_service_account.json");

/// The key file of the sandbox's own service account, in the form Google hands such files out, for a token endpoint
/// at `token_uri`. Worthless outside the sandbox.
#[must_use]
pub fn sandbox_key_file(token_uri: &str) -> String {
    let mut file: Value =
        serde_json::from_str(SANDBOX_KEY_FILE).expect("the sandbox's own key file is JSON");
    file["token_uri"] = token_uri.into();
    format!("{file:#}\n")
}

/// A service account, by its public key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Listed")]
pub struct ServiceAccount {
    pub(super) client_email: String,
    /// PKCS#1 DER, as *ring* wants it.
    public_key: Vec<u8>,
}

/// A service account as the sandbox's own API takes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    client_email: String,
    /// PEM, `BEGIN PUBLIC KEY`.
    public_key: String,
}

impl TryFrom<Listed> for ServiceAccount {
    type Error = String;

    fn try_from(listed: Listed) -> Result<ServiceAccount, String> {
        ServiceAccount::with_public_key(&listed.client_email, &listed.public_key)
    }
}

impl ServiceAccount {
    /// An account by its address and its public key as PEM (`BEGIN PUBLIC KEY`).
    ///
    /// # Errors
    /// The key is no such PEM, or no RSA key.
    pub fn with_public_key(client_email: &str, pem: &str) -> Result<ServiceAccount, String> {
        let spki = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes());
        let spki = spki.map_err(|_| "public_key must be PEM with BEGIN PUBLIC KEY".to_owned())?;
        let public_key = rsa_key(&spki).ok_or("public_key must be an RSA key")?;
        Ok(ServiceAccount {
            client_email: client_email.to_owned(),
            public_key: public_key.to_vec(),
        })
    }

    /// The account of a key file as Google hands it out; only the public half is kept.
    ///
    /// # Errors
    /// The file is not such a file, or its key is no RSA key.
    pub fn of_key_file(file: &str) -> Result<ServiceAccount, String> {
        let file: Value = serde_json::from_str(file).map_err(|_| "the key file must be JSON")?;
        let text = |name: &str| {
            let found = file[name].as_str();
            found.ok_or_else(|| format!("the key file has no {name}"))
        };
        let private_key = PrivatePkcs8KeyDer::from_pem_slice(text("private_key")?.as_bytes());
        let private_key = private_key.map_err(|_| "private_key must be PEM in PKCS#8")?;
        let pair = KeyPair::from_pkcs8(private_key.secret_pkcs8_der())
            .map_err(|_| "private_key must be an RSA key of at least 2048 bits")?;
        Ok(ServiceAccount {
            client_email: text("client_email")?.to_owned(),
            public_key: pair.public().as_ref().to_vec(),
        })
    }

    /// The sandbox's own account.
    #[must_use]
    pub fn of_sandbox() -> ServiceAccount {
        ServiceAccount::of_key_file(SANDBOX_KEY_FILE).expect("the sandbox's own key file is good")
    }

    /// Whether the account signed this with RS256.
    pub(super) fn signed(&self, signed: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA256, &self.public_key)
            .verify(signed, signature)
            .is_ok()
    }

    /// Address and nothing else.
    pub(super) fn show(&self) -> Value {
        json!({"client_email": self.client_email})
    }
}

/// `rsaEncryption` with its empty parameters (RFC 8017, appendix A.1).
const RSA: [u8; 13] = [
    0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];

/// The PKCS#1 key inside a `SubjectPublicKeyInfo` (RFC 5280, section 4.1), if it is an RSA key.
fn rsa_key(spki: &[u8]) -> Option<&[u8]> {
    const SEQUENCE: u8 = 0x30;
    const BIT_STRING: u8 = 0x03;
    let (info, _) = element(SEQUENCE, spki)?;
    let (algorithm, rest) = element(SEQUENCE, info)?;
    let (bits, _) = element(BIT_STRING, rest)?;
    // The first byte of a bit string tells how many bits of the last one do not count.
    (algorithm == RSA).then(|| bits.strip_prefix(&[0]))?
}

/// The content of a DER element with this tag, and what follows it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = der.split_first_chunk::<2>()?;
    if head[0] != tag {
        return None;
    }
    let (length, rest) = match head[1] {
        short @ 0..0x80 => (usize::from(short), rest),
        long => {
            let (bytes, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            let length = bytes.iter().try_fold(0_usize, |length, byte| {
                Some(length.checked_mul(256)? + usize::from(*byte))
            })?;
            (length, rest)
        }
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The public half of the sandbox's own key, as `openssl pkey -pubout` gives it.
    const PUBLIC_KEY: &str = include_str!("sandbox_public_key.pem");

    #[test]
    fn a_key_file_and_its_public_key_are_the_same_account() {
        let email = "sandbox@conversion-outbox-sandbox.iam.gserviceaccount.com";
        let listed = ServiceAccount::with_public_key(email, PUBLIC_KEY);
        assert_eq!(listed, Ok(ServiceAccount::of_sandbox()));
        let json = json!({"client_email": email, "public_key": PUBLIC_KEY});
        assert_eq!(
            serde_json::from_value::<ServiceAccount>(json).unwrap(),
            ServiceAccount::of_sandbox()
        );
        let file = sandbox_key_file("http://127.0.0.1:1/token");
        assert_eq!(
            ServiceAccount::of_key_file(&file),
            Ok(ServiceAccount::of_sandbox())
        );
        assert!(file.contains("\"token_uri\": \"http://127.0.0.1:1/token\""));
    }

    #[test]
    fn what_is_no_rsa_key_is_refused() {
        let ed25519 = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
            -----END PUBLIC KEY-----\n";
        for pem in ["", "nonsense", ed25519] {
            assert!(
                ServiceAccount::with_public_key("a@b.c", pem).is_err(),
                "{pem}"
            );
        }
        for file in ["", "{}", r#"{"client_email": "a", "private_key": "b"}"#] {
            assert!(ServiceAccount::of_key_file(file).is_err(), "{file}");
        }
    }
}
