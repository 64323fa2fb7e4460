//! Answers that must be refused, and the honest ones beside them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stellar_xdr::{
    AlphaNum4, Asset, AssetCode4, ClaimableBalanceEntry, ClaimableBalanceEntryExt, LedgerEntryData, LedgerKey,
    LedgerKeyClaimableBalance, Limits, TransactionResultResult, WriteXdr,
};
use tradepost_ledger::{Auth, Found, Funded, Ledger, LedgerError, RpcConfig, RpcLedger, Submitted, TxStatus};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::intent::queue;
use tradepost_protocol::message::BalanceId;
use tradepost_protocol::stellar::entry::Entry;
use tradepost_protocol::stellar::ledger_key::Key;
use tradepost_protocol::stellar::{LedgerPoint, balance_id};
use tradepost_protocol::time::Timestamp;

use crate::answers::{self, PASSPHRASE, account_key, base64, close_time, config, connect, honest, quick};
use crate::server::{Question, Reply, Server};

/// Makes an honest answer a dishonest one.
type Bend = fn(&mut Value);
/// Makes an answer.
type Make<T> = fn() -> T;

/// A server that is honest as of ledger 9, but for one method.
async fn bent(method: &'static str, mut reply: impl FnMut(&Question) -> Reply + Send + 'static) -> Server {
    Server::start(move |q| if q.method == method { reply(q) } else { honest(q, 9) }).await
}

/// What comes of a `getNetwork` that is answered like this.
async fn network_error(reply: impl Fn() -> Reply + Send + 'static) -> LedgerError {
    let server = Server::start(move |_| reply()).await;
    let error = RpcLedger::connect(config(&server), PASSPHRASE).await.unwrap_err();
    assert!(error.to_string().contains(&server.url), "it names the endpoint: {error}");
    error
}

#[tokio::test]
async fn an_honest_server_is_understood() {
    let server = Server::start(|q| honest(q, 9)).await;
    let ledger = connect(&server).await;
    let head = ledger.head().await.unwrap();
    assert_eq!(head.ledger.sequence, 9);
    assert_eq!(head.ledger.close_time.secs(), close_time(9));
    assert_eq!(head.params.base_fee.get(), 100);
    assert_eq!(head.params.base_reserve.get(), 5_000_000);
    assert_eq!(ledger.totals().await.unwrap().fee_pool.get(), 700);
    assert_eq!(ledger.network().await.unwrap().protocol_version, 27);
    assert_eq!(ledger.fees().await.unwrap().p90.get(), 300);
    for question in server.asked() {
        assert!(question.params.is_object(), "parameters are an object: {question:?}");
    }
}

