//! Who may do what: rules, tokens, and what they grant.

use std::collections::HashMap;

use super::config::{AccessKey, AccessRule, NamespaceConfig, Rights, Scope};
use super::hub;
use crate::dialect::address::Audience;
use crate::model::sas::SasToken;
use crate::model::value::Timestamp;

/// The rules of a namespace.
pub(super) struct Access {
    rules: Vec<AccessRule>,
    development_key: Option<AccessKey>,
    accept_any_jwt: bool,
}

/// What a credential that has been verified allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verified {
    /// Where; everywhere when `None`.
    resource: Option<Audience>,
    /// On which hub alone, in lower case, when the rule is one hub's.
    hub: Option<String>,
    pub(super) rights: Rights,
    /// Until when, in Unix seconds.
    pub(super) expires: Option<i64>,
}

/// Why a credential is worth nothing, in the service's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    Malformed(String),
    Signature,
    Audience,
    /// With its expiry in Unix seconds.
    Expired(i64),
    NoJwt,
}

/// What a connection has been granted, by path in lower case.
#[derive(Default)]
pub(super) struct Grants(HashMap<String, Vec<Grant>>);

#[derive(Clone, Copy)]
struct Grant {
    rights: Rights,
    expires: Option<i64>,
}

impl Access {
    pub(super) fn new(config: &NamespaceConfig) -> Self {
        Access {
            rules: config.rules.clone(),
            development_key: config.development_key.clone(),
            accept_any_jwt: config.accept_any_jwt,
        }
    }

    /// Verifies a SAS token; what it allows is for [`Verified::covers`] to say.
    pub(super) fn verify(&self, token: &str, now: Timestamp) -> Result<Verified, Denied> {
        let token = SasToken::parse(token).map_err(|error| Denied::Malformed(error.message().to_owned()))?;
        let (rights, hub) = self.signer(&token).ok_or(Denied::Signature)?;
        if token.expiry() <= now.as_millis().div_euclid(1000) {
            return Err(Denied::Expired(token.expiry()));
        }
        let resource = Some(Audience::parse(&token.resource()));
        Ok(Verified { resource, hub, rights, expires: Some(token.expiry()) })
    }

    /// Takes an Entra ID token at its word, if the configuration says so.
    pub(super) fn trust_jwt(&self, expires: Option<i64>) -> Result<Verified, Denied> {
        if !self.accept_any_jwt {
            return Err(Denied::NoJwt);
        }
        Ok(Verified { resource: None, hub: None, rights: Rights::MANAGE, expires })
    }

    /// Verifies a key name and a key as SASL `PLAIN` carries them.
    pub(super) fn verify_key(&self, key_name: &str, key: &str) -> Option<Verified> {
        let matches = |rule: &&AccessRule| rule.key_name == key_name && same_secret(rule.key.expose(), key);
        let (rights, hub) = match self.rules.iter().find(matches) {
            Some(rule) => (rule.rights, rule.hub()),
            None => {
                let opens = |k: &&AccessKey| same_secret(k.expose(), key);
                self.development_key.as_ref().filter(opens)?;
                if self.rules.iter().any(|rule| rule.key_name == key_name) {
                    return None;
                }
                (Rights::MANAGE, None)
            }
        };
        Some(Verified { resource: None, hub, rights, expires: None })
    }

    fn signer(&self, token: &SasToken) -> Option<(Rights, Option<String>)> {
        let mut named = self.rules.iter().filter(|rule| token.names_key(&rule.key_name)).peekable();
        if named.peek().is_some() {
            let rule = named.find(|rule| token.verify(rule.key.expose()))?;
            return Some((rule.rights, rule.hub()));
        }
        let key = self.development_key.as_ref()?;
        token.verify(key.expose()).then_some((Rights::MANAGE, None))
    }
}

impl Verified {
    /// Whether it is valid for `audience`.
    pub(super) fn covers(&self, audience: &Audience) -> bool {
        self.on_hub(audience.path()) && self.resource.as_ref().is_none_or(|held| held.covers(audience))
    }

    /// Whether it is valid for the path `hub/…`, whatever host it names.
    pub(super) fn covers_path(&self, path: &str) -> bool {
        self.on_hub(path) && self.resource.as_ref().is_none_or(|held| held.covers_path(path))
    }

    fn on_hub(&self, path: &str) -> bool {
        let named = path.split('/').next().unwrap_or_default();
        self.hub.as_ref().is_none_or(|hub| hub::same(hub, named))
    }
}

impl Denied {
    /// The service's text, without its trailer.
    pub(super) fn text(&self) -> String {
        match self {
            Denied::Malformed(why) => format!("MalformedToken: {why}."),
            Denied::Signature => "InvalidSignature: The token has an invalid signature.".to_owned(),
            Denied::Audience => {
                "InvalidAudience: The authorization header contains a token with a wrong audience.".to_owned()
            }
            Denied::Expired(at) => {
                let mut time = Timestamp::from_millis(at.saturating_mul(1000)).to_string().replace('T', " ");
                time.truncate("2023-05-21 23:58:30".len());
                format!("ExpiredToken: The token is expired. Expiration time: '{time}Z'")
            }
            Denied::NoJwt => {
                "Entra ID tokens (jwt) cannot be verified here. Use a shared access key, or start \
                              the emulator so that it takes any Entra ID token at its word."
                    .to_owned()
            }
        }
    }
}

