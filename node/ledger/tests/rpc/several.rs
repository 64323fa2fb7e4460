//! Several endpoints of one network: they stand in for each other, and vouch for each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use stellar_xdr::{Hash, LedgerHeaderHistoryEntry, LedgerHeaderHistoryEntryExt, Limits, TransactionEnvelope, WriteXdr};
use tradepost_ledger::{EndpointConfig, EndpointState, Ledger, LedgerError, RpcConfig, RpcLedger, Submitted, TxStatus};

use crate::answers::{self, PASSPHRASE, account_key, honest, quick};
use crate::server::{Question, Reply, Server};

/// Endpoints of operators `a`, `b`, `c`, in this order.
fn config(servers: &[&Server]) -> RpcConfig {
    let endpoints = servers.iter().zip(["a", "b", "c"]).map(|(server, operator)| EndpointConfig {
        operator: Some(operator.to_owned()),
        ..EndpointConfig::new(&server.url)
    });
    RpcConfig { patience: quick(), ..RpcConfig::of(endpoints) }
}

async fn connect(servers: &[&Server]) -> RpcLedger {
    RpcLedger::connect(config(servers), PASSPHRASE).await.unwrap()
}

/// A server of the test's network at this ledger, which holds the accounts 1 and 2, as they are changed.
async fn serving(at: &Arc<AtomicU32>, bend: impl Fn(&Question, u32) -> Option<Reply> + Send + 'static) -> Server {
    let at = at.clone();
    Server::start(move |q| {
        let now = at.load(Ordering::SeqCst);
        bend(q, now).unwrap_or_else(|| match q.method.as_str() {
            "getLedgerEntries" => Reply::Result(json!({
                "entries": [answers::entry(1), answers::entry(2)],
                "latestLedger": now,
            })),
            "getTransaction" => Reply::Result(answers::not_found(1, now)),
            _ => honest(q, now),
        })
    })
    .await
}

fn ledger_number(number: u32) -> Arc<AtomicU32> {
    Arc::new(AtomicU32::new(number))
}

fn fine(_: &Question, _: u32) -> Option<Reply> {
    None
}

/// The state of the endpoint at this place.
fn state(ledger: &RpcLedger, place: usize) -> EndpointState {
    ledger.endpoints()[place].state.clone()
}

fn dropped(ledger: &RpcLedger, place: usize) -> Option<String> {
    match state(ledger, place) {
        EndpointState::Dropped { why, .. } => Some(why.to_string()),
        _ => None,
    }
}

#[tokio::test]
async fn one_that_is_down_is_noticed_and_another_stands_in_until_it_answers_again() {
    let (at, down) = (ledger_number(9), Arc::new(AtomicBool::new(false)));
    let is_down = down.clone();
    let first =
        serving(&at, move |_, _| is_down.load(Ordering::SeqCst).then(|| Reply::Http(503, "", Vec::new()))).await;
    let second = serving(&at, fine).await;
    let mut config = config(&[&first, &second]);
    (config.patience.first_pause, config.patience.longest_rest) = (Duration::from_secs(2), Duration::from_secs(2));
    let ledger = RpcLedger::connect(config, PASSPHRASE).await.unwrap();
    assert_eq!(ledger.endpoint_name(), first.url);
    down.store(true, Ordering::SeqCst);
    assert_eq!(ledger.entries(&[account_key(1), account_key(2)]).await.unwrap().entries.len(), 2);
    assert_eq!(ledger.endpoint_name(), second.url, "the other one is asked now");
    let EndpointState::Failing { error, failures: 1.., .. } = state(&ledger, 0) else {
        panic!("{:?}", ledger.endpoints())
    };
    assert!(error.to_string().contains(&first.url), "{error}");
    assert_eq!(state(&ledger, 1), EndpointState::Fine);
    at.store(10, Ordering::SeqCst);
    assert_eq!(ledger.latest().await.unwrap().sequence, 10);
    down.store(false, Ordering::SeqCst);
    let back = async {
        while state(&ledger, 0) != EndpointState::Fine {
            ledger.latest().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), back).await.unwrap();
    assert_eq!(ledger.endpoint_name(), first.url);
}

