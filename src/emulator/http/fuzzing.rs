//! The parsers behind the HTTP port.

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use super::faults;
use super::manage::{Description, Resource};
use super::publish::events;

/// The encoded events of a publication, or what is wrong with it.
pub(in crate::emulator) fn rest_events(
    headers: &[(&[u8], &[u8])],
    body: Bytes,
) -> Result<Vec<Vec<Bytes>>, String> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            map.append(name, value);
        }
    }
    match events::parse(&map, body) {
        Ok(groups) => Ok(groups.into_iter().map(|group| group.events).collect()),
        Err(events::Malformed(why)) => Err(why),
    }
}

/// The number of partitions that a hub's description asks for, or what is wrong with it.
pub(in crate::emulator) fn hub_description(xml: &[u8]) -> Result<Option<u32>, String> {
    Description::parse(xml).map(|description| description.partitions).map_err(|refusal| refusal.detail)
}

/// Whether a path names something that can be managed.
pub(in crate::emulator) fn is_resource(path: &str) -> bool {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    Resource::parse(&segments).is_some()
}

/// A fault's description as it is shown, or what is wrong with it.
pub(in crate::emulator) fn fault(body: &[u8]) -> Result<String, String> {
    faults::described(body).map_err(|refusal| refusal.detail)
}
