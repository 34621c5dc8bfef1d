//! A native client and an emulator, through everything that goes right and wrong between them.

use std::error::Error as StdError;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use eventhubs::amqp::{Config, Connection, SaslProfile};
use eventhubs::broker::{AccessKey, AccessRule, Rights, Scope};
use eventhubs::emulator::{Emulator, EmulatorConfig, Fault, On};
use eventhubs::model::moment::Moment;
use eventhubs::model::sas::sign;
use eventhubs::{
    AccessToken, ClientBuilder, ConsumerClient, EventData, ProducerClient, RetryOptions, StartPosition,
    Timestamp,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::capture::{debug, error, failed, see};
use crate::{JWT, KEY, NO_TOKEN, PLAIN_KEY, WRONG_KEY};

const HUB: &str = "orders";
const LONGEST: Duration = Duration::from_secs(30);

/// Goes through everything; the signatures of all tokens that travelled.
pub(crate) fn everything() -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let emulator = emulator().await;
        debug("Emulator", &emulator);
        debug("Namespace's hubs", &emulator.namespace().hubs());
        let tap = Tap::to(emulator.port()).await;
        for scheme in ["amqp", "ws"] {
            let endpoint = format!("{scheme}://127.0.0.1:{}", tap.port);
            what_works(&endpoint).await;
            what_is_refused(&endpoint).await;
            token_providers(&endpoint).await;
        }
        faults(&emulator, &format!("amqp://127.0.0.1:{}", tap.port)).await;
        plain(tap.port).await;
        over_http(tap.port).await;
        emulator.shutdown().await.unwrap();
        tap.signatures()
    })
}

async fn emulator() -> Emulator {
    let rule = |name: &str, key: &str| AccessRule {
        key_name: name.to_owned(),
        key: AccessKey::new(key),
        rights: Rights::MANAGE,
        scope: Scope::Namespace,
    };
    let mut config = EmulatorConfig::default().with_hub(HUB, 1).with_rule(rule("app", KEY));
    config = config.with_rule(rule("plain", PLAIN_KEY));
    config.namespace.development_key = None;
    config.tls = None;
    Emulator::start(config).await.unwrap()
}

fn with_key(key: &str) -> String {
    format!("Endpoint=sb://localhost;SharedAccessKeyName=app;SharedAccessKey={key};EntityPath={HUB}")
}

fn impatient() -> RetryOptions {
    RetryOptions { max_attempts: 2, max_delay: Duration::from_millis(1), ..RetryOptions::default() }
}

fn producer(connection_string: &str, endpoint: &str) -> ProducerClient {
    configured(ProducerClient::builder().connection_string(connection_string), endpoint).build().unwrap()
}

fn configured<C>(builder: ClientBuilder<C>, endpoint: &str) -> ClientBuilder<C> {
    builder.custom_endpoint(endpoint).retry(impatient())
}

async fn what_works(endpoint: &str) {
    let producer = producer(&with_key(KEY), endpoint);
    let mut status = producer.status();
    producer.send("one").await.unwrap();
    let mut batch = producer.create_batch().await.unwrap();
    batch.try_add(&EventData::from("two")).unwrap();
    debug("EventBatch", &batch);
    producer.send_batch(batch).await.unwrap();
    debug("HubProperties", &producer.hub_properties().await.unwrap());
    debug("PartitionProperties", &producer.partition_properties("0").await.unwrap());
    debug("a connected ProducerClient", &producer);
    debug("Health", &producer.health());
    let builder = ConsumerClient::builder().connection_string(with_key(KEY));
    let consumer = configured(builder, endpoint).build().unwrap();
    let mut events = consumer.partition("0").from(StartPosition::earliest()).open().await.unwrap();
    let event = events.next().await.unwrap().unwrap();
    debug("ReceivedEvent", &event);
    debug("EventStream", &events);
    debug("a connected ConsumerClient", &consumer);
    consumer.close().await;
    producer.close().await;
    while let Some(status) = timeout(LONGEST, status.next()).await.unwrap() {
        debug("Status", &status);
    }
    // As ready-made signature.
    let token = sign(&format!("sb://localhost/{HUB}"), "app", KEY, in_an_hour());
    let ready = format!("Endpoint=sb://localhost;SharedAccessSignature={token};EntityPath={HUB}");
    let client = self::producer(&ready, endpoint);
    client.send("three").await.unwrap();
    debug("a ProducerClient with a signature", &client);
}

