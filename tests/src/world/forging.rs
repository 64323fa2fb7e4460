//! Frames that a crook signs with its own keys: of every kind there is, about its own bindings and about others'.

use ed25519_dalek::SigningKey;
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use tradepost_protocol::account::{AccountId, PeerId, ServiceKey, ServingKey};
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::binding::agreement::Agreement;
use tradepost_protocol::binding::dispute::Split;
use tradepost_protocol::binding::frames::{
    self, Ack, Award, Cancel, Case, Closing, Cosign, Cosigned, Delivered, Dispute, Engage, Engagement, Evidence, Fund,
    FundAccepted, FundRefused, Held, NotNow, Note, Ping, Pong, Receipt, Reject, RejectCode, Rejected, Released, Sealed,
    SealedEvidence, StartFailed, Started, Unbind,
};
use tradepost_protocol::binding::session::End;
use tradepost_protocol::community::frames::{Join, Joined};
use tradepost_protocol::document::{BindingRequest, BuiltIn, InterfaceHash, Offering, ServiceRecord};
use tradepost_protocol::kind::Kind;
use tradepost_protocol::message::{BalanceId, BindingId, MessageId, Payload, SeriesId, Signed, TxHash};
use tradepost_protocol::network_id::NetworkId;
use tradepost_protocol::status::{Presence, Status};
use tradepost_protocol::stellar::transaction::hash_of;
use tradepost_protocol::time::Timestamp;

/// Bytes of made-up envelopes and sealed texts.
const MADE_UP_BYTES: usize = 100;

/// What a crook knows of a binding, its own or another's, and the keys that it has.
#[derive(Debug)]
pub struct Facts {
    /// The network.
    pub network: NetworkId,
    /// The time.
    pub now: Timestamp,
    /// Where it says that it is.
    pub peer: PeerId,
    /// Its account's key.
    pub account: SigningKey,
    /// Its serving key.
    pub serving: SigningKey,
    /// What it signs with in the binding; another key of its own where it has no part in it.
    pub own: SigningKey,
    /// What somebody else signs with in it.
    pub other: ServingKey,
    /// The binding.
    pub binding: BindingId,
    /// The request that began it.
    pub request_id: MessageId,
    /// What that says.
    pub request: BindingRequest,
    /// What was agreed, where it knows.
    pub agreement: Option<Signed<Agreement>>,
    /// A balance that it knows.
    pub balance: BalanceId,
    /// An offering that it knows.
    pub offering: Option<Offering>,
    /// Whether it serves in it now.
    pub serves: bool,
    /// Frames that it has seen.
    pub overheard: Vec<Vec<u8>>,
}

fn pick(dice: &mut ChaCha20Rng, count: usize) -> usize {
    (dice.next_u64() % count as u64) as usize
}

fn bytes<const N: usize>(dice: &mut ChaCha20Rng) -> [u8; N] {
    let mut bytes = [0; N];
    dice.fill_bytes(&mut bytes);
    bytes
}

fn made_up(dice: &mut ChaCha20Rng) -> Vec<u8> {
    bytes::<MADE_UP_BYTES>(dice).to_vec()
}

impl Facts {
    /// A frame of this kind as it goes over a stream: one that was seen, as it was or altered, or a new one that the crook
    /// signs. `None` where it can make none of this kind.
    pub fn forge(&self, kind: Kind, dice: &mut ChaCha20Rng) -> Option<Vec<u8>> {
        let seen: Vec<&Vec<u8>> = self.overheard.iter().filter(|frame| frame.first() == Some(&kind.number())).collect();
        let replays = !seen.is_empty() && pick(dice, 3) == 0;
        if !replays {
            return self.sign_one(kind, dice);
        }
        let mut frame = seen[pick(dice, seen.len())].clone();
        if pick(dice, 2) == 0 {
            let at = 1 + pick(dice, frame.len() - 1);
            frame[at] ^= 1 << pick(dice, 8);
        }
        Some(frame)
    }

