//! What a user wants done in an exchange: checked against the ledger, costed, then done by one transaction.

use core::time::Duration;

use rand_core::CryptoRng;

use crate::account::AccountId;
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::binding::precheck::PrecheckFailure;
use crate::community::act::{Act, ActId, ActState, MAX_DESCRIPTION, What};
use crate::community::role::Role;
use crate::community::rules::{CommunityCode, CommunityRefusal};
use crate::community::shape::{MAX_VALIDITY, MakeKind};
use crate::community::{Terms, listing};
use crate::intent::Purpose;
use crate::intent::precheck::{Needs, affordable, affordable_in};
use crate::limits::MAX_OFFERING_LIFE;
use crate::market::Market;
use crate::market::command::{Answer, CommandError, CommandId, Cost};
use crate::market::event::{Ask, Effect};
use crate::message::{BalanceId, TxHash};
use crate::stellar::entry::{AUTH_CLAWBACK_ENABLED, AUTH_REVOCABLE, AccountState, Entry, TrustlineState};
use crate::stellar::ledger_key::Key;
use crate::stellar::reserve::LedgerParams;
use crate::step::Step;
use crate::time::Now;

use super::{Exchange, MAX_EXCHANGES, paid_amount};

/// How long a command may wait until the ledger was looked at.
const PENDING_LIFE: Duration = Duration::from_secs(60);
/// How long an exchange is followed after a command to join it came to nothing, or only asked what it costs.
const LOOKED_AT: Duration = Duration::from_secs(120);
/// Commands that wait at once.
const MAX_PENDING: usize = 64;

/// What a user wants done in an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// Set the exchange up, as its issuer or its agent.
    Create {
        /// For how long the agent offers it, seconds.
        life_secs: u64,
    },
    /// Join it.
    Join {
        /// Who runs it: anybody can offer anybody's exchange, so its agent is named as its issuer is.
        agent: AccountId,
    },
    /// Leave it.
    Leave {
        /// Where the account's coins go, where it ends too.
        into: Option<AccountId>,
    },
    /// Offer help, or want it.
    Make {
        /// Which way help goes.
        kind: MakeKind,
        /// In words.
        description: String,
        /// What it costs.
        price: Stroops,
        /// For how long, seconds; 0 for no end.
        validity: u64,
    },
    /// Take a make.
    Take {
        /// Which.
        make: TxHash,
        /// The most that it may cost, the fee not counted, where that is said.
        at_most: Option<Stroops>,
    },
    /// Claim a take of one's offer.
    Claim {
        /// Which.
        take: TxHash,
    },
    /// Grant a take of one's request.
    Grant {
        /// Which.
        take: TxHash,
    },
    /// Have what was paid converted.
    Convert {
        /// The take or grant.
        payment: TxHash,
    },
    /// Ask for what one paid.
    Repay {
        /// The take or grant.
        payment: TxHash,
    },
    /// Take back what is one's own.
    Reclaim {
        /// Which balance.
        balance: BalanceId,
    },
}

/// A command that waits for the ledger.
#[derive(Debug)]
pub(crate) struct Pending {
    exchange: Asset,
    deed: Deed,
    dry_run: bool,
    /// The exchange is to be followed up to this ledger first.
    since: u32,
    what: Option<What>,
    id: ActId,
    until: Now,
}

fn refused<T>(code: CommunityCode, detail: impl core::fmt::Display) -> Result<T, CommandError> {
    Err(CommunityRefusal::new(code, detail).into())
}

impl Market {
    /// A user wants something of an exchange.
    pub(crate) fn community(
        &mut self,
        id: CommandId,
        (exchange, deed): (Option<Asset>, Deed),
        dry_run: bool,
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        let begun = self.begin(exchange, &deed, now, step).and_then(|exchange| {
            if self.communities.pending.len() >= MAX_PENDING {
                return Err(CommandError::NotNow("too many commands wait for the ledger; try again shortly".into()));
            }
            Ok(exchange)
        });
        let exchange = match begun {
            Ok(exchange) => exchange,
            Err(error) => return Self::answer(step, id, Err(error)),
        };
        let mut name = ActId::default();
        rng.fill_bytes(&mut name);
        let since = self.point.map_or(0, |point| point.sequence.max(self.communities.newest));
        let until = now.plus(PENDING_LIFE);
        let pending = Pending { exchange, deed, dry_run, since, what: None, id: name, until };
        self.communities.pending.insert(id, pending);
        self.tend_exchanges(now, step);
    }

