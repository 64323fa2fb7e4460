//! Full, read-only, and damaged disks under real nodes: it is said what is wrong and what to do, nothing is lost, and the
//! trade goes on once that is mended.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tradepost::api::view::OfferingList;
use tradepost_protocol::binding::phase::Phase;
use tradepost_tests::cluster::market::{BUYER, SELLER, SOON, told};
use tradepost_tests::cluster::stage::{End, Stage};
use tradepost_tests::cluster::{Nodes, run_json};

const NODE: &str = env!("CARGO_BIN_EXE_node-under-test");
/// Starts a node so that it survives the limit of a file's size (as a write that fails), and so that its log, which is a
/// file, too, doesn't fall under it.
const UNDER_A_LIMIT: &str = "trap '' XFSZ; exec > >(cat) 2>&1; ulimit -f \"$0\"; exec \"$@\"";

/// How long a node on a full disk may take to write more than fits: it notes each second that it lives.
const UNTIL_IT_WRITES: Duration = Duration::from_secs(180);

/// Where a node has its home.
enum Disk {
    /// A file system of its own, of a few megabytes.
    Small(PathBuf),
    /// Where mounting isn't allowed: files can be kept from growing.
    Shared,
}

impl Disk {
    /// A disk at this directory, which doesn't exist yet.
    fn at(dir: PathBuf) -> Self {
        fs::create_dir(&dir).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=24m,mode=0700", "tmpfs"]).arg(&dir);
        match mount.output() {
            Ok(mounted) if mounted.status.success() => Self::Small(dir),
            _ => Self::Shared,
        }
    }

    /// Leaves no byte of room, also for the node that runs with this number.
    fn fill(&self, running: u32) {
        match self {
            Self::Small(dir) => {
                let mut filler = File::create(dir.join("filler")).unwrap();
                let full = io::copy(&mut io::repeat(0), &mut filler).unwrap_err();
                assert_eq!(full.kind(), io::ErrorKind::StorageFull, "{full}");
            }
            Self::Shared => {
                let mut limit = Command::new("prlimit");
                limit.args(["--fsize=0", "--pid", &running.to_string()]);
                assert!(limit.status().unwrap().success());
            }
        }
    }

    /// How a node is started on it while it is full.
    fn while_full(&self) -> &'static [&'static str] {
        match self {
            Self::Small(_) => &[],
            Self::Shared => &["bash", "-c", UNDER_A_LIMIT, "0"],
        }
    }

    /// How a node is started on it while there is room.
    fn with_room(&self) -> &'static [&'static str] {
        match self {
            Self::Small(_) => &[],
            Self::Shared => &["bash", "-c", UNDER_A_LIMIT, "unlimited"],
        }
    }

    /// Gives so many bytes of room back, or all.
    fn free(&self, bytes: Option<u64>) {
        let Self::Small(dir) = self else { return };
        let filler = OpenOptions::new().write(true).open(dir.join("filler")).unwrap();
        let length = filler.metadata().unwrap().len();
        filler.set_len(bytes.map_or(0, |bytes| length.saturating_sub(bytes))).unwrap();
    }

    /// Makes it read-only, or writable again; whether that can be done here.
    fn read_only(&self, on: bool) -> bool {
        let Self::Small(dir) = self else { return false };
        let how = if on { "remount,ro" } else { "remount,rw" };
        let mounted = Command::new("mount").args(["-o", how]).arg(dir).status().unwrap();
        assert!(mounted.success());
        true
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Self::Small(dir) = self {
            // Its nodes are gone or end soon; what they hold open keeps it no longer than that.
            let _ = Command::new("umount").arg("--lazy").arg(&*dir).status();
            if let Some(all) = dir.parent().filter(|_| !std::thread::panicking()) {
                let _ = fs::remove_dir_all(all);
            }
        }
    }
}

/// What a seller says that can't be started.
async fn refusal(stage: &mut Stage, before: &[&str]) -> String {
    let refused = stage.market.nodes.run_by(SELLER, before).await.map(drop).unwrap_err();
    assert!(refused.what.contains("exit status: 1"), "{refused}");
    refused.tail.join("\n")
}

