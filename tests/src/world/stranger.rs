//! A consumer without a node: the test signs its frames itself, and may cheat.

use ed25519_dalek::SigningKey;
use tradepost_protocol::account::{AccountId, PeerId, ServingKey};
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::binding::agreement::{Agreement, binding_id};
use tradepost_protocol::binding::frames::{self, Fund};
use tradepost_protocol::document::{BindingRequest, Nonce};
use tradepost_protocol::escrow::EscrowKind;
use tradepost_protocol::escrow::timed::TimedTerms;
use tradepost_protocol::message::{Packed, Payload, Signed};
use tradepost_protocol::seal::SealingSecret;
use tradepost_protocol::stellar::transaction::{Bounds, Envelope, Unsigned};
use tradepost_protocol::stellar::{Memo, Operation};

use super::{Published, World, keys_of, peer_of};

/// How long a stranger's request stands, in seconds.
const REQUEST_SECS: u64 = 60;

/// A consumer that the test plays.
#[derive(Debug)]
pub struct Stranger {
    /// Its peer id.
    pub peer: PeerId,
    /// Its account's key.
    pub key: SigningKey,
    /// What it signs frames with.
    pub signing: SigningKey,
    /// What access details are sealed to.
    pub sealing: SealingSecret,
    requests: u8,
}

impl Stranger {
    /// A stranger whose account holds so much.
    pub fn new(world: &mut World, name: &str, balance: Stroops) -> Self {
        let keys = keys_of(world.seed(), name);
        let key = keys.account.expect("a trader's keys");
        world.fund(AccountId::of(&key), balance);
        Self {
            peer: peer_of(name),
            key,
            signing: keys.serving.expect("a trader's keys"),
            sealing: keys.sealing.expect("a trader's keys"),
            requests: 0,
        }
    }

    /// Its account.
    pub fn account(&self) -> AccountId {
        AccountId::of(&self.key)
    }

    /// Asks a provider for units of its offering; its signed terms, or the bytes of its refusal.
    ///
    /// # Errors
    /// The answer, where it isn't an agreement; empty where there is none.
    pub fn request(
        &mut self,
        world: &mut World,
        provider: &str,
        published: &Published,
        units: u64,
    ) -> Result<Signed<Agreement>, Vec<u8>> {
        self.request_under(world, provider, published, units, &[])
    }

    /// As [`Stranger::request`], under `arbitrated` where it names arbiters.
    ///
    /// # Errors
    /// The answer, where it isn't an agreement; empty where there is none.
    pub fn request_under(
        &mut self,
        world: &mut World,
        provider: &str,
        published: &Published,
        units: u64,
        arbiters: &[AccountId],
    ) -> Result<Signed<Agreement>, Vec<u8>> {
        self.requests += 1;
        let body = BindingRequest {
            account: self.account(),
            offering: published.offering,
            series: published.series,
            units,
            budget: None,
            escrow: vec![if arbiters.is_empty() { EscrowKind::Timed } else { EscrowKind::Arbitrated }],
            arbiters: arbiters.to_vec(),
            pay_unless_disputed: false,
            sealing_key: self.sealing.public(),
            signing_key: ServingKey::of(&self.signing),
            peer: self.peer.clone(),
            nonce: Nonce::from_bytes([self.requests; 16]),
            valid_until: world.now().timestamp().plus(core::time::Duration::from_secs(REQUEST_SECS)),
        };
        let network = world.ledger().network();
        let request = Signed::sign(body, &network, &self.key).expect("a request within its rules");
        let answer = world.ask_as(&self.peer, provider, frames::to_stream(request.packed())).unwrap_or_default();
        let agreement = frames::from_stream(&network, &answer).and_then(|packed| packed.open::<Agreement>(&network));
        agreement.map_err(|_| answer)
    }

    /// A funding of these operations, valid until the agreement's `fund_by`.
    pub fn funding(&self, world: &mut World, agreement: &Signed<Agreement>, operations: Vec<Operation>) -> Envelope {
        self.transaction(world, Bounds::until(agreement.body().terms.fund_by()), operations)
    }

    /// A transaction of these operations, with the sequence number that is next on the ledger.
    pub fn transaction(&self, world: &mut World, bounds: Bounds, operations: Vec<Operation>) -> Envelope {
        let account = world.ledger().account(self.account()).expect("the stranger's account");
        let transaction = Unsigned {
            source: self.account(),
            sequence: account.sequence + 1,
            fee: 1_000,
            bounds,
            memo: Memo::None,
            operations,
        };
        transaction.sign(&[&self.key], &world.ledger().network()).expect("a transaction within XDR's bounds")
    }

    /// Hands an envelope over; what the provider answers.
    pub fn hand_over(
        &self,
        world: &mut World,
        provider: &str,
        agreement: &Signed<Agreement>,
        envelope: &Envelope,
    ) -> Packed {
        self.try_hand_over(world, provider, agreement, envelope).expect("an answer")
    }

    /// Hands an envelope over; what the provider answers, where it does.
    pub fn try_hand_over(
        &self,
        world: &mut World,
        provider: &str,
        agreement: &Signed<Agreement>,
        envelope: &Envelope,
    ) -> Option<Packed> {
        let binding = binding_id(agreement);
        let key = ServingKey::of(&self.signing);
        self.try_say(world, provider, Fund { key, binding, envelope: envelope.bytes().to_vec() })
    }

    /// Sends a frame signed by the key that its request named; what comes back.
    pub fn say<T: Payload>(&self, world: &mut World, provider: &str, body: T) -> Packed {
        self.try_say(world, provider, body).expect("an answer")
    }

    fn try_say<T: Payload>(&self, world: &mut World, provider: &str, body: T) -> Option<Packed> {
        let network = world.ledger().network();
        let frame = Signed::sign(body, &network, &self.signing).expect("a frame within its bounds");
        let answer = world.ask_as(&self.peer, provider, frames::to_stream(frame.packed()));
        frames::from_stream(&network, &answer?).ok()
    }
}

/// The escrow that an agreement asks for, with another amount.
pub fn escrow_of(agreement: &Signed<Agreement>, amount: Stroops) -> TimedTerms {
    let body = agreement.body();
    let refund_at = body.terms.refund_at().expect("an agreement with money in it");
    let binding = binding_id(agreement);
    TimedTerms::new(binding, body.consumer, body.recipient, body.asset.clone(), amount, refund_at)
        .expect("terms of an escrow")
}
