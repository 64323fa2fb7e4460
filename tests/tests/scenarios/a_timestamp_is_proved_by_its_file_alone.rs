//! Batches of timestamps: chained, checked without a node, and finished by whoever comes back after a crash.

use core::time::Duration;

use tradepost_protocol::amount::Stroops;
use tradepost_protocol::market::command::{Answer, Command, CommandError};
use tradepost_protocol::message::Sha256Hash;
use tradepost_protocol::stellar::entry::Entry;
use tradepost_protocol::stellar::ledger_key::Key;
use tradepost_protocol::timestamp::{BatchFile, ENTRY, entry_of, entry_value};
use tradepost_tests::world::{CrashPlan, Moment, World};

/// Until a batch is in a ledger and its proof is kept.
const SOON: Duration = Duration::from_secs(60);

fn stamp(world: &mut World, hashes: &[[u8; 32]]) -> Result<Sha256Hash, CommandError> {
    match world.command("anna", Command::Stamp { hashes: hashes.to_vec(), dry_run: false })? {
        Answer::Stamped { root, .. } => Ok(root),
        other => panic!("stamping led to {other:?}"),
    }
}

fn kept(world: &World, root: &Sha256Hash) -> Option<BatchFile> {
    world.kept().find(|file| file.root() == *root).cloned()
}

fn entry(world: &mut World) -> Option<Vec<u8>> {
    let account = world.account("anna");
    let (_, entries) = world.ledger().read(&[Key::Account(account), entry_of(account)]);
    entries.into_iter().find_map(|e| if let Entry::Data(data) = e { Some(data.value) } else { None })
}

#[test]
fn batches_follow_on_each_other_and_every_hash_is_proved_by_its_file() {
    let mut world = World::new(61);
    world.add_node("anna", Stroops::whole(100));
    let mut before = Sha256Hash::from_bytes([0; 32]);
    for counter in 1..=3_u64 {
        let hashes: Vec<[u8; 32]> = (0..5).map(|n| [counter as u8 * 16 + n; 32]).collect();
        let root = stamp(&mut world, &hashes).unwrap();
        assert_eq!(entry(&mut world).unwrap(), entry_value(root.as_bytes(), counter), "{ENTRY}");
        world.run_until("the proof", SOON, |world| kept(world, &root).is_some());
        let file = kept(&world, &root).unwrap();
        assert_eq!((file.previous, file.counter), (before, counter));
        for hash in &hashes {
            let proved = file.proof_of(&Sha256Hash::from_bytes(*hash)).unwrap().check().unwrap();
            assert_eq!((proved.account, proved.root), (world.account("anna"), *root.as_bytes()));
            assert!(proved.ledger.close_time <= world.close_time());
        }
        before = root;
        world.run_until("an empty table", SOON, |world| world.market("anna").stamps().next().is_none());
    }
    assert_eq!(world.fees("anna"), 300, "a hundred stroops a batch");
    let account = world.account("anna");
    assert_eq!(world.ledger().account(account).unwrap().sub_entries, 1);
}

#[test]
fn one_batch_at_a_time_is_on_its_way() {
    let mut world = World::new(62);
    world.add_node("anna", Stroops::whole(100));
    let first = world.give("anna", Command::Stamp { hashes: vec![[1; 32]], dry_run: false });
    let second = world.command("anna", Command::Stamp { hashes: vec![[2; 32]], dry_run: false });
    assert!(matches!(second, Err(CommandError::NotNow(_))), "{second:?}");
    let cost = world.command("anna", Command::Stamp { hashes: vec![[2; 32]], dry_run: true });
    assert!(matches!(cost, Ok(Answer::Cost(_))), "{cost:?}");
    world.run_until("the first", SOON, |world| world.answer(first).is_some());
    assert!(matches!(world.answer(first), Some(Ok(Answer::Stamped { .. }))));
    assert!(stamp(&mut world, &[[2; 32]]).is_ok());
    let twice = world.command("anna", Command::Stamp { hashes: vec![[3; 32], [3; 32]], dry_run: false });
    assert_eq!(twice.unwrap_err().code(), "no-batch");
}

#[test]
fn whatever_commit_is_the_last_the_batch_is_stamped_once_and_its_proof_is_kept() {
    for moment in [Moment::BeforeEffects, Moment::AfterEffects] {
        for first in 1..8 {
            let plan = CrashPlan { first, every: 1_000, moment, down: vec![Duration::from_secs(2)] };
            let mut world = World::new(70 + first);
            world.add_crashing_node("anna", Stroops::whole(100), plan);
            world.run_until("a node", SOON, |world| world.is_up("anna"));
            world.give("anna", Command::Stamp { hashes: vec![[7; 32], [8; 32]], dry_run: false });
            world.run_for(SOON);
            let files: Vec<&BatchFile> = world.kept().collect();
            assert!(files.len() <= 1 && files.iter().all(|file| file.check().is_ok()), "commit {first}, {moment:?}");
            assert_eq!(world.fees("anna"), 100 * files.len() as i64, "commit {first}, {moment:?}");
            assert!(world.market("anna").stamps().next().is_none(), "commit {first}, {moment:?}");
        }
    }
}
