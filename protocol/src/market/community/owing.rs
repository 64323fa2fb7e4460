//! What is owed and what is signed: the roles' answers, the acts' transactions and what becomes of them.

use ed25519_dalek::SigningKey;

use crate::community::act::{Act, ActId, ActState, What};
use crate::community::role::{self, Role};
use crate::community::{listing, shape};
use crate::document::BuiltIn;
use crate::escrow::EscrowKind;
use crate::intent::{IntentOutcome, Purpose};
use crate::limits::MAX_OFFERING_LIFE;
use crate::market::command::{Answer, CommandError, CommandId, OfferingDraft};
use crate::market::event::{Ask, Effect};
use crate::market::{Market, OfferState};
use crate::message::TxHash;
use crate::stellar::entry::{AUTH_CLAWBACK_ENABLED, AUTH_REVOCABLE, Entry};
use crate::stellar::ledger_key::Key;
use crate::stellar::reserve::LedgerParams;
use crate::stellar::{Memo, Operation, operation};
use crate::step::Step;
use crate::time::Now;

use crate::account::AccountId;
use crate::amount::{Price, Unit};
use crate::asset::Asset;
use core::time::Duration;

/// So many times as long as an ordinary transaction lives, what failed waits.
const PAUSE_LIVES: u32 = 2;

impl Market {
    /// A role looks at what it owes, once it has seen all that there is.
    pub(super) fn tend_owed(&mut self, now: Now, step: &mut Step<Effect>) {
        if self.is_recovering() {
            return;
        }
        let Some(settings) = self.communities.role.clone() else { return };
        let Some(close_time) = self.close_time() else { return };
        let clawable = settings.terms.clawable.clone();
        let Some(exchange) = self.exchange(&clawable).filter(|exchange| self.is_up_to_date(exchange)) else { return };
        let look = exchange.look(close_time);
        let wants = settings.wants(&look, exchange.turn);
        let owed = settings.owed(&look, &exchange.holdings);
        let due = role::window(owed.clone(), role::MAX_DUE, exchange.turn);
        let reads = exchange.reading.is_none_or(|at| now.since(at) >= self.setup.margins.poll_every);
        if !wants.is_empty() && reads {
            step.then(Effect::Read { ask: Ask::Holdings(clawable.clone()), keys: wants });
            if let Some(exchange) = self.exchange_mut(&clawable) {
                exchange.reading = Some(now);
            }
        }
        // What is no longer owed and isn't signed is nobody's business any more.
        let stale = self.communities.acts.iter().filter(|(id, act)| {
            act.what.is_owed() && act.state == ActState::Wanted && self.is_unsigned(Purpose::Help { id: **id })
        });
        let stale: Vec<ActId> = stale.filter(|(_, act)| !owed.contains(&act.what)).map(|(id, _)| *id).collect();
        for id in stale {
            self.no_longer_want(Purpose::Help { id });
            self.forget_act(&id, step);
        }
        for what in due {
            let id = what.id(&clawable);
            if !self.communities.acts.contains_key(&id) {
                self.store_act(id, Act { exchange: clawable.clone(), what, state: ActState::Wanted }, step);
            }
        }
    }

    /// What the issuer looks at was read.
    pub(crate) fn holdings_read(&mut self, clawable: &Asset, asked: &[Key], entries: &[Entry]) {
        if let Some(exchange) = self.exchange_mut(clawable) {
            exchange.holdings_read(asked, entries);
        }
    }

