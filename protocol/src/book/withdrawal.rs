//! Whether a series can be withdrawn with the keys at hand.

use super::Book;
use crate::account::{AccountId, SignerKey};
use crate::message::SeriesId;

/// Why a series can't be withdrawn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WithdrawError {
    /// No such series is in the book.
    #[error("the series {0} isn't known here: see `tradepost offering list`")]
    Unknown(SeriesId),
    /// It is someone else's.
    #[error("the series {series} belongs to {owner}: only its own keys can withdraw it")]
    Foreign {
        /// The series.
        series: SeriesId,
        /// Whose it is.
        owner: AccountId,
    },
    /// It is over already.
    #[error("the series {0} is withdrawn already: nothing is left to do")]
    AlreadyWithdrawn(SeriesId),
}

impl Book {
    /// Checks that a series can be withdrawn with one of these keys, its account's or its serving key; gives the
    /// sequence that the withdrawing status needs.
    ///
    /// # Errors
    /// [`WithdrawError`]: unknown, someone else's, or withdrawn already.
    pub fn check_withdraw(&self, keys: &[SignerKey], id: &SeriesId) -> Result<u64, WithdrawError> {
        let series = self.series.get(id).ok_or(WithdrawError::Unknown(*id))?;
        let head = series.head.body();
        let ours = [head.account.into(), head.serving_key.into()];
        if !keys.iter().any(|key| ours.contains(key)) {
            return Err(WithdrawError::Foreign { series: *id, owner: head.account });
        }
        if series.withdrawn() {
            return Err(WithdrawError::AlreadyWithdrawn(*id));
        }
        Ok(series.status.as_ref().map_or(0, |s| s.body().sequence).saturating_add(1))
    }
}
