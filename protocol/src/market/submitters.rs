//! This owner's submitter accounts: put on the ledger when there is something for them to do, topped up, and merged back
//! by command.

use crate::account::AccountId;
use crate::amount::Stroops;
use crate::binding::precheck::PrecheckFailure;
use crate::escrow::outcome::EscrowState;
use crate::intent::precheck::{Needs, affordable};
use crate::intent::queues::Submitter;
use crate::intent::submitter::{FLOAT, LOW, RESERVES};
use crate::intent::{Purpose, submitter};
use crate::market::Market;
use crate::market::command::{Answer, CommandError, CommandId};
use crate::market::event::Effect;
use crate::stellar::reserve::LedgerParams;
use crate::step::Step;

impl Market {
    /// This owner's submitter accounts, whether they stand or not.
    pub fn submitters(&self) -> impl Iterator<Item = Submitter<'_>> {
        self.queue.iter().flat_map(|queue| queue.submitters())
    }

    pub(super) fn submitter(&self, index: u8) -> Option<Submitter<'_>> {
        self.submitters().find(|submitter| submitter.index == index)
    }

    /// What putting one on the ledger costs, without the fee.
    pub(super) fn submitter_cost(&self) -> Stroops {
        let params = self.params.unwrap_or(LedgerParams::USUAL);
        params.reserves(RESERVES).plus(FLOAT).unwrap_or(Stroops::MAX)
    }

    /// Puts as many submitters on the ledger as there are trades with money that this account will have to move, up to the
    /// owner's limit, and tops up those that ran low: where the account can afford it beside what it has promised.
    pub(super) fn tend_submitters(&mut self) {
        let needed = usize::from(self.setup.policy.submitters.min(submitter::MAX_SUBMITTERS)).min(self.at_stake());
        let params = self.params.unwrap_or(LedgerParams::USUAL);
        let mut wanted = Vec::new();
        for submitter in self.submitters().take(needed) {
            match submitter.state {
                None if submitter.absent => {
                    wanted.push((Purpose::OpenSubmitter { index: submitter.index }, self.submitter_cost()))
                }
                Some(_) if self.is_low(&submitter) => {
                    wanted.push((Purpose::FeedSubmitter { index: submitter.index }, FLOAT));
                }
                _ => {}
            }
        }
        for (purpose, amount) in wanted {
            let known = self.queue.as_ref().is_none_or(|q| q.intent(purpose).is_some() || q.own().is_waiting(purpose));
            if !known && self.can_spare(amount, &params) {
                self.want(purpose);
            }
        }
    }

    /// Trades whose escrow this account will have to collect, give back or take back.
    fn at_stake(&self) -> usize {
        // What is only intended may never come, and costs whoever promises it nothing.
        let held = |escrow: &EscrowState| matches!(escrow, EscrowState::Locked | EscrowState::Refused(_));
        self.trades.values().filter(|trade| !trade.phase().is_final() && held(trade.escrow())).count()
    }

    /// Whether a submitter that stands has little left for fees.
    pub(super) fn is_low(&self, submitter: &Submitter<'_>) -> bool {
        let params = self.params.unwrap_or(LedgerParams::USUAL);
        submitter.state.is_some_and(|state| params.available(state) < LOW)
    }

    fn can_spare(&self, amount: Stroops, params: &LedgerParams) -> bool {
        let needs = Needs { amount, reserves: 0, fees: self.fee(1) };
        let committed = self.committed(&crate::asset::Asset::Native);
        self.account.as_ref().is_some_and(|account| affordable(account, params, committed, &needs).is_ok())
    }

    /// A user wants the submitters' coins back.
    pub(super) fn merge_submitters(&mut self, id: CommandId, step: &mut Step<Effect>) {
        Self::answer(step, id, self.merge_idle().map(Answer::Merging));
    }

    fn merge_idle(&mut self) -> Result<Vec<AccountId>, CommandError> {
        if self.queue.is_none() {
            return Err(PrecheckFailure::NoAccountKey.into());
        }
        let open = self.at_stake();
        if open > 0 {
            let why =
                format!("{open} open bindings may need them before their deadlines: try again when those are over");
            return Err(CommandError::NotNow(why));
        }
        let standing: Vec<(u8, AccountId)> =
            self.submitters().filter(|s| s.state.is_some() && s.busy == 0).map(|s| (s.index, s.account)).collect();
        if standing.is_empty() {
            return Err(CommandError::NotNow(
                "no submitter account stands idle on the ledger: nothing is to be merged".into(),
            ));
        }
        for (index, _) in &standing {
            self.want(Purpose::MergeSubmitter { index: *index });
        }
        Ok(standing.into_iter().map(|(_, account)| account).collect())
    }
}
