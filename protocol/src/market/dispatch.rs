//! Which part of the market an answer or a command belongs to.

use rand_core::CryptoRng;

use crate::market::Market;
use crate::market::command::{Answer, Command, CommandError, CommandId};
use crate::market::consumer::Wish;
use crate::market::event::{Ask, Call, Effect};
use crate::stellar::LedgerPoint;
use crate::stellar::entry::Entry;
use crate::stellar::ledger_key::Key;
use crate::step::Step;
use crate::time::Now;

impl Market {
    /// Entries were read.
    #[expect(clippy::too_many_arguments, reason = "the event's own fields, with time and randomness")]
    pub(super) fn entries(
        &mut self,
        ask: Ask,
        at: LedgerPoint,
        asked: &[Key],
        entries: Vec<Entry>,
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        let (ask, agreed) = plain(ask);
        match self.is_answered(&ask, asked) {
            Ok(()) => {}
            Err(Some(why)) => return self.read_failed(ask, why, now, step),
            Err(None) => return,
        }
        let counted = if agreed { asked.to_vec() } else { self.counted(&ask, at, asked, &entries, step) };
        let asked = &counted[..];
        match ask {
            Ask::Account => self.accounts_read(at, asked, &entries, now, rng, step),
            Ask::Bonds(wanted) => self.bonds_read(&wanted, asked, &entries, now, step),
            Ask::Escrows => self.escrows_read((at, agreed), asked, &entries, now, rng, step),
            Ask::Request(request) => self.request_read(request, asked, &entries, now, step),
            Ask::Consumers(wanted) => self.consumers_read(&wanted, asked, &entries, now, step),
            Ask::Precheck(id) => self.precheck_read(id, &entries, now, rng, step),
            Ask::Payment(id) => self.payment_read(id, &entries, step),
            Ask::Trust(id) => self.trust_read(id, &entries, step),
            Ask::Stamp(id) => self.stamp_read(id, at, &entries, step),
            Ask::Walk { at } => self.walk_read(at, &entries, now, step),
            Ask::Found => self.found_read(asked, &entries, now, rng, step),
            Ask::FoundController(sequence) => {
                self.found_controller_read((sequence, at), asked, &entries, now, rng, step)
            }
            // One that is wrapped twice is nobody's question.
            Ask::Agreed(_) => {}
            Ask::Case(binding, by) => self.case_read((binding, by), &entries, now, step),
            Ask::Cases => self.cases_read(at, asked, &entries),
            Ask::Place(binding, side) => self.place_read((binding, side), asked, &entries, step),
            Ask::Leftovers(binding) => self.leftovers_read((binding, at), asked, &entries, now, rng, step),
            Ask::Payees(binding) => {
                self.payees_read(binding, asked, &entries, now, step);
                if let Some(request) = self.by_binding.get(&binding).copied() {
                    self.drive(request, now, rng, step);
                    self.tend_queue(now, rng, step);
                }
            }
            Ask::Help(id) => {
                self.help_read(id, &entries, now, step);
                self.tend_queue(now, rng, step);
            }
            Ask::Joiner(account) => self.joiner_read(account, &entries, step),
            Ask::Holdings(exchange) => {
                self.holdings_read(&exchange, asked, &entries);
                self.tend_exchanges(now, step);
                self.tend_queue(now, rng, step);
            }
        }
    }

    /// Entries could not be read. What is asked for again by itself needs nothing.
    pub(super) fn read_failed(&mut self, ask: Ask, why: String, now: Now, step: &mut Step<Effect>) {
        let (ask, agreed) = plain(ask);
        self.is_unanswered(&ask);
        match ask {
            Ask::Escrows if agreed => self.delivery_waits(&why, step),
            Ask::Account | Ask::Bonds(_) | Ask::Consumers(_) | Ask::Escrows | Ask::Found | Ask::Agreed(_) => {}
            Ask::Cases | Ask::Leftovers(_) | Ask::FoundController(_) | Ask::Place(..) => {}
            Ask::Payees(binding) => self.payees_unreadable(&binding, now),
            Ask::Holdings(_) => {}
            Ask::Joiner(account) => self.joiner_unreadable(account, step),
            Ask::Help(id) => self.help_unreadable(id, why, step),
            Ask::Request(request) => self.request_unreadable(request, now, step),
            Ask::Precheck(id) => self.precheck_unreadable(id, why, step),
            Ask::Payment(id) => self.payment_unreadable(id, why, step),
            Ask::Trust(id) => self.trust_unreadable(id, why, step),
            Ask::Stamp(id) => self.stamp_unreadable(id, why, step),
            Ask::Walk { at } => self.walk_unreadable(at, now),
            Ask::Case(binding, by) => self.case_unreadable((binding, by), step),
        }
    }

