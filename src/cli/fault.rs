//! `eventhubs fault`: has a running emulator go wrong on purpose.

use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::table::Table;
use crate::broker::NamespaceConfig;
use crate::broker::faults::{Fault, FieldValue};
use crate::emulator::EmulatorConfig;
use crate::model::connection_string::{ConnectionString, Credential};
use crate::model::sas::sign;

/// Have a running emulator go wrong on purpose.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct FaultArgs {
    #[command(subcommand)]
    command: FaultCommand,
    /// As the emulator prints it [default: the emulator of this machine, with the development key]
    #[arg(
        short,
        long,
        value_name = "TEXT",
        env = "EVENTHUB_CONNECTION_STRING",
        hide_env_values = true,
        global = true
    )]
    connection_string: Option<String>,
}

#[derive(Debug, Subcommand)]
enum FaultCommand {
    /// Set a fault: its kind, then where and when as name=value
    Add {
        /// refuse drop half-open delay bandwidth cut-frame lose-ack duplicate busy detach end close refuse-token
        /// expire-token steal-link stop-partition restart slow-disk skew-clock
        #[arg(value_name = "KIND")]
        kind: String,
        /// client entity partition role on after times probability seed waitMs lastingMs, and what the kind has
        #[arg(value_name = "NAME=VALUE", value_parser = pair)]
        fields: Vec<(String, String)>,
    },
    /// List the faults that are set, and how often each has struck
    List {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// End faults by their numbers, or all
    Clear {
        /// The numbers; without any, all
        #[arg(value_name = "NUMBER")]
        ids: Vec<u64>,
    },
}

const EXAMPLES: &str = "\
Examples:
  eventhubs fault add drop
  eventhubs fault add lose-ack entity=orders after=2 times=1
  eventhubs fault add delay delayMs=200 jitterMs=100 lastingMs=10000
  eventhubs fault add detach on=receive probability=0.01 condition=amqp:link:detach-forced
  eventhubs fault list
  eventhubs fault clear";

/// How long the emulator may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the token of one request is good for, in seconds.
const TOKEN_SECONDS: u64 = 300;
/// Fields whose values are texts although they may look like numbers.
const TEXTS: [&str; 5] = ["client", "entity", "partition", "condition", "description"];

impl FaultArgs {
    pub(super) async fn run(self) -> Result<(), Box<dyn Error>> {
        let target = Target::parse(self.connection_string.as_deref())?;
        match self.command {
            FaultCommand::Add { kind, fields } => {
                let said = target.ask("POST", "", &body(&kind, &fields)?).await?;
                println!("fault {} is set: {}", said["id"], described(&said));
            }
            FaultCommand::List { json: true } => println!("{}", target.ask("GET", "", "").await?),
            FaultCommand::List { json: false } => print!("{}", table(&target.ask("GET", "", "").await?)),
            FaultCommand::Clear { ids } if ids.is_empty() => drop(target.ask("DELETE", "", "").await?),
            FaultCommand::Clear { ids } => {
                for id in ids {
                    let said = target.ask("DELETE", &format!("/{id}"), "").await?;
                    println!("fault {id} has struck {} times", said["hits"]);
                }
            }
        }
        Ok(())
    }
}

/// An emulator, and what opens it.
struct Target {
    address: String,
    token: String,
}

impl Target {
    fn parse(connection_string: Option<&str>) -> Result<Self, Box<dyn Error>> {
        let usual = format!(
            "Endpoint=sb://localhost;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey={};\
             UseDevelopmentEmulator=true",
            NamespaceConfig::DEVELOPMENT_KEY
        );
        let parsed = ConnectionString::parse(connection_string.unwrap_or(&usual))?;
        if !parsed.is_emulator() {
            return Err("only an emulator goes wrong on purpose: its connection string has \
                        UseDevelopmentEmulator=true"
                .into());
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let token = match parsed.credential() {
            Credential::SharedKey { name, key } => {
                let expiry = i64::try_from(now + TOKEN_SECONDS)?;
                sign(&format!("http://{}/$faults", parsed.host()), name, key, expiry)
            }
            Credential::Sas(token) => token.clone(),
        };
        let port = parsed.port().unwrap_or(EmulatorConfig::PORT);
        Ok(Target { address: format!("{}:{port}", parsed.host()), token })
    }

    async fn ask(&self, method: &str, below: &str, body: &str) -> Result<Value, Box<dyn Error>> {
        let answer = timeout(PATIENCE, self.exchange(method, below, body))
            .await
            .unwrap_or_else(|_| Err(std::io::Error::new(std::io::ErrorKind::TimedOut, "it does not answer")));
        let answer =
            answer.map_err(|error| format!("cannot ask the emulator at {}: {error}", self.address))?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        let said: Value = serde_json::from_str(body)
            .map_err(|_| format!("what answers at {} is no emulator of this version", self.address))?;
        match said["error"].as_str() {
            Some(error) => Err(error.into()),
            None if head.starts_with("HTTP/1.1 2") => Ok(said),
            None => Err(format!("the emulator said: {}", head.lines().next().unwrap_or_default()).into()),
        }
    }

    async fn exchange(&self, method: &str, below: &str, body: &str) -> std::io::Result<String> {
        let Target { address, token } = self;
        let request = format!(
            "{method} /$faults{below} HTTP/1.1\r\nHost: {address}\r\nAuthorization: {token}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("say it as name=value, such as entity=orders".to_owned()),
    }
}

/// The fault in JSON, once it makes sense.
fn body(kind: &str, fields: &[(String, String)]) -> Result<String, Box<dyn Error>> {
    let value = |name: &str, text: &str| match (text, text.parse::<f64>()) {
        _ if TEXTS.contains(&name) => FieldValue::Text(text.to_owned()),
        (_, Ok(number)) => FieldValue::Number(number),
        ("true" | "false", _) => FieldValue::Flag(text == "true"),
        _ => FieldValue::Text(text.to_owned()),
    };
    let said = fields.iter().map(|(name, text)| (name.as_str(), value(name, text)));
    let kind = ("kind", FieldValue::Text(kind.to_owned()));
    let fault = Fault::from_fields(said.chain([kind]))?;
    let json: Value = fault
        .to_fields()
        .into_iter()
        .map(|(name, value)| {
            let value = match value {
                FieldValue::Text(text) => json!(text),
                FieldValue::Number(number) => json!(number),
                FieldValue::Flag(flag) => json!(flag),
            };
            (name.to_owned(), value)
        })
        .collect();
    Ok(json.to_string())
}

/// Everything of a fault but what counts.
fn described(fault: &Value) -> String {
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let fields =
        fault.as_object().into_iter().flatten().filter(|(name, _)| !["id", "hits"].contains(&name.as_str()));
    let said = fields.map(|(name, value)| match name.as_str() {
        "kind" => shown(value),
        name => format!("{name}={}", shown(value)),
    });
    said.collect::<Vec<_>>().join(" ")
}

fn table(list: &Value) -> String {
    let faults = list["faults"].as_array().map(Vec::as_slice).unwrap_or_default();
    if faults.is_empty() {
        return "No fault is set.\n".to_owned();
    }
    let mut table = Table::new(["fault", "number", "struck"]);
    for fault in faults {
        table.row([described(fault), fault["id"].to_string(), fault["hits"].to_string()]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_numbers_texts_and_flags_as_they_should_be() {
        let said = |fields: &[&str]| fields.iter().map(|text| pair(text).unwrap()).collect::<Vec<_>>();
        let json = body("busy", &said(&["client=7", "partition=0", "after=2"])).unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(&json).unwrap(),
            json!({"kind": "busy", "client": "7", "partition": "0", "after": 2.0})
        );
        assert!(body("restart", &said(&["loseData=true", "downMs=100"])).is_ok());
        let error = body("bussy", &[]).unwrap_err().to_string();
        assert_eq!(error, "there is no kind of fault 'bussy': did you mean 'busy'?");
        assert!(pair("after").is_err() && pair("=1").is_err());
    }

    #[test]
    fn nothing_but_an_emulator_is_asked() {
        let azure = "Endpoint=sb://contoso.servicebus.windows.net/;SharedAccessKeyName=n;SharedAccessKey=k";
        assert!(Target::parse(Some(azure)).is_err());
        assert_eq!(Target::parse(None).unwrap().address, "localhost:5672");
    }

    #[test]
    fn faults_are_listed_as_they_are_said() {
        let list = json!({"faults": [{"id": 3, "hits": 5, "kind": "drop", "on": "send", "after": 2}]});
        assert_eq!(
            table(&list),
            "fault                 number  struck\ndrop on=send after=2       3       5\n"
        );
        assert_eq!(table(&json!({"faults": []})), "No fault is set.\n");
    }
}
