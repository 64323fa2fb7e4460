//! What strangers do in the judge's books: anything that the ledger lets them, which moves their own money and nobody else's.

use stellar_xdr::{OperationBody, SetOptionsOp};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::message::BalanceId;
use tradepost_protocol::stellar::{Operation, balance_id, xdr};
use tradepost_protocol::time::Timestamp;

use super::{Accounts, Course, Holder, claimant, is_shaped, sum_of};

impl Accounts {
    /// Takes in an operation of a stranger's transaction. Whoever else it acts for has signed it, too.
    pub(super) fn take_anything(
        &mut self,
        operation: &Operation,
        acting: AccountId,
        id: BalanceId,
        closed: Timestamp,
        course: &mut Course,
    ) -> Result<(), String> {
        match &operation.body {
            OperationBody::CreateClaimableBalance(create) => {
                let locked = sum_of(&create.asset, create.amount)?;
                self.add(acting, &locked.asset, -locked.stroops);
                let claimants: Vec<AccountId> = create.claimants.iter().map(claimant).collect();
                let binding = self.binding_among(&claimants).filter(|binding| self.deals[binding].consumer == acting);
                match binding {
                    Some(binding) => {
                        course.locked = Some((id, claimants[0]));
                        course.shaped = is_shaped(create, binding, &self.deals[&binding]);
                        self.locked_for(binding, acting, id, locked, claimants[0]);
                    }
                    None => drop(self.strange.insert(id, locked)),
                }
            }
            OperationBody::ClaimClaimableBalance(claim) => {
                let id = balance_id::from_xdr(&claim.balance_id);
                let strange = self.escrows.get_mut(&id).filter(|escrow| self.strangers.contains(&escrow.funder));
                let sum = match strange {
                    Some(escrow) => {
                        let recipient = self.deals[&escrow.binding].recipient;
                        escrow.holder = if acting == recipient { Holder::Recipient } else { Holder::Consumer };
                        Some(escrow.locked.clone())
                    }
                    None => self.strange.remove(&id),
                };
                match sum {
                    Some(sum) => self.add(acting, &sum.asset, sum.stroops),
                    None => {
                        self.claims(acting, id, closed, course)?;
                        if course.settled.is_some() {
                            return Err("a stranger settled what others had locked".to_owned());
                        }
                    }
                }
            }
            OperationBody::Payment(payment) => {
                let to = xdr::read_plain(&payment.destination).ok_or("a payment to nobody")?;
                let paid = sum_of(&payment.asset, payment.amount)?;
                self.add(acting, &paid.asset, -paid.stroops);
                if self.is_followed(to) {
                    self.add(to, &paid.asset, paid.stroops);
                }
            }
            OperationBody::CreateAccount(create) => {
                let made = xdr::read_account(&create.destination);
                course.setup.odd |= course.locked.is_some_and(|(_, controller)| controller != made);
                self.controllers.insert(made, acting);
                self.add(acting, &Asset::Native, -create.starting_balance);
                self.add(made, &Asset::Native, create.starting_balance);
            }
            OperationBody::AccountMerge(to) => {
                let to = xdr::read_plain(to).ok_or("a merge into nobody")?;
                if self.honest.contains(&acting) || self.is_honests_controller(acting) {
                    return Err(format!("a stranger merged {acting}"));
                }
                let left = self.balances.remove(&(acting, Asset::Native)).unwrap_or_default();
                self.balances.retain(|(account, _), _| *account != acting);
                self.controllers.remove(&acting);
                self.add(to, &Asset::Native, left);
            }
            OperationBody::SetOptions(_) | OperationBody::BumpSequence(_) if self.is_honests_controller(acting) => {
                return Err(format!("a stranger changed the controller {acting}"));
            }
            OperationBody::SetOptions(set) => {
                course.setup.sets(set);
                self.sets_up_anew(acting, set);
            }
            OperationBody::ManageData(_)
            | OperationBody::BeginSponsoringFutureReserves(_)
            | OperationBody::EndSponsoringFutureReserves
            | OperationBody::RevokeSponsorship(_) => course.setup.odd = true,
            OperationBody::ChangeTrust(trust) => course.setup.odd |= trust.limit < i64::MAX,
            OperationBody::BumpSequence(_) => {}
            other => return Err(format!("a transaction that even a stranger has no reason for: {}", other.name())),
        }
        Ok(())
    }

    /// A stranger makes of its controller what was agreed after all, or something else.
    fn sets_up_anew(&mut self, controller: AccountId, set: &SetOptionsOp) {
        let Some((id, setup)) = self.setups.get_mut(&controller) else { return };
        setup.sets(set);
        if let Some(escrow) = self.escrows.get_mut(id) {
            escrow.sound = setup.is_sound(&self.deals[&escrow.binding]);
        }
    }

    fn is_honests_controller(&self, account: AccountId) -> bool {
        self.controllers.get(&account).is_some_and(|funder| !self.strangers.contains(funder))
    }
}