    /// Which exchange a command is about; one that is joined is followed from here on.
    fn begin(
        &mut self,
        named: Option<Asset>,
        deed: &Deed,
        now: Now,
        step: &mut Step<Effect>,
    ) -> Result<Asset, CommandError> {
        if self.own_account().is_none() {
            return Err(PrecheckFailure::NoAccountKey.into());
        }
        if let Deed::Create { life_secs } = deed {
            if Duration::from_secs(*life_secs) > MAX_OFFERING_LIFE {
                let most = MAX_OFFERING_LIFE.as_secs();
                return Err(CommandError::NotNow(format!("an exchange is offered for at most {most} s at a time")));
            }
            let no_role =
                || CommunityRefusal::new(CommunityCode::NoRole, "`community.role` isn't set in the configuration");
            return Ok(self.communities.role.as_ref().ok_or_else(no_role)?.terms.clawable.clone());
        }
        if let (Deed::Join { agent }, Some(asset)) = (deed, &named) {
            return self.begin_joining(asset, *agent, now, step);
        }
        let mut known = self.communities.known.keys();
        match (named, known.next(), known.next()) {
            (Some(asset), ..) if self.communities.known.contains_key(&asset) => Ok(asset),
            (Some(asset), ..) => {
                refused(CommunityCode::UnknownExchange, format_args!("{asset} isn't followed here: join it first"))
            }
            (None, Some(only), None) => Ok(only.clone()),
            (None, None, _) => refused(CommunityCode::UnknownExchange, "this node has joined no help exchange"),
            (None, Some(_), Some(_)) => {
                refused(CommunityCode::UnknownExchange, "this node is in several: say which one")
            }
        }
    }

    /// The exchange that is to be joined is followed from here on, and forgotten again where nothing comes of it.
    fn begin_joining(
        &mut self,
        asset: &Asset,
        agent: AccountId,
        now: Now,
        step: &mut Step<Effect>,
    ) -> Result<Asset, CommandError> {
        if !self.setup.policy.assets.contains(asset) {
            let why = format!("{asset} can be taken back by its issuer, and isn't among this node's `assets`");
            return refused(CommunityCode::IssuerNotAccepted, why);
        }
        if let Some(known) = self.communities.known.get(asset).map(|exchange| exchange.terms.agent) {
            if known != agent && self.is_part_of(asset) {
                let why = format!("this node is in {asset} by its agent {known}, not by {agent}");
                return refused(CommunityCode::WrongAgent, why);
            }
            if known == agent {
                self.keep_looking(asset, now);
                return Ok(asset.clone());
            }
            self.forget_exchange(asset, step);
        }
        let offered = self.exchange_listings(now).into_iter().map(|(terms, _)| terms);
        let (offered, others): (Vec<Terms>, Vec<Terms>) =
            offered.filter(|terms| terms.clawable == *asset).partition(|terms| terms.agent == agent);
        let terms = match (offered.as_slice(), others.is_empty()) {
            ([], true) => return refused(CommunityCode::UnknownExchange, format_args!("no agent offers {asset} now")),
            ([], false) => {
                let why = format!("{agent} doesn't offer {asset} now; others do, whom its issuer may not know");
                return refused(CommunityCode::WrongAgent, why);
            }
            ([terms, rest @ ..], _) if rest.iter().all(|other| other == terms) => terms.clone(),
            _ => {
                let why = format!("{agent} offers {asset} on several terms; ask it which ones are right");
                return refused(CommunityCode::UnknownExchange, why);
            }
        };
        if self.communities.known.len() >= MAX_EXCHANGES {
            return refused(CommunityCode::UnknownExchange, "this node follows as many help exchanges as it can");
        }
        let mut exchange = Exchange::new(terms);
        exchange.store(step);
        self.communities.known.insert(asset.clone(), exchange);
        self.keep_looking(asset, now);
        Ok(asset.clone())
    }

    /// An exchange that isn't joined is followed for as long as somebody may decide to.
    fn keep_looking(&mut self, asset: &Asset, now: Now) {
        if let Some(exchange) = self.exchange_mut(asset) {
            exchange.looked_at_until = now.plus(LOOKED_AT);
        }
    }

