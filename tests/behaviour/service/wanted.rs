//! What a test wants of its emulator, also in writing.

use eventhubs::broker::{AccessKey, AccessRule, HubConfig, IdlePolicy, NamespaceConfig, Rights, Scope};
use serde_json::{Value, json};

/// What a test wants of its emulator.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) namespace: NamespaceConfig,
    /// Events outlast a stop.
    pub(crate) is_durable: bool,
    /// Its certificates are of an authority that nobody trusts.
    pub(crate) is_untrusted: bool,
}

impl Wanted {
    pub(crate) fn write(&self) -> String {
        let NamespaceConfig {
            name: _,
            hubs,
            rules,
            development_key,
            accept_any_jwt,
            retention,
            limits,
            idle,
        } = &self.namespace;
        // What no test has changed so far is not written.
        let usual = NamespaceConfig::default();
        assert_eq!((retention.time, retention.bytes_per_partition), {
            (usual.retention.time, usual.retention.bytes_per_partition)
        });
        assert_eq!((limits, idle), (&usual.limits, &IdlePolicy::default()));
        assert!(hubs.iter().all(|hub| hub.retention.is_none()));
        json!({
            "hubs": hubs.iter().map(|hub| json!([hub.name, hub.partitions, hub.consumer_groups])).collect::<Value>(),
            "rules": rules.iter().map(written_rule).collect::<Value>(),
            "development_key": development_key.as_ref().map(AccessKey::expose),
            "accept_any_jwt": accept_any_jwt,
            "is_durable": self.is_durable,
            "is_untrusted": self.is_untrusted,
        })
        .to_string()
    }

    pub(crate) fn read(text: &str) -> Self {
        let written: Value = serde_json::from_str(text).unwrap();
        let list = |name: &str| written[name].as_array().unwrap().iter();
        let is = |name: &str| written[name].as_bool().unwrap();
        let namespace = NamespaceConfig {
            hubs: list("hubs").map(read_hub).collect(),
            rules: list("rules").map(read_rule).collect(),
            development_key: written["development_key"].as_str().map(AccessKey::new),
            accept_any_jwt: is("accept_any_jwt"),
            ..NamespaceConfig::default()
        };
        Wanted { namespace, is_durable: is("is_durable"), is_untrusted: is("is_untrusted") }
    }
}

fn read_hub(written: &Value) -> HubConfig {
    let groups = written[2].as_array().unwrap().iter().map(text).collect();
    HubConfig {
        consumer_groups: groups,
        ..HubConfig::new(text(&written[0]), written[1].as_u64().unwrap() as u32)
    }
}

fn written_rule(rule: &AccessRule) -> Value {
    let hub = match &rule.scope {
        Scope::Namespace => None,
        Scope::Hub(hub) => Some(hub),
    };
    let rights: Value = [Rights::SEND, Rights::LISTEN, Rights::MANAGE]
        .map(|right| rule.rights.include(right))
        .into_iter()
        .collect();
    json!([rule.key_name, rule.key.expose(), rights, hub])
}

fn read_rule(written: &Value) -> AccessRule {
    let rights = [Rights::SEND, Rights::LISTEN, Rights::MANAGE];
    let included = rights.into_iter().enumerate().filter(|(n, _)| written[2][*n].as_bool().unwrap());
    AccessRule {
        key_name: text(&written[0]),
        key: AccessKey::new(text(&written[1])),
        rights: included.fold(Rights::NONE, |all, (_, right)| all | right),
        scope: written[3].as_str().map_or(Scope::Namespace, |hub| Scope::Hub(hub.to_owned())),
    }
}

fn text(written: &Value) -> String {
    written.as_str().unwrap().to_owned()
}
