//! Storage as a script: what it answers is said here, and what it was asked is looked at. Real storage is met in
//! `tests/interop`.

use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::client::AccessToken;
use crate::model::value::Timestamp;

const OK: &str = "HTTP/1.1 200 OK\r\netag: \"0x8D1\"\r\nlast-modified: Sat, 21 Nov 2026 19:02:50 GMT\r\ncontent-length: 0\r\n\r\n";
const SECRET: &str = "sv=2021&sig=HUSH%3D";

/// What a scripted storage does with a request.
#[derive(Clone, Copy)]
enum Act {
    Say(&'static str),
    Status(&'static str),
    Xml(&'static str),
    /// Takes the request and never answers.
    Silent,
    /// Takes the request and hangs up.
    HangUp,
    /// Sends a byte at a time, for ever.
    Drip,
}

struct Scripted {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    /// Answers as the script says, request by request, whatever connection they come on; the last one again and again.
    async fn start(script: &'static [Act]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = asked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, script, seen.clone()));
            }
        });
        Scripted { port, asked }
    }

    fn store(&self) -> BlobStore {
        let url = format!("http://127.0.0.1:{}/groups?{SECRET}", self.port);
        let retry = RetryOptions {
            base_delay: Duration::from_millis(5),
            attempt_timeout: Duration::from_millis(100),
            total_deadline: Some(Duration::from_millis(600)),
            ..RetryOptions::default()
        };
        BlobStore::from_sas_url(url).unwrap().with_retry(retry)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, script: &'static [Act], seen: Arc<Mutex<Vec<String>>>) {
    loop {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => request.push(byte),
                Err(_) => return,
            }
        }
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.push(String::from_utf8(request).unwrap());
            seen.len() - 1
        };
        let answer = match script[number.min(script.len() - 1)] {
            Act::Say(answer) => answer.to_owned(),
            Act::Status(status) => {
                let code = status.split(' ').nth(1).unwrap_or_default();
                format!(
                    "HTTP/1.1 {status}\r\nx-ms-error-code: {code}\r\nx-ms-request-id: r1\r\ncontent-length: 0\r\n\r\n"
                )
            }
            Act::Xml(xml) => format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{xml}", xml.len()),
            Act::Silent => std::future::pending().await,
            Act::HangUp => return,
            Act::Drip => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await;
                while stream.write_all(b" ").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                return;
            }
        };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn group() -> ConsumerGroup {
    ConsumerGroup {
        namespace: "Contoso.servicebus.windows.net".into(),
        event_hub: "Orders".into(),
        name: "$Default".into(),
    }
}

fn owned(etag: &str) -> Ownership {
    Ownership { etag: Some(etag.into()), ..Ownership::new("7", "me") }
}

