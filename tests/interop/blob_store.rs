//! Our blob store on Azurite, alone and beside the official stores of other languages: what one writes the others
//! read, renew and take over.

use std::process::Stdio;
use std::time::Duration;

use eventhubs::RetryOptions;
use eventhubs::checkpoint::{BlobStore, Checkpoint, CheckpointStore, ConsumerGroup, Ownership, contract};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

use super::support::{Language, soon};

pub(super) const CONTAINER: &str = "groups";
/// Of Azurite's documentation: every emulator of storage has it.
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Storage, which ends with it.
pub(super) struct Azurite {
    pub(super) connection_string: String,
    _child: Child,
}

impl Azurite {
    /// Nothing where it is not installed, which only `cargo xtask test interop` sees to.
    pub(super) async fn start() -> Option<Self> {
        let mut command =
            Language::JavaScript.script_in("stores", "node_modules/azurite/dist/src/blob/main.js")?;
        command.args([
            "--blobHost",
            "127.0.0.1",
            "--blobPort",
            "0",
            "--inMemoryPersistence",
            // The official JavaScript SDK asks for a newer version of storage than it knows.
            "--skipApiVersionCheck",
            "--disableTelemetry",
        ]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let endpoint = loop {
            let line = soon(lines.next_line()).await.unwrap().expect("Azurite ended before it listened");
            if let Some((_, endpoint)) = line.split_once("listens on ") {
                break endpoint.trim().to_owned();
            }
        };
        // It logs every request, and must not wait for someone to read that.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let connection_string = format!(
            "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={KEY};\
             BlobEndpoint={endpoint}/devstoreaccount1;"
        );
        let azurite = Azurite { connection_string, _child: child };
        azurite.store().create_container().await.unwrap();
        Some(azurite)
    }

    pub(super) fn store(&self) -> BlobStore {
        let store = BlobStore::from_connection_string(&self.connection_string, CONTAINER).unwrap();
        // A machine that does other things too: the suite is about what is answered, not about when.
        let patient = Some(Duration::from_secs(110));
        store.with_retry(RetryOptions { total_deadline: patient, ..RetryOptions::default() })
    }