async fn what_is_refused(endpoint: &str) {
    let refused = async |what: &str, connection_string: String, endpoint: &str| {
        let producer = producer(&connection_string, endpoint);
        let mut status = producer.status();
        failed(what, producer.send("x").await);
        failed(what, producer.hub_properties().await);
        debug(&format!("the ProducerClient of {what}"), &producer);
        debug(&format!("the Health of {what}"), &producer.health());
        producer.close().await;
        while let Some(status) = timeout(LONGEST, status.next()).await.unwrap() {
            debug("Status", &status);
            if let Some(cause) = status.cause() {
                error("a status", cause);
            }
        }
    };
    refused("a wrong key", with_key(WRONG_KEY), endpoint).await;
    let expired = sign(&format!("sb://localhost/{HUB}"), "app", KEY, 1_000_000_000);
    let ready =
        |token: &str| format!("Endpoint=sb://localhost;SharedAccessSignature={token};EntityPath={HUB}");
    refused("an expired signature", ready(&expired), endpoint).await;
    let elsewhere = sign("sb://localhost/other", "app", KEY, in_an_hour());
    refused("a signature for another hub", ready(&elsewhere), endpoint).await;
    refused("an unknown hub", with_key(KEY).replace(HUB, "nobody"), endpoint).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let scheme = endpoint.split(':').next().unwrap();
    refused("a port where nobody listens", with_key(KEY), &format!("{scheme}://{closed}")).await;
}

async fn token_providers(endpoint: &str) {
    let outcome = |kind: &'static str| {
        move |audience: String| async move {
            let token = match kind {
                "signature" => AccessToken::sas(sign(&audience, "app", KEY, in_an_hour()))?,
                "jwt" => AccessToken::jwt(JWT, Timestamp::from_millis(in_an_hour() * 1000)),
                "garbage" => AccessToken::sas(NO_TOKEN)?,
                _ => return Err("the server that has the key is away".into()),
            };
            Ok::<_, Box<dyn StdError + Send + Sync>>(token)
        }
    };
    for kind in ["signature", "jwt", "garbage", "none"] {
        let builder =
            ProducerClient::builder().namespace("localhost").event_hub(HUB).token_provider(outcome(kind));
        let producer = configured(builder, endpoint).build().unwrap();
        debug("a ProducerClient with a provider", &producer);
        match producer.send("x").await {
            Ok(()) => assert_eq!(kind, "signature"),
            Err(why) => error(&format!("a provider of {kind}"), &why),
        }
    }
}

async fn faults(emulator: &Emulator, endpoint: &str) {
    for fault in [
        Fault::refuse_token(401),
        Fault::refuse_token(500),
        Fault::expire_token(),
        Fault::close("amqp:connection:forced").on(On::Token),
        Fault::detach("amqp:internal-error").on(On::Token),
        Fault::cut_frame(),
        Fault::busy(),
        Fault::refuse(),
    ] {
        debug("Fault", &fault);
        let guard = match emulator.faults().inject(fault) {
            Ok(guard) => guard,
            Err(why) => {
                error("a fault that means nothing", &why);
                continue;
            }
        };
        debug("FaultGuard", &guard);
        let producer = producer(&with_key(KEY), endpoint);
        if let Err(why) = timeout(LONGEST, producer.send("x")).await.expect("it hangs") {
            error("a fault", &why);
        }
        debug("Faults", &emulator.faults().list());
        debug("Health among faults", &producer.health());
    }
}