impl Grants {
    /// Grants what was verified, on `audience` and everything below it. A grant for the same path is replaced.
    pub(super) fn put(&mut self, audience: &Audience, verified: &Verified) {
        let grant = Grant { rights: verified.rights, expires: verified.expires };
        self.0.insert(audience.path().to_owned(), vec![grant]);
    }

    /// Grants what a key allows by itself.
    pub(super) fn put_key(&mut self, verified: &Verified) {
        let path = verified.hub.clone().unwrap_or_default();
        let grant = Grant { rights: verified.rights, expires: None };
        self.0.entry(path).or_default().push(grant);
    }

    /// Whether `right` is granted on the path `hub/…`, in lower case.
    pub(super) fn allow(&self, path: &str, right: Rights, now: Timestamp) -> bool {
        let holds = |grants: &Vec<Grant>| {
            grants.iter().any(|grant| grant.rights.include(right) && !grant.is_over(now))
        };
        if self.0.get("").is_some_and(holds) {
            return true;
        }
        let mut ends = path.match_indices('/').map(|(i, _)| i).chain([path.len()]);
        ends.any(|end| self.0.get(&path[..end]).is_some_and(holds))
    }

    /// Forgets what allows something on a path, in lower case; everything when there is none.
    pub(super) fn revoke(&mut self, path: Option<&str>) {
        let covers = |granted: &str, path: &str| {
            granted.is_empty()
                || path.strip_prefix(granted).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.0.retain(|granted, _| path.is_some_and(|path| !covers(granted, path)));
    }

    /// How many paths have grants.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is a grant for this very audience.
    pub(super) fn contains(&self, audience: &Audience) -> bool {
        self.0.contains_key(audience.path())
    }

    /// When the next one ends, in Unix seconds.
    pub(super) fn next_expiry(&self) -> Option<i64> {
        self.0.values().flatten().filter_map(|grant| grant.expires).min()
    }

    /// Forgets those that are over, and says whether there were any.
    pub(super) fn expire(&mut self, now: Timestamp) -> bool {
        let before = self.0.len();
        self.0.retain(|_, grants| {
            grants.retain(|grant| !grant.is_over(now));
            !grants.is_empty()
        });
        self.0.len() < before
    }
}

impl Grant {
    fn is_over(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|at| at <= now.as_millis().div_euclid(1000))
    }
}

impl AccessRule {
    fn hub(&self) -> Option<String> {
        match &self.scope {
            Scope::Namespace => None,
            Scope::Hub(name) => Some(name.to_lowercase()),
        }
    }
}

