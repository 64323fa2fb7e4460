//! How one joins: the member signs and hands over, the agent stores, signs beside it and hands in.

use bincode::{Decode, Encode};

use crate::account::{AccountId, PeerId};
use crate::asset::Asset;
use crate::binding::frames::{self, Note};
use crate::community::act::{ActId, ActState, What};
use crate::community::frames::{Join, Joined};
use crate::community::rules::{CommunityCode, CommunityRefusal};
use crate::frame;
use crate::intent::{IntentState, Purpose};
use crate::market::Market;
use crate::market::command::CommandError;
use crate::market::event::{Call, Effect};
use crate::message::{Packed, Signed, TxHash};
use crate::network_id::NetworkId;
use crate::refusal::Refusal;
use crate::stellar::envelope::SignedTransaction;
use crate::stellar::transaction::Envelope;
use crate::step::{Space, Step};
use crate::time::{Now, Timestamp};

use super::JOINING;

/// Accounts whose joining is under way at once.
const MAX_JOINING: usize = 1_024;
/// Polls after which an agent that didn't answer is asked again.
const POLLS_UNTIL_AGAIN: u32 = 6;

/// A transaction that the agent signed, by which somebody joins; it is handed in until the ledger has decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Joining {
    pub(super) account: AccountId,
    hash: TxHash,
    until: Timestamp,
    envelope: Vec<u8>,
}

#[derive(Encode, Decode)]
struct StoredJoining {
    account: AccountId,
    until: Timestamp,
    envelope: Vec<u8>,
}

/// What became of asking the agent.
#[derive(Debug, Clone, Default)]
pub(super) struct Sent {
    at: Now,
    accepted: bool,
    pub(super) note: Option<CommunityRefusal>,
}

impl Joining {
    pub(super) fn read(network: &NetworkId, bytes: &[u8]) -> Result<Self, String> {
        let StoredJoining { account, until, envelope } = frame::decode(bytes).map_err(|e| e.to_string())?;
        let hash = Envelope::read(&envelope, network).map_err(|e| e.to_string())?.hash();
        Ok(Self { account, hash, until, envelope })
    }

    fn store(&self, step: &mut Step<Effect>) {
        let Self { account, until, envelope, .. } = self.clone();
        let bytes = frame::encode(&StoredJoining { account, until, envelope }).expect("an envelope is bounded");
        step.batch().put(Space::Community, joining_key(account), bytes);
    }

    fn hand_in(&self) -> Effect {
        Effect::Submit { hash: self.hash, envelope: self.envelope.clone() }
    }
}

fn joining_key(account: AccountId) -> Vec<u8> {
    [&[JOINING][..], account.as_bytes()].concat()
}

impl Market {
    /// Where an exchange's agent is reached, as its offering says.
    fn agents_peer(&self, exchange: &Asset, agent: AccountId, now: Now) -> Option<PeerId> {
        let listed = self.exchange_listings(now);
        let (_, listing) = listed.iter().find(|(terms, _)| terms.clawable == *exchange && terms.agent == agent)?;
        listing.offering.body().peer_ids.first().cloned()
    }

    /// The transaction by which this node's account joins is handed to the agent, again and again until it answers.
    pub(super) fn hand_over_join(&mut self, id: ActId, now: Now, step: &mut Step<Effect>) {
        let Some(act) = self.communities.acts.get(&id).filter(|act| act.what == What::Join) else { return };
        let (Some(exchange), Some(key)) = (self.exchange(&act.exchange), &self.setup.keys.account) else { return };
        let intent = self.queue.as_ref().and_then(|q| q.intent(Purpose::Help { id }));
        let Some(intent) = intent.filter(|i| i.state == (IntentState::Signed { held: true })) else { return };
        let body =
            Join { account: AccountId::of(key), exchange: act.exchange.clone(), envelope: intent.envelope.clone() };
        let peer = self.agents_peer(&act.exchange, exchange.terms.agent, now);
        let signed = Signed::sign(body, &self.setup.network, key);
        self.communities.sent.entry(id).or_default().at = now;
        match (peer, signed) {
            (Some(peer), Ok(signed)) => {
                step.then(Effect::Send { peer, call: Call::Join(id), bytes: frames::to_stream(signed.packed()) });
            }
            _ => self.note_unreachable(id, "its agent's node isn't known here"),
        }
    }

    fn note_unreachable(&mut self, id: ActId, why: &str) {
        let refusal =
            CommunityRefusal::new(CommunityCode::AgentUnreachable, format_args!("the agent can't be reached: {why}"));
        self.communities.sent.entry(id).or_default().note = Some(refusal);
    }