#[tokio::test]
async fn a_full_or_read_only_disk_is_said_ends_the_node_and_costs_nobody() {
    let nodes = Nodes::start(NODE).await;
    let disk = Disk::at(nodes.dir().join(SELLER));
    let mut stage = Stage::open_in(nodes).await;
    if let Disk::Shared = disk {
        stage.market.kill(SELLER);
        told(stage.market.nodes.run_by(SELLER, disk.with_room()).await);
        stage.market.seller = told(stage.market.nodes.node(SELLER).and_then(tradepost::demo::actor::Actor::of));
    }
    let (before, request) = stage.bring_to(Phase::Delivered).await;

    disk.fill(stage.market.nodes.node(SELLER).unwrap().running().unwrap().process.pid);
    // The ledger pays it, which it can't note; what is left of a page takes some words first.
    stage.let_go().await;
    let seller = stage.market.nodes.node_mut(SELLER).unwrap();
    let ended = seller.ended_within(UNTIL_IT_WRITES).await.expect("it can't go on");
    assert_eq!(ended.code(), Some(1));
    let said = seller.error("").tail.join("\n");
    let full = |text: &str| text.contains("No space left on device") || text.contains("File too large");
    assert!(full(&said) && said.contains("Check free space"), "{said}");
    assert!(said.contains("it goes on where it was"), "{said}");

    for room in [0, 8 * 1024, 64 * 1024, 256 * 1024] {
        disk.free(Some(room));
        let said = refusal(&mut stage, disk.while_full()).await;
        println!("with {room} bytes of room: {said}");
        assert!(full(&said), "with {room} bytes of room: {said}");
        assert!(said.contains("Check free space") || said.contains("make room on that disk"), "{said}");
        assert!(!said.contains("damaged") && !said.contains("rebuild"), "its files are whole: {said}");
        disk.free(None);
        disk.fill(0);
    }
    disk.free(None);
    if disk.read_only(true) {
        let said = refusal(&mut stage, &[]).await;
        assert!(said.contains("Read-only file system") && said.contains("writable"), "{said}");
        disk.read_only(false);
    }

    stage.market.restart(SELLER).await;
    let (end, units) = stage.end(request).await;
    assert_eq!(end, End::Paid, "it had served");
    stage.check_books("a full disk", &before, end, units).await;
    stage.check_that_nothing_is_left("a full disk").await;
}

#[tokio::test]
async fn torn_and_cut_off_files_are_said_and_rebuilt_and_no_money_is_lost() {
    let mut stage = Stage::open(NODE).await;
    let (before, request) = stage.bring_to(Phase::Delivered).await;
    for node in [SELLER, BUYER] {
        stage.market.kill(node);
    }
    let database = |stage: &Stage, node| stage.market.nodes.node(node).unwrap().home().data_dir().join("sled");
    let log = |stage: &Stage, node| fs::read_to_string(stage.market.nodes.node(node).unwrap().log()).unwrap();

    // A torn snapshot: the node sets it aside by itself.
    let sled = database(&stage, BUYER);
    File::create(sled.join("snap.00000000000FFFFF")).unwrap().write_all(b"torn").unwrap();
    stage.market.restart(BUYER).await;
    assert!(sled.join("torn-snap.00000000000FFFFF").exists());
    assert!(log(&stage, BUYER).contains("its snapshot is set aside"));

    // A database that is cut off as if it were new: the journal brings back what money depends on, also by itself.
    let sled = database(&stage, SELLER);
    OpenOptions::new().write(true).open(sled.join("db")).unwrap().set_len(100).unwrap();
    stage.market.restart(SELLER).await;
    assert!(log(&stage, SELLER).contains("rebuilt what money depends on from the journal"));
    stage.wait(request, Phase::Delivered, true).await.unwrap();

    // One that doesn't open is its owner's to decide about.
    stage.market.kill(SELLER);
    fs::write(sled.join("conf"), "no configuration of sled's").unwrap();
    let said = refusal(&mut stage, &[]).await;
    assert!(said.contains("is damaged") && said.contains("run `tradepost store rebuild`"), "{said}");
    let rebuild = |stage: &Stage, node| {
        let home = stage.market.nodes.node(node).unwrap().home().dir().to_str().unwrap().to_owned();
        run_json(NODE, &["store", "rebuild", "--json", "--home", &home])
    };
    let rebuilt = rebuild(&stage, SELLER);
    assert!(rebuilt["rows"].as_u64().is_some_and(|rows| rows > 0), "{rebuilt}");
    assert!(Path::new(rebuilt["moved_to"].as_str().unwrap()).exists(), "nothing is thrown away");
    stage.let_go().await;
    stage.market.restart(SELLER).await;
    let (end, units) = stage.end(request).await;
    assert_eq!(end, End::Paid, "it had served");
    stage.check_books("a rebuilt seller", &before, end, units).await;
    stage.check_that_nothing_is_left("a rebuilt seller").await;

    // The buyer loses its database, too: the trades come from the journal, the offerings from peers.
    stage.market.kill(BUYER);
    fs::remove_dir_all(database(&stage, BUYER)).unwrap();
    rebuild(&stage, BUYER);
    stage.market.restart(BUYER).await;
    assert_eq!(stage.end(request).await, (end, units));
    let series = stage.market.published.series;
    let listed = |list: &OfferingList| list.items.iter().any(|o| o.series == series && o.live).then_some(());
    told(stage.market.buyer.until("the offering is back", SOON, "/v1/offerings", listed).await);
}