/// Compares in a time that does not tell where they differ.
fn same_secret(a: &str, b: &str) -> bool {
    let differences = a.bytes().zip(b.bytes()).fold(0, |seen, (x, y)| seen | (x ^ y));
    a.len() == b.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sas::sign;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_500);
    const LATER: i64 = 1_700_003_600;

    fn access() -> Access {
        let rule = |name: &str, key: &str, rights, scope| AccessRule {
            key_name: name.to_owned(),
            key: AccessKey::new(key),
            rights,
            scope,
        };
        Access::new(&NamespaceConfig {
            rules: vec![
                rule("sender", "k1", Rights::SEND, Scope::Namespace),
                rule("listen policy+1", "k2", Rights::LISTEN, Scope::Namespace),
                rule("orders", "k3", Rights::MANAGE, Scope::Hub("Orders".to_owned())),
                rule("orders", "k4", Rights::LISTEN, Scope::Hub("audit".to_owned())),
            ],
            development_key: None,
            ..NamespaceConfig::default()
        })
    }

    #[test]
    fn a_token_is_worth_what_the_rule_of_its_key_says() {
        for (name, key, rights) in [
            ("sender", "k1", Some(Rights::SEND)),
            ("listen policy+1", "k2", Some(Rights::LISTEN)),
            ("orders", "k3", Some(Rights::MANAGE)),
            ("orders", "k4", Some(Rights::LISTEN)),
            ("sender", "k2", None),
            ("stranger", "k1", None),
            ("any", "SAS_KEY_VALUE", None),
        ] {
            let verified = access().verify(&sign("sb://h/orders", name, key, LATER), NOW);
            assert_eq!(verified.map(|v| v.rights), rights.ok_or(Denied::Signature), "{name} {key}");
        }
    }

    #[test]
    fn the_development_key_opens_everything_under_any_name() {
        let access = Access::new(&NamespaceConfig::default());
        let verified = access.verify(&sign("sb://h/orders", "whoever", "SAS_KEY_VALUE", LATER), NOW).unwrap();
        assert_eq!((verified.rights, verified.expires), (Rights::MANAGE, Some(LATER)));
        assert!(access.verify_key("whoever", "SAS_KEY_VALUE").is_some());
        assert!(access.verify_key("whoever", "SAS_KEY_VALUe").is_none());
    }

    #[test]
    fn a_rule_closes_its_name_to_the_development_key() {
        let mut access = access();
        access.development_key = Some(AccessKey::new("SAS_KEY_VALUE"));
        let token = |name| sign("sb://h/orders", name, "SAS_KEY_VALUE", LATER);
        assert_eq!(access.verify(&token("sender"), NOW), Err(Denied::Signature));
        assert!(access.verify(&token("other"), NOW).is_ok());
        assert!(access.verify_key("sender", "SAS_KEY_VALUE").is_none());
    }

    #[test]
    fn a_token_that_is_over_is_refused_with_its_expiry() {
        let denied = access().verify(&sign("sb://h/orders", "sender", "k1", 1_684_713_510), NOW).unwrap_err();
        assert_eq!(
            denied.text(),
            "ExpiredToken: The token is expired. Expiration time: '2023-05-21 23:58:30Z'"
        );
        assert_eq!(
            access().verify(&sign("sb://h/orders", "sender", "k1", 1_700_000_000), NOW),
            Err(Denied::Expired(1_700_000_000))
        );
    }

    #[test]
    fn rubbish_is_refused_without_being_repeated() {
        for token in [
            "",
            "Bearer x",
            "SharedAccessSignature sr=a&sig=secret",
            "SharedAccessSignature sr=a&se=x&sig=b&skn=n",
        ] {
            let denied = access().verify(token, NOW).unwrap_err();
            assert!(denied.text().starts_with("MalformedToken: "), "{token}");
            assert!(!denied.text().contains("secret"));
        }
    }

    #[test]
    fn a_token_covers_its_resource_and_what_lies_below() {
        let token = |resource: &str| access().verify(&sign(resource, "sender", "k1", LATER), NOW).unwrap();
        for (resource, audience, covered) in [
            ("sb://h/orders", "amqps://h/orders", true),
            ("sb://h:5672/orders", "sb://H/Orders/Partitions/0", true),
            ("http://h/", "sb://h/orders", true),
            ("sb://h", "sb://h/orders/$management", true),
            ("sb://h/orders/", "sb://h/orders", true),
            ("sb://h/orders/Partitions/0", "sb://h/orders", false),
            ("sb://h/order", "sb://h/orders", false),
            ("sb://h/orders", "sb://h/order", false),
            ("sb://g/orders", "sb://h/orders", false),
            ("sb://h.example/orders", "sb://h/orders", false),
        ] {
            assert_eq!(token(resource).covers(&Audience::parse(audience)), covered, "{resource} {audience}");
        }
        assert!(token("sb://elsewhere/orders").covers_path("Orders/messages"));
        assert!(!token("sb://elsewhere/orders").covers_path("other"));
    }

    #[test]
    fn a_hubs_own_rule_is_worth_nothing_elsewhere() {
        let wide = access().verify(&sign("sb://h/", "orders", "k3", LATER), NOW).unwrap();
        let covers = |audience| wide.covers(&Audience::parse(audience));
        assert!(covers("sb://h/ORDERS/partitions/1"));
        assert!(!covers("sb://h/audit") && !covers("sb://h/orders2") && !covers("sb://h"));
        let mut grants = Grants::default();
        grants.put_key(&access().verify_key("orders", "k3").unwrap());
        assert!(grants.allow("orders/partitions/1", Rights::SEND, NOW));
        assert!(!grants.allow("audit", Rights::LISTEN, NOW));
    }

    #[test]
    fn grants_hold_on_their_path_and_below_until_they_are_over() {
        let mut grants = Grants::default();
        let listen = access().verify(&sign("sb://h/orders", "listen policy+1", "k2", LATER), NOW).unwrap();
        grants.put(&Audience::parse("sb://h:5672/Orders/ConsumerGroups/$Default"), &listen);
        let later = Timestamp::from_millis(LATER * 1000);
        for (path, right, now, allowed) in [
            ("orders/consumergroups/$default", Rights::LISTEN, NOW, true),
            ("orders/consumergroups/$default/partitions/0", Rights::LISTEN, NOW, true),
            ("orders/consumergroups/$default/partitions/0", Rights::SEND, NOW, false),
            ("orders/consumergroups/other/partitions/0", Rights::LISTEN, NOW, false),
            ("orders", Rights::LISTEN, NOW, false),
            ("orders/consumergroups/$default", Rights::LISTEN, later, false),
        ] {
            assert_eq!(grants.allow(path, right, now), allowed, "{path} {right}");
        }
        assert_eq!(grants.next_expiry(), Some(LATER));
        assert!(!grants.expire(NOW) && grants.expire(later) && grants.next_expiry().is_none());
    }
}
