//! What the other side says closed an escrow: the ledger is asked, and not as often as the other side likes.

use ed25519_dalek::SigningKey;

use super::disputes::{award, bound, run_to};
use super::engagement::ARBITER;
use super::pair::{CONSUMER, PROVIDER, Pair, draft, net};
use crate::account::ServingKey;
use crate::binding::frames::{Ack, Closing, to_stream};
use crate::binding::session::{End, Session};
use crate::market::event::{Effect, Event, Token};
use crate::message::{BindingId, Signed, TxHash};
use crate::step::Step;

/// What a node does as this side says that a transaction closed the escrow.
fn say(pair: &mut Pair, to: usize, (binding, key): (BindingId, &SigningKey), hash: u8) -> Vec<Effect> {
    let body = Closing { key: ServingKey::of(key), binding, transaction: TxHash::from_bytes([hash; 32]) };
    let bytes = to_stream(Signed::sign(body, &net(), key).unwrap().packed());
    let peer = pair.nodes[PROVIDER].setup.peer.clone();
    let step: Step<Effect> = pair.step(to, Event::Direct { token: Token(u64::MAX), peer, bytes });
    step.into_parts().1
}

fn asked(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::AskStatus { .. })).count()
}

fn answered(effects: &[Effect]) -> bool {
    let of = |effect: &Effect| match effect {
        Effect::Respond { bytes, .. } => super::settling::opened::<Ack>(bytes).is_some(),
        _ => false,
    };
    effects.iter().any(of)
}

#[test]
fn however_often_a_provider_names_a_transaction_the_ledger_is_asked_once_in_a_heartbeat() {
    let (mut pair, request) = Pair::active(draft(), 3);
    assert_eq!(pair.trade(CONSUMER, request).state.session, Session::Active);
    let key = pair.nodes[PROVIDER].setup.keys.serving.clone().unwrap();
    let binding = pair.only(PROVIDER).binding().unwrap();
    let first = say(&mut pair, CONSUMER, (binding, &key), 1);
    assert_eq!((asked(&first), answered(&first)), (1, true));
    let writes = pair.writes(CONSUMER);
    for n in 0..50 {
        let (same, other) =
            (say(&mut pair, CONSUMER, (binding, &key), 1), say(&mut pair, CONSUMER, (binding, &key), n + 2));
        assert_eq!((asked(&same), answered(&same)), (0, true));
        assert_eq!((asked(&other), answered(&other)), (0, false), "it says so again");
        assert_eq!(asked(&pair.step(CONSUMER, Event::Tick).into_parts().1), 0);
    }
    assert_eq!(pair.writes(CONSUMER), writes);
    let every = pair.nodes[CONSUMER].setup.margins.heartbeat_every;
    pair.now = pair.now.plus(every);
    let other = say(&mut pair, CONSUMER, (binding, &key), 2);
    assert_eq!((asked(&other), answered(&other)), (1, true));
    pair.now = pair.now.plus(every);
    assert_eq!(asked(&pair.step(CONSUMER, Event::Tick).into_parts().1), 1, "and by itself");
}

#[test]
fn however_often_a_side_names_a_transaction_its_arbiter_asks_the_ledger_once_in_a_heartbeat() {
    let (mut pair, _) = bound(1, false, [End::ConsumerGone, End::ConsumerGone]);
    run_to(&mut pair, "dispute_by", 2);
    pair.run(1);
    for node in [PROVIDER, CONSUMER] {
        pair.kill(node);
    }
    award(&mut pair, ARBITER, 7);
    let key = pair.nodes[PROVIDER].setup.keys.serving.clone().unwrap();
    let binding = pair.only(PROVIDER).binding().unwrap();
    let mut questions = 0;
    for n in 0..50 {
        assert!(answered(&say(&mut pair, ARBITER, (binding, &key), n)));
        questions += asked(&pair.step(ARBITER, Event::Tick).into_parts().1);
    }
    assert!(questions <= 1, "{questions}");
}