    /// Whether this node's account is or was in an exchange, plays a role in it, or has something under way there.
    fn is_part_of(&self, asset: &Asset) -> bool {
        let communities = &self.communities;
        let own = self.own_account();
        communities.role.as_ref().is_some_and(|settings| settings.terms.clawable == *asset)
            || communities.acts.values().any(|act| act.exchange == *asset)
            || communities.known.get(asset).is_some_and(|e| own.is_none_or(|own| e.chain.has_joined(own)))
    }

    /// Exchanges that were looked at and not joined are followed no longer.
    pub(super) fn forget_unjoined(&mut self, now: Now, step: &mut Step<Effect>) {
        let gone = self.communities.known.iter().filter(|(asset, exchange)| {
            let waits = self.communities.pending.values().any(|pending| pending.exchange == **asset);
            let looks = waits || now <= exchange.looked_at_until;
            // Without a look at all of it nobody can tell whether this account is in it.
            !looks && self.is_up_to_date(exchange) && !self.is_part_of(asset)
        });
        for asset in gone.map(|(asset, _)| asset.clone()).collect::<Vec<_>>() {
            self.forget_exchange(&asset, step);
        }
    }

    fn forget_exchange(&mut self, asset: &Asset, step: &mut Step<Effect>) {
        if let Some(exchange) = self.communities.known.remove(asset) {
            exchange.forget(step);
        }
    }

    /// Commands whose exchange was looked at far enough go on; those that waited too long are answered.
    pub(super) fn tend_help_commands(&mut self, now: Now, step: &mut Step<Effect>) {
        let newest = self.point.map_or(0, |point| point.sequence);
        for pending in self.communities.pending.values_mut().filter(|pending| pending.since == 0) {
            pending.since = newest;
        }
        let ready = |p: &Pending| {
            p.what.is_none() && p.since > 0 && self.exchange(&p.exchange).is_some_and(|e| e.followed() >= p.since)
        };
        let ready: Vec<CommandId> =
            self.communities.pending.iter().filter(|(_, p)| ready(p)).map(|(id, _)| *id).collect();
        for id in ready {
            self.judge(id, step);
        }
        let late: Vec<CommandId> =
            self.communities.pending.iter().filter(|(_, p)| now > p.until).map(|(id, _)| *id).collect();
        for id in late {
            self.help_unreadable(id, "the ledger wasn't followed up to now in time".to_owned(), step);
        }
    }

    /// What the ledger shows lets a command go on, or refuses it.
    fn judge(&mut self, id: CommandId, step: &mut Step<Effect>) {
        let Some(mut pending) = self.communities.pending.remove(&id) else { return };
        match self.what_of(&pending) {
            Err(error) => Self::answer(step, id, Err(error)),
            Ok((what, mut keys)) => {
                pending.what = Some(what);
                let own = self.own_account();
                if let (Some(exchange), Some(own)) = (self.exchange(&pending.exchange), own) {
                    let terms = &exchange.terms;
                    keys.push(Key::Account(own));
                    keys.extend([&terms.clawable, &terms.plain].map(|asset| Key::Trustline(own, asset.clone())));
                }
                self.communities.pending.insert(id, pending);
                self.ask_once(Ask::Help(id), keys, step);
            }
        }
    }