#[tokio::test]
async fn requests_are_those_of_the_official_clients() {
    let storage = Scripted::start(&[
        Act::Say(OK),
        Act::Say(OK),
        Act::Status("404 BlobNotFound"),
        Act::Say(OK),
        Act::Xml("<EnumerationResults/>"),
    ])
    .await;
    let store = storage.store();
    let won = store.claim_ownership(&group(), &[Ownership::new("7", "me")]).await.unwrap().records;
    assert_eq!(won[0].etag.as_deref(), Some("0x8D1"));
    assert_eq!(won[0].last_modified, Some(Timestamp::from_millis(1_795_287_770_000)));
    store.claim_ownership(&group(), &won).await.unwrap();
    store.update_checkpoint(&group(), &Checkpoint::new("7", "4096", 17)).await.unwrap();
    assert!(store.list_checkpoints(&group()).await.unwrap().records.is_empty());

    let asked = storage.asked();
    let base = "/groups/contoso.servicebus.windows.net/orders/%24default";
    let has = |number: usize, line: &str| {
        let request: &String = &asked[number];
        assert!(request.contains(line), "'{line}' is missing in {request}");
    };
    has(0, &format!("PUT {base}/ownership/7?{SECRET} HTTP/1.1\r\n"));
    for line in [
        "if-none-match: *\r\n",
        "x-ms-blob-type: BlockBlob\r\n",
        "x-ms-meta-ownerid: me\r\n",
        "content-length: 0\r\n",
    ] {
        has(0, line);
    }
    has(1, &format!("PUT {base}/ownership/7?comp=metadata&{SECRET} HTTP/1.1\r\n"));
    has(1, "if-match: \"0x8D1\"\r\n");
    has(2, &format!("PUT {base}/checkpoint/7?comp=metadata&{SECRET} HTTP/1.1\r\n"));
    has(2, "x-ms-meta-offset: 4096\r\n");
    has(2, "x-ms-meta-sequencenumber: 17\r\n");
    has(3, &format!("PUT {base}/checkpoint/7?{SECRET} HTTP/1.1\r\n"));
    has(3, "x-ms-blob-type: BlockBlob\r\n");
    has(
        4,
        "GET /groups?restype=container&comp=list&prefix=contoso.servicebus.windows.net%2Forders%2F%24default%2Fcheckpoint%2F&include=metadata&maxresults=5000&",
    );
    has(3, "if-none-match: *\r\n");
    assert!(!asked[2].contains("if-"), "{asked:?}");
}