#[tokio::test]
async fn all_that_are_down_are_named() {
    let (at, down) = (ledger_number(9), Arc::new(AtomicBool::new(false)));
    let broken = |down: &Arc<AtomicBool>| {
        let down = down.clone();
        move |_: &Question, _| down.load(Ordering::SeqCst).then(|| Reply::Http(502, "", Vec::new()))
    };
    let (first, second) = (serving(&at, broken(&down)).await, serving(&at, broken(&down)).await);
    let ledger = connect(&[&first, &second]).await;
    down.store(true, Ordering::SeqCst);
    let error = ledger.fees().await.unwrap_err();
    assert!(matches!(&error, LedgerError::NoneAnswers { faults } if faults.len() == 2), "{error}");
    assert!(error.is_passing());
    let text = error.to_string();
    assert!(text.contains(&first.url) && text.contains(&second.url), "{text}");
}

#[tokio::test]
async fn one_that_asks_to_be_left_alone_is_and_the_other_serves() {
    let at = ledger_number(9);
    let mut greeted = 0;
    let busy = Server::start(move |q| {
        greeted += 1;
        if greeted > 3 { Reply::Http(429, "retry-after: 30\r\n", Vec::new()) } else { honest(q, 9) }
    })
    .await;
    let other = serving(&at, fine).await;
    let mut config = config(&[&busy, &other]);
    config.patience.longest_rest = Duration::from_secs(60);
    let ledger = RpcLedger::connect(config, PASSPHRASE).await.unwrap();
    for _ in 0..20 {
        ledger.fees().await.unwrap();
        ledger.head().await.unwrap();
    }
    assert_eq!(busy.asked().len(), 4, "after the refusal it is left alone");
    let EndpointState::Failing { error, .. } = state(&ledger, 0) else { panic!("{:?}", ledger.endpoints()) };
    assert_eq!(error, LedgerError::Busy { endpoint: busy.url.clone(), wait: Some(Duration::from_secs(30)), tries: 1 });
}

#[tokio::test]
async fn one_that_hangs_is_given_up_for_the_other_before_the_question_is() {
    let (at, hangs) = (ledger_number(9), Arc::new(AtomicBool::new(false)));
    let hanging = hangs.clone();
    let first = serving(&at, move |_, _| hanging.load(Ordering::SeqCst).then_some(Reply::Silence)).await;
    let second = serving(&at, fine).await;
    let mut config = config(&[&first, &second]);
    config.patience.switch = Duration::from_millis(200);
    let ledger = RpcLedger::connect(config, PASSPHRASE).await.unwrap();
    hangs.store(true, Ordering::SeqCst);
    assert!(ledger.fees().await.is_ok());
    let EndpointState::Failing { error, .. } = state(&ledger, 0) else { panic!("{:?}", ledger.endpoints()) };
    assert!(error.to_string().contains("no answer in time"), "{error}");
}