    /// The agent has answered, or hasn't.
    pub(crate) fn join_answered(&mut self, id: ActId, result: Result<Vec<u8>, String>, step: &mut Step<Effect>) {
        let network = self.setup.network;
        let Some(act) = self.communities.acts.get(&id) else { return };
        let Some(agent) = self.exchange(&act.exchange).map(|exchange| exchange.terms.agent) else { return };
        let bytes = match result {
            Ok(bytes) => bytes,
            Err(why) => return self.note_unreachable(id, &why),
        };
        let answer = frames::from_stream(&network, &bytes).and_then(|packed| packed.open::<Joined>(&network));
        let hash = self.queue.as_ref().and_then(|q| q.intent(Purpose::Help { id })).map(|i| i.hash);
        let Some(answer) = answer.ok().filter(|a| a.body().agent == agent && Some(a.body().transaction) == hash) else {
            return self.note_unreachable(id, "its answer makes no sense");
        };
        let sent = self.communities.sent.entry(id).or_default();
        match &answer.body().refused {
            None => (sent.accepted, sent.note) = (true, None),
            Some(note) => {
                let refusal =
                    CommunityRefusal::new(CommunityCode::JoinRefused, format_args!("the agent says no: {note}"));
                sent.note = Some(refusal.clone());
                if let Some(command) = self.command_of_help(id) {
                    step.then(Effect::Answer { id: command, result: Err(CommandError::Community(refusal)) });
                }
            }
        }
    }

    /// Somebody wants to join, and this node is to be the agent.
    pub(crate) fn join_received(&mut self, packed: Packed, step: &mut Step<Effect>) -> Result<Vec<u8>, Refusal> {
        let network = self.setup.network;
        let join = packed.open::<Join>(&network)?.into_body();
        let hash = Envelope::read(&join.envelope, &network).map_or(TxHash::from_bytes([0; 32]), |e| e.hash());
        let refused = self.admit_join(&join, hash, step).err();
        let Some(key) = self.setup.keys.account.as_ref() else { return Ok(Vec::new()) };
        let body = Joined { agent: AccountId::of(key), transaction: hash, refused: refused.map(Note::new) };
        let signed = Signed::sign(body, &network, key)?;
        Ok(frames::to_stream(signed.packed()))
    }

    fn admit_join(&mut self, join: &Join, hash: TxHash, step: &mut Step<Effect>) -> Result<(), String> {
        let network = self.setup.network;
        let Some(settings) = self.communities.role.clone().filter(|s| s.terms.clawable == join.exchange) else {
            return Err("this node is not that exchange's agent".to_owned());
        };
        let exchange = self.exchange(&join.exchange).ok_or("that exchange isn't followed here")?;
        let newest = self.close_time().filter(|_| self.is_up_to_date(exchange) && !self.draining);
        let newest = newest.ok_or("the agent is looking at the ledger; ask again shortly")?;
        if let Some(joining) = self.communities.joins.get(&join.account) {
            if joining.hash == hash {
                step.then(joining.hand_in());
                return Ok(());
            }
            return Err(format!("another transaction of the account's may still be included until {}", joining.until));
        }
        if self.communities.joins.len() >= MAX_JOINING {
            return Err("too many join at once; ask again shortly".to_owned());
        }
        let transaction = SignedTransaction::read(&join.envelope, &network).map_err(|e| e.to_string())?;
        let latest = newest.plus(self.setup.margins.transaction_life * 2);
        settings.admits(&exchange.chain, &transaction, join.account, latest)?;
        let until = transaction.time_bounds().and_then(|(_, until)| until).ok_or("it has no end")?;
        let key = self.setup.keys.account.as_ref().ok_or("the agent has no key")?;
        let envelope = Envelope::read(&join.envelope, &network).and_then(|e| e.countersigned(key, &network));
        let envelope = envelope.map_err(|e| e.to_string())?.into_bytes();
        let joining = Joining { account: join.account, hash, until, envelope };
        joining.store(step);
        step.then(joining.hand_in());
        self.communities.joins.insert(join.account, joining);
        Ok(())
    }

    /// Asks agents again, and hands in what was signed until the ledger has decided.
    pub(super) fn tend_joining(&mut self, now: Now, step: &mut Step<Effect>) {
        let pause = self.setup.margins.poll_every * POLLS_UNTIL_AGAIN;
        let waits =
            |id: &ActId| self.communities.sent.get(id).is_some_and(|sent| sent.accepted || now.since(sent.at) < pause);
        let open = self.communities.acts.iter().filter(|(id, act)| {
            act.what == What::Join
                && act.state == ActState::Wanted
                && !waits(id)
                && !self.is_unsigned(Purpose::Help { id: **id })
        });
        for id in open.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.hand_over_join(id, now, step);
        }
        let Some(settings) = &self.communities.role else { return };
        let Some(exchange) = self.communities.known.get(&settings.terms.clawable) else { return };
        let Some(closed) = self.close_time().filter(|_| self.is_up_to_date(exchange)) else { return };
        let over = |joining: &Joining| exchange.chain.has_joined(joining.account) || closed > joining.until;
        let over: Vec<AccountId> = self.communities.joins.values().filter(|j| over(j)).map(|j| j.account).collect();
        for account in over {
            self.communities.joins.remove(&account);
            step.batch().delete(Space::Community, joining_key(account));
        }
    }

    /// What was signed for others and isn't in a ledger yet is handed in again after each.
    pub(crate) fn hand_in_joins(&self, step: &mut Step<Effect>) {
        for joining in self.communities.joins.values() {
            step.then(joining.hand_in());
        }
    }
}
