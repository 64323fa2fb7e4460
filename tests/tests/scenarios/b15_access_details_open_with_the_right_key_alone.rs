//! Access details are sealed to the request's one-time key and to the binding.

use core::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use tradepost_protocol::account::ServingKey;
use tradepost_protocol::binding::frames::{self, Sealed, Started};
use tradepost_protocol::binding::phase::Phase;
use tradepost_protocol::binding::session::Session;
use tradepost_protocol::binding::trade::Access;
use tradepost_protocol::frame;
use tradepost_protocol::kind::Kind;
use tradepost_protocol::message::{BindingId, Signed};
use tradepost_protocol::seal::{SealingKey, SealingSecret, seal};
use tradepost_tests::world::{Script, World, peer_of};

/// What access details are sealed for, as the protocol's page says.
const INFO: &[u8] = b"tradepost/1/access";

fn sealed_for(key: &SealingKey, binding: BindingId, token: u8) -> Vec<u8> {
    let access = frame::encode(&Access { token: [token; 32] }).unwrap();
    seal(&mut ChaCha20Rng::from_seed([9; 32]), key, INFO, binding.as_bytes(), &access).unwrap()
}

/// The consumer's answer to `started` with these sealed bytes, signed with the provider's own serving key.
fn tell_started(world: &mut World, binding: BindingId, sealed: Vec<u8>) -> Kind {
    let network = world.ledger().network();
    let serving = world.keys("provider").serving.clone().unwrap();
    let body = Started { key: ServingKey::of(&serving), binding, access: Sealed::new(sealed).unwrap() };
    let signed = Signed::sign(body, &network, &serving).unwrap();
    let answer = world.ask_as(&peer_of("provider"), "consumer", frames::to_stream(signed.packed())).unwrap();
    frames::from_stream(&network, &answer).unwrap().kind()
}

#[test]
fn b15_access_details_sealed_to_another_key_or_with_one_byte_changed_are_refused() {
    let (mut world, published) = World::with_offering(16);
    world.set_script("provider", Script::Silent);
    let bound = world.bind("consumer", published.offering, 1).unwrap();
    world.wait_phase("consumer", bound.request, Phase::Funded);
    let key = world.trade("consumer").request.body().sealing_key;
    let right = sealed_for(&key, bound.binding, 7);

    let another = SealingSecret::from_bytes([5; 32]).public();
    let foreign = sealed_for(&another, bound.binding, 7);
    assert_eq!(tell_started(&mut world, bound.binding, foreign), Kind::NotNow);
    let other_binding = sealed_for(&key, BindingId::from_bytes([1; 32]), 7);
    assert_eq!(tell_started(&mut world, bound.binding, other_binding), Kind::NotNow);
    for index in [0, 31, 32, right.len() / 2, right.len() - 1] {
        let mut changed = right.clone();
        changed[index] ^= 1;
        assert_eq!(tell_started(&mut world, bound.binding, changed), Kind::NotNow, "byte {index}");
    }
    let state = &world.trade("consumer").state;
    assert_eq!((state.session, state.access), (Session::Starting, None));

    assert_eq!(tell_started(&mut world, bound.binding, right), Kind::Ack, "unchanged, they open");
    assert_eq!(world.trade("consumer").state.access, Some(Access { token: [7; 32] }));
    assert_eq!(world.phase("consumer", bound.request), Phase::Active);
}

#[test]
fn b15_a_started_signed_by_anyone_but_the_serving_key_is_refused() {
    let (mut world, published) = World::with_offering(17);
    world.set_script("provider", Script::Silent);
    let bound = world.bind("consumer", published.offering, 1).unwrap();
    world.wait_phase("consumer", bound.request, Phase::Funded);
    let key = world.trade("consumer").request.body().sealing_key;
    let network = world.ledger().network();
    let account = world.keys("provider").account.clone().unwrap();
    let access = Sealed::new(sealed_for(&key, bound.binding, 7)).unwrap();
    let body = Started { key: ServingKey::of(&account), binding: bound.binding, access };
    let signed = Signed::sign(body, &network, &account).unwrap();
    let answer = world.ask_as(&peer_of("provider"), "consumer", frames::to_stream(signed.packed()));
    assert_eq!(answer, Some(Vec::new()), "nothing to say to it");
    assert_eq!(world.misbehaved().len(), 1);
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.trade("consumer").state.access, None);
}