    /// The operations of an act, as things stand; `None` where it can't be done any more.
    pub(crate) fn plan_help(&self, id: ActId) -> Option<(Vec<Operation>, bool)> {
        let act = self.communities.acts.get(&id).filter(|act| act.state == ActState::Wanted)?;
        let exchange = self.exchange(&act.exchange)?;
        let (terms, chain) = (&exchange.terms, &exchange.chain);
        let own = self.setup.keys.account_id()?;
        let look = exchange.look(self.close_time()?);
        let operations = match &act.what {
            What::Create => {
                let params = self.params.unwrap_or(LedgerParams::USUAL);
                let flags = operation::set_flags(AUTH_REVOCABLE | AUTH_CLAWBACK_ENABLED);
                vec![flags, operation::create_account(terms.plain_issuer(), params.reserves(2))]
            }
            What::Endow { amount } => {
                let plain = operation::by(terms.plain_issuer(), operation::pay(terms.agent, &terms.plain, *amount));
                vec![operation::pay(terms.agent, &terms.clawable, *amount), plain]
            }
            What::Trust => shape::trust(terms, crate::amount::Stroops::MAX).ok()?,
            What::Join => shape::join(terms, own).ok()?,
            What::Make { validity, description, .. } => shape::make(terms, own, *validity, description).ok()?,
            What::Take { make, amount } => {
                let make = look.may_take(*make, own).ok()?;
                shape::take(terms, own, make.maker, make.validity, *amount).ok()?
            }
            What::Claim { take } => shape::claim(chain.take_of(*take)?.balance),
            What::Grant { take, amount } => {
                let take = chain.take_of(*take)?;
                shape::grant(terms, take.balance, take.taker, *amount)
            }
            What::Convert { payment } => shape::convert(terms, own, chain.payment_of(*payment)?.amount).ok()?,
            What::AnswerConversion { payment } => {
                let payment = chain.payment_of(*payment)?;
                shape::converted(terms, look.due_conversion(payment)?.balance, payment.payee, payment.amount)
            }
            What::Repay { .. } => shape::repay(terms, own).ok()?,
            What::AnswerRepayment { payment } => {
                let payment = chain.payment_of(*payment)?;
                let holds = exchange.holdings.get(&(payment.payee, terms.clawable.clone())).copied();
                let from = look.repaid_from(payment, holds.unwrap_or_default())?;
                shape::repaid(terms, from, payment.payer, payment.amount)
            }
            What::Reclaim { balance } => vec![operation::claim(*balance)],
            What::Leave { clawable, plain, into } => {
                let to = match own == terms.agent {
                    true => (terms.issuer(), terms.plain_issuer()),
                    false => (terms.agent, terms.agent),
                };
                shape::leave(terms, (*clawable, *plain), to, *into).ok()?
            }
            What::Close { into } => {
                vec![operation::by(terms.plain_issuer(), operation::merge(own)), operation::merge(*into)]
            }
        };
        Some((operations, matches!(act.what, What::Join)))
    }

    /// What an act's transaction says: its predecessor.
    pub(crate) fn memo_of_help(&self, id: ActId) -> Memo {
        match self.communities.acts.get(&id).map(|act| &act.what) {
            Some(What::Make { kind, validity, .. }) => shape::make_memo(*kind, *validity),
            Some(What::Take { make, .. }) => shape::naming(*make),
            Some(What::Claim { take } | What::Grant { take, .. }) => shape::naming(*take),
            Some(
                What::Convert { payment }
                | What::AnswerConversion { payment }
                | What::Repay { payment }
                | What::AnswerRepayment { payment },
            ) => shape::naming(*payment),
            _ => Memo::None,
        }
    }

    /// The keys that sign an act's transaction beside this node's account's.
    pub(crate) fn cosigners_of_help(&self, purpose: Purpose) -> Vec<SigningKey> {
        let Purpose::Help { id } = purpose else { return Vec::new() };
        let what = self.communities.acts.get(&id).map(|act| &act.what);
        match (what, &self.setup.keys.account) {
            (Some(What::Endow { .. } | What::Close { .. }), Some(key)) => vec![role::plain_issuer_key(key)],
            _ => Vec::new(),
        }
    }

    /// An act's transaction was signed: from here on it is remembered.
    pub(crate) fn help_signed(&mut self, id: ActId, now: Now, step: &mut Step<Effect>) {
        if let Some(act) = self.communities.acts.get(&id).cloned() {
            self.store_act(id, act, step);
            self.hand_over_join(id, now, step);
        }
    }

