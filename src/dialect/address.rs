//! Link addresses and the audiences of tokens.

use std::fmt;

/// The longest address that is looked at, in bytes.
const MAX_BYTES: usize = 4096;

const CBS: &str = "$cbs";
const MANAGEMENT: &str = "$management";
const PARTITIONS: &str = "Partitions";
const PUBLISHERS: &str = "Publishers";
const CONSUMER_GROUPS: &str = "ConsumerGroups";

/// What a link leads to. Names are kept as they were typed; compare them without regard to case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// Where tokens are put.
    Cbs,
    /// Where properties are read.
    Management {
        /// The hub, when the address names it.
        hub: Option<String>,
    },
    /// A hub: the service chooses the partition.
    Hub {
        /// The hub.
        hub: String,
    },
    /// A hub's partition, to send to.
    HubPartition {
        /// The hub.
        hub: String,
        /// The partition's id.
        partition: String,
    },
    /// A publisher of a hub.
    Publisher {
        /// The hub.
        hub: String,
        /// The publisher's name.
        publisher: String,
    },
    /// A partition, to receive from.
    Receiver {
        /// The hub.
        hub: String,
        /// The consumer group.
        group: String,
        /// The partition's id.
        partition: String,
    },
}

/// What a token or claim is for: a host and a path below it, both in lower case, without scheme and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Audience {
    host: String,
    path: String,
}

impl Address {
    /// Understands an address in any of the shapes that clients use: `hub/…`, `/hub/…` and
    /// `amqps://host[:port]/hub/…`. Scheme and host are not looked at.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_BYTES {
            return None;
        }
        let path = match text.split_once("://") {
            Some((_, rest)) => rest.split_once('/')?.1,
            None => text.strip_prefix('/').unwrap_or(text),
        };
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut parts = path.split('/');
        let segments = [parts.next(), parts.next(), parts.next(), parts.next(), parts.next()];
        if parts.next().is_some() || segments.iter().flatten().any(|segment| segment.is_empty()) {
            return None;
        }
        let is = |segment: &str, keyword: &str| segment.eq_ignore_ascii_case(keyword);
        let owned = str::to_owned;
        match segments {
            [Some(node), None, ..] if is(node, CBS) => Some(Address::Cbs),
            [Some(node), None, ..] if is(node, MANAGEMENT) => Some(Address::Management { hub: None }),
            [Some(node), ..] if node.starts_with('$') => None,
            [Some(hub), None, ..] => Some(Address::Hub { hub: owned(hub) }),
            [Some(hub), Some(node), None, ..] if is(node, MANAGEMENT) => {
                Some(Address::Management { hub: Some(owned(hub)) })
            }
            [Some(hub), Some(word), Some(partition), None, _] if is(word, PARTITIONS) => {
                Some(Address::HubPartition { hub: owned(hub), partition: owned(partition) })
            }
            [Some(hub), Some(word), Some(publisher), None, _] if is(word, PUBLISHERS) => {
                Some(Address::Publisher { hub: owned(hub), publisher: owned(publisher) })
            }
            [Some(hub), Some(groups), Some(group), Some(partitions), Some(partition)]
                if is(groups, CONSUMER_GROUPS) && is(partitions, PARTITIONS) =>
            {
                Some(Address::Receiver { hub: owned(hub), group: owned(group), partition: owned(partition) })
            }
            _ => None,
        }
    }

    /// The hub, where the address names one.
    pub fn hub(&self) -> Option<&str> {
        match self {
            Address::Cbs => None,
            Address::Management { hub } => hub.as_deref(),
            Address::Hub { hub }
            | Address::HubPartition { hub, .. }
            | Address::Publisher { hub, .. }
            | Address::Receiver { hub, .. } => Some(hub),
        }
    }

    /// The audience that a client names for this address; `authority` is the namespace's host, with its
    /// port where one is given.
    pub fn audience(&self, authority: &str) -> String {
        format!("sb://{authority}/{self}")
    }
}

impl fmt::Display for Address {
    /// The address as a client writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Cbs => f.write_str(CBS),
            Address::Management { hub: None } => f.write_str(MANAGEMENT),
            Address::Management { hub: Some(hub) } => write!(f, "{hub}/{MANAGEMENT}"),
            Address::Hub { hub } => f.write_str(hub),
            Address::HubPartition { hub, partition } => write!(f, "{hub}/{PARTITIONS}/{partition}"),
            Address::Publisher { hub, publisher } => write!(f, "{hub}/{PUBLISHERS}/{publisher}"),
            Address::Receiver { hub, group, partition } => {
                write!(f, "{hub}/{CONSUMER_GROUPS}/{group}/{PARTITIONS}/{partition}")
            }
        }
    }
}

impl Audience {
    /// Understands `scheme://host[:port]/path`; the scheme may be missing.
    pub fn parse(text: &str) -> Self {
        let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, _)) => host,
            None => authority.split_once(':').map_or(authority, |(host, _)| host),
        };
        Audience { host: host.to_lowercase(), path: path.trim_matches('/').to_lowercase() }
    }

    /// The host.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The path below the host, without slashes around it; empty for the whole namespace.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether what is granted for this holds for `other` too: the same, or something below it.
    pub fn covers(&self, other: &Audience) -> bool {
        self.host == other.host && self.covers_path(&other.path)
    }

    /// Whether what is granted for this holds for an entity of the same namespace, such as
    /// `orders/ConsumerGroups/$Default/Partitions/0`.
    pub fn covers_path(&self, entity: &str) -> bool {
        if self.path.is_empty() {
            return true;
        }
        let mut entity = entity.trim_matches('/').split('/');
        self.path.split('/').all(|segment| entity.next().is_some_and(|other| other.to_lowercase() == segment))
    }
}

