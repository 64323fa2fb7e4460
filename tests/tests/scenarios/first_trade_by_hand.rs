//! The README's first trade, typed as it stands there: its blocks run in order in one bash, with `tradepost` on the `PATH`.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// The heading over the blocks.
const HEADING: &str = "## First trade by hand";
/// The most commands that it may take.
const MOST_COMMANDS: usize = 8;
/// How long the whole trade may take, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(180);
/// How long the processes may take to end after they were asked to.
const ENDING: Duration = Duration::from_secs(20);

/// The shell blocks below the heading, in their order.
fn blocks() -> String {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let section = readme.split(&format!("\n{HEADING}\n")).nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    section.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap()).collect()
}

/// A shell with all that it started, as one process group.
struct Shell {
    group: String,
    ended: mpsc::Receiver<ExitStatus>,
}

impl Shell {
    fn signal(&self, signal: &str) -> bool {
        let sent = Command::new("kill").args([signal, "--", &self.group]).stderr(Stdio::null()).status();
        sent.is_ok_and(|status| status.success())
    }

    /// Waits until the shell has ended; `None` where it hasn't by the deadline.
    fn wait(&self) -> Option<ExitStatus> {
        self.ended.recv_timeout(DEADLINE).ok()
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // Asked first, so that the nodes end their services, which have process groups of their own. Nothing tells when a
        // group is empty, so it is looked at.
        let end = Instant::now() + ENDING;
        self.signal("-TERM");
        while Instant::now() < end && self.signal("-0") {
            thread::sleep(Duration::from_millis(50));
        }
        self.signal("-KILL");
    }
}

fn shell(script: &str, dir: &Path) -> Shell {
    let bin = dir.join("bin");
    fs::create_dir(&bin).unwrap();
    symlink(env!("CARGO_BIN_EXE_node-under-test"), bin.join("tradepost")).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut child = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .env_clear()
        .env("PATH", path)
        .env("HOME", dir)
        .env("TMPDIR", dir)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(File::create(dir.join("out")).unwrap())
        .stderr(File::create(dir.join("err")).unwrap())
        .process_group(0)
        .spawn()
        .unwrap();
    let group = format!("-{}", child.id());
    let (tell, ended) = mpsc::channel();
    thread::spawn(move || tell.send(child.wait().unwrap()));
    Shell { group, ended }
}

#[test]
fn the_readmes_first_trade_takes_at_most_eight_commands() {
    let blocks = blocks();
    let commands = blocks.lines().filter(|line| line.contains("tradepost ") && !line.starts_with("until "));
    let numbered: Vec<&str> = commands.map(|line| line.rsplit('#').next().unwrap().trim()).collect();
    let expected: Vec<String> = (1..=numbered.len()).map(|number| number.to_string()).collect();
    assert_eq!(numbered, expected, "each command has its number at the end of its line");
    assert!((1..=MOST_COMMANDS).contains(&numbered.len()), "{} commands", numbered.len());
}

#[test]
fn the_readmes_first_trade_settles_when_its_blocks_are_run_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let settled = r#"
until tradepost binding list --all --json --home "$TRADE/consumer" | grep -q '"state":"paid"'; do sleep 0.2; done
kill $(jobs -p)
wait
echo "the trade is settled"
"#;
    let shell = shell(&format!("{}{settled}", blocks()), dir.path());
    let ended = shell.wait();
    drop(shell);
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap_or_default();
    let (out, err) = (read("out"), read("err"));
    assert!(ended.is_some_and(|status| status.success()), "{ended:?}\n{out}\n{err}");
    assert!(out.contains("sunny, 21 degrees"), "the service's answer isn't there\n{out}\n{err}");
    assert!(out.ends_with("the trade is settled\n"), "{out}\n{err}");
}