    async fn official(&self, language: Language) -> Official {
        let mut command = match language {
            Language::Python => language.script("store.py"),
            Language::JavaScript => language.script_in("stores", "store.mjs"),
        }
        .unwrap();
        let group = theirs();
        command.args([&self.connection_string, CONTAINER, &group.namespace, &group.event_hub, &group.name]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Official { stdin, lines: BufReader::new(stdout).lines(), _child: child }
    }
}

/// The store of an official SDK in a process of its own.
struct Official {
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Official {
    async fn asks(&mut self, what: Json) -> Json {
        self.stdin.write_all(format!("{what}\n").as_bytes()).await.unwrap();
        let line = soon(self.lines.next_line()).await.unwrap().expect("the official store ended");
        serde_json::from_str(&line).unwrap()
    }

    async fn does(&mut self, what: Json) -> Vec<Json> {
        match self.asks(what).await {
            Json::Array(records) => records,
            other => panic!("the official store failed: {other}"),
        }
    }

    async fn claims(&mut self, partition: &str, owner: &str, etag: Option<&str>) -> Vec<Json> {
        let claim = json!({"partition": partition, "owner": owner, "etag": etag});
        self.does(json!({"verb": "claim", "claims": [claim]})).await
    }

    async fn owner_of(&mut self, partition: &str) -> Json {
        let owners = self.does(json!({"verb": "owners"})).await;
        owners.into_iter().find(|one| one["partition"] == partition).expect("it lists no such partition")
    }
}

/// As the official SDKs are given it; ours is given it in another case.
fn theirs() -> ConsumerGroup {
    ConsumerGroup {
        namespace: "Contoso.ServiceBus.windows.net".into(),
        event_hub: "Orders".into(),
        name: "$Default".into(),
    }
}

fn ours() -> ConsumerGroup {
    ConsumerGroup {
        namespace: "contoso.servicebus.windows.net".into(),
        event_hub: "ORDERS".into(),
        name: "$default".into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_blob_store_keeps_every_promise_on_azurite() {
    let Some(azurite) = Azurite::start().await else { return };
    let kept = contract::check(async || Ok(azurite.store())).await;
    kept.unwrap_or_else(|broken| panic!("{broken}"));
}

#[tokio::test]
async fn a_container_can_be_made_twice_and_its_absence_is_said() {
    let Some(azurite) = Azurite::start().await else { return };
    azurite.store().create_container().await.unwrap();
    let missing = BlobStore::from_connection_string(&azurite.connection_string, "missing").unwrap();
    for error in [
        missing.list_ownership(&ours()).await.unwrap_err(),
        missing.claim_ownership(&ours(), &[Ownership::new("0", "me")]).await.unwrap_err(),
        missing.update_checkpoint(&ours(), &Checkpoint::new("0", "1", 1)).await.unwrap_err(),
    ] {
        assert!(error.code() == "not-found" && error.to_string().contains("create_container"), "{error}");
    }
    let wrong = azurite.connection_string.replace("Eby8", "Eby9");
    let wrong = BlobStore::from_connection_string(wrong, CONTAINER).unwrap();
    let error = wrong.list_ownership(&ours()).await.unwrap_err();
    assert!(error.code() == "unauthorized" && !error.is_transient(), "{error}");
}

#[tokio::test]
async fn python_and_ours_share_a_group() {
    share_a_group(Language::Python).await;
}

#[tokio::test]
async fn javascript_and_ours_share_a_group() {
    share_a_group(Language::JavaScript).await;
}

async fn share_a_group(language: Language) {
    let Some(azurite) = Azurite::start().await else { return };
    let (store, group) = (azurite.store(), ours());
    let mut official = azurite.official(language).await;

    // Theirs: read, renewed by it, taken over by ours.
    let first = official.claims("0", "them", None).await;
    let listed = store.list_ownership(&group).await.unwrap().records.remove(0);
    assert_eq!((listed.partition_id.as_str(), listed.owner_id.as_str()), ("0", "them"));
    assert_eq!(listed.last_modified.map(|time| time.as_millis()), first[0]["modified"].as_i64());
    let renewed = official.claims("0", "them", first[0]["etag"].as_str()).await;
    assert_eq!(renewed.len(), 1);
    let lost = store.claim_ownership(&group, &[listed.claimed_by("us")]).await.unwrap();
    assert!(lost.records.is_empty() && lost.failures.is_empty(), "{lost:?}");
    let listed = store.list_ownership(&group).await.unwrap().records.remove(0);
    let ours = store.claim_ownership(&group, &[listed.claimed_by("us")]).await.unwrap().records.remove(0);
    assert!(
        official.claims("0", "them", renewed[0]["etag"].as_str()).await.is_empty(),
        "it renewed what it lost"
    );

    // Ours: read, renewed by us, taken over by theirs.
    let seen = official.owner_of("0").await;
    assert_eq!(
        (&seen["owner"], seen["modified"].as_i64()),
        (&json!("us"), ours.last_modified.map(|t| t.as_millis()))
    );
    let again = store.claim_ownership(&group, std::slice::from_ref(&ours)).await.unwrap().records.remove(0);
    assert!(
        official.claims("0", "them", seen["etag"].as_str()).await.is_empty(),
        "it stole with an old version"
    );
    let seen = official.owner_of("0").await;
    assert_eq!(official.claims("0", "them", seen["etag"].as_str()).await.len(), 1);
    assert!(store.claim_ownership(&group, &[again]).await.unwrap().records.is_empty());

    // Given up by either, taken by the other.
    let listed = store.list_ownership(&group).await.unwrap().records.remove(0);
    official.claims("0", "", listed.etag.as_deref()).await;
    let free = store.list_ownership(&group).await.unwrap().records.remove(0);
    assert!(free.is_released());
    let ours = store.claim_ownership(&group, &[free.claimed_by("us")]).await.unwrap().records.remove(0);
    store.claim_ownership(&group, &[ours.claimed_by("")]).await.unwrap();
    let free = official.owner_of("0").await;
    // Python takes an empty element for none.
    assert!(free["owner"] == "" || free["owner"].is_null(), "{free}");
    assert_eq!(official.claims("0", "them", free["etag"].as_str()).await.len(), 1);

    // A first claim of ours does not take what is theirs.
    assert!(store.claim_ownership(&group, &[Ownership::new("0", "us")]).await.unwrap().records.is_empty());
    store.claim_ownership(&group, &[Ownership::new("1", "us")]).await.unwrap();
    assert_eq!(official.owner_of("1").await["owner"], "us");

    // Checkpoints go back and forth.
    let offset = "4611686018427387904";
    official.does(json!({"verb": "checkpoint", "partition": "0", "offset": offset, "number": 17})).await;
    assert_eq!(store.list_checkpoints(&group).await.unwrap().records, [Checkpoint::new("0", offset, 17)]);
    store.update_checkpoint(&group, &Checkpoint::new("0", "8192", 18)).await.unwrap();
    store.update_checkpoint(&group, &Checkpoint::new("1", "0", 0)).await.unwrap();
    let seen = official.does(json!({"verb": "checkpoints"})).await;
    assert_eq!(
        seen,
        [
            json!({"partition": "0", "offset": "8192", "number": 18}),
            json!({"partition": "1", "offset": "0", "number": 0})
        ]
    );
    official.does(json!({"verb": "checkpoint", "partition": "1", "offset": "9", "number": 9})).await;
    assert_eq!(store.list_checkpoints(&group).await.unwrap().records[1], Checkpoint::new("1", "9", 9));
}

#[tokio::test]
async fn of_stores_of_all_languages_that_race_one_wins() {
    let Some(azurite) = Azurite::start().await else { return };
    let (store, group) = (azurite.store(), ours());
    let mut python = azurite.official(Language::Python).await;
    let mut javascript = azurite.official(Language::JavaScript).await;
    // With the version of the record: JavaScript's first claims are not guarded against each other.
    store.claim_ownership(&group, &[Ownership::new("0", "")]).await.unwrap();
    for _ in 0..10 {
        let known = store.list_ownership(&group).await.unwrap().records.remove(0);
        let claim = [known.claimed_by("rust")];
        let (rust, python, javascript) = tokio::join!(
            store.claim_ownership(&group, &claim),
            python.claims("0", "python", known.etag.as_deref()),
            javascript.claims("0", "javascript", known.etag.as_deref()),
        );
        let won = rust.unwrap().records.len() + python.len() + javascript.len();
        assert_eq!(won, 1);
    }
}
