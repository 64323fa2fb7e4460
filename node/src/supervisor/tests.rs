#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::process_id::ProcessId;

/// How long an event may take before a test gives up.
const DEADLINE: Duration = Duration::from_secs(20);

/// Stands in the environment of a process that is to be the service.
const SERVICE: &str = "SUPERVISED_SERVICE";

/// Not a test, but the service that the tests supervise: this very program, started again with `SUPERVISED_SERVICE` set.
/// It answers every request with its binding; `STATUS`, `EXIT_AFTER_ONE` and `STUBBORN` make it misbehave.
#[test]
#[ignore = "it is the process that other tests start"]
fn service() {
    let set = |name: &str| std::env::var(name).ok();
    if set(SERVICE).is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // Listening for the signal keeps it from ending the process.
        let _deaf = set("STUBBORN").map(|_| {
            let child = tokio::process::Command::new("sleep").arg("600").spawn().unwrap();
            println!("child {}", child.id().unwrap());
            (child, tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap())
        });
        let port: u16 = set("PORT").unwrap().parse().unwrap();
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        println!("serving");
        let (status, body) = (set("STATUS").unwrap_or("200".to_owned()), set("TRADEPOST_BINDING").unwrap());
        while let Ok((stream, _)) = listener.accept().await {
            let _ = answer(stream, &status, &body).await;
            if set("EXIT_AFTER_ONE").is_some() {
                std::process::exit(7);
            }
        }
    });
}

/// Reads one request's header and answers it.
async fn answer(mut stream: TcpStream, status: &str, body: &str) -> io::Result<()> {
    let mut header = Vec::new();
    while !header.ends_with(b"\r\n\r\n") {
        header.push(stream.read_u8().await?);
    }
    let length = body.len();
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    stream.write_all((head + body).as_bytes()).await?;
    stream.shutdown().await
}

struct World {
    supervisor: Supervisor,
    events: mpsc::Receiver<ServiceEvent>,
    home: TempDir,
}

impl World {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let (supervisor, events) = Supervisor::new(&Home::at(home.path())).await.unwrap();
        Self { supervisor, events, home }
    }

    async fn event(&mut self) -> ServiceEvent {
        tokio::time::timeout(DEADLINE, self.events.recv()).await.unwrap().unwrap()
    }

    async fn started(&mut self) -> String {
        match self.event().await {
            ServiceEvent::Started { base_url, .. } => base_url,
            other => panic!("{other:?}; log: {:?}", self.supervisor.log(&id(1))),
        }
    }

    fn records(&self) -> usize {
        std::fs::read_dir(Home::at(self.home.path()).services_dir()).unwrap().count()
    }
}

fn id(byte: u8) -> BindingId {
    BindingId::from_bytes([byte; 32])
}

fn command(argv: &[&str]) -> ServiceSpec {
    let source = ServiceSource::Started {
        command: argv.iter().map(|&arg| arg.to_owned()).collect(),
        env: BTreeMap::new(),
        dir: Path::new("/").to_owned(),
        stop_timeout: Duration::from_secs(5),
        max_runs: 2,
    };
    spec(source)
}

fn spec(source: ServiceSource) -> ServiceSpec {
    let config = ServiceConfig { source, health: "/".to_owned(), start_timeout: Duration::from_secs(15) };
    ServiceSpec { name: "weather".to_owned(), config, env: BTreeMap::new() }
}

/// The service above, with these variables.
fn service_spec(env: &[(&str, &str)]) -> ServiceSpec {
    let program = std::env::current_exe().unwrap();
    let name = "supervisor::tests::service";
    let mut spec = command(&[program.to_str().unwrap(), "--exact", name, "--ignored", "--nocapture"]);
    spec.env = env.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    spec.env.insert(SERVICE.to_owned(), "yes".to_owned());
    spec
}

async fn get(url: &str) -> Option<String> {
    let client = reqwest::Client::builder().no_proxy().timeout(DEADLINE).build().unwrap();
    client.get(url).send().await.ok()?.text().await.ok()
}