    /// What a command comes to, and what has to be read besides one's own account.
    fn what_of(&self, pending: &Pending) -> Result<(What, Vec<Key>), CommandError> {
        let own = self.own_account().ok_or(PrecheckFailure::NoAccountKey)?;
        let unknown = || CommunityRefusal::new(CommunityCode::UnknownExchange, "the exchange is no longer followed");
        let exchange = self.exchange(&pending.exchange).ok_or_else(unknown)?;
        let not_yet = || CommunityRefusal::new(CommunityCode::NotYetSeen, "no ledger was seen yet");
        let look = exchange.look(self.close_time().ok_or_else(not_yet)?);
        let terms = &exchange.terms;
        let what = match &pending.deed {
            Deed::Create { .. } => return self.creation(terms),
            Deed::Join { .. } if exchange.chain.is_member(own) => {
                return refused(CommunityCode::AlreadyAMember, "this account has joined already");
            }
            Deed::Join { .. } => What::Join,
            Deed::Leave { into } => return self.leaving(exchange, *into, own),
            Deed::Make { kind, description, price, validity } => {
                look.member(own)?;
                check_make(description, *price, *validity)?;
                What::Make { kind: *kind, validity: *validity, description: description.clone(), price: *price }
            }
            Deed::Take { make, at_most } => {
                let found = look.may_take(*make, own)?;
                let amount = match found.kind {
                    MakeKind::Request => terms.fee,
                    MakeKind::Offer => {
                        let price = self.price_of(exchange, *make)?;
                        if let Some(most) = at_most.filter(|most| price > *most) {
                            let (price, most) = (price.coins(), most.coins());
                            let why = format!("it costs {price}, and the command allows {most} at most");
                            return refused(CommunityCode::DearerThanSaid, why);
                        }
                        price.plus(terms.fee).unwrap_or(Stroops::MAX)
                    }
                };
                What::Take { make: *make, amount }
            }
            Deed::Claim { take } => {
                let price = self.price_of_take(exchange, *take);
                look.may_claim(*take, own, MakeKind::Offer, price?)?;
                What::Claim { take: *take }
            }
            Deed::Grant { take } => {
                let price = self.price_of_take(exchange, *take)?;
                look.may_claim(*take, own, MakeKind::Request, price)?;
                What::Grant { take: *take, amount: price.plus(terms.fee).unwrap_or(Stroops::MAX) }
            }
            Deed::Convert { payment } => What::Convert { payment: look.may_convert(*payment, own)?.hash },
            Deed::Repay { payment } => What::Repay { payment: look.may_repay(*payment, own)?.hash },
            Deed::Reclaim { balance } => {
                let held = look.may_reclaim(None, own)?;
                if !held.iter().any(|held| held.balance == *balance) {
                    return refused(CommunityCode::NothingToReclaim, "no such balance of yours stands");
                }
                What::Reclaim { balance: *balance }
            }
        };
        let begun = |act: &&Act| act.exchange == pending.exchange && act.what == what;
        if self.communities.acts.values().any(|act| begun(&act)) && !matches!(what, What::Make { .. }) {
            return Err(CommandError::NotNow("that is on its way already".into()));
        }
        Ok((what, Vec::new()))
    }

    fn creation(&self, terms: &Terms) -> Result<(What, Vec<Key>), CommandError> {
        match self.communities.role.as_ref().map(|settings| &settings.role) {
            Some(Role::Issuer { .. }) => Ok((What::Create, vec![Key::Account(terms.plain_issuer())])),
            Some(Role::Agent { .. }) => {
                let issuers = [terms.issuer(), terms.plain_issuer()];
                Ok((What::Trust, issuers.map(Key::Account).to_vec()))
            }
            None => refused(CommunityCode::NoRole, "`community.role` isn't set in the configuration"),
        }
    }

    fn leaving(
        &self,
        exchange: &Exchange,
        into: Option<AccountId>,
        own: AccountId,
    ) -> Result<(What, Vec<Key>), CommandError> {
        let terms = &exchange.terms;
        let standing = exchange.chain.standing_of(own).count();
        if standing > 0 {
            let what = format!("{standing} balances of yours stand in it: `community reclaim` brings them back");
            return refused(CommunityCode::StillStanding, what);
        }
        if own == terms.issuer() {
            let Some(into) = into else {
                return refused(
                    CommunityCode::StillStanding,
                    "an issuer only leaves by ending: say where its coins go",
                );
            };
            return Ok((What::Close { into }, vec![Key::Account(terms.plain_issuer())]));
        }
        let nothing = Stroops::ZERO;
        Ok((What::Leave { clawable: nothing, plain: nothing, into }, Vec::new()))
    }

    /// What a make costs, as its offering in the book says.
    fn price_of(&self, exchange: &Exchange, make: TxHash) -> Result<Stroops, CommandError> {
        let asset = &exchange.terms.clawable;
        let made = exchange.chain.make_of(make);
        let own = self.offers.values().filter_map(|o| listing::make(o.body()));
        let own = own.filter(|listed| made.is_some_and(|made| listed.is_makers_word(asset, made)));
        let own = own.map(|listed| listed.price).next();
        let found = own.or_else(|| self.listed_make(asset, make).map(|(listed, _)| listed.price));
        let unknown = || {
            let why = "no offering of its maker's is in the book, so its price isn't known";
            CommunityRefusal::new(CommunityCode::NoSuchMake, why)
        };
        found.ok_or_else(|| unknown().into())
    }

    fn price_of_take(&self, exchange: &Exchange, take: TxHash) -> Result<Stroops, CommandError> {
        match exchange.chain.take_of(take) {
            Some(found) => self.price_of(exchange, found.make),
            // What is wrong with it is said by the rule.
            None => Ok(Stroops::ZERO),
        }
    }

