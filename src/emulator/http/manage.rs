//! Management of hubs and consumer groups over HTTP, in the service's Atom XML.
//!
//! `GET /$Resources/EventHubs` lists hubs; `PUT`, `GET` and `DELETE` of `/<hub>` create, show and delete one. The
//! same below `/<hub>/ConsumerGroups` for consumer groups.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{HOST, IF_MATCH};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};

use super::super::server::Shared;
use super::answer::{self, Refusal, escape};
use super::publish::authorize;
use super::read_body;
use crate::broker::{HubConfig, HubError, HubInfo, Retention, Rights};
use crate::model::value::Timestamp;

/// A description has a handful of elements.
const LARGEST_DESCRIPTION: usize = 64 * 1024;
const CONTENT_TYPE: &str = "application/atom+xml;type=entry;charset=utf-8";
const SCHEMA: &str = "http://schemas.microsoft.com/netservices/2010/10/servicebus/connect";
const DEFAULT_GROUP: &str = "$Default";

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource<'a> {
    Hubs,
    Hub(&'a str),
    Groups(&'a str),
    Group(&'a str, &'a str),
}

/// What a description says about a hub; the rest of it is passed over, as by the service.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Description {
    pub(super) partitions: Option<u32>,
    pub(super) retention: Option<Retention>,
}

impl<'a> Resource<'a> {
    /// What the segments of a path name.
    pub(super) fn parse(segments: &[&'a str]) -> Option<Self> {
        match *segments {
            [all, hubs]
                if all.eq_ignore_ascii_case("$Resources") && hubs.eq_ignore_ascii_case("EventHubs") =>
            {
                Some(Resource::Hubs)
            }
            [hub] => Some(Resource::Hub(hub)),
            [hub, groups] if groups.eq_ignore_ascii_case("ConsumerGroups") => Some(Resource::Groups(hub)),
            [hub, groups, group] if groups.eq_ignore_ascii_case("ConsumerGroups") => {
                Some(Resource::Group(hub, group))
            }
            _ => None,
        }
    }
}

/// Answers a request about hubs or consumer groups.
pub(super) async fn manage(
    request: Request<Incoming>,
    path: &str,
    resource: Resource<'_>,
    shared: &Shared,
) -> Response<Full<Bytes>> {
    match try_manage(request, path, resource, shared).await {
        Ok(answer) => answer,
        Err(refusal) => refusal.answer(),
    }
}

async fn try_manage(
    request: Request<Incoming>,
    path: &str,
    resource: Resource<'_>,
    shared: &Shared,
) -> Result<Response<Full<Bytes>>, Refusal> {
    let (head, body) = request.into_parts();
    authorize(&head.headers, path.trim_matches('/'), Rights::MANAGE, shared)?;
    let namespace = &shared.namespace;
    let base = base(&head);
    let (status, xml) = match (&head.method, resource) {
        (&Method::GET, Resource::Hubs) => {
            let entries: String = namespace.hubs().iter().map(|hub| hub_entry(&base, hub)).collect();
            (StatusCode::OK, feed(&base, "Event Hubs", &entries))
        }
        (&Method::GET, Resource::Hub(hub)) => (StatusCode::OK, hub_entry(&base, &existing(shared, hub)?)),
        (&Method::PUT, Resource::Hub(name)) => {
            let description = read_body(body, LARGEST_DESCRIPTION, shared).await?;
            let status = put_hub(name, &description, head.headers.contains_key(IF_MATCH), shared)?;
            (status, hub_entry(&base, &existing(shared, name)?))
        }
        (&Method::DELETE, Resource::Hub(hub)) => {
            namespace.delete_hub(hub, shared.clock.now()).map_err(refusal)?;
            (StatusCode::OK, String::new())
        }
        (&Method::GET, Resource::Groups(hub)) => {
            let hub = existing(shared, hub)?;
            let entries: String =
                hub.consumer_groups.iter().map(|group| group_entry(&base, &hub, group)).collect();
            (StatusCode::OK, feed(&base, "ConsumerGroups", &entries))
        }
        (&Method::GET, Resource::Group(hub, group)) => {
            let hub = existing(shared, hub)?;
            let known = hub.consumer_groups.iter().find(|known| known.eq_ignore_ascii_case(group));
            let known = known.ok_or_else(|| missing(&format!("{}/{group}", hub.name)))?;
            (StatusCode::OK, group_entry(&base, &hub, known))
        }
        (&Method::PUT, Resource::Group(hub, group)) => {
            namespace.create_consumer_group(hub, group).map_err(refusal)?;
            (StatusCode::CREATED, group_entry(&base, &existing(shared, hub)?, group))
        }
        (&Method::DELETE, Resource::Group(hub, group)) => {
            namespace.delete_consumer_group(hub, group, shared.clock.now()).map_err(refusal)?;
            (StatusCode::OK, String::new())
        }
        (method, _) => {
            return Err(Refusal::new(
                StatusCode::METHOD_NOT_ALLOWED,
                format!("{path} cannot be asked for {method}."),
            ));
        }
    };
    Ok(answer::with_type(status, CONTENT_TYPE, xml))
}

/// Creates a hub. An existing one can only be confirmed: nothing of it changes here.
fn put_hub(name: &str, description: &[u8], may_exist: bool, shared: &Shared) -> Result<StatusCode, Refusal> {
    // What the service creates without being told.
    const PARTITIONS: u32 = 4;
    let Description { partitions, retention } = Description::parse(description)?;
    if let Some(known) = shared.namespace.hub(name).filter(|_| may_exist) {
        if partitions.is_some_and(|asked| asked != known.partitions) {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "The number of partitions cannot be changed."));
        }
        return Ok(StatusCode::OK);
    }
    let hub = HubConfig { retention, ..HubConfig::new(name, partitions.unwrap_or(PARTITIONS)) };
    shared.namespace.create_hub(hub, shared.clock.now()).map_err(refusal)?;
    Ok(StatusCode::CREATED)
}