    fn signed<T: Payload>(&self, body: T, key: &SigningKey) -> Option<Vec<u8>> {
        let signed = Signed::sign(body, &self.network, key).ok()?;
        Some(frames::to_stream(signed.packed()))
    }

    /// The crook's own word of this kind. Each kind has one: there is no frame that nobody lies with.
    fn sign_one(&self, kind: Kind, dice: &mut ChaCha20Rng) -> Option<Vec<u8>> {
        let (own, serving) = (&self.own, &self.serving);
        let (key, serving_key) = (ServingKey::of(own), ServingKey::of(serving));
        let (binding, request) = (self.binding, self.request_id);
        let note = Note::new("so I say");
        match kind {
            Kind::Template => self.template(),
            Kind::ServiceRecord => self.service_record(),
            Kind::Offering => self.offering(dice),
            Kind::BindingRequest => self.binding_request(dice),
            Kind::Presence => {
                let at = self.now.plus(core::time::Duration::from_secs(dice.next_u64() % 100));
                self.signed(Presence { serving_key, at, peer: self.request.peer.clone() }, serving)
            }
            Kind::Status => {
                let (series, sequence, free) = (self.request.series, u64::MAX >> pick(dice, 60), pick(dice, 9) as u32);
                let withdrawn = pick(dice, 2) == 0;
                self.signed(Status { serving_key, series, sequence, free, withdrawn, at: self.now }, serving)
            }
            Kind::Cancel => self.signed(Cancel { key, request }, own),
            Kind::Agreement => self.agreement(dice),
            Kind::Reject => {
                let code = [RejectCode::NoFreeSupply, RejectCode::Cancelled, RejectCode::NoArbiter][pick(dice, 3)];
                self.signed(Reject { key: serving_key, request, code, note }, serving)
            }
            Kind::Fund => self.signed(Fund { key, binding, envelope: self.envelope(dice) }, own),
            Kind::FundAccepted => self.signed(FundAccepted { key, binding }, own),
            Kind::FundRefused => self.signed(FundRefused { key, binding, note }, own),
            Kind::Started => self.signed(Started { key, binding, access: Sealed::new(made_up(dice))? }, own),
            Kind::StartFailed => self.signed(StartFailed { key, binding, note }, own),
            Kind::Unbind => self.signed(Unbind { key, binding, note }, own),
            Kind::Delivered => {
                let end = if pick(dice, 2) == 0 { End::Done } else { End::ALL[pick(dice, End::ALL.len())] };
                let used = dice.next_u64() % 9;
                self.signed(Delivered { key, binding, end, used }, own)
            }
            Kind::Ack => {
                let step = Kind::ALL[pick(dice, Kind::ALL.len())].number();
                self.signed(Ack { key, binding, step }, own)
            }
            Kind::Closing => {
                let transaction = TxHash::from_bytes(bytes(dice));
                self.signed(Closing { key, binding, transaction }, own)
            }
            Kind::Ping => {
                let binding = (pick(dice, 2) == 0).then_some(binding);
                self.signed(Ping { key, whom: self.other, binding, nonce: bytes(dice) }, own)
            }
            Kind::Pong => self.signed(Pong { key, nonce: bytes(dice) }, own),
            Kind::NotNow => self.signed(NotNow { key, binding, state: note }, own),
            Kind::Engage => {
                let (arbiter, case) = (self.other, self.case(dice)?);
                let case = Case { provider: serving_key, ..case };
                self.signed(Engage { key: serving_key, arbiter, fund_by: self.now, case }, serving)
            }
            Kind::Engagement => self.signed(Engagement { key: serving_key, case: self.case(dice)? }, serving),
            Kind::Released => self.signed(Released { key, binding, split: self.split(dice) }, own),
            Kind::Rejected => self.signed(Rejected { key, binding, note }, own),
            Kind::Cosign => {
                let (account, sequence) = (self.someone(dice), dice.next_u64() as i64 >> 8);
                let (split, awarded, balance) = (self.split(dice), pick(dice, 2) == 0, self.balance);
                self.signed(Cosign { key, binding, split, awarded, balance, account, sequence }, own)
            }
            Kind::Cosigned => {
                let (account, sequence) = (self.someone(dice), dice.next_u64() as i64 >> 8);
                self.signed(Cosigned { key, binding, account, sequence, signature: bytes(dice) }, own)
            }
            Kind::Dispute => {
                let (claim, balance) = (self.split(dice), self.balance);
                let agreement = self.agreement.as_ref().map(|a| a.packed().bytes().to_vec());
                let altered = self.agreement(dice).map(|frame| frame[1..].to_vec());
                let agreement = agreement.filter(|_| pick(dice, 2) == 0).or(altered).unwrap_or_default();
                // An acknowledgement that nobody gave; a case that was lost is opened again by a true one.
                let receipt =
                    (pick(dice, 2) == 0).then(|| Receipt { step: pick(dice, 256) as u8, signature: bytes(dice) });
                self.signed(Dispute { key, binding, at: self.now, claim, balance, agreement, receipt }, own)
            }
            Kind::Evidence => {
                let (number, sealed) = (pick(dice, 4) as u32, SealedEvidence::new(made_up(dice))?);
                self.signed(Evidence { key, binding, number, sealed }, own)
            }
            Kind::Award => {
                let (number, split) = (pick(dice, 9) as u32, self.split(dice));
                self.signed(Award { key: serving_key, binding, number, split, note }, serving)
            }
            Kind::Held => {
                let (opened, items) = (pick(dice, 2) == 0, pick(dice, 17) as u32);
                self.signed(Held { key: serving_key, binding, opened, items }, serving)
            }
            Kind::Join => {
                let (account, exchange) = (AccountId::of(&self.account), self.request_asset());
                self.signed(Join { account, exchange, envelope: self.envelope(dice) }, &self.account)
            }
            Kind::Joined => {
                let (agent, transaction) = (AccountId::of(&self.account), TxHash::from_bytes(bytes(dice)));
                self.signed(Joined { agent, transaction, refused: None }, &self.account)
            }
        }
    }