    /// A frame that was sent is answered, or isn't.
    pub(super) fn answered(
        &mut self,
        call: Call,
        result: Result<Vec<u8>, String>,
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        match call {
            Call::Precheck(id) => self.precheck_pinged(id, result, now, step),
            Call::Request(request) => self.request_answered(request, result, now, step),
            Call::Approach(request) => self.approach_answered(request, result, now, step),
            Call::Agreement(binding) => self.agreement_answered(binding, result, now, step),
            Call::Reach(binding) => self.reach_answered(binding, result, now, rng, step),
            Call::Engage { request, arbiter } => self.engage_answered(request, arbiter, result, now, step),
            Call::Cosign { binding, to, sequence } => self.cosign_answered((binding, to, sequence), result, now, step),
            Call::Fund(binding) => self.fund_answered(binding, result, now, rng, step),
            Call::Tell(binding) => self.tell_answered(binding, result, now, step),
            Call::Heartbeat(binding) => self.heartbeat_answered(binding, result, now, step),
            Call::Join(id) => self.join_answered(id, result, step),
            Call::Dispute { binding, to, word } => self.dispute_answered((binding, to, word), result, now, step),
        }
        self.tend_queue(now, rng, step);
    }

    /// A user wants something.
    pub(super) fn command(
        &mut self,
        id: CommandId,
        command: Command,
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        if self.draining && !matches!(command, Command::CallDone { .. } | Command::AdmitCall { .. }) {
            let error = CommandError::NotNow("this node is stopping".into());
            return Self::answer(step, id, Err(error));
        }
        let begins = matches!(
            &command,
            Command::Publish(_)
                | Command::Bind { dry_run: false, .. }
                | Command::PublishRequest { dry_run: false, .. }
                | Command::Pay { dry_run: false, .. }
                | Command::Trust { dry_run: false, .. }
                | Command::Stamp { dry_run: false, .. }
                | Command::Community { dry_run: false, .. }
        );
        if begins && self.holds_back(now) {
            return Self::answer(step, id, Err(CommandError::NotNow(self.why_held_back(now))));
        }
        match command {
            Command::Publish(draft) => {
                self.publish(id, *draft, now, step);
                self.tend_queue(now, rng, step);
            }
            Command::QuotePublish(draft) => {
                Self::answer(step, id, self.quote_publish(&draft, now).map(Answer::Cost));
            }
            Command::Withdraw(series) => self.withdraw(id, series, now, rng, step),
            Command::Register(bytes) => self.register(id, bytes, now, rng, step),
            Command::Bind { offering, .. } | Command::PublishRequest { offering, .. } if self.is_taken(&offering) => {
                Self::answer(step, id, Err(Self::take_instead()));
            }
            Command::Community { exchange, deed, dry_run } => {
                self.community(id, (exchange, deed), dry_run, now, rng, step);
                self.tend_queue(now, rng, step);
            }
            Command::Bind { offering, units, wish, dry_run } => {
                self.bind(id, Wish { offering, units, escrow: wish, dry_run, publish: None }, now, step);
            }
            Command::PublishRequest { offering, units, wish, life, dry_run } => {
                self.bind(id, Wish { offering, units, escrow: wish, dry_run, publish: Some(life) }, now, step);
            }
            Command::CancelRequest(request) => self.cancel_request(id, request, now, rng, step),
            Command::Unbind(request) => self.unbind(id, request, now, rng, step),
            Command::AdmitCall { binding, token } => self.admit_call(id, binding, &token, step),
            Command::CallDone { binding, failed } => self.call_done(binding, failed, now, rng, step),
            Command::Pay { to, asset, amount, memo, dry_run } => {
                self.pay(id, (to, asset, amount, memo), dry_run, now, rng, step);
            }
            Command::Trust { asset, limit, dry_run } => self.trust(id, (asset, limit), dry_run, now, rng, step),
            Command::Stamp { hashes, dry_run } => self.stamp(id, hashes, dry_run, now, step),
            Command::Release { request, to_provider } => self.release_command(id, request, to_provider, now, rng, step),
            Command::OpenDispute { request, to_provider, text } => {
                self.open_command(id, request, (to_provider, text), now, rng, step);
            }
            Command::ShowEvidence { request, text, attachments } => {
                self.show_command(id, request, (text, attachments), now, rng, step);
            }
            Command::Award { binding, to_provider, note } => {
                self.give_award(id, binding, (to_provider, note), now, step);
            }
            Command::Recover { take } => self.recover(id, take, now, step),
            Command::MergeSubmitters => {
                self.merge_submitters(id, step);
                self.tend_queue(now, rng, step);
            }
        }
    }

    /// Commands that waited long enough are answered.
    pub(super) fn expire_commands(&mut self, now: Now, step: &mut Step<Effect>) {
        self.expire_binds(now, step);
        self.expire_payments(now, step);
        self.expire_trusts(now, step);
        self.expire_stamps(now, step);
        self.expire_incoming(now);
    }
}

/// A question as it was before it was marked as gating money, and whether it was.
fn plain(ask: Ask) -> (Ask, bool) {
    match ask {
        Ask::Agreed(ask) => (*ask, true),
        ask => (ask, false),
    }
}