impl fmt::Display for Audience {
    /// As the service writes it in its texts: `sb://host/hub/consumergroups/$default`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "sb://{open}{}{close}/{}", self.host, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn receiver(hub: &str, group: &str, partition: &str) -> Address {
        Address::Receiver { hub: hub.into(), group: group.into(), partition: partition.into() }
    }

    #[test]
    fn addresses_of_every_client_are_understood() {
        let partition = |hub: &str| Address::HubPartition { hub: hub.into(), partition: "3".into() };
        for (text, expected) in [
            ("$cbs", Address::Cbs),
            ("$CBS", Address::Cbs),
            ("amqps://localhost:5671/$cbs", Address::Cbs),
            ("$management", Address::Management { hub: None }),
            ("orders/$management", Address::Management { hub: Some("orders".into()) }),
            ("/orders/$Management/", Address::Management { hub: Some("orders".into()) }),
            ("orders", Address::Hub { hub: "orders".into() }),
            ("/Orders", Address::Hub { hub: "Orders".into() }),
            ("amqps://localhost:5672/orders", Address::Hub { hub: "orders".into() }),
            ("orders/Partitions/3", partition("orders")),
            ("amqps://h/orders/partitions/3", partition("orders")),
            ("o/publishers/d-1", Address::Publisher { hub: "o".into(), publisher: "d-1".into() }),
            ("orders/ConsumerGroups/$Default/Partitions/0", receiver("orders", "$Default", "0")),
            ("/orders/consumergroups/g/partitions/-1", receiver("orders", "g", "-1")),
            ("sb://h:1/orders/CONSUMERGROUPS/g/PARTITIONS/XYZ", receiver("orders", "g", "XYZ")),
        ] {
            assert_eq!(Address::parse(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn nonsense_is_no_address() {
        for text in [
            "",
            "/",
            "//",
            "amqps://host",
            "amqps://host/",
            "a//b",
            "orders/",
            "$cbs$$cbs-reply-to-1",
            "$other/x",
            "orders/Partitions",
            "orders/Partitions/",
            "orders/Things/1",
            "orders/ConsumerGroups/g",
            "orders/ConsumerGroups/g/Partitions",
            "orders/ConsumerGroups/g/Partitions/0/x",
            "orders/ConsumerGroups//Partitions/0",
            "orders/$management/x",
        ] {
            let expected = if text == "orders/" { Some(Address::Hub { hub: "orders".into() }) } else { None };
            assert_eq!(Address::parse(text), expected, "{text}");
        }
        assert_eq!(Address::parse(&"x".repeat(5000)), None);
    }

    #[test]
    fn audiences_are_compared_without_scheme_port_and_case() {
        let granted = Audience::parse("amqps://LocalHost:5672/Orders/");
        assert_eq!((granted.host(), granted.path()), ("localhost", "orders"));
        assert_eq!(granted.to_string(), "sb://localhost/orders");
        for covered in [
            "sb://localhost/orders",
            "sb://localhost:1/orders/consumergroups/$default",
            "amqp://localhost/ORDERS/Partitions/0",
        ] {
            assert!(granted.covers(&Audience::parse(covered)), "{covered}");
        }
        for other in
            ["sb://localhost/orders2", "sb://localhost/", "sb://elsewhere/orders", "sb://localhost/order"]
        {
            assert!(!granted.covers(&Audience::parse(other)), "{other}");
        }
        assert!(granted.covers_path("orders/ConsumerGroups/$Default/Partitions/0"));
        assert!(!granted.covers_path("ordersX/ConsumerGroups/$Default/Partitions/0"));
        assert!(Audience::parse("sb://localhost").covers_path("anything"));
        assert_eq!(Audience::parse("ws://[::1]:80/a").host(), "::1");
        assert_eq!(Audience::parse("localhost/a").path(), "a");
    }

    #[test]
    fn an_address_gives_the_audience_for_its_token() {
        assert_eq!(
            receiver("orders", "$Default", "1").audience("localhost:5672"),
            "sb://localhost:5672/orders/ConsumerGroups/$Default/Partitions/1"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_understood(hub in "[a-zA-Z0-9.-]{1,20}", group in "[$a-zA-Z0-9._-]{1,20}", n: u16) {
            let partition = n.to_string();
            for address in [
                Address::Cbs,
                Address::Management { hub: Some(hub.clone()) },
                Address::Hub { hub: hub.clone() },
                Address::HubPartition { hub: hub.clone(), partition: partition.clone() },
                Address::Publisher { hub: hub.clone(), publisher: group.clone() },
                receiver(&hub, &group, &partition),
            ] {
                prop_assert_eq!(Address::parse(&address.to_string()), Some(address.clone()));
                prop_assert_eq!(Address::parse(&address.audience("h:1")), Some(address));
            }
        }

        #[test]
        fn no_text_panics_the_parsers(text in ".*", path in "[a-z/:$\\[\\]]{0,40}") {
            for text in [text, path] {
                let _ = Address::parse(&text);
                let audience = Audience::parse(&text);
                prop_assert!(audience.covers(&audience));
            }
        }
    }
}