/// SASL `PLAIN`, which no client of ours uses: by the engine alone.
async fn plain(port: u16) {
    for (user, password) in [("plain", PLAIN_KEY), ("plain", WRONG_KEY)] {
        let sasl = SaslProfile::Plain { user: user.to_owned(), password: password.to_owned() };
        let mut engine = Connection::client(Config { sasl, ..Config::default() }, Moment::ORIGIN);
        let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let mut buffer = vec![0; 4096];
        for _ in 0..3 {
            while let Some(bytes) = engine.poll_output(Moment::ORIGIN) {
                socket.write_all(&bytes).await.unwrap();
            }
            let read = timeout(LONGEST, socket.read(&mut buffer)).await.unwrap().unwrap_or(0);
            engine.feed(bytes::Bytes::copy_from_slice(&buffer[..read]), Moment::ORIGIN);
            while let Some(event) = engine.poll_event() {
                debug("Event", &event);
            }
            debug("amqp::Connection", &engine);
        }
    }
    // The other end, which is told the password.
    let sasl = SaslProfile::Plain { user: "plain".to_owned(), password: PLAIN_KEY.to_owned() };
    let mut client = Connection::client(Config { sasl, ..Config::default() }, Moment::ORIGIN);
    let mut server = Connection::server(Config::default(), Moment::ORIGIN);
    for _ in 0..3 {
        while let Some(bytes) = client.poll_output(Moment::ORIGIN) {
            server.feed(bytes, Moment::ORIGIN);
        }
        while let Some(bytes) = server.poll_output(Moment::ORIGIN) {
            client.feed(bytes, Moment::ORIGIN);
        }
    }
    while let Some(event) = server.poll_event() {
        debug("Event at the server", &event);
    }
}

async fn over_http(port: u16) {
    let good = sign("http://localhost/", "app", KEY, in_an_hour());
    let bad = sign("http://localhost/", "app", WRONG_KEY, in_an_hour());
    for token in [good.as_str(), bad.as_str(), JWT, NO_TOKEN] {
        for (request, body) in [
            ("POST /orders/messages", "hello"),
            ("POST /nobody/messages", "hello"),
            ("PUT /audit", "<PartitionCount>many</PartitionCount>"),
            ("GET /$Resources/EventHubs", ""),
            ("GET /$faults", ""),
            ("GET /status", ""),
            ("GET /nothing/at/all/here", ""),
            ("GET /$servicebus/websocket", ""),
        ] {
            let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let text = format!(
                "{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: {token}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            socket.write_all(text.as_bytes()).await.unwrap();
            let mut answer = String::new();
            timeout(LONGEST, socket.read_to_string(&mut answer)).await.unwrap().unwrap();
            see(format!("the answer to {request}"), answer);
        }
    }
}

fn in_an_hour() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap() + 3600
}

/// A wire that keeps what clients say, for the tokens in it.
struct Tap {
    port: u16,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Tap {
    async fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let keeps = heard.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let keeps = keeps.clone();
                tokio::spawn(async move {
                    let server = TcpStream::connect(("127.0.0.1", target)).await.unwrap();
                    let (mut from_client, mut to_client) = client.into_split();
                    let (mut from_server, mut to_server) = server.into_split();
                    let out = async move {
                        let mut buffer = vec![0; 16 * 1024];
                        while let Ok(read) = from_client.read(&mut buffer).await
                            && read > 0
                        {
                            keeps.lock().unwrap().extend_from_slice(&buffer[..read]);
                            if to_server.write_all(&buffer[..read]).await.is_err() {
                                break;
                            }
                        }
                    };
                    let back = async move {
                        let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
                        let _ = to_client.shutdown().await;
                    };
                    tokio::join!(out, back);
                });
            }
        });
        Tap { port, heard }
    }

    /// The signatures in what was heard: those of AMQP over TCP and HTTP; in WebSockets they are masked.
    fn signatures(&self) -> Vec<String> {
        let heard = String::from_utf8_lossy(&self.heard.lock().unwrap()).into_owned();
        let mut signatures: Vec<String> = heard
            .split("&sig=")
            .skip(1)
            .map(|rest| {
                let encoded = rest.split('&').next().unwrap();
                percent_encoding::percent_decode_str(encoded).decode_utf8().unwrap().into_owned()
            })
            .collect();
        signatures.sort();
        signatures.dedup();
        signatures
    }
}
