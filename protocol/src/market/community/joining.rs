//! How one joins: the member signs and hands over, the agent stores, signs beside it and hands in.

use core::time::Duration;

use bincode::{Decode, Encode};

use crate::account::{AccountId, PeerId};
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::binding::frames::{self, Note};
use crate::community::act::{ActId, ActState, What};
use crate::community::frames::{Join, Joined};
use crate::community::role::{RoleSettings, window};
use crate::community::rules::{CommunityCode, CommunityRefusal};
use crate::frame;
use crate::intent::precheck::{Needs, affordable};
use crate::intent::{IntentState, Purpose};
use crate::market::Market;
use crate::market::command::CommandError;
use crate::market::event::{Ask, Call, Effect, Token};
use crate::message::{Packed, Signed, TxHash};
use crate::network_id::NetworkId;
use crate::refusal::Refusal;
use crate::stellar::entry::Entry;
use crate::stellar::envelope::SignedTransaction;
use crate::stellar::ledger_key::Key;
use crate::stellar::reserve::LedgerParams;
use crate::stellar::transaction::Envelope;
use crate::step::{Space, Step};
use crate::time::{Now, Timestamp};

use super::{Exchange, JOINING};

/// Accounts whose joining is under way at once.
const MAX_JOINING: usize = 1_024;
/// Of those, as one peer asked for.
const MAX_OF_PEER: usize = 4;
/// Accounts that are being read at once because they want to join.
const MAX_ASKING: usize = 64;
/// How long that may take.
const ASKING: Duration = Duration::from_secs(20);
/// Transactions that are handed in again after each ledger.
const MAX_HANDED_IN: usize = 4;
/// How far a transaction's number may be ahead of its account's: others of the account's may be on their way.
const MAX_AHEAD: i64 = 8;
/// What stands for a transaction that can't be read.
const NO_HASH: TxHash = TxHash::from_bytes([0; 32]);
/// Polls after which an agent that didn't answer is asked again.
const POLLS_UNTIL_AGAIN: u32 = 6;

/// A transaction that the agent signed, by which somebody joins; it is handed in until the ledger has decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Joining {
    pub(super) account: AccountId,
    hash: TxHash,
    until: Timestamp,
    envelope: Vec<u8>,
    /// Who asked for it, since this node started.
    peer: Option<PeerId>,
}

/// Somebody asks to join, and its account is being read.
#[derive(Debug)]
pub(super) struct Asking {
    join: Join,
    hash: TxHash,
    token: Token,
    peer: PeerId,
    until: Now,
}

/// Why a joining isn't signed.
#[derive(Debug)]
enum No {
    /// It won't be.
    Never(String),
    /// That can't be told now.
    NotNow,
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
        Ok(Self { account, hash, until, envelope, peer: None })
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
            Ok(bytes) if bytes.is_empty() => return self.note_unreachable(id, "its node can't say yet"),
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

    /// Somebody wants to join, and this node is to be the agent: nothing is signed before its account was read.
    pub(crate) fn join_received(
        &mut self,
        token: Token,
        peer: &PeerId,
        packed: Packed,
        now: Now,
        step: &mut Step<Effect>,
    ) -> Result<(), Refusal> {
        let join = packed.open::<Join>(&self.setup.network)?.into_body();
        let hash = Envelope::read(&join.envelope, &self.setup.network).map(|e| e.hash());
        let asking = Asking { hash: hash.unwrap_or(NO_HASH), join, token, peer: peer.clone(), until: now.plus(ASKING) };
        match self.look_at_join(&asking, step) {
            Ok(Some(keys)) => {
                let account = asking.join.account;
                self.communities.asking.insert(account, asking);
                self.ask_once(Ask::Joiner(account), keys, step);
            }
            Ok(None) => self.answer_join(&asking, None, step),
            Err(no) => self.answer_join(&asking, Some(no), step),
        }
        Ok(())
    }

    /// What has to be read before a joining is let in; nothing where it is already.
    fn look_at_join(&self, asking: &Asking, step: &mut Step<Effect>) -> Result<Option<Vec<Key>>, No> {
        let Asking { join, hash, peer, .. } = asking;
        let account = join.account;
        self.admitting(&join.exchange)?;
        if let Some(joining) = self.communities.joins.get(&account) {
            if joining.hash == *hash {
                step.then(joining.hand_in());
                return Ok(None);
            }
            let why = format!("another transaction of the account's may still be included until {}", joining.until);
            return Err(No::Never(why));
        }
        let of_peer = self.communities.asking.values().filter(|other| other.peer == *peer).count()
            + self.communities.joins.values().filter(|joining| joining.peer.as_ref() == Some(peer)).count();
        let full = self.communities.joins.len() >= MAX_JOINING || self.communities.asking.len() >= MAX_ASKING;
        if full || of_peer >= MAX_OF_PEER || self.communities.asking.contains_key(&account) {
            return Err(No::NotNow);
        }
        self.admit(join)?;
        let terms = &self.exchange(&join.exchange).ok_or(No::NotNow)?.terms;
        let lines = [&terms.clawable, &terms.plain].map(|asset| Key::Trustline(account, asset.clone()));
        Ok(Some([Key::Account(account)].into_iter().chain(lines).collect()))
    }