    fn amount(&self) -> Stroops {
        self.agreement.as_ref().map_or(Stroops::whole(1), |agreement| agreement.body().amount)
    }

    fn request_asset(&self) -> Asset {
        self.agreement.as_ref().map_or(Asset::Native, |agreement| agreement.body().asset.clone())
    }

    /// The crook's own account, or that of somebody who has a part.
    fn someone(&self, dice: &mut ChaCha20Rng) -> AccountId {
        [AccountId::of(&self.account), self.request.account][pick(dice, 2)]
    }

    fn split(&self, dice: &mut ChaCha20Rng) -> Split {
        let amount = self.amount();
        let part = Stroops::new(dice.next_u64() as i64 & i64::MAX).unwrap_or_default();
        let part = Stroops::new(part.get() % (amount.get() + 1)).unwrap_or_default();
        match pick(dice, 4) {
            0 => Split { to_provider: Stroops::ZERO, to_consumer: amount },
            1 => Split { to_provider: amount, to_consumer: Stroops::ZERO },
            2 => Split { to_provider: amount, to_consumer: amount },
            _ => Split::of(amount, part).unwrap_or(Split { to_provider: amount, to_consumer: Stroops::ZERO }),
        }
    }

    /// An envelope that was seen in somebody's word, or made-up bytes.
    fn envelope(&self, dice: &mut ChaCha20Rng) -> Vec<u8> {
        let seen: Vec<Vec<u8>> = self.envelopes();
        if seen.is_empty() || pick(dice, 4) == 0 { made_up(dice) } else { seen[pick(dice, seen.len())].clone() }
    }

    /// The funding envelopes among what was seen.
    pub fn envelopes(&self) -> Vec<Vec<u8>> {
        let funds = self.overheard.iter().filter(|frame| frame.first() == Some(&Kind::Fund.number()));
        let packed = funds.filter_map(|frame| frames::from_stream(&self.network, frame).ok());
        let opened = packed.filter_map(|packed| packed.open::<Fund>(&self.network).ok());
        let envelopes = opened.map(|fund| fund.into_body().envelope);
        envelopes.filter(|envelope| hash_of(envelope, &self.network).is_ok()).collect()
    }

