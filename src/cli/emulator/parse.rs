//! The values of `eventhubs emulator`'s arguments.

use crate::broker::{AccessKey, AccessRule, Rights, Scope};
use crate::emulator::EmulatorConfig;

/// `NAME[:PARTITIONS]`.
pub(super) fn hub(text: &str) -> Result<(String, u32), String> {
    let Some((name, partitions)) = text.split_once(':') else {
        return Ok((named("hub", text)?, EmulatorConfig::DEFAULT_PARTITIONS));
    };
    let partitions =
        partitions.parse().ok().filter(|count| *count > 0).ok_or_else(|| {
            format!("'{partitions}' is no number of partitions; write for example {name}:4")
        })?;
    Ok((named("hub", name)?, partitions))
}

/// `HUB/GROUP`.
pub(super) fn consumer_group(text: &str) -> Result<(String, String), String> {
    let (hub, group) = text
        .split_once('/')
        .ok_or_else(|| "write the hub, a slash and the group, for example orders/billing".to_owned())?;
    Ok((named("hub", hub)?, named("group", group)?))
}

/// `[HUB/]NAME=KEY[:RIGHTS]`. What is wrong is said without showing the key.
pub(super) fn access_rule(text: &str) -> Result<AccessRule, String> {
    let (name, key) = text
        .split_once('=')
        .ok_or("an argument of --key has no '='; write NAME=KEY or NAME=KEY:send,listen")?;
    let (scope, name) = match name.rsplit_once('/') {
        Some((hub, name)) => (Scope::Hub(named("hub", hub)?), name),
        None => (Scope::Namespace, name),
    };
    let name = named("key", name)?;
    let (key, rights) = match key.rsplit_once(':') {
        Some((key, rights)) => (key, self::rights(&name, rights)?),
        None => (key, Rights::MANAGE),
    };
    if key.is_empty() {
        return Err(format!("--key {name} has no key behind the '='"));
    }
    Ok(AccessRule { key_name: name, key: AccessKey::new(key), rights, scope })
}

fn rights(key: &str, text: &str) -> Result<Rights, String> {
    text.split(',').try_fold(Rights::NONE, |rights, word| match word.trim().to_ascii_lowercase().as_str() {
        "send" => Ok(rights | Rights::SEND),
        "listen" => Ok(rights | Rights::LISTEN),
        "manage" => Ok(rights | Rights::MANAGE),
        _ => Err(format!("--key {key} names a right that does not exist; use send, listen, manage")),
    })
}

fn named(what: &str, text: &str) -> Result<String, String> {
    match text {
        "" => Err(format!("the name of the {what} is missing")),
        name => Ok(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_has_four_partitions_unless_it_says_otherwise() {
        assert_eq!(hub("orders"), Ok(("orders".to_owned(), 4)));
        assert_eq!(hub("orders:32"), Ok(("orders".to_owned(), 32)));
        for wrong in ["", ":4", "orders:", "orders:0", "orders:-1", "orders:many", "orders:4:5"] {
            assert!(hub(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_group_belongs_to_a_hub() {
        assert_eq!(consumer_group("orders/billing"), Ok(("orders".to_owned(), "billing".to_owned())));
        for wrong in ["", "billing", "/billing", "orders/"] {
            assert!(consumer_group(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_key_may_be_base64_and_may_be_limited() {
        let all = access_rule("root=a+/b==").unwrap();
        assert_eq!((all.key_name.as_str(), all.key.expose()), ("root", "a+/b=="));
        assert_eq!((all.rights, all.scope), (Rights::MANAGE, Scope::Namespace));
        let some = access_rule("orders/app=a+/b==:send, Listen").unwrap();
        assert_eq!((some.key_name.as_str(), some.key.expose()), ("app", "a+/b=="));
        assert_eq!(
            (some.rights, some.scope),
            (Rights::SEND | Rights::LISTEN, Scope::Hub("orders".to_owned()))
        );
    }

    #[test]
    fn what_is_wrong_with_a_key_is_said_without_showing_it() {
        for wrong in ["s3cret", "=s3cret", "app=", "app=:send", "app=s3cret:read", "/app=s3cret"] {
            let error = access_rule(wrong).unwrap_err();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
