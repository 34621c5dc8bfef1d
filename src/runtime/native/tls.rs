//! TLS by rustls.

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
pub(super) use tokio_rustls::client::TlsStream;

use super::super::endpoint::DialError;

/// Whom to believe: the system's certificate authorities (Mozilla's where the system has none), and extra ones.
#[derive(Clone, Default)]
pub(crate) struct Trust {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    extra: Vec<CertificateDer<'static>>,
    /// Built at the first use, since reading the system's store takes milliseconds.
    config: OnceLock<Result<Arc<ClientConfig>, String>>,
}

impl Trust {
    /// Trusts the certificates in `pem` too.
    pub(crate) fn with_extra(pem: &[u8]) -> Result<Self, String> {
        let extra = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| format!("it is not PEM: {error}"))?;
        if extra.is_empty() {
            return Err("it holds no certificate".into());
        }
        let mut roots = RootCertStore::empty();
        for certificate in &extra {
            roots
                .add(certificate.clone())
                .map_err(|error| format!("a certificate is not usable: {error}"))?;
        }
        Ok(Trust { shared: Arc::new(Shared { extra, config: OnceLock::new() }) })
    }

    /// Shakes hands over `stream` with a peer that must prove to be `host`.
    pub(super) async fn connect(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, DialError> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| DialError::permanent(format!("'{host}' cannot be the name in a certificate")))?;
        let config = self.config().await?;
        TlsConnector::from(config).connect(name, stream).await.map_err(tls_error)
    }

    async fn config(&self) -> Result<Arc<ClientConfig>, DialError> {
        let shared = self.shared.clone();
        let build = move || shared.config.get_or_init(|| client_config(&shared.extra)).clone();
        match self.shared.config.get() {
            Some(config) => config.clone(),
            None => match tokio::task::spawn_blocking(build).await {
                Ok(config) => config,
                Err(error) => Err(error.to_string()),
            },
        }
        .map_err(|message| DialError::permanent(format!("TLS cannot be set up: {message}")))
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trust({} extra certificates)", self.shared.extra.len())
    }
}

fn client_config(extra: &[CertificateDer<'static>]) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(native.certs);
    if roots.is_empty() {
        tracing::debug!(errors = ?native.errors, "no system certificates, Mozilla's are used");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots.add_parsable_certificates(extra.iter().cloned());
    // Named, so that another provider that a dependency switches on cannot make the choice ambiguous.
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn tls_error(error: io::Error) -> DialError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(reason)) => DialError::permanent(format!(
            "the server's certificate is not trusted ({reason:?}); \
             a development certificate authority can be trusted with `ca_pem`"
        )),
        Some(rustls::Error::InvalidMessage(_)) => DialError::permanent("the server does not speak TLS there"),
        Some(error) => DialError::permanent(format!("the TLS handshake failed: {error}")),
        None => DialError::transient(format!("the TLS handshake was cut off: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_without_a_certificate_is_refused_with_a_reason() {
        assert!(Trust::with_extra(b"").unwrap_err().contains("no certificate"));
        assert!(Trust::with_extra(b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n").is_err());
    }
}
