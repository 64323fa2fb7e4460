//! `tradepost demo`, as a user runs it.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tradepost::home::{Home, RunState};
use tradepost::process_id::ProcessId;
use tradepost_tests::cluster::signal;

const NODE: &str = env!("CARGO_BIN_EXE_node-under-test");
/// How long the demo may take here; on its own machine it takes one to three minutes.
const DEADLINE: Duration = Duration::from_secs(420);
/// How long a process may take to end.
const ENDING: Duration = Duration::from_secs(40);
/// How often something that tells nobody is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// A demo under way; what it leaves is killed with it.
struct Demo {
    child: Child,
    dir: tempfile::TempDir,
}

impl Demo {
    fn start(flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| std::fs::File::create(dir.path().join(name)).unwrap();
        let child = Command::new(NODE)
            .args(["demo", "--json", "--home"])
            .arg(dir.path().join("market"))
            .args(flags)
            .stdin(Stdio::null())
            .stdout(file("out"))
            .stderr(file("err"))
            .spawn()
            .unwrap();
        Self { child, dir }
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).unwrap()
    }

    fn home(&self, node: &str) -> Home {
        Home::at(self.dir.path().join("market").join(node))
    }

    async fn end(&mut self) -> std::process::ExitStatus {
        let ended = until(DEADLINE, || self.child.try_wait().unwrap()).await;
        ended.unwrap_or_else(|| panic!("it didn't end in {DEADLINE:?}:\n{}", self.read("err")))
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let names = ["bootstrap", "adder", "shouter", "consumer", "arbiter", "sleeper", "idler", "ghost"];
        for run in names.iter().filter_map(|name| self.home(name).run_state().ok()) {
            if let RunState::Running(run) = run {
                signal(run.process.pid, "KILL");
            }
        }
        let devnet = std::fs::read_to_string(self.dir.path().join("market/devnet.json")).unwrap_or_default();
        let devnet: Value = serde_json::from_str(&devnet).unwrap_or_default();
        if let Some(pid) = devnet["pid"].as_u64().filter(|_| std::thread::panicking()) {
            signal(u32::try_from(pid).unwrap_or_default(), "KILL");
        }
    }
}

async fn until<T>(patience: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + patience;
    loop {
        match look() {
            None if Instant::now() < end => tokio::time::sleep(LOOK).await,
            seen => return seen,
        }
    }
}

fn number(value: &Value) -> i128 {
    value.as_str().unwrap_or_else(|| panic!("{value} is no decimal string")).parse().unwrap()
}