    /// The accounts that a command depends on were read: it is costed, and done unless that was all.
    pub(crate) fn help_read(&mut self, id: CommandId, entries: &[Entry], now: Now, step: &mut Step<Effect>) {
        let Some(mut pending) = self.communities.pending.remove(&id) else { return };
        let Some(what) = pending.what.take() else { return };
        match self.help_cost(&pending.exchange, what, entries, now) {
            Err(error) => Self::answer(step, id, Err(error)),
            Ok((_, cost)) if pending.dry_run => Self::answer(step, id, Ok::<_, CommandError>(Answer::Cost(cost))),
            Ok((what, _)) => {
                if let (Deed::Create { life_secs }, Some(exchange)) =
                    (&pending.deed, self.exchange_mut(&pending.exchange))
                {
                    exchange.lists = (*life_secs > 0 && what == What::Trust).then_some(*life_secs);
                    exchange.store(step);
                }
                let act = Act { exchange: pending.exchange, what, state: ActState::Wanted };
                self.communities.acts.insert(pending.id, act);
                self.communities.commands.insert(pending.id, id);
                self.want(Purpose::Help { id: pending.id });
            }
        }
    }

    fn help_cost(
        &self,
        clawable: &Asset,
        what: What,
        entries: &[Entry],
        now: Now,
    ) -> Result<(What, Cost), CommandError> {
        let own = self.own_account().ok_or(PrecheckFailure::NoAccountKey)?;
        let gone = || CommunityRefusal::new(CommunityCode::UnknownExchange, "the exchange is no longer followed");
        let exchange = self.exchange(clawable).ok_or_else(gone)?;
        let terms = &exchange.terms;
        let state = account_in(entries, own).ok_or(PrecheckFailure::NoOwnAccount(own))?;
        let [clawable_line, plain_line] = [&terms.clawable, &terms.plain].map(|asset| line_in(entries, own, asset));
        let what = self.completed(exchange, what, (state, clawable_line, plain_line), entries)?;
        let takes = what.takes(terms, paid_amount(exchange, &what));
        let params = self.params.unwrap_or(LedgerParams::USUAL);
        let (fee, taken) = (self.fee(takes.operations), self.committed(&Asset::Native));
        let needs = Needs { amount: Stroops::ZERO, reserves: takes.reserves, fees: fee };
        affordable(state, &params, taken, &needs).map_err(PrecheckFailure::from)?;
        for (line, asset, amount) in
            [(clawable_line, &terms.clawable, takes.clawable), (plain_line, &terms.plain, takes.plain)]
        {
            if !amount.is_zero() && !matches!(what, What::Leave { .. }) {
                affordable_in(line, self.committed(asset), amount).map_err(|short| {
                    let (missing, free, symbol) = (short.missing.coins(), short.free.coins(), asset.symbol());
                    let what =
                        format!("{missing} {symbol} are missing: {} are needed, {free} are free", amount.coins());
                    CommunityRefusal::new(CommunityCode::AssetShort, what)
                })?;
            }
        }
        let listed = match &what {
            What::Make { .. } => {
                let act = Act { exchange: clawable.clone(), what: what.clone(), state: ActState::Wanted };
                let draft = self.draft_of_make(&act, TxHash::from_bytes([0; 32]));
                draft.map(|draft| self.quote_publish(&draft, now)).transpose()?
            }
            _ => None,
        };
        let (asset, amount) = match (takes.clawable.is_zero(), takes.plain.is_zero()) {
            (false, _) => (terms.clawable.clone(), takes.clawable),
            (true, false) => (terms.plain.clone(), takes.plain),
            (true, true) => (Asset::Native, Stroops::ZERO),
        };
        let more = |own: Stroops, of: fn(&Cost) -> Stroops| {
            listed.as_ref().map(of).unwrap_or_default().plus(own).unwrap_or(Stroops::MAX)
        };
        let bonded = |cost: &Cost| cost.reserve.plus(cost.amount).unwrap_or(Stroops::MAX);
        let cost = Cost {
            amount,
            asset,
            fee: more(fee, |cost| cost.fee),
            reserve: more(params.reserves(takes.reserves), bonded),
            returns_at: listed.as_ref().and_then(|cost| cost.returns_at),
            free_before: params.available(state).minus(taken).unwrap_or_default(),
        };
        Ok((what, cost))
    }

