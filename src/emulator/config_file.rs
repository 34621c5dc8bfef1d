//! The `Config.json` of Microsoft's emulator.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use crate::broker::HubConfig;
use crate::error::{Error, ErrorKind};

/// Hubs and consumer groups from a `Config.json` of Microsoft's emulator, which is read unchanged.
///
/// Keys that mean nothing here are passed over, the case of keys does not matter, and a number may be written
/// as text, as in some of Microsoft's samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFile {
    hubs: Vec<HubConfig>,
}

impl ConfigFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when it cannot be read or says something impossible; the text names the
    /// file and the place in it.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(|error| error.to_string());
        text.and_then(|text| read_root(&text))
            .map_err(|why| refused(why).with_entity(path.display().to_string()))
    }

    /// Reads the text of such a file.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`]; the text names the place.
    pub fn parse(text: &str) -> Result<Self, Error> {
        read_root(text).map_err(refused)
    }

    /// The hubs.
    pub fn into_hubs(self) -> Vec<HubConfig> {
        self.hubs
    }
}

fn refused(why: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, why).with_operation("use the configuration")
}

/// A value and where it stands, for errors.
struct Node<'a> {
    value: &'a Value,
    path: String,
}

const MAX_PARTITIONS: u64 = 1024;

fn read_root(text: &str) -> Result<ConfigFile, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let value: Value = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    let root = Node { value: &value, path: String::new() };
    let namespaces = root.field("UserConfig")?.field("NamespaceConfig")?;
    let [namespace] = namespaces.items()?.try_into().map_err(|all: Vec<Node<'_>>| {
        format!("{} has {} entries; there is exactly one namespace", namespaces.path, all.len())
    })?;
    if let Some(kind) = namespace.optional("Type")?
        && !kind.text()?.eq_ignore_ascii_case("EventHub")
    {
        return Err(format!("{} is '{}'; only EventHub exists here", kind.path, kind.text()?));
    }
    let entities = namespace.field("Entities")?;
    let mut hubs: Vec<HubConfig> = Vec::new();
    for entity in entities.items()? {
        let hub = read_hub(&entity)?;
        if hubs.iter().any(|other| other.name.eq_ignore_ascii_case(&hub.name)) {
            return Err(format!("{}.Name is '{}' for the second time", entity.path, hub.name));
        }
        hubs.push(hub);
    }
    if hubs.is_empty() {
        return Err(format!("{} is empty; name at least one hub", entities.path));
    }
    Ok(ConfigFile { hubs })
}

fn read_hub(entity: &Node<'_>) -> Result<HubConfig, String> {
    let name = entity.field("Name")?;
    if !is_hub_name(name.text()?) {
        return Err(format!(
            "{} is '{}'; a hub's name starts and ends with a letter or digit and has letters, digits, . - _ between",
            name.path,
            name.text()?
        ));
    }
    let mut hub = HubConfig::new(name.text()?, entity.field("PartitionCount")?.partitions()?);
    let Some(groups) = entity.optional("ConsumerGroups")? else { return Ok(hub) };
    for group in groups.items()? {
        let name = group.field("Name")?;
        let text = name.text()?;
        if text.is_empty() {
            return Err(format!("{} is empty", name.path));
        }
        if hub.consumer_groups.iter().any(|other| other.eq_ignore_ascii_case(text)) {
            return Err(format!("{} is '{text}' for the second time", name.path));
        }
        // It exists anyway, and people list it although Microsoft's rules say not to.
        if !text.eq_ignore_ascii_case("$Default") {
            hub.consumer_groups.push(text.to_owned());
        }
    }
    Ok(hub)
}