#[tokio::test]
async fn a_service_starts_when_bound_and_is_gone_when_unbound() {
    let mut world = World::new().await;
    world.supervisor.start(id(1), service_spec(&[])).unwrap();
    let url = world.started().await;
    assert_eq!(get(&url).await.unwrap(), id(1).to_string());
    let running = world.supervisor.running();
    let process = ProcessId::of(running[0].pid.unwrap());
    assert!(process.is_alive() && world.records() == 1);
    assert_eq!(world.supervisor.start(id(1), service_spec(&[])), Err(SupervisorError::Running(id(1))));
    world.supervisor.stop(&id(1));
    assert_eq!(world.event().await, ServiceEvent::Stopped { binding: id(1) });
    assert!(!process.is_alive() && get(&url).await.is_none() && world.records() == 0);
    assert!(world.supervisor.log(&id(1)).unwrap().iter().any(|line| line.text == "serving"));
}

#[tokio::test]
async fn each_binding_has_its_own_process_up_to_the_bound() {
    let mut world = World::new().await;
    world.supervisor.start(id(1), service_spec(&[])).unwrap();
    world.supervisor.start(id(2), service_spec(&[])).unwrap();
    assert!(matches!(world.supervisor.start(id(3), service_spec(&[])), Err(SupervisorError::Full { max: 2, .. })));
    let (one, two) = (world.started().await, world.started().await);
    assert_ne!(one, two);
    tokio::time::timeout(DEADLINE, async {
        world.supervisor.close().await;
    })
    .await
    .unwrap();
    assert!(world.supervisor.running().is_empty() && get(&one).await.is_none() && get(&two).await.is_none());
    assert_eq!(world.supervisor.start(id(4), service_spec(&[])), Err(SupervisorError::Closing));
}

#[tokio::test]
async fn b18_a_command_that_is_missing_or_fails_says_why() {
    let mut world = World::new().await;
    world.supervisor.start(id(1), command(&["/nowhere/weather"])).unwrap();
    let why = StartFailure::Command(io::ErrorKind::NotFound);
    assert_eq!(world.event().await, ServiceEvent::StartFailed { binding: id(1), why });
    world.supervisor.start(id(2), command(&["sh", "-c", "echo no key >&2; exit 3"])).unwrap();
    let why = StartFailure::Ended(Some(3));
    assert!(why.to_string().contains("exit code 3"));
    assert_eq!(world.event().await, ServiceEvent::StartFailed { binding: id(2), why });
    let log = world.supervisor.log(&id(2)).unwrap();
    assert_eq!((log[0].stream, log[0].text.as_str()), (Stream::Stderr, "no key"));
    assert_eq!(world.records(), 0);
}

#[tokio::test]
async fn b19_a_service_that_connects_but_never_answers_is_not_healthy() {
    let mut world = World::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let holding = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    let mut silent = spec(ServiceSource::Running { url: url.parse().unwrap() });
    silent.config.start_timeout = Duration::from_secs(3);
    world.supervisor.start(id(1), silent).unwrap();
    let ServiceEvent::StartFailed { why, .. } = world.event().await else { panic!("it counts as healthy") };
    assert!(why.to_string().contains("doesn't answer"), "{why}");
    holding.abort();
}

#[tokio::test]
async fn b19_a_service_that_answers_with_an_error_is_not_healthy() {
    let mut world = World::new().await;
    let mut broken = service_spec(&[("STATUS", "503")]);
    broken.config.start_timeout = Duration::from_secs(3);
    world.supervisor.start(id(1), broken).unwrap();
    let ServiceEvent::StartFailed { why, .. } = world.event().await else { panic!("it counts as healthy") };
    assert!(why.to_string().contains("503"), "{why}");
    assert!(world.supervisor.running().is_empty());
}

#[tokio::test]
async fn a_service_that_already_runs_is_looked_at_and_left_alone() {
    let mut world = World::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answering = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = answer(stream, "200", "").await;
        }
    });
    world.supervisor.start(id(1), spec(ServiceSource::Running { url: url.parse().unwrap() })).unwrap();
    assert_eq!(world.started().await, url);
    world.supervisor.stop(&id(1));
    assert_eq!(world.event().await, ServiceEvent::Stopped { binding: id(1) });
    assert!(!answering.is_finished());
    answering.abort();
}

