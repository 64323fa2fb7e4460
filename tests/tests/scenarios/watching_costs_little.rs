//! An escrow is read with every ledger only while something may become of it.

use core::time::Duration;

use tradepost_protocol::binding::phase::Phase;
use tradepost_protocol::escrow::outcome::EscrowState;
use tradepost_protocol::market::command::{Answer, Command};
use tradepost_tests::world::{World, draft};

#[test]
fn a_quiet_escrow_is_read_once_in_sixty_ledgers_and_with_each_once_its_session_is_over() {
    let (mut world, _) = World::with_offering(91);
    let mut long = draft();
    long.deliver = Duration::from_secs(3_600);
    let published = world.publish("provider", long);
    world.see("consumer", published.series);
    let bound = world.bind("consumer", published.offering, 5).unwrap();
    for name in ["provider", "consumer"] {
        world.wait_phase(name, bound.request, Phase::Active);
    }
    let before = world.escrow_reads();
    world.run_for(Duration::from_secs(180));
    let quiet = world.escrow_reads() - before;
    assert!((4..=8).contains(&quiet), "{quiet} reads of two nodes in three minutes of one ledger a second");
    assert_eq!(world.command("consumer", Command::Unbind(bound.request)).unwrap(), Answer::Unbound);
    world.run_until("the end", Duration::from_secs(20), |world| {
        *world.trade("consumer").escrow() == EscrowState::Paid && *world.trade("provider").escrow() == EscrowState::Paid
    });
}