    fn case(&self, dice: &mut ChaCha20Rng) -> Option<Case> {
        let agreement = self.agreement.as_ref()?.body();
        let mut case = agreement.engagement(agreement.arbiters.first()?)?.case;
        match pick(dice, 5) {
            0 => case.fee = case.fee.plus(Stroops::whole(1))?,
            1 => case.amount = case.amount.plus(Stroops::whole(1))?,
            2 => case.consumer = ServingKey::of(&self.serving),
            3 => case.timeout_at = case.timeout_at.plus(core::time::Duration::from_secs(60)),
            _ => case.request = MessageId::from_bytes(bytes(dice)),
        }
        Some(case)
    }

    /// The agreement with one of its fields another.
    fn agreement(&self, dice: &mut ChaCha20Rng) -> Option<Vec<u8>> {
        let mut body = self.agreement.as_ref()?.body().clone();
        body.serving_key = ServingKey::of(&self.serving);
        let more = body.amount.plus(Stroops::new(1)?)?;
        match pick(dice, 13) {
            0 => body.amount = more,
            1 => body.amount = Stroops::new(1)?,
            2 => body.recipient = AccountId::of(&self.account),
            3 => body.consumer = AccountId::of(&self.account),
            4 => body.consumer_key = ServingKey::of(&self.own),
            5 => body.units += 1,
            6 => body.pay_unless_disputed = !body.pay_unless_disputed,
            7 => body.request = MessageId::from_bytes(bytes(dice)),
            8 => body.series = SeriesId::from_bytes(bytes(dice)),
            9 => body.offering = MessageId::from_bytes(bytes(dice)),
            10 => body.arbiters.truncate(body.arbiters.len().saturating_sub(2)),
            11 => body.arbiters.first_mut()?.key = ServingKey::of(&self.account),
            _ => body.arbiters.first_mut()?.fee = Stroops::new(2)?,
        }
        self.signed(body, &self.serving)
    }

    fn binding_request(&self, dice: &mut ChaCha20Rng) -> Option<Vec<u8>> {
        let mut body = self.request.clone();
        body.account = AccountId::of(&self.account);
        body.signing_key = ServingKey::of(&self.own);
        body.nonce = tradepost_protocol::document::Nonce::from_bytes(bytes(dice));
        match pick(dice, 6) {
            0 => body.units = u64::MAX,
            1 => body.budget = Some(Stroops::ZERO),
            2 => body.valid_until = Timestamp::from_secs(1),
            3 => body.series = SeriesId::from_bytes(bytes(dice)),
            4 => body.offering = MessageId::from_bytes(bytes(dice)),
            _ => body.arbiters.truncate(1),
        }
        self.signed(body, &self.account)
    }

    fn offering(&self, dice: &mut ChaCha20Rng) -> Option<Vec<u8>> {
        let mut body = self.offering.clone()?;
        body.account = AccountId::of(&self.account);
        match pick(dice, 6) {
            0 => body.price.amount = Stroops::ZERO,
            1 => body.bond = self.balance,
            2 => body.revision += 1,
            3 => body.max_supply = u32::MAX,
            4 => body.serving_key = self.other,
            _ => body.valid_until = Timestamp::from_secs(1),
        }
        self.signed(body, &self.account)
    }

    fn template(&self) -> Option<Vec<u8>> {
        let mut body = BuiltIn::named("http-api")?.template.clone();
        body.author = AccountId::of(&self.account);
        self.signed(body, &self.account)
    }

    fn service_record(&self) -> Option<Vec<u8>> {
        let body = ServiceRecord {
            service: ServiceKey::of(&self.serving),
            repository: "https://example.org/s.git".parse().ok()?,
            commit: "ab".repeat(20).parse().ok()?,
            path: "services/echo".parse().ok()?,
            interface_hash: InterfaceHash::from_bytes([2; 32]),
            title: "Another's echo".into(),
            revision: 2,
            previous: Some(self.request_id),
        };
        self.signed(body, &self.serving)
    }
}