fn is_hub_name(name: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    name.len() <= 256
        && edge(name.chars().next())
        && edge(name.chars().next_back())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

impl<'a> Node<'a> {
    fn field(&self, name: &str) -> Result<Node<'a>, String> {
        self.optional(name)?.ok_or_else(|| format!("{} is missing", self.path_to(name)))
    }

    fn optional(&self, name: &str) -> Result<Option<Node<'a>>, String> {
        let map: &Map<String, Value> = self.value.as_object().ok_or_else(|| self.should_be("an object"))?;
        let found = map.iter().find(|(key, value)| key.eq_ignore_ascii_case(name) && !value.is_null());
        Ok(found.map(|(key, value)| Node { value, path: self.path_to(key) }))
    }

    fn items(&self) -> Result<Vec<Node<'a>>, String> {
        let items = self.value.as_array().ok_or_else(|| self.should_be("a list"))?;
        let node = |(index, value)| Node { value, path: format!("{}[{index}]", self.path) };
        Ok(items.iter().enumerate().map(node).collect())
    }

    fn text(&self) -> Result<&'a str, String> {
        self.value.as_str().ok_or_else(|| self.should_be("text"))
    }

    fn partitions(&self) -> Result<u32, String> {
        let number = match self.value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number
            .filter(|count| (1..=MAX_PARTITIONS).contains(count))
            .and_then(|count| u32::try_from(count).ok())
            .ok_or_else(|| self.should_be(&format!("a number from 1 to {MAX_PARTITIONS}")))
    }

    fn path_to(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn should_be(&self, what: &str) -> String {
        let path = if self.path.is_empty() { "the file" } else { &self.path };
        let is = match self.value {
            Value::Null => "null".to_owned(),
            Value::Array(_) => "a list".to_owned(),
            Value::Object(_) => "an object".to_owned(),
            simple => simple.to_string(),
        };
        format!("{path} is {is}; it has to be {what}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFICIAL: &str = r#"{"UserConfig":{"NamespaceConfig":[{"Type":"EventHub","Name":"emulatorNs1",
        "Entities":[{"Name":"eh1","PartitionCount":2,"ConsumerGroups":[{"Name":"cg1"}]}]}],
        "LoggingConfig":{"Type":"File"}}}"#;

    #[test]
    fn the_official_sample_is_read_unchanged() {
        let hubs = ConfigFile::parse(OFFICIAL).unwrap().into_hubs();
        assert_eq!(hubs.len(), 1);
        assert_eq!((hubs[0].name.as_str(), hubs[0].partitions), ("eh1", 2));
        assert_eq!(hubs[0].consumer_groups, ["cg1"]);
    }

    #[test]
    fn what_does_no_harm_is_tolerated() {
        let text = format!(
            "\u{feff}{}",
            OFFICIAL
                .replace("\"PartitionCount\":2", "\"PartitionCount\":\" 2 \",\"Unknown\":{\"deep\":[1]}")
                .replace("\"Type\":\"EventHub\",", "")
                .replace("\"UserConfig\"", "\"userConfig\"")
                .replace("{\"Name\":\"cg1\"}", "{\"Name\":\"$default\"},{\"Name\":\"cg1\"}")
        );
        assert_eq!(ConfigFile::parse(&text).unwrap(), ConfigFile::parse(OFFICIAL).unwrap());
        let no_groups = OFFICIAL.replace("[{\"Name\":\"cg1\"}]", "null");
        assert!(ConfigFile::parse(&no_groups).unwrap().into_hubs()[0].consumer_groups.is_empty());
    }

    #[test]
    fn an_error_names_the_place() {
        let hub = "UserConfig.NamespaceConfig[0].Entities[0]";
        let table = [
            ("", "", "it is not JSON"),
            (OFFICIAL, "[]", "the file is a list; it has to be an object"),
            ("\"UserConfig\"", "\"Usr\"", "UserConfig is missing"),
            ("\"Entities\"", "\"Entity\"", "UserConfig.NamespaceConfig[0].Entities is missing"),
            ("\"EventHub\"", "\"ServiceBus\"", "UserConfig.NamespaceConfig[0].Type is 'ServiceBus'"),
            ("\"eh1\"", "\"-eh1\"", &format!("{hub}.Name is '-eh1'")),
            ("\"eh1\"", "7", &format!("{hub}.Name is 7; it has to be text")),
            ("\"PartitionCount\":2,", "", &format!("{hub}.PartitionCount is missing")),
            (":2,", ":0,", &format!("{hub}.PartitionCount is 0; it has to be a number from 1 to 1024")),
            (":2,", ":2.5,", &format!("{hub}.PartitionCount is 2.5")),
            (":2,", ":\"two\",", &format!("{hub}.PartitionCount is \"two\"")),
            ("{\"Name\":\"cg1\"}", "\"cg1\"", &format!("{hub}.ConsumerGroups[0] is \"cg1\"")),
            (
                "{\"Name\":\"cg1\"}",
                "{\"Name\":\"a\"},{\"Name\":\"A\"}",
                &format!("{hub}.ConsumerGroups[1].Name is 'A'"),
            ),
            ("\"LoggingConfig\"", "\"x\":1}, {", "it is not JSON"),
        ];
        for (from, to, expected) in table {
            let text = if from.is_empty() { String::new() } else { OFFICIAL.replacen(from, to, 1) };
            let error = ConfigFile::parse(&text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}\n  should say: {expected}");
        }
    }

    #[test]
    fn two_hubs_of_one_name_are_refused() {
        let hub = r#"{"Name":"eh1","PartitionCount":2,"ConsumerGroups":[{"Name":"cg1"}]}"#;
        let text = OFFICIAL.replace(hub, &format!("{hub},{}", hub.replace("eh1", "EH1")));
        let error = ConfigFile::parse(&text).unwrap_err().to_string();
        assert!(error.contains("Entities[1].Name is 'EH1' for the second time"), "{error}");
    }

    #[test]
    fn exactly_one_namespace_is_there() {
        for (list, count) in [("[]", 0), ("[{},{}]", 2)] {
            let text = format!("{{\"UserConfig\":{{\"NamespaceConfig\":{list}}}}}");
            let error = ConfigFile::parse(&text).unwrap_err().to_string();
            assert!(error.contains(&format!("has {count} entries")), "{error}");
        }
    }
}