impl Description {
    pub(super) fn parse(xml: &[u8]) -> Result<Self, Refusal> {
        let xml = std::str::from_utf8(xml)
            .map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "The description is not text."))?;
        let number = |name: &str| match element(xml, name).map(|text| (text, text.trim().parse::<u32>())) {
            None => Ok(None),
            Some((_, Ok(number))) => Ok(Some(number)),
            Some((text, Err(_))) => {
                Err(Refusal::new(StatusCode::BAD_REQUEST, format!("{name} is '{text}', which is no number.")))
            }
        };
        let retention = number("MessageRetentionInDays")?.map(|days| Retention {
            time: Duration::from_secs(u64::from(days) * 86_400),
            ..Retention::default()
        });
        Ok(Description { partitions: number("PartitionCount")?, retention })
    }
}

fn existing(shared: &Shared, hub: &str) -> Result<HubInfo, Refusal> {
    shared.namespace.hub(hub).ok_or_else(|| missing(hub))
}

fn missing(entity: &str) -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        format!("The messaging entity 'sb://localhost/{entity}' could not be found."),
    )
}

fn refusal(error: HubError) -> Refusal {
    let status = match &error {
        HubError::NotFound(_) => StatusCode::NOT_FOUND,
        HubError::Exists(_) => StatusCode::CONFLICT,
        HubError::LimitReached(_) => StatusCode::FORBIDDEN,
        _ => StatusCode::BAD_REQUEST,
    };
    Refusal::new(status, error.to_string())
}

/// How the client addresses the namespace.
fn base(head: &Parts) -> String {
    let host = head.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    format!("https://{}", escape(host))
}

fn feed(base: &str, title: &str, entries: &str) -> String {
    format!(
        "<feed xmlns=\"http://www.w3.org/2005/Atom\"><title type=\"text\">{title}</title><id>{base}/$Resources/EventHubs\
         </id>{entries}</feed>"
    )
}

