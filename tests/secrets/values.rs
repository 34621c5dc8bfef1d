//! What values show that hold secrets, or may.

use bytes::Bytes;
use eventhubs::amqp::{Config, Delivery, Outgoing, SaslProfile};
use eventhubs::broker::{AccessKey, AccessRule, NamespaceConfig, Rights, Scope};
use eventhubs::dialect::rpc::Caller;
use eventhubs::dialect::{cbs, management};
use eventhubs::emulator::EmulatorConfig;
use eventhubs::model::sas::{SasToken, sign};
use eventhubs::{AccessToken, ClientOptions, ConnectionString, ConsumerClient, ProducerClient, Timestamp};

use crate::capture::{debug, failed, see, shown};
use crate::{JWT, KEY, NO_TOKEN, PLAIN_KEY, WRONG_KEY};

/// Shows everything that can be shown without a service; a signature that was among it.
pub(crate) fn everything() -> String {
    connection_strings();
    let token = sign("sb://localhost/orders", "app", KEY, 4_102_444_800);
    let parsed = SasToken::parse(&token).unwrap();
    debug("SasToken", &parsed);
    debug("AccessToken of a signature", &AccessToken::sas(token.as_str()).unwrap());
    debug("AccessToken of Entra ID", &AccessToken::jwt(JWT, Timestamp::from_millis(1)));
    failed("a signature that is none", AccessToken::sas(NO_TOKEN));
    failed("half a signature", AccessToken::sas(format!("SharedAccessSignature sig={NO_TOKEN}")));
    failed("a signature twice", AccessToken::sas(format!("{token}&sig={NO_TOKEN}")));
    failed("a signature whose end is none", AccessToken::sas(token.replace("4102444800", NO_TOKEN)));

    let rule = AccessRule {
        key_name: "app".to_owned(),
        key: AccessKey::new(KEY),
        rights: Rights::MANAGE,
        scope: Scope::Namespace,
    };
    debug("AccessRule", &rule);
    let namespace = NamespaceConfig {
        rules: vec![rule.clone()],
        development_key: Some(AccessKey::new(PLAIN_KEY)),
        ..NamespaceConfig::default()
    };
    debug("NamespaceConfig", &namespace);
    debug("EmulatorConfig", &EmulatorConfig::default().with_rule(rule));
    debug("ClientOptions", &ClientOptions::default());

    let caller = Caller::new("m1", "cbs");
    let put = cbs::Request {
        caller: caller.clone(),
        token_type: cbs::TokenType::Sas,
        audience: "sb://localhost/orders".to_owned(),
        token: token.clone(),
        expiration: None,
    };
    let read = management::Request {
        caller,
        hub: "orders".to_owned(),
        partition: None,
        security_token: Some(token.clone()),
    };
    debug("cbs::Request", &put);
    debug("management::Request", &read);
    engine(&put.encode());
    let signature = token.split("sig=").nth(1).and_then(|rest| rest.split('&').next()).unwrap();
    percent_encoding::percent_decode_str(signature).decode_utf8().unwrap().into_owned()
}

fn engine(message: &Bytes) {
    let sasl = SaslProfile::Plain { user: "app".to_owned(), password: PLAIN_KEY.to_owned() };
    debug("SaslProfile", &sasl);
    debug("amqp::Config", &Config { sasl, ..Config::default() });
    debug("Delivery", &Delivery { id: 1, message_format: 0, settled: true, payload: message.clone() });
    debug(
        "Outgoing",
        &Outgoing {
            token: 1,
            message_format: 0,
            settled: true,
            head: message.clone(),
            body: message.clone(),
        },
    );
}

fn connection_strings() {
    let whole =
        format!("Endpoint=sb://localhost:1;SharedAccessKeyName=app;SharedAccessKey={KEY};EntityPath=orders");
    let parsed = ConnectionString::parse(&whole).unwrap();
    shown("ConnectionString", &parsed);
    debug("Credential", parsed.credential());
    let producer = ProducerClient::from_connection_string(&whole).unwrap();
    debug("ProducerClient", &producer);
    debug("ConsumerClient", &ConsumerClient::from_connection_string(&whole).unwrap());
    for (index, wrong) in [
        whole.replace("Endpoint=sb://localhost:1;", ""),
        whole.replace("SharedAccessKey=", "SharedAccessKey"),
        whole.replace("SharedAccessKey=", ""),
        whole.replace(";SharedAccessKey=", ""),
        whole.replace("SharedAccessKeyName=app;", ""),
        whole.replace("sb://", "http://"),
        whole.replace("localhost", KEY),
        whole.replace("localhost", "local host"),
        whole.replace(":1;", &format!(":{KEY};")),
        whole.replace("EntityPath=orders", &format!("SharedAccessKey={WRONG_KEY}")),
        whole.replace("EntityPath=orders", &format!("EntityPath={KEY}/")),
        whole.replace("EntityPath=orders", &format!("UseDevelopmentEmulator={KEY}")),
        whole.replace("EntityPath=orders", &format!("SharedAccessSignature={NO_TOKEN}")),
        whole.replace(';', ""),
        whole.replace(';', "\n"),
        format!("\"{whole}\""),
        KEY.to_owned(),
        format!("{KEY};{KEY}"),
        format!("Endpoint=sb://localhost;SharedAccessSignature={NO_TOKEN};EntityPath=e"),
    ]
    .into_iter()
    .enumerate()
    {
        match ProducerClient::from_connection_string(&wrong) {
            Err(error) => crate::capture::error(&format!("connection string {index}"), &error),
            Ok(client) => debug(&format!("the client of connection string {index}"), &client),
        }
    }
    let variables = |name: &str| match name {
        "EVENTHUB_NAMESPACE" => Some("local host".to_owned()),
        "EVENTHUB_KEY_NAME" => Some("app".to_owned()),
        "EVENTHUB_KEY_VALUE" => Some(KEY.to_owned()),
        _ => None,
    };
    failed("variables", ConnectionString::from_variables(variables));
    see(
        "a custom endpoint",
        format!(
            "{:?}",
            ProducerClient::builder()
                .connection_string(&whole)
                .custom_endpoint(format!("ws://user:{KEY}@localhost:1"))
                .build()
                .map(|client| format!("{client:?}"))
                .map_err(|error| format!("{error} {error:?}"))
        ),
    );
}
