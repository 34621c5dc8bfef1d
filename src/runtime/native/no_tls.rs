//! Stands in for TLS where the crate is built without it.

/// Never made; only its traits are needed.
pub(super) use tokio::io::BufStream as TlsStream;
use tokio::net::TcpStream;

use super::super::endpoint::DialError;

/// Whom to believe: nobody.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trust(());

impl Trust {
    /// Refuses: there is nothing to trust a certificate with.
    pub(crate) fn with_extra(_pem: &[u8]) -> Result<Self, String> {
        Err("this build has no TLS (the feature `rustls` is off)".into())
    }

    /// Refuses.
    pub(super) async fn connect(
        &self,
        _host: &str,
        _stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, DialError> {
        Err(DialError::permanent("this build has no TLS (the feature `rustls` is off)"))
    }
}