#[tokio::test]
async fn a_service_that_ends_by_itself_is_reported_with_its_code() {
    let mut world = World::new().await;
    let short = service_spec(&[("EXIT_AFTER_ONE", "yes")]);
    world.supervisor.start(id(1), short).unwrap();
    world.started().await;
    assert_eq!(world.event().await, ServiceEvent::Exited { binding: id(1), code: Some(7) });
}

#[tokio::test]
async fn what_ignores_the_request_to_end_is_killed_with_its_children() {
    let mut world = World::new().await;
    let mut spec = service_spec(&[("STUBBORN", "yes")]);
    let ServiceSource::Started { stop_timeout, .. } = &mut spec.config.source else { unreachable!() };
    *stop_timeout = Duration::from_millis(200);
    world.supervisor.start(id(1), spec).unwrap();
    world.started().await;
    let log = world.supervisor.log(&id(1)).unwrap();
    let child = log.iter().find_map(|line| line.text.strip_prefix("child ")).unwrap();
    let child = ProcessId::of(child.parse().unwrap());
    assert!(child.is_alive());
    world.supervisor.stop(&id(1));
    assert_eq!(world.event().await, ServiceEvent::Stopped { binding: id(1) });
    assert!(!child.is_alive());
}

/// Starts a process in a group of its own, as a supervisor would for this record.
fn left_running(command: &str, record: &Path) -> std::process::Child {
    let mut left = std::process::Command::new("sh");
    left.args(["-c", command]).env("TRADEPOST_RECORD", record);
    std::os::unix::process::CommandExt::process_group(&mut left, 0).spawn().unwrap()
}

/// A record before its process runs.
fn record_ahead(home: &Home) -> record::Record {
    std::fs::create_dir_all(home.services_dir()).unwrap();
    record::Record::ahead(&home.services_dir(), &id(1)).unwrap()
}

/// How many processes have this record's path in their environment.
fn named(record: &Path) -> usize {
    let path = record.as_os_str().as_encoded_bytes();
    crate::process_id::all().filter(|process| process.variable("TRADEPOST_RECORD").as_deref() == Some(path)).count()
}

async fn next_start(home: &Home) {
    Supervisor::new(home).await.unwrap();
    assert_eq!(std::fs::read_dir(home.services_dir()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_service_that_a_crashed_node_left_running_is_killed_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path());
    let record = record_ahead(&home);
    // Its environment tells nothing: it is found by its number.
    let mut left = left_running("exec env -u TRADEPOST_RECORD sh -c 'sleep 600 & wait'", record.path());
    record.running(left.id()).unwrap();
    std::mem::forget(record);
    next_start(&home).await;
    // Its end is a signal's, or it would sleep for minutes.
    assert_eq!(left.wait().unwrap().code(), None);
}

#[tokio::test]
async fn a_service_whose_node_was_killed_before_it_noted_the_number_is_killed_with_all_that_it_started() {
    for half_written in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        let record = record_ahead(&home);
        let path = record.path().to_owned();
        std::mem::forget(record);
        if half_written {
            std::fs::write(&path, b"{\"pid\":4").unwrap();
        }
        // Its first process is gone already, and what that left is in a group of its own.
        left_running("setsid sleep 600 & exit", &path).wait().unwrap();
        let others = path.with_file_name("another.json");
        let mut other = left_running("exec sleep 600", &others);
        assert_eq!((named(&path), named(&others)), (1, 1));
        next_start(&home).await;
        assert_eq!((named(&path), named(&others)), (0, 1), "all of it, and nothing else");
        other.kill().unwrap();
        other.wait().unwrap();
    }
}

#[tokio::test]
async fn a_record_whose_number_another_process_has_now_kills_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path());
    let record = record_ahead(&home);
    let path = record.path().to_owned();
    let mut other = left_running("exec sleep 600", &path.with_file_name("another.json"));
    record.running(other.id()).unwrap();
    std::mem::forget(record);
    let mut record: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    record["started"] = serde_json::json!(1);
    std::fs::write(&path, record.to_string()).unwrap();
    next_start(&home).await;
    assert!(ProcessId::of(other.id()).is_alive());
    other.kill().unwrap();
    other.wait().unwrap();
}