#[tokio::test]
async fn a_lost_race_is_left_out() {
    for status in ["412 ConditionNotMet", "409 BlobAlreadyExists", "404 BlobNotFound"] {
        let storage = Scripted::start(Box::leak(Box::new([Act::Status(status)]))).await;
        let claim = if status.starts_with("409") { Ownership::new("7", "me") } else { owned("1") };
        let won = storage.store().claim_ownership(&group(), &[claim]).await.unwrap();
        assert!(won.records.is_empty() && won.failures.is_empty(), "{status}");
        assert_eq!(storage.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_claim_that_was_won_by_an_attempt_without_an_answer_is_won() {
    const MINE: &str = "HTTP/1.1 200 OK\r\netag: \"2\"\r\nx-ms-meta-ownerid: me\r\nlast-modified: Sat, 21 Nov 2026 19:02:50 GMT\r\n\r\n";
    const THEIRS: &str = "HTTP/1.1 200 OK\r\netag: \"2\"\r\nx-ms-meta-ownerid: you\r\n\r\n";
    let lost = Act::Status("412 ConditionNotMet");
    for (first, last, wins) in [
        (Act::HangUp, Act::Say(MINE), true),
        (Act::Silent, Act::Say(MINE), true),
        (Act::Status("500 InternalError"), Act::Say(MINE), true),
        (Act::HangUp, Act::Say(THEIRS), false),
    ] {
        let storage = Scripted::start(Box::leak(Box::new([first, lost, last]))).await;
        let won = storage.store().claim_ownership(&group(), &[owned("1")]).await.unwrap();
        assert_eq!(won.records.len(), usize::from(wins));
        assert!(storage.asked()[2].starts_with("HEAD "));
        if wins {
            assert_eq!(won.records[0].etag.as_deref(), Some("2"));
        }
    }
}

#[tokio::test]
async fn whatever_storage_does_there_is_a_clear_error_within_the_deadline() {
    for (act, kind, said, is_transient) in [
        (Act::Silent, ErrorKind::Timeout, "no answer within", true),
        (Act::Drip, ErrorKind::Timeout, "no answer within", true),
        (Act::HangUp, ErrorKind::ConnectFailed, "cannot be reached", true),
        (Act::Say("SSH-2.0-OpenSSH\r\n\r\n"), ErrorKind::ConnectFailed, "cannot be reached", true),
        (
            Act::Say("HTTP/1.1 302 Found\r\nlocation: http://x\r\ncontent-length: 0\r\n\r\n"),
            ErrorKind::Rejected,
            "302",
            false,
        ),
        (Act::Status("500 InternalError"), ErrorKind::Internal, "500 InternalError", true),
        (Act::Status("503 ServerBusy"), ErrorKind::ServerBusy, "503 ServerBusy", true),
        (Act::Status("403 AuthenticationFailed"), ErrorKind::Unauthorized, "clock", false),
        (Act::Status("404 ContainerNotFound"), ErrorKind::NotFound, "create_container", false),
        (Act::Status("409 BlobImmutableDueToPolicy"), ErrorKind::Rejected, "409 BlobImmutable", false),
        (Act::Status("412 LeaseIdMissing"), ErrorKind::Rejected, "412 LeaseIdMissing", false),
    ] {
        let storage = Scripted::start(Box::leak(Box::new([act]))).await;
        let (store, begun) = (storage.store(), now());
        let errors = [
            store.list_ownership(&group()).await.unwrap_err(),
            store.claim_ownership(&group(), &[owned("1")]).await.unwrap_err(),
            store.list_checkpoints(&group()).await.unwrap_err(),
            store.update_checkpoint(&group(), &Checkpoint::new("0", "1", 1)).await.unwrap_err(),
        ];
        // Four operations of 0.6 s at most, on a machine that does other things too.
        assert!(now() - begun < Duration::from_secs(10), "{said}");
        for error in errors {
            let text = format!("{error} {error:?} {store:?}");
            assert_eq!((error.kind(), error.is_transient()), (kind, is_transient), "{text}");
            assert!(
                text.contains(said) && text.contains("Contoso.servicebus.windows.net/Orders/$Default"),
                "{text}"
            );
            assert!(!text.contains("HUSH") && !text.contains("sig="), "{text}");
            assert!(error.attempts() >= 1 && (is_transient || error.attempts() == 1), "{text}");
        }
    }
}

#[tokio::test]
async fn what_is_no_listing_is_an_error_and_not_an_empty_group() {
    for xml in ["<html></html>", "<EnumerationResults><Blobs>", "not found"] {
        let storage = Scripted::start(Box::leak(Box::new([Act::Xml(xml)]))).await;
        let listed = storage.store().list_checkpoints(&group()).await;
        let error = listed.expect_err(xml);
        assert!(error.kind() == ErrorKind::Protocol && error.to_string().contains("no listing"), "{error}");
    }
}

#[tokio::test]
async fn a_passing_failure_is_passed() {
    let storage = Scripted::start(&[Act::HangUp, Act::Status("503 ServerBusy"), Act::Say(OK)]).await;
    let store = storage
        .store()
        .with_retry(RetryOptions { base_delay: Duration::from_millis(5), ..RetryOptions::default() });
    store.update_checkpoint(&group(), &Checkpoint::new("0", "1", 1)).await.unwrap();
    assert_eq!(storage.asked().len(), 3);
}

/// What a request is, and under which condition.
fn brief(request: &str) -> String {
    let method = request.split(' ').next().unwrap_or_default();
    let condition = request.lines().find(|line| line.starts_with("if-")).unwrap_or("-");
    format!("{method} {condition}")
}

const BEHIND: &str =
    "HTTP/1.1 200 OK\r\netag: \"0x8D2\"\r\nx-ms-meta-sequencenumber: 1\r\ncontent-length: 0\r\n\r\n";
const AHEAD: &str =
    "HTTP/1.1 200 OK\r\netag: \"0x8D2\"\r\nx-ms-meta-sequencenumber: 50\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn a_checkpoint_names_the_version_that_it_replaces_so_that_one_that_is_late_replaces_nothing_newer() {
    let script = &[Act::Say(OK), Act::Status("412 ConditionNotMet"), Act::Say(BEHIND), Act::Say(OK)];
    let storage = Scripted::start(script).await;
    let store = storage.store();
    for number in [1, 2] {
        store.update_checkpoint(&group(), &Checkpoint::new("0", "1", number)).await.unwrap();
    }
    let asked: Vec<String> = storage.asked().iter().map(|request| brief(request)).collect();
    // Somebody else has written since: who lives looks what is there, and replaces that.
    assert_eq!(asked, ["PUT -", "PUT if-match: \"0x8D1\"", "HEAD -", "PUT if-match: \"0x8D2\""]);
}

#[tokio::test]
async fn a_checkpoint_that_others_have_left_behind_meanwhile_does_not_put_the_group_back() {
    let script = &[
        Act::Say(OK),
        Act::Status("412 ConditionNotMet"),
        Act::Say(AHEAD),
        Act::Status("412 ConditionNotMet"),
        Act::Say(AHEAD),
        Act::Status("412 ConditionNotMet"),
        Act::Say(AHEAD),
        Act::Say(OK),
    ];
    let storage = Scripted::start(script).await;
    let store = storage.store();
    for number in [1, 2, 3, 51] {
        store.update_checkpoint(&group(), &Checkpoint::new("0", "1", number)).await.unwrap();
    }
    let asked: Vec<String> = storage.asked().iter().map(|request| brief(request)).collect();
    // Having looked is no leave to go back the next time.
    let known = "PUT if-match: \"0x8D1\"";
    let found = "PUT if-match: \"0x8D2\"";
    assert_eq!(asked, ["PUT -", known, "HEAD -", known, "HEAD -", known, "HEAD -", found]);
}

#[tokio::test]
async fn whoever_has_looked_may_go_back() {
    const BLOBS: &str = "<EnumerationResults><Blobs>\
        <Blob><Name>contoso.servicebus.windows.net/orders/$default/checkpoint/0</Name><Properties><Etag>7</Etag></Properties><Metadata><offset>9</offset><sequencenumber>50</sequencenumber></Metadata></Blob>\
        </Blobs></EnumerationResults>";
    let storage = Scripted::start(&[Act::Xml(BLOBS), Act::Say(OK)]).await;
    let store = storage.store();
    store.list_checkpoints(&group()).await.unwrap();
    store.update_checkpoint(&group(), &Checkpoint::new("0", "1", 2)).await.unwrap();
    assert_eq!(brief(&storage.asked()[1]), "PUT if-match: \"7\"");
}

#[tokio::test]
async fn the_first_checkpoint_of_a_partition_does_not_replace_one_that_was_written_meanwhile() {
    const NONE: Act = Act::Xml("<EnumerationResults/>");
    let there = Act::Status("409 BlobAlreadyExists");
    let script: &'static [Act] = Box::leak(Box::new([NONE, there, Act::Say(AHEAD)]));
    let storage = Scripted::start(script).await;
    let store = storage.store();
    store.list_checkpoints(&group()).await.unwrap();
    store.update_checkpoint(&group(), &Checkpoint::new("0", "1", 2)).await.unwrap();
    let asked: Vec<String> = storage.asked().iter().map(|request| brief(request)).collect();
    assert_eq!(asked, ["GET -", "PUT if-none-match: *", "HEAD -"]);
}

#[tokio::test]
async fn a_checkpoint_that_others_write_all_the_time_is_given_up_and_may_be_tried_again() {
    let script = &[
        Act::Status("412 ConditionNotMet"),
        Act::Say(BEHIND),
        Act::Status("412 ConditionNotMet"),
        Act::Say(BEHIND),
        Act::Status("412 ConditionNotMet"),
        Act::Say(BEHIND),
        Act::Status("412 ConditionNotMet"),
        Act::Say(BEHIND),
    ];
    let storage = Scripted::start(script).await;
    let error = storage.store().update_checkpoint(&group(), &Checkpoint::new("0", "1", 2)).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("others wrote the checkpoint"), "{error}");
    assert_eq!(storage.asked().len(), 8);
}

#[tokio::test]
async fn of_many_claims_those_that_fail_are_named_and_the_others_won() {
    let storage =
        Scripted::start(&[Act::Say(OK), Act::Status("403 AuthorizationFailure"), Act::Say(OK)]).await;
    let claims = ["0", "1", "2"].map(|partition| Ownership::new(partition, "me"));
    let answer = storage.store().claim_ownership(&group(), &claims).await.unwrap();
    assert_eq!((answer.records.len(), answer.failures.len()), (2, 1));
    assert_eq!(answer.failures[0].error.kind(), ErrorKind::Unauthorized);
}

#[tokio::test]
async fn a_corrupt_blob_is_named_and_the_others_are_listed() {
    const BLOBS: &str = "<EnumerationResults><Blobs>\
        <Blob><Name>contoso.servicebus.windows.net/orders/$default/checkpoint/0</Name><Properties><Etag>1</Etag></Properties><Metadata><offset>9</offset><sequencenumber>1</sequencenumber></Metadata></Blob>\
        <Blob><Name>contoso.servicebus.windows.net/orders/$default/checkpoint/1</Name><Properties><Etag>1</Etag></Properties><Metadata><SequenceNumber>1</SequenceNumber></Metadata></Blob>\
        <Blob><Name>contoso.servicebus.windows.net/orders/$default/checkpoint/2</Name><Properties><Etag>1</Etag></Properties><Metadata><Offset>9</Offset><sequencenumber /></Metadata></Blob>\
        <Blob><Name>contoso.servicebus.windows.net/orders/$default/checkpoint/3</Name><Properties><Etag>1</Etag></Properties><Metadata><offset>no offset</offset><sequencenumber>3</sequencenumber><clientidentifier>x</clientidentifier></Metadata></Blob>\
        <Blob><Name>contoso.servicebus.windows.net/orders/$default/checkpoint/4</Name><Properties><Etag>1</Etag></Properties><Metadata><offset>None</offset><sequencenumber>None</sequencenumber></Metadata></Blob>\
        <Blob><Name>contoso.servicebus.windows.net/orders/$default/checkpoint/5</Name><Properties><Etag>1</Etag></Properties><Metadata><offset>9</offset><sequencenumber>many</sequencenumber></Metadata></Blob>\
        <Blob><Name>contoso.servicebus.windows.net/orders/$default/checkpoint/6</Name><Properties><Etag>1</Etag></Properties><Metadata /></Blob>\
        <Blob><Name>contoso.servicebus.windows.net/orders/$default/checkpoint/deeper/7</Name><Properties><Etag>1</Etag></Properties><Metadata /></Blob>\
        <Blob><Name>contoso.servicebus.windows.net/orders/$default/checkpoint/8</Name><Properties><Etag>1</Etag></Properties><Metadata><hdi_isfolder>true</hdi_isfolder></Metadata></Blob>\
        </Blobs></EnumerationResults>";
    let storage = Scripted::start(&[Act::Xml(BLOBS)]).await;
    let listed = storage.store().list_checkpoints(&group()).await.unwrap();
    let offsets: Vec<_> =
        listed.records.iter().map(|one| (one.offset.as_deref(), one.sequence_number)).collect();
    assert_eq!(offsets, [(Some("9"), Some(1)), (None, Some(1)), (Some("9"), None), (None, Some(3))]);
    let failed: Vec<_> = listed.failures.iter().map(|failure| failure.partition_id.as_str()).collect();
    assert_eq!(failed, ["4", "5", "6"]);
    let said = listed.failures[1].error.to_string();
    assert!(said.contains("$default/checkpoint/5") && said.contains("'many'"), "{said}");
}

#[tokio::test]
async fn a_corrupt_ownership_is_named_and_can_be_replaced() {
    const BLOBS: &str = "<EnumerationResults><Blobs>\
        <Blob><Name>contoso.servicebus.windows.net/orders/$default/ownership/0</Name><Properties><Etag>5</Etag></Properties><Metadata><OwnerId>java</OwnerId></Metadata></Blob>\
        <Blob><Name>contoso.servicebus.windows.net/orders/$default/ownership/1</Name><Properties><Etag>6</Etag></Properties><Metadata /></Blob>\
        <Blob><Name>contoso.servicebus.windows.net/orders/$default/ownership/2</Name><Properties><Etag>7</Etag></Properties><Metadata><ownerid /></Metadata></Blob>\
        </Blobs></EnumerationResults>";
    let storage = Scripted::start(&[Act::Xml(BLOBS), Act::Say(OK)]).await;
    let store = storage.store();
    let listed = store.list_ownership(&group()).await.unwrap();
    assert_eq!(listed.records[0].owner_id, "java");
    assert!(listed.records[1].is_released());
    let [failure] = &listed.failures[..] else { panic!("{listed:?}") };
    assert_eq!((failure.partition_id.as_str(), failure.etag.as_deref()), ("1", Some("6")));
    let claim = Ownership { etag: failure.etag.clone(), ..Ownership::new("1", "me") };
    assert_eq!(store.claim_ownership(&group(), &[claim]).await.unwrap().records.len(), 1);
    assert!(storage.asked()[1].contains("if-match: \"6\"\r\n"));
}

#[tokio::test]
async fn a_next_page_that_is_always_the_same_ends() {
    const PAGE: &str = "<EnumerationResults><Blobs/><NextMarker>again</NextMarker></EnumerationResults>";
    let storage = Scripted::start(&[Act::Xml(PAGE)]).await;
    let error = storage.store().list_ownership(&group()).await.unwrap_err();
    assert!(error.to_string().contains("same next page"), "{error}");
}

#[tokio::test]
async fn a_token_is_asked_for_once_renewed_when_refused_and_never_printed() {
    let storage = Scripted::start(&[
        Act::Say(OK),
        Act::Say(OK),
        Act::Status("401 InvalidAuthenticationInfo"),
        Act::Say(OK),
    ])
    .await;
    let given: Arc<Mutex<Vec<String>>> = Arc::default();
    let gives = given.clone();
    let provider = move |audience: String| {
        gives.lock().unwrap().push(audience);
        let number = gives.lock().unwrap().len();
        let later = Timestamp::from_millis(crate::runtime::unix_now().as_millis() + 3_600_000);
        std::future::ready(Ok(AccessToken::jwt(format!("HUSH{number}"), later)))
    };
    let url = format!("http://127.0.0.1:{}/groups", storage.port);
    let store = BlobStore::from_token_provider(url, provider).unwrap();
    for number in 0..3 {
        store.update_checkpoint(&group(), &Checkpoint::new("0", "1", number)).await.unwrap();
    }
    assert_eq!(*given.lock().unwrap(), ["https://storage.azure.com/", "https://storage.azure.com/"]);
    let asked = storage.asked();
    assert!(
        asked[2].contains("authorization: Bearer HUSH1\r\n")
            && asked[3].contains("authorization: Bearer HUSH2\r\n")
    );
    assert!(!format!("{store:?}").contains("HUSH"));
    let far = BlobStore::from_token_provider("http://contoso.example/groups", |_: String| async {
        Err("no".into())
    });
    assert_eq!(far.unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[tokio::test]
async fn a_provider_that_fails_is_said_to() {
    let storage = Scripted::start(&[Act::Say(OK)]).await;
    let url = format!("http://127.0.0.1:{}/groups", storage.port);
    let store =
        BlobStore::from_token_provider(url, |_: String| async { Err("the vault is shut".into()) }).unwrap();
    let store =
        store.with_retry(RetryOptions { base_delay: Duration::from_millis(1), ..RetryOptions::default() });
    let error = store.list_ownership(&group()).await.unwrap_err();
    assert!(
        error.kind() == ErrorKind::Unauthorized && error.to_string().contains("the vault is shut"),
        "{error}"
    );
    assert!(storage.asked().is_empty());
}

#[test]
fn urls_without_a_signature_are_refused_without_being_printed() {
    for url in ["https://c.blob.core.windows.net/groups", "https://c.blob.core.windows.net/groups?sv=HUSH"] {
        let error = BlobStore::from_sas_url(url).unwrap_err().to_string();
        assert!(error.contains("no signature") && !error.contains("HUSH"), "{error}");
    }
}
