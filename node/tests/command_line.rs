//! The program as people and scripts meet it: output, exit codes, and what it leaves in a home.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

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
    let mut command = tradepost(home, &["devnet", "--port", "0", "--json"]);
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