/// Where the process below supervises.
const SUPERVISING: &str = "SUPERVISING_HOME";

/// Not a test, but a supervisor that a test kills: it starts services that never get healthy, and stops each at once.
#[tokio::test]
#[ignore = "it is the process that another test starts"]
async fn supervising() {
    let Ok(home) = std::env::var(SUPERVISING) else { return };
    let (supervisor, mut events) = Supervisor::new(&Home::at(home)).await.unwrap();
    for round in 0u8.. {
        let mut spec = command(&["sh", "-c", "sleep 600 & sleep 600"]);
        spec.env.insert(SUPERVISED.to_owned(), std::env::var(SUPERVISED).unwrap());
        supervisor.start(id(round), spec).unwrap();
        if round % 2 == 0 {
            while supervisor.running().iter().all(|run| run.pid.is_none()) {
                tokio::task::yield_now().await;
            }
        }
        supervisor.stop(&id(round));
        events.recv().await.unwrap();
    }
}

/// Stands in the environment of everything that the process above starts.
const SUPERVISED: &str = "SUPERVISED_BY";

#[tokio::test]
async fn wherever_a_node_is_killed_while_services_start_and_stop_the_next_one_finds_all_of_them() {
    for round in 0..12 {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        let mark = dir.path().to_str().unwrap().to_owned();
        let mut node = std::process::Command::new(std::env::current_exe().unwrap());
        node.args(["--exact", "supervisor::tests::supervising", "--ignored"]).stdout(std::process::Stdio::null());
        let mut node = node.env(SUPERVISING, dir.path()).env(SUPERVISED, &mark).spawn().unwrap();
        let records = || std::fs::read_dir(home.services_dir()).is_ok_and(|mut dir| dir.next().is_some());
        let seen = async {
            while !records() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(DEADLINE, seen).await.unwrap();
        // It goes round in a few milliseconds; each of these catches it elsewhere.
        tokio::time::sleep(Duration::from_micros(700 * round)).await;
        node.kill().unwrap();
        node.wait().unwrap();
        next_start(&home).await;
        let marked =
            |process: &crate::process_id::Seen| process.variable(SUPERVISED) == Some(mark.clone().into_bytes());
        let left: Vec<_> = crate::process_id::all().filter(marked).collect();
        assert!(left.is_empty(), "round {round}: {left:?}");
    }
}

#[tokio::test]
async fn a_stop_at_any_moment_of_a_start_leaves_nothing() {
    let mut world = World::new().await;
    for moment in 0..60u8 {
        world.supervisor.start(id(moment), service_spec(&[])).unwrap();
        for _ in 0..moment {
            tokio::task::yield_now().await;
        }
        if moment >= 40 {
            while world.supervisor.running()[0].pid.is_none() {
                tokio::task::yield_now().await;
            }
        }
        world.supervisor.stop(&id(moment));
        let mut last = world.event().await;
        if let ServiceEvent::Started { .. } = last {
            last = world.event().await;
        }
        assert_eq!(last, ServiceEvent::Stopped { binding: id(moment) });
        assert!(world.supervisor.running().is_empty() && world.records() == 0);
        let record = Home::at(world.home.path()).services_dir().join(format!("{}.json", id(moment)));
        assert_eq!(named(&record), 0, "moment {moment}");
    }
}

#[tokio::test]
async fn a_forced_end_waits_for_no_service_and_leaves_none() {
    let mut world = World::new().await;
    let mut spec = service_spec(&[("STUBBORN", "yes")]);
    let ServiceSource::Started { stop_timeout, .. } = &mut spec.config.source else { unreachable!() };
    *stop_timeout = Duration::from_secs(3_600);
    world.supervisor.start(id(1), spec).unwrap();
    world.started().await;
    let process = ProcessId::of(world.supervisor.running()[0].pid.unwrap());
    tokio::time::timeout(DEADLINE, world.supervisor.kill()).await.unwrap();
    assert!(!process.is_alive() && world.records() == 0);
}
