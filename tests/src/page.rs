//! The shell blocks of a page, typed as they stand there: in order in one bash, with `tradepost` on the `PATH`.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How long all blocks of a page may take, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(180);
/// How long the processes may take to end after they were asked to.
const ENDING: Duration = Duration::from_secs(20);

/// A file of the repository, by its path from the root.
///
/// # Errors
/// As for reading a file.
pub fn read(path: &str) -> io::Result<String> {
    fs::read_to_string(root().join(path))
}

/// The directory of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The text below a heading, up to the next one of its level; `None` where there is no such heading.
pub fn section<'a>(page: &'a str, heading: &str) -> Option<&'a str> {
    let level = heading.split(' ').next()?;
    let below = page.split_once(&format!("\n{heading}\n"))?.1;
    below.split(&format!("\n{level} ")).next()
}

/// The shell blocks of a text, in their order.
pub fn blocks(text: &str) -> String {
    text.split("```sh\n").skip(1).filter_map(|block| block.split("```").next()).collect()
}

/// Whether a file of the repository has a test of this name.
pub fn has_test(file: &str, name: &str) -> bool {
    let Ok(source) = read(file) else { return false };
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let wanted = format!("fn {name}(");
    let found = lines.iter().enumerate().filter(|(_, line)| line.trim_start_matches("async ").starts_with(&wanted));
    found.into_iter().any(|(at, _)| {
        let mut above = lines[..at].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("//"));
        above.any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
    })
}

/// The numbers at the ends of the lines that give a command, and not only wait for something.
pub fn numbers(blocks: &str) -> Vec<&str> {
    let commands = blocks.lines().filter(|line| line.contains("tradepost ") && !line.starts_with("until "));
    commands.map(|line| line.rsplit('#').next().unwrap_or_default().trim()).collect()
}

/// How a script ended, and what it printed.
#[derive(Debug)]
pub struct Typed {
    /// `None` where it hadn't ended by the deadline.
    pub status: Option<ExitStatus>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Typed {
    /// Whether it ended well.
    pub fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }
}

/// Runs a script in a directory, with this program as `tradepost`; leaves no process behind.
///
/// # Errors
/// Where the directory can't be written, or bash can't be started.
pub fn type_in(script: &str, dir: &Path, program: &str) -> io::Result<Typed> {
    let bin = dir.join("bin");
    fs::create_dir(&bin)?;
    symlink(program, bin.join("tradepost"))?;
    let mut path = bin.into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut child = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .env_clear()
        .env("PATH", path)
        .env("HOME", dir)
        .env("TMPDIR", dir)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(File::create(dir.join("out"))?)
        .stderr(File::create(dir.join("err"))?)
        .process_group(0)
        .spawn()?;
    let group = Group(format!("-{}", child.id()));
    let (tell, ended) = mpsc::channel();
    thread::spawn(move || tell.send(child.wait()));
    let status = ended.recv_timeout(DEADLINE).ok().and_then(Result::ok);
    drop(group);
    let read = |name| fs::read_to_string(dir.join(name)).unwrap_or_default();
    Ok(Typed { status, out: read("out"), err: read("err") })
}

/// A shell with all that it started, as one process group.
struct Group(String);

impl Group {
    fn signal(&self, signal: &str) -> bool {
        let sent = Command::new("kill").args([signal, "--", &self.0]).stderr(Stdio::null()).status();
        sent.is_ok_and(|status| status.success())
    }
}

impl Drop for Group {
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