    /// What is only known once accounts and trustlines were read.
    fn completed(
        &self,
        exchange: &Exchange,
        what: What,
        (state, clawable, plain): (&AccountState, Option<&TrustlineState>, Option<&TrustlineState>),
        entries: &[Entry],
    ) -> Result<What, CommandError> {
        let terms = &exchange.terms;
        match what {
            What::Create if account_in(entries, terms.plain_issuer()).is_some() => {
                Err(CommandError::NotNow("the exchange is set up already".into()))
            }
            What::Trust => {
                let able = account_in(entries, terms.issuer()).map(|issuer| issuer.flags);
                if able.is_none_or(|flags| flags & AUTH_CLAWBACK_ENABLED == 0 || flags & AUTH_REVOCABLE == 0) {
                    return Err(CommandError::NotNow("the issuer hasn't set the exchange up yet: `community create` there first".into()));
                }
                if account_in(entries, terms.plain_issuer()).is_none_or(|issuer| issuer.flags != 0) {
                    return Err(CommandError::NotNow("the other asset's issuer isn't on the ledger, or could take it back too".into()));
                }
                Ok(What::Trust)
            }
            What::Join if clawable.is_some() || plain.is_some() => {
                Err(CommandError::NotNow("this account has a trustline for one of the assets already: remove it first (`wallet trust --limit 0`)".into()))
            }
            What::Leave { into, .. } => {
                let held = |line: Option<&TrustlineState>| line.map(|line| line.balance).unwrap_or_default();
                let lines = [clawable, plain].iter().flatten().count() as u32;
                if lines < 2 {
                    return Err(CommunityRefusal::new(CommunityCode::NotAMember, "this account has no trustlines of the exchange's").into());
                }
                if into.is_some() && state.sponsoring > 0 {
                    let what = format!("the account still holds {} reserves for balances that it made, such as bonds: they return first", state.sponsoring);
                    return Err(CommunityRefusal::new(CommunityCode::StillStanding, what).into());
                }
                if into.is_some() && state.sub_entries > lines {
                    let what = format!("the account has {} entries besides the exchange's trustlines", state.sub_entries - lines);
                    return Err(CommunityRefusal::new(CommunityCode::StillStanding, what).into());
                }
                if into.is_some() && self.submitters().any(|submitter| submitter.state.is_some()) {
                    let what = "submitter accounts hold coins of this one: `wallet merge` brings them back first";
                    return Err(CommunityRefusal::new(CommunityCode::StillStanding, what).into());
                }
                Ok(What::Leave { clawable: held(clawable), plain: held(plain), into })
            }
            What::Close { .. } if state.sponsoring > 0 || state.sub_entries > 0 => {
                Err(CommunityRefusal::new(CommunityCode::StillStanding, "the account still has entries or balances of its own").into())
            }
            What::Close { .. } if account_in(entries, terms.plain_issuer()).is_none() => {
                Err(CommandError::NotNow("the other asset's issuer isn't on the ledger".into()))
            }
            what => Ok(what),
        }
    }

    /// Reading what a command depends on failed.
    pub(crate) fn help_unreadable(&mut self, id: CommandId, why: String, step: &mut Step<Effect>) {
        if self.communities.pending.remove(&id).is_some() {
            Self::answer(step, id, Err(PrecheckFailure::LedgerUnavailable(why)));
        }
    }
}

fn check_make(description: &str, price: Stroops, validity: u64) -> Result<(), CommandError> {
    let wrong = |why: String| Err(CommandError::NotNow(why));
    if description.trim().is_empty() || description.len() > MAX_DESCRIPTION {
        return wrong(format!("a description has 1 to {MAX_DESCRIPTION} bytes, this has {}", description.len()));
    }
    if description.chars().any(char::is_control) {
        return wrong("a description is one line without control characters".to_owned());
    }
    if price.is_zero() {
        return wrong("help of no worth isn't exchanged: give a price above 0".to_owned());
    }
    if validity > MAX_VALIDITY {
        return wrong(format!("an offer or request stands for at most {MAX_VALIDITY} s"));
    }
    Ok(())
}

fn account_in(entries: &[Entry], id: AccountId) -> Option<&AccountState> {
    entries.iter().find_map(|entry| match entry {
        Entry::Account(account) if account.id == id => Some(account),
        _ => None,
    })
}

fn line_in<'a>(entries: &'a [Entry], id: AccountId, asset: &Asset) -> Option<&'a TrustlineState> {
    entries.iter().find_map(|entry| match entry {
        Entry::Trustline(line) if line.account == id && line.asset == *asset => Some(line),
        _ => None,
    })
}
