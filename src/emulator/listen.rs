//! Taking ports.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::TcpListener;
use tracing::info;

use super::config::{EmulatorConfig, ExtraPort};
use crate::error::{Error, ErrorKind};

/// The sockets that are listened on, and the ports they turned out to have.
pub(super) struct Listeners {
    pub(super) sockets: Vec<TcpListener>,
    pub(super) port: u16,
    pub(super) tls_port: Option<u16>,
    pub(super) health_port: Option<u16>,
}

/// Takes all ports of the configuration, or none.
pub(super) async fn bind(config: &EmulatorConfig) -> Result<Listeners, Error> {
    let (mut sockets, port) = bind_port(config.host, config.port, "--port").await?;
    let tls_port = match config.tls {
        Some(_) => bind_extra(config.host, config.tls_port, "--tls-port", &mut sockets).await?,
        None => None,
    };
    let health_port = bind_extra(config.host, config.health_port, "--health-port", &mut sockets).await?;
    Ok(Listeners { sockets, port, tls_port, health_port })
}

async fn bind_extra(
    host: Option<IpAddr>,
    port: ExtraPort,
    flag: &str,
    sockets: &mut Vec<TcpListener>,
) -> Result<Option<u16>, Error> {
    let (bound, port) = match port {
        ExtraPort::Off => return Ok(None),
        ExtraPort::Required(port) => bind_port(host, port, flag).await?,
        ExtraPort::IfFree(port) => match bind_port(host, port, flag).await {
            Ok(bound) => bound,
            Err(error) => {
                info!("going on without port {port}: {error}");
                return Ok(None);
            }
        },
    };
    sockets.extend(bound);
    Ok(Some(port))
}

/// How often another free port is tried when the one that is free on IPv4 is taken on IPv6.
const ATTEMPTS: u32 = 16;

async fn bind_port(host: Option<IpAddr>, port: u16, flag: &str) -> Result<(Vec<TcpListener>, u16), Error> {
    let first = SocketAddr::new(host.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), port);
    let mut attempt = 1;
    loop {
        let socket = TcpListener::bind(first).await.map_err(|error| refused(first, flag, &error))?;
        let taken = socket.local_addr().map_err(|error| refused(first, flag, &error))?.port();
        if host.is_some() {
            return Ok((vec![socket], taken));
        }
        let second = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), taken);
        match TcpListener::bind(second).await {
            Ok(other) => return Ok((vec![socket, other], taken)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                // Clients that try IPv6 first would reach somebody else.
                if port != 0 || attempt == ATTEMPTS {
                    return Err(refused(second, flag, &error));
                }
                attempt += 1;
            }
            // No IPv6 on this machine.
            Err(_) => return Ok((vec![socket], taken)),
        }
    }
}

fn refused(address: SocketAddr, flag: &str, error: &io::Error) -> Error {
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "another program has the port; choose another one with {flag}, or any free one with {flag} 0"
            )
        }
        io::ErrorKind::PermissionDenied => {
            format!("the system does not let you take this port; choose one above 1023 with {flag}")
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine does not have that address; choose another one with --host".to_owned()
        }
        _ => error.to_string(),
    };
    Error::new(ErrorKind::InvalidArgument, why).with_operation("listen on").with_entity(address.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_said_in_one_sentence_with_the_flag_that_helps() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let config = EmulatorConfig::default().with_port(port);
        let error = bind(&config).await.err().unwrap();
        let said = error.to_string();
        let (said, _page) = said.split_once("; see https://").unwrap_or((&said, ""));
        assert_eq!(
            said,
            format!(
                "cannot listen on '127.0.0.1:{port}': another program has the port; choose another one with --port, \
                 or any free one with --port 0 (invalid-argument)"
            )
        );
        let required = EmulatorConfig { health_port: ExtraPort::Required(port), ..EmulatorConfig::default() };
        assert!(bind(&required).await.err().unwrap().to_string().contains("--health-port 0"));
    }

    #[tokio::test]
    async fn an_extra_port_that_is_taken_is_done_without() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let config = EmulatorConfig {
            tls_port: ExtraPort::IfFree(port),
            health_port: ExtraPort::Required(0),
            ..EmulatorConfig::default()
        };
        let listeners = bind(&config).await.unwrap();
        assert_eq!(listeners.tls_port, None);
        assert!(listeners.health_port.is_some());
    }
}