#[tokio::test]
async fn an_endpoint_of_another_network_is_refused_with_both_named() {
    let server = Server::start(|_| Reply::Result(json!({ "passphrase": "Elsewhere", "protocolVersion": 27 }))).await;
    let error = RpcLedger::connect(config(&server), PASSPHRASE).await.unwrap_err();
    assert!(matches!(error, LedgerError::WrongNetwork { .. }));
    let text = error.to_string();
    for part in [server.url.as_str(), "Elsewhere", PASSPHRASE] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[tokio::test]
async fn answers_that_are_no_json_rpc_are_refused() {
    let bodies: &[&str] = &[
        "",
        "<html>welcome</html>",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"passphr",
        "[]",
        "null",
        "{\"jsonrpc\":\"2.0\",\"id\":1}",
        "{\"jsonrpc\":\"1.0\",\"id\":1,\"result\":{\"passphrase\":\"x\",\"protocolVersion\":1}}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[]}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"passphrase\":7,\"protocolVersion\":1}}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"passphrase\":\"x\",\"protocolVersion\":-1}}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"passphrase\":\"x\",\"protocolVersion\":1},\"error\":{\"code\":1}}",
    ];
    for body in bodies {
        let error = network_error(move || Reply::Http(200, "", body.as_bytes().to_vec())).await;
        assert!(matches!(error, LedgerError::Garbled { .. }), "{body}: {error}");
    }
    let deep = "[".repeat(200_000);
    let error = network_error(move || Reply::Http(200, "", deep.clone().into_bytes())).await;
    assert!(matches!(error, LedgerError::Garbled { .. }), "{error}");
}

#[tokio::test]
async fn an_answer_to_another_question_is_refused() {
    for id in [json!(999), json!("1"), json!(null), json!([1])] {
        let body = json!({ "jsonrpc": "2.0", "id": id, "result": answers::network() }).to_string();
        let error = network_error(move || Reply::Http(200, "", body.clone().into_bytes())).await;
        assert!(matches!(error, LedgerError::Contradiction { .. }), "{id}: {error}");
    }
}

#[tokio::test]
async fn a_huge_answer_is_cut_off() {
    let error = network_error(|| Reply::Endless).await;
    assert!(matches!(error, LedgerError::TooLarge { .. }), "{error}");
    let error = network_error(|| Reply::CutOff(1 << 40, b"{".to_vec())).await;
    assert!(matches!(error, LedgerError::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn an_endpoint_that_is_slow_without_end_is_given_up() {
    for reply in [|| Reply::Trickle(vec![b' '; 100_000]), || Reply::Silence] {
        let server = Server::start(move |_| reply()).await;
        let mut config = config(&server);
        config.patience.one_try = Duration::from_millis(300);
        let started = Instant::now();
        let error = RpcLedger::connect(config, PASSPHRASE).await.unwrap_err();
        assert!(matches!(error, LedgerError::Unreachable { tries: 3, .. }), "{error}");
        assert!(error.to_string().contains("no answer in time"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(8));
    }
}

#[tokio::test]
async fn all_tries_together_have_one_deadline() {
    let server = Server::start(|_| Reply::Silence).await;
    let mut config = config(&server);
    config.patience.tries = 1_000;
    config.patience.one_try = Duration::from_millis(100);
    config.patience.call = Duration::from_millis(500);
    let started = Instant::now();
    assert!(RpcLedger::connect(config, PASSPHRASE).await.is_err());
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}

#[tokio::test]
async fn what_fails_in_passing_is_tried_again() {
    let faults: [Make<Reply>; 4] = [
        || Reply::Http(429, "retry-after: 0\r\n", Vec::new()),
        || Reply::Http(503, "", Vec::new()),
        || Reply::CutOff(100, b"{".to_vec()),
        || Reply::Error(-32603, "core unreachable"),
    ];
    for fault in faults {
        let mut asked = 0;
        let server = bent("getNetwork", move |q| {
            asked += 1;
            if asked < 3 { fault() } else { honest(q, 9) }
        })
        .await;
        connect(&server).await;
        assert_eq!(server.count("getNetwork"), 3);
    }
}

#[tokio::test]
async fn tries_are_bounded_and_the_last_fault_is_told() {
    let error = network_error(|| Reply::Http(429, "retry-after: 3600\r\n", Vec::new())).await;
    assert!(matches!(error, LedgerError::Busy { tries: 3, .. }), "{error}");
    let error = network_error(|| Reply::Http(502, "", Vec::new())).await;
    assert!(matches!(error, LedgerError::Status { status: 502, .. }), "{error}");
    let error = network_error(|| Reply::Error(-32603, "core unreachable")).await;
    assert!(error.to_string().contains("core unreachable"), "{error}");
    assert!(error.is_passing());
}

#[tokio::test]
async fn what_will_not_pass_is_not_tried_again() {
    let replies: [Make<Reply>; 5] = [
        || Reply::Http(302, "location: http://127.0.0.1:1/\r\n", Vec::new()),
        || Reply::Http(401, "", Vec::new()),
        || Reply::Http(404, "", Vec::new()),
        || Reply::Error(-32601, "method not found"),
        || Reply::Http(200, "", b"{".to_vec()),
    ];
    for reply in replies {
        let server = Server::start(move |_| reply()).await;
        let error = RpcLedger::connect(config(&server), PASSPHRASE).await.unwrap_err();
        assert!(!error.is_passing(), "{error}");
        assert_eq!(server.asked().len(), 1, "{error}");
    }
}

#[tokio::test]
async fn nobody_at_the_address_is_a_sentence() {
    let server = Server::start(|_| Reply::Silence).await;
    let url = server.url.clone();
    drop(server);
    let config = RpcConfig { patience: quick(), ..RpcConfig::new(&url) };
    let mut text = RpcLedger::connect(config, PASSPHRASE).await.unwrap_err().to_string();
    text.make_ascii_lowercase();
    assert!(text.contains(&url) && text.contains("refused") && text.contains("check its address"), "{text}");
}

#[tokio::test]
async fn the_token_is_sent_and_not_shown() {
    let server = Server::start(|q| honest(q, 9)).await;
    for auth in [Auth::Bearer("sesame".into()), Auth::Header { name: "x-api-key".into(), value: "sesame".into() }] {
        let mut config = config(&server);
        config.endpoints[0].auth = auth;
        let ledger = RpcLedger::connect(config, PASSPHRASE).await.unwrap();
        assert!(!format!("{ledger:?}").contains("sesame"));
    }
    let heads: Vec<String> = server.asked().iter().map(|q| q.head.to_lowercase()).collect();
    assert!(heads.iter().any(|h| h.contains("authorization: bearer sesame")));
    assert!(heads.iter().any(|h| h.contains("x-api-key: sesame")));
}

#[tokio::test]
async fn a_head_that_contradicts_its_header_is_refused() {
    let bend: [(&str, Bend); 6] = [
        ("hashes to", |v| v["id"] = json!("00".repeat(32))),
        ("with the header of ledger", |v| v["sequence"] = json!(10)),
        ("closed at", |v| v["closeTime"] = json!("1")),
        ("not a hash", |v| v["id"] = json!("zz")),
        ("base64", |v| v["headerXdr"] = json!("!!")),
        ("hashes to", |v| v["headerXdr"] = answers::latest(10)["headerXdr"].take()),
    ];
    for (part, bend) in bend {
        let server = bent("getLatestLedger", move |_| {
            let mut answer = answers::latest(9);
            bend(&mut answer);
            Reply::Result(answer)
        })
        .await;
        let error = RpcLedger::connect(config(&server), PASSPHRASE).await.unwrap_err();
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
}

#[tokio::test]
async fn a_ledger_that_goes_backwards_is_refused() {
    let sequence = Arc::new(AtomicU32::new(9));
    let shown = sequence.clone();
    let server = Server::start(move |q| match q.method.as_str() {
        "getLedgerEntries" => Reply::Result(json!({ "latestLedger": shown.load(Ordering::SeqCst) })),
        "getTransaction" => Reply::Result(answers::not_found(1, shown.load(Ordering::SeqCst))),
        _ => honest(q, shown.load(Ordering::SeqCst)),
    })
    .await;
    let ledger = connect(&server).await;
    let hash = answers::hash(&answers::envelope(0));
    sequence.store(8, Ordering::SeqCst);
    for error in [
        ledger.head().await.unwrap_err(),
        ledger.entries(&[account_key(1)]).await.unwrap_err(),
        ledger.status(hash).await.unwrap_err(),
    ] {
        assert_eq!(error, LedgerError::Backwards { endpoint: server.url.clone(), shown: 9, now: 8 });
        assert!(error.is_passing());
    }
    sequence.store(9, Ordering::SeqCst);
    assert!(ledger.head().await.is_ok());
}

#[tokio::test]
async fn a_server_behind_a_balancer_that_lags_once_is_asked_again() {
    let mut heads = vec![9, 10, 8, 10].into_iter();
    let server = bent("getLatestLedger", move |_| Reply::Result(answers::latest(heads.next().unwrap()))).await;
    let ledger = connect(&server).await;
    assert_eq!(ledger.latest().await.unwrap().sequence, 10);
    assert_eq!(ledger.latest().await.unwrap().sequence, 10);
    assert_eq!(server.count("getLatestLedger"), 4);
}

#[tokio::test]
async fn repeats_for_a_server_that_lags_share_the_questions_deadline() {
    let mut asked = 0;
    let server = bent("getLatestLedger", move |_| {
        asked += 1;
        Reply::Result(answers::latest(if asked == 1 { 9 } else { 8 }))
    })
    .await;
    let mut config = config(&server);
    config.patience.call = Duration::from_secs(1);
    config.patience.first_pause = Duration::from_secs(3_600);
    config.patience.longest_pause = Duration::from_secs(3_600);
    let ledger = RpcLedger::connect(config, PASSPHRASE).await.unwrap();
    let started = Instant::now();
    let error = ledger.head().await.unwrap_err();
    assert!(matches!(error, LedgerError::Backwards { shown: 9, now: 8, .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
}

#[tokio::test]
async fn another_ledger_of_the_same_number_is_refused_as_a_reset() {
    let mut asked = 0;
    let server = bent("getLatestLedger", move |_| {
        asked += 1;
        let mut header = answers::header(9);
        header.fee_pool = asked;
        Reply::Result(answers::latest_of(&header))
    })
    .await;
    let ledger = connect(&server).await;
    let error = ledger.head().await.unwrap_err();
    assert!(matches!(&error, LedgerError::Reset { .. }), "{error}");
    assert_eq!(ledger.head().await.unwrap_err(), error);
    assert_eq!(server.count("getLatestLedger"), 2, "there is nobody left to ask");
}

#[tokio::test]
async fn entries_come_in_the_order_asked_with_their_sponsor_and_their_ledger() {
    let server = bent("getLedgerEntries", |q| {
        assert_eq!(q.params["keys"].as_array().unwrap().len(), 3, "a key is asked once");
        let mut sponsored = answers::entry(2);
        sponsored["extXdr"] = json!(base64(&answers::sponsored_by(7)));
        Reply::Result(json!({ "entries": [answers::entry(3), sponsored], "latestLedger": "9" }))
    })
    .await;
    let ledger = connect(&server).await;
    let keys = [account_key(1), account_key(2), account_key(3), account_key(2)];
    let seen = ledger.entries(&keys).await.unwrap();
    assert_eq!(seen.at().sequence, 9);
    assert_eq!(seen.newest.ledger.close_time.secs(), close_time(9));
    assert_eq!(seen.entries.iter().map(|e| e.key.clone()).collect::<Vec<_>>(), keys[1..3]);
    assert_eq!(seen.get(&keys[0]), None);
    assert_eq!(seen.get(&keys[1]).unwrap().sponsor, Some(AccountId::from_bytes([7; 32])));
    assert_eq!(seen.get(&keys[2]).unwrap().sponsor, None);
    assert_eq!(seen.get(&keys[2]).unwrap().data, answers::account(3));
    assert_eq!(server.count("getLatestLedger"), 1, "the head was known");
}

#[tokio::test]
async fn entries_that_were_not_asked_for_or_do_not_fit_are_refused() {
    let bend: [(&str, Make<Value>); 8] = [
        ("wasn't asked for", || json!([answers::entry(5)])),
        ("one key twice", || json!([answers::entry(1), answers::entry(1)])),
        ("3 entries to 2 keys", || json!([answers::entry(1), answers::entry(2), answers::entry(3)])),
        ("another entry", || {
            let mut entry = answers::entry(1);
            entry["xdr"] = answers::entry(2)["xdr"].take();
            json!([entry])
        }),
        ("was changed by ledger 10", || {
            let mut entry = answers::entry(1);
            entry["lastModifiedLedgerSeq"] = json!(10);
            json!([entry])
        }),
        ("can't be read", || {
            let mut entry = answers::entry(1);
            entry["key"] = json!("AAAA");
            json!([entry])
        }),
        ("can't be read", || {
            let mut entry = answers::entry(1);
            entry["extXdr"] = json!(null);
            json!([entry])
        }),
        ("can't be read", || json!({ "0": answers::entry(1) })),
    ];
    for (part, entries) in bend {
        let server =
            bent("getLedgerEntries", move |_| Reply::Result(json!({ "entries": entries(), "latestLedger": 9 }))).await;
        let error = connect(&server).await.entries(&[account_key(1), account_key(2)]).await.unwrap_err();
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
}

#[tokio::test]
async fn entries_are_never_paired_with_the_close_time_of_another_ledger() {
    // Each read of entries finds the ledger one further than the newest head, until the third.
    let sequence = AtomicU32::new(9);
    let mut reads = 0;
    let server = Server::start(move |q| match q.method.as_str() {
        "getLedgerEntries" => {
            reads += 1;
            let at = sequence.fetch_add(2, Ordering::SeqCst) + 1;
            let mut entry = answers::entry(1);
            entry["lastModifiedLedgerSeq"] = json!(at);
            if reads == 3 {
                sequence.store(at, Ordering::SeqCst);
            }
            Reply::Result(json!({ "entries": [entry], "latestLedger": at }))
        }
        _ => honest(q, sequence.load(Ordering::SeqCst)),
    })
    .await;
    let ledger = connect(&server).await;
    let seen = ledger.entries(&[account_key(1)]).await.unwrap();
    assert_eq!(seen.entries[0].last_modified, seen.at().sequence);
    assert_eq!(seen.at().close_time.secs(), close_time(seen.at().sequence));
    assert_eq!(server.count("getLedgerEntries"), 3);
}

#[tokio::test]
async fn a_ledger_that_always_moves_on_in_between_is_a_sentence_not_a_loop() {
    let sequence = AtomicU32::new(9);
    let server = Server::start(move |q| match q.method.as_str() {
        "getLedgerEntries" => {
            Reply::Result(json!({ "entries": [], "latestLedger": sequence.fetch_add(2, Ordering::SeqCst) + 1 }))
        }
        _ => honest(q, sequence.load(Ordering::SeqCst)),
    })
    .await;
    let error = connect(&server).await.entries(&[account_key(1)]).await.unwrap_err();
    assert!(matches!(error, LedgerError::NotSteady { .. }), "{error}");
}

#[tokio::test]
async fn many_keys_are_read_in_batches_of_two_hundred() {
    let sequence = AtomicU32::new(8);
    let server = Server::start(move |q| match q.method.as_str() {
        "getLedgerEntries" => {
            assert!(q.params["keys"].as_array().unwrap().len() <= 200);
            let at = sequence.fetch_add(1, Ordering::SeqCst) + 1;
            Reply::Result(json!({ "entries": null, "latestLedger": at }))
        }
        _ => honest(q, sequence.load(Ordering::SeqCst)),
    })
    .await;
    let ledger = connect(&server).await;
    let keys: Vec<LedgerKey> = (0..401u32)
        .map(|n| {
            let mut hash = [0; 32];
            hash[..4].copy_from_slice(&n.to_be_bytes());
            LedgerKey::ClaimableBalance(stellar_xdr::LedgerKeyClaimableBalance {
                balance_id: stellar_xdr::ClaimableBalanceId::ClaimableBalanceIdTypeV0(stellar_xdr::Hash(hash)),
            })
        })
        .collect();
    let seen = ledger.entries(&keys).await.unwrap();
    assert_eq!(server.count("getLedgerEntries"), 3);
    assert_eq!((seen.oldest.ledger.sequence, seen.newest.ledger.sequence), (9, 11));
}

#[tokio::test]
async fn handing_in_tells_the_four_answers_apart() {
    let envelope = answers::envelope(0);
    let bytes = envelope.to_xdr(Limits::none()).unwrap();
    let tx_bad_seq = answers::result(TransactionResultResult::TxBadSeq);
    for (answer, expected) in [
        (answers::sent("PENDING", &envelope), Submitted::Pending),
        (answers::sent("DUPLICATE", &envelope), Submitted::Duplicate),
        (answers::sent("TRY_AGAIN_LATER", &envelope), Submitted::TryAgainLater),
        (
            answers::refused(&envelope, TransactionResultResult::TxBadSeq),
            Submitted::Refused { result: Box::new(tx_bad_seq) },
        ),
    ] {
        let sent = base64(&envelope);
        let server = bent("sendTransaction", move |q| {
            assert_eq!(q.params["transaction"], json!(sent), "the bytes go out as they were journalled");
            Reply::Result(answer.clone())
        })
        .await;
        assert_eq!(connect(&server).await.submit(&bytes).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn handing_in_refuses_answers_about_something_else() {
    let envelope = answers::envelope(0);
    let bytes = envelope.to_xdr(Limits::none()).unwrap();
    let success = TransactionResultResult::TxSuccess(Default::default());
    for (part, answer) in [
        ("it answers about", answers::sent("PENDING", &answers::envelope(1))),
        ("unknown", answers::sent("pending", &envelope)),
        ("without its result", answers::sent("ERROR", &envelope)),
        ("says success", answers::refused(&envelope, success)),
    ] {
        let server = bent("sendTransaction", move |_| Reply::Result(answer.clone())).await;
        let error = connect(&server).await.submit(&bytes).await.unwrap_err();
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
    let server = Server::start(|q| honest(q, 9)).await;
    let error = connect(&server).await.submit(b"not a transaction").await.unwrap_err();
    assert!(error.to_string().contains("nothing was sent"), "{error}");
    assert_eq!(server.count("sendTransaction"), 0);
}

#[tokio::test]
async fn a_status_that_contradicts_itself_is_refused() {
    let envelope = answers::envelope(0);
    let hash = answers::hash(&envelope);
    let bend: [(&str, Bend); 8] = [
        ("answers another one", |v| v["envelopeXdr"] = json!(base64(&answers::envelope(1)))),
        ("has the result", |v| v["status"] = json!("FAILED")),
        ("hasn't closed", |v| v["ledger"] = json!(4_000_000)),
        ("hasn't closed", |v| v["createdAt"] = json!("4000000000")),
        ("two close times", |v| v["latestLedgerCloseTime"] = json!("4000000000")),
        ("newer than the latest", |v| v["oldestLedger"] = json!(10)),
        ("lacks", |v| v["resultXdr"] = Value::Null),
        ("unknown", |v| v["status"] = json!("MAYBE")),
    ];
    for (part, bend) in bend {
        let good = answers::found(&envelope, 8, true);
        let server = bent("getTransaction", move |_| {
            let mut answer = good.clone();
            bend(&mut answer);
            Reply::Result(answer)
        })
        .await;
        let error = connect(&server).await.status(hash).await.unwrap_err();
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
}

#[tokio::test]
async fn a_friendbot_is_asked_where_the_endpoint_says_and_its_refusal_is_told() {
    let account = AccountId::from_bytes([4; 32]);
    let replies: [(Make<Reply>, Result<Funded, &str>); 3] = [
        (|| Reply::Http(200, "", b"{\"ok\":true}".to_vec()), Ok(Funded::Created(None))),
        (|| Reply::Http(400, "", b"{\"extras\":\"op_already_exists\"}".to_vec()), Ok(Funded::Already)),
        (|| Reply::Http(400, "", b"account does not exist".to_vec()), Err("does not exist")),
    ];
    for (reply, expected) in replies {
        let friendbot = Server::start(move |_| reply()).await;
        let url = format!("{}/friendbot", friendbot.url);
        let server = bent("getNetwork", move |_| {
            let mut facts = answers::network();
            facts["friendbotUrl"] = json!(url);
            Reply::Result(facts)
        })
        .await;
        match (connect(&server).await.fund_by_friendbot(account).await, expected) {
            (Ok(funded), Ok(expected)) => assert_eq!(funded, expected),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (got, expected) => panic!("{got:?} instead of {expected:?}"),
        }
        let head = friendbot.asked()[0].head.clone();
        assert!(head.starts_with(&format!("GET /friendbot?addr={account} ")), "{head}");
    }
    let server = Server::start(|q| honest(q, 9)).await;
    let error = connect(&server).await.fund_by_friendbot(account).await.unwrap_err();
    assert!(matches!(error, LedgerError::NoFriendbot { .. }));
}

#[tokio::test]
async fn questions_at_the_same_time_do_not_make_each_other_look_backwards() {
    // The ledger closes with each answer, and answers overtake each other.
    let sequence = Arc::new(AtomicU32::new(9));
    let server = Server::start(move |q| match q.method.as_str() {
        "getLatestLedger" => Reply::Result(answers::latest(sequence.fetch_add(1, Ordering::SeqCst))),
        _ => honest(q, 9),
    })
    .await;
    let ledger = Arc::new(connect(&server).await);
    let tasks: Vec<_> = (0..40)
        .map(|_| {
            let ledger = ledger.clone();
            tokio::spawn(async move { ledger.latest().await })
        })
        .collect();
    let mut newest = Timestamp::default();
    for task in tasks {
        newest = newest.max(task.await.unwrap().unwrap().close_time);
    }
    assert_eq!(newest.secs(), close_time(49));
}

#[tokio::test]
async fn keys_of_the_protocol_are_read_as_its_entries_and_an_odd_one_spoils_no_other() {
    // An asset code with a hole in it: the ledger could hold it, the protocol has no use for it.
    let balance_id = balance_id::to_xdr(BalanceId::from_bytes([8; 32]));
    let odd = LedgerEntryData::ClaimableBalance(ClaimableBalanceEntry {
        balance_id: balance_id.clone(),
        claimants: Default::default(),
        asset: Asset::CreditAlphanum4(AlphaNum4 { asset_code: AssetCode4(*b"A\0B\0"), issuer: answers::id(3) }),
        amount: 1,
        ext: ClaimableBalanceEntryExt::V0,
    });
    let odd_key = LedgerKey::ClaimableBalance(LedgerKeyClaimableBalance { balance_id });
    let odd = json!({
        "key": base64(&odd_key),
        "xdr": base64(&odd),
        "extXdr": base64(&answers::sponsored_by(1)),
        "lastModifiedLedgerSeq": 2,
    });
    let server = bent("getLedgerEntries", move |_| {
        Reply::Result(json!({ "entries": [odd, answers::entry(1)], "latestLedger": 9 }))
    })
    .await;
    let keys = [
        Key::Account(AccountId::from_bytes([1; 32])),
        Key::Account(AccountId::from_bytes([2; 32])),
        Key::Balance(BalanceId::from_bytes([8; 32])),
    ];
    let ledger = connect(&server).await;
    let read = ledger.read(&keys).await.unwrap();
    let Ok(Entry::Account(account)) = &read.get(&keys[0]).unwrap().entry else { panic!("{read:?}") };
    assert_eq!(account.balance.get(), 1_001);
    assert_eq!(read.get(&keys[1]), None);
    assert!(read.get(&keys[2]).unwrap().entry.is_err());
    assert_eq!((read.at(), read.until()), (read.newest.ledger.point(), read.oldest.ledger.point()));

    let no_key = [Key::Data(AccountId::from_bytes([1; 32]), String::new())];
    assert!(matches!(ledger.read(&no_key).await, Err(LedgerError::BadKey { .. })));
}

#[test]
fn what_the_ledger_says_of_a_transaction_is_what_the_protocols_queue_takes() {
    let at = LedgerPoint::new(9, Timestamp::from_secs(close_time(9)));
    let result = answers::result(TransactionResultResult::TxBadSeq);
    let bytes = result.to_xdr(Limits::none()).unwrap();
    let refused = Submitted::Refused { result: Box::new(result.clone()) };
    assert_eq!(queue::SubmitAnswer::from(refused), queue::SubmitAnswer::Refused { result: bytes.clone() });
    let found = Box::new(Found { at, result, envelope: answers::envelope(0) });
    assert_eq!(queue::TxStatus::from(TxStatus::Failed(found)), queue::TxStatus::Failed { at, result: bytes });
    let oldest = LedgerPoint::new(2, Timestamp::from_secs(close_time(2)));
    let not_found = queue::TxStatus::from(TxStatus::NotFound { latest: at, oldest });
    assert_eq!(not_found, queue::TxStatus::NotFound { latest: at, oldest: 2 });
}
