//! TLS to the database by rustls, as strict as the connection string demands.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use thiserror::Error;
use tokio_postgres::config::SslNegotiation;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::connection::{Connection, Encryption};

/// Why TLS could not be prepared.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file of certificates or keys is missing, or is not PEM, or holds none.
    #[error(
        "{option} of the database URL: {path} holds no usable PEM. Fix: correct the path, and see that this user may read the file"
    )]
    Pem {
        /// The option that named it.
        option: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// rustls refuses the certificates.
    #[error(
        "the certificates for the database connection cannot be used: {0}. Fix: check sslrootcert, sslcert and sslkey"
    )]
    Unusable(#[from] rustls::Error),
}

/// The connector for this connection. Reads the files it names.
pub(super) fn connector(connection: &Connection) -> Result<MakeRustlsConnect, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = verifier(&connection.encryption, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match &connection.client_certificate {
        Some((certificate, key)) => {
            let private = PrivateKeyDer::from_pem_file(key).map_err(|_| TlsError::Pem {
                option: "sslkey",
                path: key.clone(),
            })?;
            builder.with_client_auth_cert(certificates("sslcert", certificate)?, private)?
        }
        None => builder.with_no_client_auth(),
    };
    if connection.postgres.get_ssl_negotiation() == SslNegotiation::Direct {
        // A server asked for TLS without PostgreSQL's own greeting answers only to this protocol name.
        config.alpn_protocols = vec![b"postgresql".to_vec()];
    }
    Ok(MakeRustlsConnect::new(config))
}

fn verifier(
    encryption: &Encryption,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    Ok(match encryption {
        // Without encryption the connector is never asked.
        Encryption::None | Encryption::Unverified => Arc::new(Lenient {
            roots: None,
            provider: Arc::clone(provider),
        }),
        Encryption::Authority(path) => Arc::new(Lenient {
            roots: Some(roots(path)?),
            provider: Arc::clone(provider),
        }),
        Encryption::Full(Some(path)) => WebPkiServerVerifier::builder_with_provider(
            Arc::new(roots(path)?),
            Arc::clone(provider),
        )
        .build()
        .map_err(|_| TlsError::Pem {
            option: "sslrootcert",
            path: path.clone(),
        })?,
        Encryption::Full(None) => Arc::new(rustls_platform_verifier::Verifier::new(Arc::clone(
            provider,
        ))?),
    })
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("sslrootcert", path)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

fn certificates(
    option: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .ok()
        .filter(|list: &Vec<_>| !list.is_empty())
        .ok_or_else(|| TlsError::Pem {
            option,
            path: path.to_owned(),
        })
}

/// Less than full verification: the chain without the name (`verify-ca`), or nothing at all. That the server
/// holds the certificate's key is checked in any case.
#[derive(Debug)]
struct Lenient {
    roots: Option<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(roots) = &self.roots {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(
                &certificate,
                roots,
                intermediates,
                now,
                algorithms,
            )?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