#[tokio::test]
async fn any_endpoint_of_another_network_is_refused_at_start_with_both_named() {
    let at = ledger_number(9);
    let first = serving(&at, fine).await;
    let foreign = Server::start(|_| Reply::Result(json!({ "passphrase": "Elsewhere", "protocolVersion": 27 }))).await;
    let error = RpcLedger::connect(config(&[&first, &foreign]), PASSPHRASE).await.unwrap_err();
    assert!(matches!(error, LedgerError::WrongNetwork { .. }), "{error}");
    let text = error.to_string();
    for part in [foreign.url.as_str(), "Elsewhere", PASSPHRASE] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[tokio::test]
async fn one_that_was_down_at_the_start_proves_its_network_when_it_comes() {
    let at = ledger_number(9);
    let first = serving(&at, fine).await;
    let comes = Arc::new(AtomicBool::new(false));
    let here = comes.clone();
    let foreign = Server::start(move |_| match here.load(Ordering::SeqCst) {
        true => Reply::Result(json!({ "passphrase": "Elsewhere", "protocolVersion": 27 })),
        false => Reply::Http(503, "", Vec::new()),
    })
    .await;
    let ledger = connect(&[&foreign, &first]).await;
    assert!(matches!(state(&ledger, 0), EndpointState::Failing { .. }));
    comes.store(true, Ordering::SeqCst);
    let found_out = async {
        while dropped(&ledger, 0).is_none() {
            ledger.latest().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), found_out).await.unwrap();
    assert!(dropped(&ledger, 0).unwrap().contains("Elsewhere"));
    assert_eq!(foreign.count("getLatestLedger"), 0, "nothing is asked of it before");
    assert!(ledger.entries(&[account_key(1), account_key(2)]).await.is_ok());
}

/// Another header of the same ledger.
fn other_latest(sequence: u32) -> Value {
    let mut header = answers::header(sequence);
    header.fee_pool += 1;
    answers::latest_of(&header)
}

fn with_other_headers(q: &Question, now: u32) -> Option<Reply> {
    (q.method == "getLatestLedger" && now > 9).then(|| Reply::Result(other_latest(now)))
}

#[tokio::test]
async fn of_two_that_show_different_headers_the_one_that_stands_first_is_believed_and_the_other_dropped() {
    for liar_first in [false, true] {
        let at = ledger_number(9);
        let (honest, liar) = (serving(&at, fine).await, serving(&at, with_other_headers).await);
        let servers = if liar_first { [&liar, &honest] } else { [&honest, &liar] };
        let ledger = connect(&servers).await;
        at.store(10, Ordering::SeqCst);
        let head = ledger.head().await.unwrap();
        assert_eq!(head.ledger.sequence, 10);
        let why = dropped(&ledger, 1).unwrap();
        assert!(why.contains(&servers[1].url) && why.contains("ledger 10"), "{why}");
        assert_eq!(ledger.latest().await.unwrap().sequence, 10);
        assert_eq!(dropped(&ledger, 0), None, "who is left is never dropped");
    }
}

#[tokio::test]
async fn of_three_the_two_that_agree_outvote_the_one_that_stands_first() {
    let at = ledger_number(9);
    let past = |q: &Question, _: u32| {
        let wanted = q.params["startLedger"].as_u64()?;
        let header = answers::header(u32::try_from(wanted).unwrap());
        let (hash, sequence) = (answers::hash_of(&header), header.ledger_seq);
        let ext = LedgerHeaderHistoryEntryExt::V0;
        let entry = LedgerHeaderHistoryEntry { hash: Hash(hash), header, ext };
        let info = json!({ "hash": hex::encode(hash), "sequence": sequence, "headerXdr": answers::base64(&entry) });
        (q.method == "getLedgers").then(|| Reply::Result(json!({ "ledgers": [info] })))
    };
    let (liar, second) = (serving(&at, with_other_headers).await, serving(&at, past).await);
    let third = serving(&at, past).await;
    let ledger = connect(&[&liar, &second, &third]).await;
    at.store(10, Ordering::SeqCst);
    let head = ledger.head().await.unwrap();
    assert_eq!(head.totals.fee_pool.get(), 700, "the header that two know");
    assert!(dropped(&ledger, 0).is_some());
    assert_eq!((dropped(&ledger, 1), dropped(&ledger, 2)), (None, None));
}

#[tokio::test]
async fn the_newest_ledger_is_the_one_that_two_operators_have_reached() {
    let (ahead, behind) = (ledger_number(9), ledger_number(9));
    let (first, second) = (serving(&ahead, fine).await, serving(&behind, fine).await);
    let ledger = connect(&[&first, &second]).await;
    ahead.store(11, Ordering::SeqCst);
    assert_eq!(ledger.latest().await.unwrap().sequence, 9);
    behind.store(10, Ordering::SeqCst);
    assert_eq!(ledger.latest().await.unwrap().sequence, 10);
    behind.store(9, Ordering::SeqCst);
    assert_eq!(ledger.latest().await.unwrap().sequence, 11, "who went back vouches for nothing");
    behind.store(11, Ordering::SeqCst);
    ahead.store(10, Ordering::SeqCst);
    assert_eq!(ledger.latest().await.unwrap().sequence, 11, "and never backwards");
}

#[tokio::test]
async fn an_answer_of_an_older_ledger_is_never_taken_from_who_stands_in() {
    let (at, old, down) = (ledger_number(9), ledger_number(9), Arc::new(AtomicBool::new(false)));
    let is_down = down.clone();
    let first =
        serving(&at, move |_, _| is_down.load(Ordering::SeqCst).then(|| Reply::Http(503, "", Vec::new()))).await;
    let second = serving(&old, fine).await;
    let ledger = connect(&[&first, &second]).await;
    at.store(30, Ordering::SeqCst);
    assert_eq!(ledger.latest().await.unwrap().sequence, 30, "so far behind it vouches for nothing");
    assert_eq!(state(&ledger, 1), EndpointState::Behind { by: 21 });
    down.store(true, Ordering::SeqCst);
    let error = ledger.entries(&[account_key(1), account_key(2)]).await.unwrap_err();
    let behind = LedgerError::Backwards { endpoint: second.url.clone(), shown: 30, now: 9 };
    assert!(matches!(&error, LedgerError::NoneAnswers { faults } if faults[1] == behind), "{error}");
    old.store(30, Ordering::SeqCst);
    assert_eq!(ledger.entries(&[account_key(1), account_key(2)]).await.unwrap().at().sequence, 30);
}

#[tokio::test]
async fn what_gates_money_is_asked_of_two_operators() {
    let (at, down) = (ledger_number(9), Arc::new(AtomicBool::new(false)));
    let is_down = down.clone();
    let first = serving(&at, fine).await;
    let second =
        serving(&at, move |_, _| is_down.load(Ordering::SeqCst).then(|| Reply::Http(503, "", Vec::new()))).await;
    let keys = [account_key(1), account_key(2)];
    let ledger = connect(&[&first, &second]).await;
    assert_eq!(ledger.entries_agreed(&keys).await.unwrap().entries.len(), 2);
    assert_eq!((first.count("getLedgerEntries"), second.count("getLedgerEntries")), (1, 1));
    down.store(true, Ordering::SeqCst);
    let error = ledger.entries_agreed(&keys).await.unwrap_err();
    assert!(matches!(&error, LedgerError::Alone { alone, fault: Some(_) } if *alone == first.url), "{error}");
    assert!(error.is_passing() && error.to_string().contains(&second.url), "{error}");
    assert!(ledger.entries(&keys).await.is_ok(), "other reads go on");

    // Two endpoints of one operator are one word; where no other is configured, that is enough.
    let mut config = config(&[&first, &first]);
    config.endpoints[1].operator = Some("a".into());
    let ledger = RpcLedger::connect(config, PASSPHRASE).await.unwrap();
    assert!(ledger.entries_agreed(&keys).await.is_ok());
}

#[tokio::test]
async fn who_tells_other_entries_of_the_same_ledger_is_dropped_and_named() {
    let at = ledger_number(9);
    let hides = |q: &Question, now: u32| {
        (q.method == "getLedgerEntries")
            .then(|| Reply::Result(json!({ "entries": [answers::entry(1)], "latestLedger": now })))
    };
    let (honest, liar) = (serving(&at, fine).await, serving(&at, hides).await);
    let keys = [account_key(1), account_key(2)];
    let ledger = connect(&[&honest, &liar]).await;
    let error = ledger.entries_agreed(&keys).await.unwrap_err();
    assert!(matches!(error, LedgerError::Alone { .. }), "{error}");
    let why = dropped(&ledger, 1).unwrap();
    assert!(why.contains(&liar.url) && why.contains("there"), "{why}");

    // A third operator decides, wherever the liar stands.
    let third = serving(&at, fine).await;
    let ledger = connect(&[&liar, &honest, &third]).await;
    assert_eq!(ledger.entries_agreed(&keys).await.unwrap().entries.len(), 2);
    assert!(dropped(&ledger, 0).is_some());
    assert_eq!((dropped(&ledger, 1), dropped(&ledger, 2)), (None, None));
}

#[tokio::test]
async fn what_may_have_changed_in_between_is_read_again() {
    let (one, other) = (ledger_number(9), ledger_number(10));
    let reads = Arc::new(AtomicU32::new(0));
    let (catches_up, counted) = (one.clone(), reads.clone());
    let changed = |q: &Question, now: u32| {
        let mut second = answers::entry(2);
        second["lastModifiedLedgerSeq"] = json!(10);
        let entries = if now >= 10 { json!([answers::entry(1), second]) } else { json!([answers::entry(1)]) };
        (q.method == "getLedgerEntries").then(|| Reply::Result(json!({ "entries": entries, "latestLedger": now })))
    };
    let first = serving(&one, move |q, now| {
        if q.method == "getLedgerEntries" && counted.fetch_add(1, Ordering::SeqCst) == 1 {
            catches_up.store(10, Ordering::SeqCst);
        }
        changed(q, now)
    })
    .await;
    let second = serving(&other, changed).await;
    let ledger = connect(&[&first, &second]).await;
    let seen = ledger.entries_agreed(&[account_key(1), account_key(2)]).await.unwrap();
    assert_eq!((seen.at().sequence, seen.entries.len()), (10, 2));
    assert!(reads.load(Ordering::SeqCst) >= 2);
    assert_eq!((dropped(&ledger, 0), dropped(&ledger, 1)), (None, None));
}

#[tokio::test]
async fn two_that_never_come_to_the_same_answer_are_both_named() {
    let (one, other) = (ledger_number(9), ledger_number(10));
    // It is always a ledger further, and always without the second account, as if that had just gone.
    let (first_at, second_at) = (one.clone(), other.clone());
    let first = serving(&one, move |q, _| {
        if q.method == "getLedgerEntries" {
            first_at.fetch_add(2, Ordering::SeqCst);
        }
        None
    })
    .await;
    let second = serving(&other, move |q, now| {
        (q.method == "getLedgerEntries").then(|| {
            second_at.fetch_add(2, Ordering::SeqCst);
            Reply::Result(json!({ "entries": [answers::entry(1)], "latestLedger": now }))
        })
    })
    .await;
    let ledger = connect(&[&first, &second]).await;
    let error = ledger.entries_agreed(&[account_key(1), account_key(2)]).await.unwrap_err();
    // The second one said "gone by ledger n", and later the first one shows it as of n + 1, unchanged since.
    assert!(matches!(&error, LedgerError::Alone { .. } | LedgerError::Disagree { .. }), "{error}");
    assert!(error.to_string().contains(&second.url), "{error}");
}

fn sent(q: &Question, status: &str, envelope: &TransactionEnvelope) -> Option<Reply> {
    (q.method == "sendTransaction").then(|| Reply::Result(answers::sent(status, envelope)))
}

#[tokio::test]
async fn a_transaction_is_handed_to_all_and_the_best_answer_counts() {
    let (at, envelope) = (ledger_number(9), answers::envelope(0));
    let bytes = envelope.to_xdr(Limits::none()).unwrap();
    let (one, other) = (envelope.clone(), envelope.clone());
    let first = serving(&at, move |q, _| sent(q, "TRY_AGAIN_LATER", &one)).await;
    let second = serving(&at, move |q, _| sent(q, "PENDING", &other)).await;
    let ledger = connect(&[&first, &second]).await;
    assert_eq!(ledger.submit(&bytes).await.unwrap(), Submitted::Pending);
    assert_eq!((first.count("sendTransaction"), second.count("sendTransaction")), (1, 1));
}

#[tokio::test]
async fn not_found_is_believed_only_where_no_other_operator_finds_it() {
    let (at, envelope) = (ledger_number(9), answers::envelope(0));
    let hash = answers::hash(&envelope);
    let forgetful =
        serving(&at, |q, now| (q.method == "getTransaction").then(|| Reply::Result(answers::not_found(5, now)))).await;
    let knowing = {
        let envelope = envelope.clone();
        serving(&at, move |q, _| {
            (q.method == "getTransaction").then(|| Reply::Result(answers::found(&envelope, 8, true)))
        })
        .await
    };
    let ledger = connect(&[&forgetful, &knowing]).await;
    assert!(matches!(ledger.status(hash).await.unwrap(), TxStatus::Success(_)));
    let other = serving(&at, fine).await;
    let ledger = connect(&[&other, &forgetful]).await;
    let TxStatus::NotFound { latest, oldest } = ledger.status(hash).await.unwrap() else { panic!("it isn't there") };
    assert_eq!((latest.sequence, oldest.sequence), (9, 5), "for the ledgers that both know");
}

#[tokio::test]
async fn a_network_that_was_reset_is_told_once_nobody_is_left_who_shows_the_old_one() {
    let reset = Arc::new(AtomicU32::new(0));
    let server = |place: u32| {
        let reset = reset.clone();
        Server::start(move |q| match q.method.as_str() {
            // The new one's ledger 3 closes later than the old one's 9.
            "getLatestLedger" if reset.load(Ordering::SeqCst) > place => {
                let mut header = answers::header(3);
                header.scp_value.close_time.0 = answers::close_time(50);
                Reply::Result(answers::latest_of(&header))
            }
            _ => honest(q, 9),
        })
    };
    let (first, second) = (server(0).await, server(1).await);
    let ledger = connect(&[&first, &second]).await;
    reset.store(1, Ordering::SeqCst);
    assert_eq!(ledger.latest().await.unwrap().sequence, 9);
    assert!(dropped(&ledger, 0).is_some_and(|why| why.contains("was reset")));
    reset.store(2, Ordering::SeqCst);
    let error = ledger.latest().await.unwrap_err();
    assert!(matches!(error, LedgerError::Reset { .. }), "{error}");
    let asked = second.asked().len();
    assert_eq!(ledger.fees().await.unwrap_err(), error);
    assert_eq!(second.asked().len(), asked, "there is nobody left to ask");
}