    /// The command that waits for an act, which it no longer does then.
    pub(crate) fn command_of_help(&mut self, id: ActId) -> Option<CommandId> {
        self.communities.commands.remove(&id)
    }

    /// An act that can't be signed any more.
    pub(crate) fn help_dropped(&mut self, purpose: Purpose, step: &mut Step<Effect>) {
        if let Purpose::Help { id } = purpose {
            self.forget_act(&id, step);
        }
    }

    /// An act's transaction has ended.
    pub(crate) fn help_ended(&mut self, id: ActId, outcome: &IntentOutcome, now: Now, step: &mut Step<Effect>) {
        let Some(act) = self.communities.acts.get(&id).cloned() else { return };
        if let IntentOutcome::Included { at, .. } = outcome {
            self.communities.newest = self.communities.newest.max(at.sequence);
        }
        let purpose = Purpose::Help { id };
        let hash = self.queue.as_ref().and_then(|q| q.intent(purpose)).map(|intent| intent.hash);
        let hash = hash.unwrap_or(TxHash::from_bytes([0; 32]));
        let joined = self.communities.sent.get(&id).and_then(|sent| sent.note.clone());
        let pause = now.plus(self.setup.margins.transaction_life * PAUSE_LIVES);
        match (outcome, &act.what) {
            (IntentOutcome::Included { success: true, .. }, What::Make { .. }) => {
                self.store_act(id, Act { state: ActState::Included(hash), ..act }, step);
                self.tend_listings(now, step);
            }
            (IntentOutcome::Included { success: true, .. }, what) => {
                let balance = self
                    .queue
                    .as_ref()
                    .and_then(|q| q.intent(purpose))
                    .map(|intent| crate::stellar::balance_id::of_operation(intent.account, intent.sequence, 0));
                let locks = matches!(what, What::Take { .. } | What::Convert { .. } | What::Repay { .. });
                // What isn't seen yet is remembered, so that it is neither wanted again nor forgotten.
                match what.is_owed() || locks || *what == What::Join {
                    true => self.store_act(id, Act { state: ActState::Included(hash), ..act.clone() }, step),
                    false => self.forget_act(&id, step),
                }
                if let Some(command) = self.command_of_help(id) {
                    let balance = balance.filter(|_| locks);
                    let answer = Answer::Helped { transaction: hash, balance };
                    step.then(Effect::Answer { id: command, result: Ok(answer) });
                }
            }
            // A conversion claims what it converts, so that it can't be done twice whatever became of this one.
            (IntentOutcome::Unknown, what) if what.is_owed() && !matches!(what, What::AnswerConversion { .. }) => {
                self.store_act(id, Act { state: ActState::Unknown, ..act }, step);
            }
            (_, what) if what.is_owed() => {
                self.communities.paused.insert(id, pause);
            }
            (outcome, _) => {
                self.forget_act(&id, step);
                if let Some(command) = self.command_of_help(id) {
                    let why = super::super::wallet::included(outcome).err();
                    let why = joined.map(CommandError::Community).or(why);
                    let why = why.unwrap_or_else(|| CommandError::Ledger("it didn't take effect".into()));
                    step.then(Effect::Answer { id: command, result: Err(why) });
                }
            }
        }
    }

    /// Lists makes that are on the ledger, and the exchange itself where this node is its agent.
    pub(super) fn tend_listings(&mut self, now: Now, step: &mut Step<Effect>) {
        // Without a look at the account nobody can tell whether it can afford a bond.
        if self.account.is_none() || self.draining {
            return;
        }
        let made = self.communities.acts.iter().filter_map(|(id, act)| match (&act.what, act.state) {
            (What::Make { .. }, ActState::Included(hash)) => Some((*id, hash, act.clone())),
            _ => None,
        });
        for (id, hash, act) in made.collect::<Vec<_>>() {
            let is_listed = self.offers.values().any(|o| o.is_open() && lists(o.body(), hash));
            let waits = self.offers.values().any(|o| o.state == OfferState::Bonding && lists(o.body(), hash))
                || self.drafts.iter().any(|d| d.says(&hash.to_string()));
            let paused = self.communities.paused.get(&id).is_some_and(|until| now < *until);
            if is_listed {
                self.forget_act(&id, step);
            } else if !waits && !paused {
                let until = now.plus(self.setup.margins.transaction_life * PAUSE_LIVES);
                self.communities.paused.insert(id, until);
                if let Some(draft) = self.draft_of_make(&act, hash) {
                    let command = self.command_of_help(id);
                    self.publish_for(command, draft, now, step);
                }
            }
        }
        self.list_exchange(now, step);
    }