fn hub_entry(base: &str, hub: &HubInfo) -> String {
    let mut ids = String::new();
    for id in 0..hub.partitions {
        // Writing to a string cannot fail.
        let _ = write!(ids, "<a:string>{id}</a:string>");
    }
    let description = format!(
        "<EventHubDescription xmlns=\"{SCHEMA}\" xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\">\
         <Status>Active</Status><CreatedAt>{created}</CreatedAt><UpdatedAt>{created}</UpdatedAt>\
         <PartitionCount>{count}</PartitionCount>\
         <PartitionIds xmlns:a=\"http://schemas.microsoft.com/2003/10/Serialization/Arrays\">{ids}</PartitionIds>\
         <EntityAvailabilityStatus>Available</EntityAvailabilityStatus></EventHubDescription>",
        created = hub.created_at,
        count = hub.partitions,
    );
    entry(base, &hub.name, &hub.name, hub.created_at, &description)
}

fn group_entry(base: &str, hub: &HubInfo, group: &str) -> String {
    let description = format!(
        "<ConsumerGroupDescription xmlns=\"{SCHEMA}\" xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\">\
         <CreatedAt>{created}</CreatedAt><UpdatedAt>{created}</UpdatedAt><IsDefault>{is_default}</IsDefault>\
         </ConsumerGroupDescription>",
        created = hub.created_at,
        is_default = group == DEFAULT_GROUP,
    );
    entry(base, &format!("{}/ConsumerGroups/{group}", hub.name), group, hub.created_at, &description)
}

fn entry(base: &str, path: &str, title: &str, time: Timestamp, description: &str) -> String {
    format!(
        "<entry xmlns=\"http://www.w3.org/2005/Atom\"><id>{base}/{path}</id><title type=\"text\">{title}</title>\
         <published>{time}</published><updated>{time}</updated><author><name>emulatorns1</name></author>\
         <link rel=\"self\" href=\"{base}/{path}\"/><content type=\"application/xml\">{description}</content></entry>",
        path = escape(path),
        title = escape(title),
    )
}

/// The text of the first element of that name, whatever its namespace.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    xml.split('<').skip(1).find_map(|part| {
        let (tag, text) = part.split_once('>')?;
        let full = tag.split(|c: char| c.is_whitespace() || c == '/').next()?;
        let local = full.rsplit(':').next()?;
        (local == name && !tag.ends_with('/')).then_some(text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_is_found_whatever_its_namespace() {
        let xml = r#"<?xml version="1.0"?><entry><content type="application/xml">
            <n:EventHubDescription xmlns:n="x"><PartitionCountX>9</PartitionCountX><n:PartitionCount a="b">8</n:PartitionCount>
            <MessageRetentionInDays/></n:EventHubDescription></content></entry>"#;
        assert_eq!(element(xml, "PartitionCount"), Some("8"));
        assert_eq!(element(xml, "MessageRetentionInDays"), None);
        assert_eq!(element(xml, "Status"), None);
        for wild in ["", "<", "<<<>", "<PartitionCount", "PartitionCount>8<"] {
            assert_eq!(element(wild, "PartitionCount"), None, "{wild}");
        }
    }

    #[test]
    fn paths_name_hubs_and_groups() {
        assert_eq!(Resource::parse(&["$resources", "eventhubs"]), Some(Resource::Hubs));
        assert_eq!(Resource::parse(&["orders"]), Some(Resource::Hub("orders")));
        assert_eq!(Resource::parse(&["orders", "consumergroups"]), Some(Resource::Groups("orders")));
        assert_eq!(Resource::parse(&["orders", "ConsumerGroups", "a"]), Some(Resource::Group("orders", "a")));
        assert_eq!(Resource::parse(&["orders", "partitions"]), None);
        assert_eq!(Resource::parse(&[]), None);
    }
}
