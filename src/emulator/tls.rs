//! The development certificate authority, and the certificate that it gives the emulator.
//!
//! The authority is made once and kept, so that it is trusted once. The certificate that clients see is made
//! anew at each start and its key never leaves the process.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use super::config::TlsConfig;
use crate::error::{Error, ErrorKind};

/// What serving TLS takes.
pub(super) struct Tls {
    pub(super) acceptor: TlsAcceptor,
    /// The authority's certificate, for clients to trust.
    pub(super) ca_path: PathBuf,
}

/// Names that the certificate always has.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
const DAY: Duration = Duration::from_secs(86_400);
const CA_VALIDITY: Duration = Duration::from_secs(10 * 365 * 86_400);
/// Apple's clients refuse certificates that are valid for longer.
const LEAF_VALIDITY: Duration = Duration::from_secs(397 * 86_400);

/// Opens the certificate authority, making it on first use, and a certificate from it.
pub(super) fn prepare(config: &TlsConfig) -> Result<Tls, Error> {
    let dir = match &config.ca_dir {
        Some(dir) => dir.clone(),
        None => default_dir()?,
    };
    let key = open_authority(&dir).map_err(|error| failed(&dir, error))?;
    let server = server_config(key, &config.names).map_err(|why| {
        Error::new(ErrorKind::InvalidArgument, why).with_operation("make a certificate for").with_entity(
            NAMES
                .iter()
                .copied()
                .chain(config.names.iter().map(String::as_str))
                .collect::<Vec<_>>()
                .join(", "),
        )
    })?;
    Ok(Tls { acceptor: TlsAcceptor::from(Arc::new(server)), ca_path: dir.join(CERTIFICATE) })
}

const CERTIFICATE: &str = "ca.pem";
const KEY: &str = "ca-key.pem";
const LOCK: &str = "ca.lock";

fn default_dir() -> Result<PathBuf, Error> {
    let home = dirs::data_local_dir().ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidArgument,
            "this user has no directory for data; say where the certificate authority is kept with --ca-dir, \
             or go without TLS with --no-tls",
        )
        .with_operation("make a development certificate")
    })?;
    Ok(home.join("eventhubs"))
}

fn failed(dir: &Path, error: io::Error) -> Error {
    Error::new(
        ErrorKind::InvalidArgument,
        format!("{error}; choose another directory with --ca-dir, or go without TLS with --no-tls"),
    )
    .with_operation("keep the development certificate authority in")
    .with_entity(dir.display().to_string())
    .with_source(error)
}

/// The authority's key, from the directory or newly made.
fn open_authority(dir: &Path) -> io::Result<KeyPair> {
    fs::create_dir_all(dir)?;
    // Two emulators that start for the first time at once must end up with one authority.
    let lock = File::create(dir.join(LOCK))?;
    lock.lock()?;
    let (key_path, certificate_path) = (dir.join(KEY), dir.join(CERTIFICATE));
    if key_path.exists() && certificate_path.exists() {
        let pem = fs::read_to_string(&key_path)?;
        return KeyPair::from_pem(&pem).map_err(|error| {
            let why = format!(
                "{} is no private key ({error}); delete it to get a new authority",
                key_path.display()
            );
            io::Error::new(io::ErrorKind::InvalidData, why)
        });
    }
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let certificate = authority_params().self_signed(&key).map_err(io::Error::other)?;
    // The certificate last: it says that the key is complete.
    write_private(&key_path, key.serialize_pem().as_bytes())?;
    fs::write(&certificate_path, certificate.pem())?;
    Ok(key)
}

fn write_private(path: &Path, contents: &[u8]) -> io::Result<()> {
    let _ = fs::remove_file(path);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(contents)
}

/// The same at every start: a certificate is tied to its authority by name and key alone.
fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "eventhubs emulator development CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    set_validity(&mut params, CA_VALIDITY);
    params
}

fn server_config(authority: KeyPair, names: &[String]) -> Result<ServerConfig, String> {
    let said = |error: rcgen::Error| error.to_string();
    let names: Vec<String> =
        NAMES.iter().map(|name| (*name).to_owned()).chain(names.iter().cloned()).collect();
    if let Some(wrong) = names.iter().find(|name| !is_name(name)) {
        return Err(format!("'{wrong}' is neither a host name nor an address; change --tls-name"));
    }
    let mut params = CertificateParams::new(names).map_err(said)?;
    params.distinguished_name.push(DnType::CommonName, "eventhubs emulator");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    set_validity(&mut params, LEAF_VALIDITY);
    let key = KeyPair::generate().map_err(said)?;
    let issuer = Issuer::new(authority_params(), authority);
    let certificate = params.signed_by(&key, &issuer).map_err(said)?;
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    // No ALPN: a client that offers only h2, or nothing, must get through; what it speaks is seen anyway.
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .map_err(|error| error.to_string())
}

fn is_name(name: &str) -> bool {
    name.parse::<IpAddr>().is_ok()
        || (!name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'*')))
}

fn set_validity(params: &mut CertificateParams, length: Duration) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    // Clients' clocks may be behind; this machine's may never have been set.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    params.not_before = epoch + now.saturating_sub(DAY);
    params.not_after = params.not_before + length;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authority_is_made_once_and_its_key_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let config =
            TlsConfig { ca_dir: Some(dir.path().join("new")), names: vec!["emulator.test".to_owned()] };
        let first = prepare(&config).unwrap();
        let made = fs::read_to_string(&first.ca_path).unwrap();
        assert!(made.starts_with("-----BEGIN CERTIFICATE-----"));
        prepare(&config).unwrap();
        assert_eq!(fs::read_to_string(&first.ca_path).unwrap(), made);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(dir.path().join("new").join(KEY)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn what_cannot_work_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "not a directory").unwrap();
        let config = TlsConfig { ca_dir: Some(file), names: Vec::new() };
        assert!(prepare(&config).err().unwrap().to_string().contains("--ca-dir"));

        let config =
            TlsConfig { ca_dir: Some(dir.path().to_owned()), names: vec!["no such name".to_owned()] };
        assert!(prepare(&config).err().unwrap().to_string().contains("--tls-name"));

        fs::write(dir.path().join(KEY), "garbage").unwrap();
        fs::write(dir.path().join(CERTIFICATE), "garbage").unwrap();
        let config = TlsConfig { ca_dir: Some(dir.path().to_owned()), names: Vec::new() };
        assert!(prepare(&config).err().unwrap().to_string().contains("delete it"));
    }
}
