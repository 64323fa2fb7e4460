//! An offering as it travels: payload and signature, with the digest and id that the design says.

use core::time::Duration;

use ed25519_dalek::Signature;
use tradepost_protocol::document::Offering;
use tradepost_protocol::kind::Kind;
use tradepost_protocol::message::{Packed, keccak};
use tradepost_protocol::refusal::Reason;
use tradepost_tests::world::World;

#[test]
fn a1_a_published_offering_has_the_designs_digest_and_id_and_a_signature_that_verifies() {
    let (mut world, published) = World::with_offering(101);
    let network = world.ledger().network();
    let listing = world.listing("consumer", published.series).unwrap();
    let bytes = listing.offering.packed().bytes().to_vec();
    let (payload, signature) = bytes.split_at(bytes.len() - 64);

    let digest = keccak(&[b"tradepost/1/", b"offering", &[0], network.as_bytes(), payload]);
    let id = keccak(&[b"tradepost/1/id", b"offering", &[0], network.as_bytes(), payload, signature]);
    assert_eq!(listing.offering.digest().as_bytes(), &digest);
    assert_eq!(listing.id.as_bytes(), &id);
    assert_eq!(published.offering.as_bytes(), &id, "what the provider was told");

    let key = listing.offering.body().account.verifying_key().unwrap();
    key.verify_strict(&digest, &Signature::from_bytes(signature.try_into().unwrap())).unwrap();
    let packed = Packed::new(Kind::Offering, &network, bytes.clone()).unwrap();
    assert_eq!((packed.payload(), packed.signature().as_slice()), (payload, signature));
    assert_eq!(packed.open::<Offering>(&network).unwrap().body(), listing.offering.body());
}

#[test]
fn a1_gossip_shorter_than_a_signature_is_refused_and_changes_nothing() {
    let (mut world, published) = World::with_offering(102);
    let network = world.ledger().network();
    assert_eq!(Packed::new(Kind::Offering, &network, vec![b'{'; 63]).unwrap_err().reason, Reason::TooShort);
    let known = world.market("consumer").book().len();
    world.pass_on("provider", "consumer", Kind::Offering, vec![b'{'; 63]);
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.market("consumer").book().refused().get(&Reason::TooShort), Some(&1));
    assert_eq!(world.market("consumer").book().len(), known);
    assert!(world.listing("consumer", published.series).is_some());
}