fn adds_up(report: &Value) {
    assert_eq!(number(&report["off_by_stroops"]), 0);
    let ledger = report["ledger"].as_object().unwrap();
    let sum = |name: &str| number(&ledger[name]);
    assert_eq!(ledger.len(), 4, "nothing in it but numbers");
    assert_eq!(sum("accounts") + sum("claimable") + sum("fee_pool"), sum("total"));
    assert_eq!(sum("total"), 1_000_000_000_000_000_000);
    let outcomes: Vec<&str> =
        report["trades"].as_array().unwrap().iter().map(|t| t["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["paid", "refunded"]);
    // What the trade that settled moved, and what its two transactions and the three of the other one cost.
    let party = |name: &str| report["parties"].as_array().unwrap().iter().find(|p| p["name"] == name).unwrap().clone();
    let (adder, consumer) = (party("adder"), party("consumer"));
    assert_eq!((number(&adder["received"]), number(&consumer["paid"])), (15_000_000, 15_000_000));
    assert_eq!((number(&adder["fees"]), number(&consumer["fees"])), (200, 300));
    assert_eq!(number(&consumer["found"]), number(&consumer["start"]) - 15_000_000 - 300);
}

async fn answers_success(rpc: &str, hash: &str) -> bool {
    let question = json!({"jsonrpc": "2.0", "id": 1, "method": "getTransaction", "params": {"hash": hash}});
    let http = reqwest::Client::builder().no_proxy().timeout(ENDING).build().unwrap();
    let answer = http.post(rpc).header("content-type", "application/json").body(question.to_string()).send().await;
    let answer: Value = serde_json::from_str(&answer.unwrap().text().await.unwrap()).unwrap();
    answer["result"]["status"] == "SUCCESS"
}

fn is_open(port: &Value) -> bool {
    let port = u16::try_from(port.as_u64().unwrap()).unwrap();
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

fn process(value: &Value) -> ProcessId {
    ProcessId::of(u32::try_from(value["pid"].as_u64().unwrap()).unwrap())
}

#[tokio::test]
async fn the_demo_adds_up_and_what_it_keeps_runs_on() {
    let mut demo = Demo::start(&["--keep"]);
    let status = demo.end().await;
    assert!(status.success(), "{status}\n{}", demo.read("err"));
    let out = demo.read("out");
    let report: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    adds_up(&report);
    let rpc = report["devnet"]["rpc"].as_str().unwrap();
    let transactions = report["transactions"].as_array().unwrap();
    // A friendbot's, or up to three; two bonds; two escrows; one collected, one taken back.
    assert!((7..=9).contains(&transactions.len()), "{transactions:?}");
    for transaction in transactions {
        assert!(answers_success(rpc, transaction["hash"].as_str().unwrap()).await, "{transaction}");
    }
    let nodes = report["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 4);
    let processes: Vec<ProcessId> = nodes.iter().chain([&report["devnet"]]).map(process).collect();
    assert!(processes.iter().all(|id| id.is_alive()));
    for node in nodes {
        assert!(is_open(&node["api_port"]) && is_open(&node["p2p_port"]), "{node}");
    }
    assert!(is_open(&report["devnet"]["rpc_port"]));
    for id in &processes {
        assert!(signal(id.pid, "TERM"));
    }
    let ended = until(ENDING, || processes.iter().all(|id| !id.is_alive()).then_some(())).await;
    assert!(ended.is_some(), "asked to end, they do");
}

#[tokio::test]
async fn the_demo_of_disputes_adds_up_and_pays_whom_it_should() {
    let mut demo = Demo::start(&["disputes"]);
    let status = demo.end().await;
    assert!(status.success(), "{status}\n{}", demo.read("err"));
    let report: Value = serde_json::from_str(demo.read("out").lines().last().unwrap()).unwrap();
    assert_eq!(number(&report["off_by_stroops"]), 0);
    let sum = |name: &str| number(&report["ledger"][name]);
    assert_eq!(sum("accounts") + sum("claimable") + sum("fee_pool"), sum("total"));
    let trades = report["trades"].as_array().unwrap();
    let outcomes: Vec<&str> = trades.iter().map(|t| t["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["refunded", "paid", "split", "refunded"]);
    for trade in trades {
        assert_ne!(trade["ended"], "", "{trade}");
        let shares: i128 =
            ["provider", "consumer", "arbiter"].map(|whose| number(&trade["shares"][whose])).iter().sum();
        assert_eq!(shares, number(&trade["amount"]), "{trade}");
    }
    for transaction in report["transactions"].as_array().unwrap() {
        let purpose = transaction["purpose"].as_str().unwrap();
        assert!(!purpose.contains("Claim") && !purpose.contains("SetOptions"), "not in words: {purpose}");
    }
    let received = |name: &str| {
        let party = report["parties"].as_array().unwrap().iter().find(|p| p["name"] == name).unwrap();
        (number(&party["received"]), number(&party["paid"]), number(&party["difference"]))
    };
    // 19 of the ghost, 14.25 of the consumer; a coin for each of three awards; and nothing for doing nothing.
    assert_eq!(received("adder"), (190_000_000 + 142_500_000, 0, 0));
    assert_eq!(received("arbiter"), (30_000_000, 0, 0));
    assert_eq!((received("idler"), received("sleeper")), ((0, 0, 0), (0, 0, 0)));
    assert_eq!(received("consumer"), (0, 10_000_000 + 142_500_000 + 10_000_000, 0));
    assert_eq!(received("ghost"), (0, 200_000_000, 0));
}

/// The consumer and the ledger of a demo that has come so far.
async fn consumer_and_devnet(demo: &Demo) -> (ProcessId, ProcessId) {
    let home = demo.home("consumer");
    let running = until(DEADLINE, || match home.run_state() {
        Ok(RunState::Running(run)) => Some(run.process),
        _ => None,
    });
    let consumer = running.await.unwrap_or_else(|| panic!("no consumer runs:\n{}", demo.read("err")));
    let devnet: Value = serde_json::from_str(&demo.read("market/devnet.json")).unwrap();
    let devnet = process(&devnet);
    assert!(devnet.is_alive());
    (consumer, devnet)
}

#[tokio::test]
async fn a_demo_that_fails_names_the_process_and_the_step_and_leaves_none() {
    let mut demo = Demo::start(&["--keep"]);
    let (consumer, devnet) = consumer_and_devnet(&demo).await;
    assert!(signal(consumer.pid, "KILL"));
    assert_eq!(demo.end().await.code(), Some(1));
    let told = demo.read("err");
    let told: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    let (what, hint) = (told["what"].as_str().unwrap(), told["hint"].as_str().unwrap());
    assert!(what.starts_with("consumer: ") && hint.contains("consumer.log ended with"), "{told}");
    assert!(!devnet.is_alive());
    assert!(demo.read("out").is_empty());
}

#[tokio::test]
async fn an_interrupted_demo_leaves_no_process() {
    let mut demo = Demo::start(&[]);
    let (consumer, devnet) = consumer_and_devnet(&demo).await;
    assert!(signal(demo.child.id(), "INT"));
    assert_eq!(demo.end().await.code(), Some(130), "{}", demo.read("err"));
    assert!(!consumer.is_alive() && !devnet.is_alive());
}

#[test]
fn a_demo_in_a_directory_of_another_run_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("devnet.json"), "{}\n").unwrap();
    let refused = demo_in(dir.path());
    assert!(refused.contains("choose an empty directory"), "{refused}");
}

fn demo_in(dir: &Path) -> String {
    let output = Command::new(NODE).args(["demo", "--home"]).arg(dir).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}
