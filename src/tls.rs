//! One cryptography provider for every TLS connection: to the database, to platforms and to the trace collector.

/// Makes `ring` the process's provider. Calling it again changes nothing.
pub fn install_provider() {
    // An error only says that a provider is there already.
    drop(rustls::crypto::ring::default_provider().install_default());
}