    fn list_exchange(&mut self, now: Now, step: &mut Step<Effect>) {
        let Some(settings) = self.communities.role.clone() else { return };
        let Role::Agent { .. } = settings.role else { return };
        let clawable = settings.terms.clawable.clone();
        let id = What::Create.id(&clawable);
        let Some(exchange) = self.exchange(&clawable).filter(|e| e.chain.is_endowed()) else { return };
        let Some(life) = exchange.lists else { return };
        let offered = |o: &crate::document::Offering| listing::exchange(o).is_some();
        if self.offers.values().any(|o| o.is_open() && offered(o.body())) {
            if let Some(exchange) = self.exchange_mut(&clawable) {
                exchange.lists = None;
                exchange.store(step);
            }
            return;
        }
        let waits = self.offers.values().any(|o| o.state == OfferState::Bonding && offered(o.body()))
            || self.drafts.iter().any(|d| d.says(&clawable.to_string()));
        let paused = self.communities.paused.get(&id).is_some_and(|until| now < *until);
        if !waits && !paused {
            let until = now.plus(self.setup.margins.transaction_life * PAUSE_LIVES);
            self.communities.paused.insert(id, until);
            let title = format!("Help exchange {}", clawable.symbol());
            let parameters = listing::exchange_parameters(&settings.terms);
            let price = Price { asset: Asset::Native, amount: crate::amount::Stroops::ZERO, unit: Unit::Item };
            let life = Duration::from_secs(life);
            if let Some(draft) = self.draft(listing::EXCHANGE, parameters, (title, String::new()), price, life) {
                self.publish_for(None, draft, now, step);
            }
        }
    }

    /// The offering that tells of a make.
    pub(super) fn draft_of_make(&self, act: &Act, hash: TxHash) -> Option<OfferingDraft> {
        let What::Make { kind, validity, description, price } = &act.what else { return None };
        let parameters = listing::make_parameters(&act.exchange, *kind, hash, description);
        let price = Price { asset: act.exchange.clone(), amount: *price, unit: Unit::Item };
        let life = match validity {
            0 => MAX_OFFERING_LIFE,
            secs => Duration::from_secs(*secs).min(MAX_OFFERING_LIFE),
        };
        let title: String = description.chars().take(80).filter(|c| !c.is_control()).collect();
        self.draft(listing::HELP, parameters, (title, String::new()), price, life)
    }

    fn draft(
        &self,
        template: &str,
        parameters: serde_json::Map<String, serde_json::Value>,
        (title, description): (String, String),
        price: Price,
        life: Duration,
    ) -> Option<OfferingDraft> {
        Some(OfferingDraft {
            template: BuiltIn::named(template)?.id,
            parameters,
            title,
            description,
            service: None,
            recipient: None,
            price,
            min_units: 1,
            max_units: 1,
            max_supply: 1,
            deliver: self.setup.margins.min_delivery,
            collect: self.setup.margins.collecting_window,
            escrow: vec![EscrowKind::Timed],
            arbitration: None,
            transports: self.setup.policy.transports.clone(),
            life,
            spec: Vec::new(),
        })
    }

    /// The account of this node, where its key is here.
    pub(super) fn own_account(&self) -> Option<AccountId> {
        self.setup.keys.account_id()
    }
}

fn lists(offering: &crate::document::Offering, make: TxHash) -> bool {
    listing::make(offering).is_some_and(|listed| listed.make == make)
}
