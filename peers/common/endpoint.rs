//! Where to dial and how to sign, from a connection string. Included by path.

/// The parts of a connection string that a peer needs to dial the emulator and to sign a token.
pub struct Endpoint {
    pub host: String,
    pub port: u16,
    pub key_name: String,
    pub key: String,
}

impl Endpoint {
    pub fn parse(text: &str) -> Option<Self> {
        let part = |name: &str| {
            text.split(';')
                .filter_map(|pair| pair.split_once('='))
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.to_owned())
        };
        let endpoint = part("Endpoint")?;
        let authority = endpoint.split_once("://")?.1.trim_end_matches('/');
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host.to_owned(), port.parse().ok()?),
            None => (authority.to_owned(), 5672),
        };
        Some(Self { host, port, key_name: part("SharedAccessKeyName")?, key: part("SharedAccessKey")? })
    }
}