    /// This node's part as the agent of an exchange that it has seen all of, and when its newest ledger closed.
    fn admitting(&self, clawable: &Asset) -> Result<(&RoleSettings, &Exchange, Timestamp), No> {
        let settings = self.communities.role.as_ref().filter(|settings| settings.terms.clawable == *clawable);
        let exchange = settings.and_then(|_| self.exchange(clawable));
        let (Some(settings), Some(exchange)) = (settings, exchange) else {
            return Err(No::Never("this node is not that exchange's agent".to_owned()));
        };
        let newest = self.close_time().filter(|_| self.is_up_to_date(exchange) && !self.draining);
        Ok((settings, exchange, newest.ok_or(No::NotNow)?))
    }

    /// Whether a transaction is one by which its account may join.
    fn admit(&self, join: &Join) -> Result<(SignedTransaction, Timestamp), No> {
        let (settings, exchange, newest) = self.admitting(&join.exchange)?;
        let never = |why: String| No::Never(why);
        if !exchange.knows_members() && !settings.lists_members() {
            let why =
                "the agent's node doesn't know who has joined before, so it lets in only whom its configuration lists";
            return Err(never(why.to_owned()));
        }
        let network = &self.setup.network;
        let transaction = SignedTransaction::read(&join.envelope, network).map_err(|e| never(e.to_string()))?;
        let latest = newest.plus(self.setup.margins.transaction_life * 2);
        settings.admits(&exchange.chain, &transaction, join.account, latest).map_err(never)?;
        let until = transaction.time_bounds().and_then(|(_, until)| until);
        Ok((transaction, until.ok_or_else(|| never("it has no end".to_owned()))?))
    }

    /// The account that asks to join was read.
    pub(crate) fn joiner_read(&mut self, account: AccountId, entries: &[Entry], step: &mut Step<Effect>) {
        let Some(asking) = self.communities.asking.remove(&account) else { return };
        let no = self.let_in(&asking, entries, step).err();
        self.answer_join(&asking, no, step);
    }

    /// It couldn't be.
    pub(crate) fn joiner_unreadable(&mut self, account: AccountId, step: &mut Step<Effect>) {
        if let Some(asking) = self.communities.asking.remove(&account) {
            self.answer_join(&asking, Some(No::NotNow), step);
        }
    }

    fn let_in(&mut self, asking: &Asking, entries: &[Entry], step: &mut Step<Effect>) -> Result<(), No> {
        let (transaction, until) = self.admit(&asking.join)?;
        let account = asking.join.account;
        can_join(account, &transaction, entries, self.params.unwrap_or(LedgerParams::USUAL)).map_err(No::Never)?;
        let key = self.setup.keys.account.as_ref().ok_or_else(|| No::Never("the agent has no key".to_owned()))?;
        let network = &self.setup.network;
        let envelope = Envelope::read(&asking.join.envelope, network).and_then(|e| e.countersigned(key, network));
        let envelope = envelope.map_err(|e| No::Never(e.to_string()))?.into_bytes();
        let joining = Joining { account, hash: asking.hash, until, envelope, peer: Some(asking.peer.clone()) };
        joining.store(step);
        step.then(joining.hand_in());
        self.communities.joins.insert(account, joining);
        Ok(())
    }

    /// Whoever asked hears what became of it; where that isn't known yet, nothing, and asks again.
    fn answer_join(&self, asking: &Asking, no: Option<No>, step: &mut Step<Effect>) {
        let refused = match no {
            None => None,
            Some(No::Never(why)) => Some(Note::new(why)),
            Some(No::NotNow) => return step.then(Effect::Respond { token: asking.token, bytes: Vec::new() }),
        };
        let signed = self.setup.keys.account.as_ref().and_then(|key| {
            let body = Joined { agent: AccountId::of(key), transaction: asking.hash, refused };
            Signed::sign(body, &self.setup.network, key).ok()
        });
        let bytes = signed.map(|signed| frames::to_stream(signed.packed())).unwrap_or_default();
        step.then(Effect::Respond { token: asking.token, bytes });
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
        self.communities.asking.retain(|_, asking| now <= asking.until);
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

    /// What was signed for others and isn't in a ledger yet is handed in again, a few after each ledger.
    pub(crate) fn hand_in_joins(&mut self, step: &mut Step<Effect>) {
        self.communities.handed_in = self.communities.handed_in.wrapping_add(1);
        let joins: Vec<&Joining> = self.communities.joins.values().collect();
        for joining in window(joins, MAX_HANDED_IN, self.communities.handed_in) {
            step.then(joining.hand_in());
        }
    }
}

/// Whether an account can join by this transaction, as it stands: else a key made a moment ago could keep others out.
fn can_join(
    account: AccountId,
    transaction: &SignedTransaction,
    entries: &[Entry],
    params: LedgerParams,
) -> Result<(), String> {
    let found = entries.iter().find_map(|entry| match entry {
        Entry::Account(state) if state.id == account => Some(state),
        _ => None,
    });
    let state = found.ok_or("the account isn't on the ledger")?;
    let ahead = transaction.sequence().saturating_sub(state.sequence);
    if !(1..=MAX_AHEAD).contains(&ahead) {
        return Err("the transaction's sequence number isn't the account's next".to_owned());
    }
    if entries.iter().any(|entry| matches!(entry, Entry::Trustline(line) if line.account == account)) {
        return Err("the account has a trustline for one of the assets already".to_owned());
    }
    let fees = Stroops::new(transaction.fee().into()).unwrap_or(Stroops::MAX);
    let needs = Needs { amount: Stroops::ZERO, reserves: 2, fees };
    affordable(state, &params, Stroops::ZERO, &needs).map_err(|_| "the account can't pay for two trustlines".to_owned())
}
