//! The program as people and scripts meet it: output, exit codes, and what it leaves in a home.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

const PHRASE: &str = "illness spike retreat truth genius clock brain pass fit cave bargain toe";
const SECRET: &str = "SBGWSG6BTNCKCOB3DIFBGCVMUPQFYPA2G4O34RMTB343OYPXU5DJDVMN";
const ACCOUNT: &str = "GDRXE2BQUC3AZNPVFSCEZ76NJ3WWL25FYFK6RGZGIEKWE4SOOHSUJUJ6";

fn tradepost(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tradepost"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TRADEPOST_") {
            command.env_remove(name);
        }
    }
    command.arg("--home").arg(home).args(args).stdin(Stdio::null());
    command
}

fn run(home: &Path, args: &[&str]) -> Output {
    tradepost(home, args).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A child that is killed when the test ends, however that is.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A devnet process and the one line that it prints.
fn devnet(home: &Path) -> (Running, Value) {
    devnet_with(home, &[])
}

fn devnet_with(home: &Path, flags: &[&str]) -> (Running, Value) {
    let mut command = tradepost(home, &[&["devnet", "--port", "0", "--json"], flags].concat());
    let mut child = Running(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, serde_json::from_str(&line).unwrap())
}

#[test]
fn a_new_node_is_made_and_funded_on_a_devnet() {
    let dir = tempfile::tempdir().unwrap();
    let (_devnet, facts) = devnet(&dir.path().join("devnet"));
    let empty = dir.path().join("empty");
    std::fs::write(&empty, "").unwrap();
    let home = dir.path().join("home");
    let rpc = facts["rpc_url"].as_str().unwrap();
    let done = run(&home, &["init", "--json", "--rpc-url", rpc, "--passphrase-file", empty.to_str().unwrap()]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let made: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(made["funded"], true);
    assert_eq!(made["mnemonic"].as_str().unwrap().split(' ').count(), 24);
    let config: Value = serde_json::from_slice(&run(&home, &["config", "show", "--json"]).stdout).unwrap();
    let rpc_url = config["settings"].as_array().unwrap().iter().find(|s| s["key"] == "rpc_url").unwrap();
    assert_eq!((rpc_url["value"].as_str().unwrap().trim_end_matches('/'), &rpc_url["origin"]), (rpc, &"file".into()));
}

#[test]
fn a_devnet_ends_with_0_on_the_first_signal() {
    let dir = tempfile::tempdir().unwrap();
    let (mut devnet, facts) = devnet(dir.path());
    assert!(facts["passphrase"].as_str().unwrap().len() > 16);
    let pid = Pid::from_raw(i32::try_from(facts["pid"].as_u64().unwrap()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(devnet.0.wait().unwrap().code(), Some(0));
}

/// Asks a devnet over HTTP.
async fn ask(http: &reqwest::Client, method: reqwest::Method, url: String, body: Value) -> Option<Value> {
    let request = http.request(method, url).json(&body).timeout(std::time::Duration::from_secs(30));
    request.send().await.ok()?.json().await.ok()
}

async fn rpc(http: &reqwest::Client, url: &str, method: &str, params: Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let answer = ask(http, reqwest::Method::POST, url.to_owned(), body).await.unwrap();
    answer.get("result").unwrap_or_else(|| panic!("{method}: {answer}")).clone()
}

#[tokio::test]
async fn a_devnet_that_is_killed_goes_on_with_every_ledger_that_it_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let (home, state) = (dir.path().join("home"), dir.path().join("ledger"));
    let flags = ["--close-every", "0", "--state", state.to_str().unwrap()];
    let http = reqwest::Client::new();
    let mut told: Vec<(u64, String)> = Vec::new();
    let mut funded: Vec<String> = Vec::new();
    let mut passphrase = None;
    for round in 0..8_u8 {
        let (mut devnet, facts) = devnet_with(&home, &flags);
        assert_eq!(passphrase.get_or_insert_with(|| facts["passphrase"].clone()), &facts["passphrase"]);
        let url = facts["rpc_url"].as_str().unwrap().to_owned();
        for (sequence, hash) in &told {
            let page = json!({ "startLedger": sequence, "pagination": { "limit": 1 } });
            let ledger = rpc(&http, &url, "getLedgers", page).await["ledgers"][0].clone();
            assert_eq!(ledger["hash"], hash.as_str(), "ledger {sequence}, round {round}");
        }
        for hash in &funded {
            let found = rpc(&http, &url, "getTransaction", json!({ "hash": hash })).await;
            assert_eq!(found["status"], "SUCCESS", "round {round}");
        }
        let status = ask(&http, reqwest::Method::GET, format!("{url}/devnet/status"), Value::Null).await.unwrap();
        assert_eq!(status["offset_seconds"], u64::from(round) * 1_000);
        let ahead = json!({ "advance_seconds": 1_000 });
        ask(&http, reqwest::Method::POST, format!("{url}/devnet/clock"), ahead).await.unwrap();
        let account = stellar_strkey::ed25519::PublicKey([round + 1; 32]).to_string();
        let friendbot = format!("{url}/friendbot?addr={account}");
        let made = ask(&http, reqwest::Method::POST, friendbot, Value::Null).await.unwrap();
        funded.push(made["hash"].as_str().unwrap().to_owned());
        // Several close at once; it is killed in the middle of that, a little later each time.
        let (tell, mut closed) = tokio::sync::mpsc::unbounded_channel();
        for _ in 0..3 {
            let (http, url, tell) = (http.clone(), format!("{url}/devnet/close"), tell.clone());
            tokio::spawn(async move {
                while let Some(closed) = ask(&http, reqwest::Method::POST, url.clone(), Value::Null).await {
                    let hash = closed["hash"].as_str().unwrap().to_owned();
                    let _ = tell.send((closed["sequence"].as_u64().unwrap(), hash));
                }
            });
        }
        drop(tell);
        for _ in 0..10 + 7 * usize::from(round) {
            told.push(closed.recv().await.unwrap());
        }
        devnet.0.kill().unwrap();
        devnet.0.wait().unwrap();
        while let Some(last) = closed.recv().await {
            told.push(last);
        }
    }
}

#[tokio::test]
async fn the_commands_on_the_devnets_page_run_as_they_stand() {
    let page = std::fs::read_to_string("../docs/devnet.md").unwrap();
    let blocks: String = page.split("```sh\n").skip(1).filter_map(|block| block.split("```").next()).collect();
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("ledger");
    let start = "tradepost devnet --port 8000 --state ledger\n";
    assert!(blocks.contains(start), "{blocks}");
    let (_devnet, facts) = devnet_with(dir.path(), &["--close-every", "0", "--state", state.to_str().unwrap()]);
    let url = facts["rpc_url"].as_str().unwrap();
    let http = reqwest::Client::new();
    let mut ran = 0;
    for line in blocks.lines().filter(|line| line.starts_with("curl ")) {
        let [address, rest] = line.strip_prefix("curl -X POST ").unwrap().splitn(2, ' ').collect::<Vec<_>>()[..] else {
            let path = line.rsplit("8000").next().unwrap();
            assert!(ask(&http, reqwest::Method::POST, format!("{url}{path}"), Value::Null).await.is_some(), "{line}");
            ran += 1;
            continue;
        };
        let path = address.strip_prefix("http://127.0.0.1:8000").unwrap();
        let body = rest.split_once("-d '").unwrap().1.strip_suffix('\'').unwrap();
        let answer =
            ask(&http, reqwest::Method::POST, format!("{url}{path}"), serde_json::from_str(body).unwrap()).await;
        assert!(answer.is_some_and(|answer| answer.is_object()), "{line}");
        ran += 1;
    }
    assert_eq!(ran, 3);
    let status = ask(&http, reqwest::Method::GET, format!("{url}/devnet/status"), Value::Null).await.unwrap();
    assert_eq!(status["offset_seconds"], 86_400, "as the page moves it");
}

#[test]
fn a_mnemonic_brings_the_account_back_and_is_shown_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let mut command = tradepost(&home, &["init", "--recover", "--no-fund", "--json"]);
    command.env("TRADEPOST_PASSPHRASE", "correct horse battery").stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(PHRASE.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "{}", text(&done.stderr));
    let made: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(made["account"], ACCOUNT);
    let mut everything = text(&done.stdout).to_owned() + text(&done.stderr);
    for file in ["keys.json", "config.toml"] {
        everything += &std::fs::read_to_string(home.join(file)).unwrap();
    }
    for secret in ["illness", "retreat", "horse", SECRET] {
        assert!(!everything.contains(secret), "{secret}");
    }
}

/// A home with the account of [`PHRASE`] under the passphrase `correct horse battery`.
fn recovered(home: &Path) {
    let mut command = tradepost(home, &["init", "--recover", "--no-fund"]);
    command.env("TRADEPOST_PASSPHRASE", "correct horse battery").stdin(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(PHRASE.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn an_export_shows_the_secret_key_only_when_asked_with_consent_and_the_passphrase_and_to_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    recovered(&home);
    let with = |args: &[&str], passphrase: &str| {
        tradepost(&home, args).env("TRADEPOST_PASSPHRASE", passphrase).output().unwrap()
    };
    let told = |done: &Output| text(&done.stdout).to_owned() + text(&done.stderr);

    let public = run(&home, &["wallet", "export"]);
    assert!(public.status.success(), "{}", told(&public));
    assert!(text(&public.stdout).contains(ACCOUNT) && !told(&public).contains(SECRET), "no passphrase, no secret");

    let right = "correct horse battery";
    let nobody = with(&["wallet", "export", "--secret"], right);
    let dry = with(&["wallet", "export", "--secret", "--dry-run"], right);
    let wrong = with(&["wallet", "export", "--secret", "--yes"], "wrong horse battery");
    let none = run(&home, &["wallet", "export", "--secret", "--yes"]);
    for (done, code) in [(&nobody, 3), (&dry, 0), (&wrong, 3), (&none, 2)] {
        assert!(!told(done).contains(SECRET));
        assert_eq!(done.status.code(), Some(code), "{}", told(done));
    }
    let shown = with(&["wallet", "export", "--secret", "--yes", "--json"], right);
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!((shown["account"].as_str(), shown["secret"].as_str()), (Some(ACCOUNT), Some(SECRET)));

    // Redirected into a file that others can read: refused before anything is in it. Into one's own: fine.
    for (mode, code) in [(0o644, 3), (0o600, 0)] {
        let path = dir.path().join(format!("{mode:o}"));
        let file = std::fs::File::create(&path).unwrap();
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        let mut command = tradepost(&home, &["wallet", "export", "--secret", "--yes"]);
        let done = command.env("TRADEPOST_PASSPHRASE", right).stdout(file).output().unwrap();
        assert_eq!(done.status.code(), Some(code), "{}", told(&done));
        assert_eq!(std::fs::read_to_string(&path).unwrap().contains(SECRET), code == 0);
    }
    let path = dir.path().join("export");
    let args = ["wallet", "export", "--secret", "--yes", "--file", path.to_str().unwrap()];
    assert!(with(&args, right).status.success());
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!((mode & 0o777, std::fs::read_to_string(&path).unwrap().contains(SECRET)), (0o600, true));
    assert_eq!(with(&args, right).status.code(), Some(1), "a file is never replaced");
}

#[test]
fn a_signed_message_verifies_for_its_bytes_and_its_account_alone() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    recovered(&home);
    let sign = |args: &[&str]| {
        let mut command = tradepost(&home, &[&["wallet", "sign"], args].concat());
        let done = command.env("TRADEPOST_PASSPHRASE", "correct horse battery").output().unwrap();
        assert!(done.status.success(), "{}", text(&done.stderr));
        text(&done.stdout).trim().to_owned()
    };
    let signature = sign(&["I am here"]);
    let file = dir.path().join("message");
    std::fs::write(&file, "I am here").unwrap();
    assert_eq!(sign(&["--file", file.to_str().unwrap()]), signature);
    // Whoever verifies needs neither keys nor a home.
    let nowhere = dir.path().join("nowhere");
    let verify = |args: &[&str]| run(&nowhere, &[&["wallet", "verify"], args].concat()).status.code();
    assert_eq!(verify(&[ACCOUNT, &signature, "I am here"]), Some(0));
    assert_eq!(verify(&[ACCOUNT, &signature, "--file", file.to_str().unwrap()]), Some(0));
    assert_eq!(verify(&[ACCOUNT, &signature, "I am here\n"]), Some(3));
    let other = "GBAW5XGWORWVFE2XTJYDTLDHXTY2Q2MO73HYCGB3XMFMQ562Q2W2GJQX";
    assert_eq!(verify(&[other, &signature, "I am here"]), Some(3));
    assert_eq!(verify(&[ACCOUNT, "c2hvcnQ=", "I am here"]), Some(2));
    assert_eq!(verify(&[ACCOUNT, &signature]), Some(2), "a message is needed");
}

#[test]
fn keys_are_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let init = || {
        let mut command = tradepost(dir.path(), &["init", "--no-fund"]);
        command.env("TRADEPOST_PASSPHRASE", "long enough").output().unwrap()
    };
    assert!(init().status.success());
    let keys = std::fs::read(dir.path().join("keys.json")).unwrap();
    let again = init();
    assert_eq!(again.status.code(), Some(3));
    assert!(again.stdout.is_empty() && text(&again.stderr).contains("keys.json"));
    assert_eq!(std::fs::read(dir.path().join("keys.json")).unwrap(), keys);
}

/// `init` with a passphrase and no friendbot.
fn init(home: &Path, args: &[&str]) -> Command {
    let mut command = tradepost(home, &[&["init"], args].concat());
    command.env("TRADEPOST_PASSPHRASE", "long enough").stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn no_keys_stand_whose_words_could_not_be_shown() {
    let dir = tempfile::tempdir().unwrap();
    for (name, args) in [("text", &["--no-fund"][..]), ("json", &["--no-fund", "--json"])] {
        let home = dir.path().join(name);
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let done = init(&home, args).stdout(full).output().unwrap();
        assert_eq!(done.status.code(), Some(1), "{}", text(&done.stderr));
        assert!(text(&done.stderr).contains("no keys were made"), "{}", text(&done.stderr));
        assert!(!home.join("keys.json").exists(), "{name}");
        // Nobody reads: that isn't the quiet end of one who has seen enough.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let done = init(&home, args).stdout(writer).output().unwrap();
        assert_eq!(done.status.code(), Some(1), "{}", text(&done.stderr));
        assert!(!home.join("keys.json").exists(), "{name}");
        assert!(init(&home, args).output().unwrap().status.success(), "the next one makes them");
    }
}

#[test]
fn a_configuration_that_cannot_be_written_leaves_no_keys_whose_words_nobody_saw() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    // The keys fit under the limit of a file's size, the configuration doesn't.
    let url = format!("http://127.0.0.1:1/{}", "a".repeat(60_000));
    let limited = "trap '' XFSZ; ulimit -f 16; exec \"$0\" \"$@\"";
    let mut command = Command::new("bash");
    command.args(["-c", limited, env!("CARGO_BIN_EXE_tradepost"), "--home"]).arg(&home);
    command.args(["init", "--no-fund", "--rpc-url", &url]).stdin(Stdio::null());
    let done = command.env("TRADEPOST_PASSPHRASE", "long enough").output().unwrap();
    assert_eq!(done.status.code(), Some(1), "{}", text(&done.stderr));
    assert!(!home.join("config.toml").exists(), "it was this that failed");
    assert!(!home.join("keys.json").exists());
}

#[test]
fn an_init_that_is_broken_off_while_the_friendbot_hangs_leaves_no_keys() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut child = Running(init(&home, &["--json", "--rpc-url", &url]).spawn().unwrap());
    let _asked = listener.accept().unwrap();
    child.0.kill().unwrap();
    child.0.wait().unwrap();
    assert!(home.join("config.toml").exists() && !home.join("keys.json").exists());
    assert!(init(&home, &["--json", "--no-fund"]).output().unwrap().status.success(), "the next one makes them");
}

#[test]
fn exit_codes_and_errors_are_as_documented() {
    let dir = tempfile::tempdir().unwrap();
    let help = run(dir.path(), &["--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(text(&help.stdout).contains("Exit codes"));
    assert_eq!(run(dir.path(), &["no-such-command"]).status.code(), Some(2));
    let unknown = run(dir.path(), &["config", "show", "--set", "bootstraps=x"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(unknown.stdout.is_empty() && text(&unknown.stderr).contains("`bootstrap`"));
    let json = run(dir.path(), &["config", "show", "--json", "--set", "max_peers=0"]);
    let error: Value = serde_json::from_slice(&json.stderr).unwrap();
    assert_eq!(error["error"], "usage");
    let no_passphrase = run(dir.path(), &["init"]);
    assert_eq!(no_passphrase.status.code(), Some(2));
    assert!(text(&no_passphrase.stderr).contains("--passphrase-file"));
    assert!(!dir.path().join("keys.json").exists());
}

#[test]
fn completions_and_man_pages_need_no_node() {
    let dir = tempfile::tempdir().unwrap();
    let bash = run(dir.path(), &["completions", "bash"]);
    assert!(bash.status.success() && text(&bash.stdout).contains("complete -F _tradepost"));
    assert_eq!(run(dir.path(), &["completions", "no-such-shell"]).status.code(), Some(2));
    let pages = dir.path().join("man1");
    let man = run(dir.path(), &["man", pages.to_str().unwrap()]);
    assert_eq!((man.status.code(), text(&man.stdout).trim()), (Some(0), pages.to_str().unwrap()));
    assert!(pages.join("tradepost-wallet-pay.1").exists());
    assert_eq!(run(dir.path(), &["man", "/dev/null/here"]).status.code(), Some(1));
}

#[test]
fn an_empty_passphrase_is_refused_off_the_devnet() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty");
    std::fs::write(&empty, "\n").unwrap();
    let args = ["init", "--network", "testnet", "--no-fund", "--passphrase-file", empty.to_str().unwrap()];
    let refused = run(&dir.path().join("home"), &args);
    assert_eq!(refused.status.code(), Some(3));
    assert!(text(&refused.stderr).contains("devnet"));
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    let dir = tempfile::tempdir().unwrap();
    // The reading end is closed before the program writes its first byte.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = tradepost(dir.path(), &["config", "keys"]);
    let mut child = child.stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!((child.wait().unwrap().code(), told.as_str()), (Some(0), ""));
}
