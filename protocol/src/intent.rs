//! One transaction's life: journalled before it is sent, followed until the ledger has decided.
//!
//! [`queue::AccountQueue`] keeps one open transaction an account at a time. A second transaction for an (account,
//! sequence) is signed only when the first is provably dead. [`queues::Queues`] are an owner's: the account's own, and
//! those of its submitter accounts.

pub mod fees;
pub mod precheck;
pub mod queue;
pub mod queues;
pub mod submitter;

use core::fmt;

use bincode::{Decode, Encode};

use crate::account::AccountId;
use crate::amount::Stroops;
use crate::frame::{self, FrameError};
use crate::message::{BalanceId, BindingId, SeriesId, Sha256Hash, TxHash};
use crate::stellar::LedgerPoint;
use crate::time::Timestamp;

/// The most bytes of a result that are kept.
pub const MAX_RESULT_BYTES: usize = 4 * 1024;

/// What a transaction is for. There is one open transaction a purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Purpose {
    /// Locks the bond of a series.
    Bond {
        /// Which.
        series: SeriesId,
    },
    /// Takes the bond of a series back.
    ReclaimBond {
        /// Which.
        series: SeriesId,
    },
    /// Locks a binding's money.
    Fund {
        /// Which.
        binding: BindingId,
    },
    /// Collects a binding's money, as its recipient: before T under `timed`, from T on where it is agreed to be its own then.
    Collect {
        /// Which.
        binding: BindingId,
    },
    /// Gives a binding's money back before T, as its recipient.
    GiveBack {
        /// Which.
        binding: BindingId,
    },
    /// Takes a binding's money back from T on, as its consumer.
    Refund {
        /// Which.
        binding: BindingId,
    },
    /// Pays somebody, by command.
    Pay {
        /// The command's own id, so that a repeat of it pays once.
        id: [u8; 16],
    },
    /// Takes back a balance that was found from the account's key alone.
    Reclaim {
        /// Which.
        balance: BalanceId,
    },
    /// Puts one of the owner's submitter accounts on the ledger.
    OpenSubmitter {
        /// Its number.
        index: u8,
    },
    /// Tops one of the owner's submitter accounts up.
    FeedSubmitter {
        /// Its number.
        index: u8,
    },
    /// Merges one of the owner's submitter accounts back into the owner's.
    MergeSubmitter {
        /// Its number.
        index: u8,
    },
    /// Makes, changes or removes a trustline, by command.
    Trust {
        /// The command's own id, so that a repeat of it is done once.
        id: [u8; 16],
    },
    /// Puts the root of a batch of timestamps into the ledger.
    Stamp {
        /// The root.
        root: Sha256Hash,
    },
    /// Divides a binding's money as its controller's signers say.
    Settle {
        /// Which.
        binding: BindingId,
    },
    /// Claims what another one's settlement left for this account: a party's share, or an arbiter's fee.
    Receive {
        /// Of which binding.
        binding: BindingId,
    },
    /// Merges an escrow's controller, which this account has back, into it.
    MergeController {
        /// The sequence number of the funding that made it.
        sequence: i64,
    },
    /// Does something in a help exchange.
    Help {
        /// The act's own name, so that a repeat of it is done once.
        id: [u8; 16],
    },
}

/// By which account a transaction goes, and how urgent it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// By the owner's own account, whose sequence number a balance's id follows from, in front of what can wait.
    Funding,
    /// It has a deadline that costs money: by a submitter, with an offer that is raised until it is included.
    Deadline,
    /// By the owner's own account, in its turn.
    Ordinary,
    /// By this submitter itself.
    Submitter(u8),
}

impl Purpose {
    /// By which account it goes, and how urgent it is.
    pub const fn course(&self) -> Course {
        match self {
            Self::Fund { .. } => Course::Funding,
            Self::Collect { .. } | Self::GiveBack { .. } | Self::Refund { .. } | Self::Settle { .. } => {
                Course::Deadline
            }
            Self::Bond { .. }
            | Self::ReclaimBond { .. }
            | Self::Pay { .. }
            | Self::Reclaim { .. }
            | Self::Trust { .. }
            | Self::Stamp { .. }
            | Self::Receive { .. }
            | Self::MergeController { .. }
            | Self::Help { .. }
            | Self::OpenSubmitter { .. }
            | Self::FeedSubmitter { .. } => Course::Ordinary,
            Self::MergeSubmitter { index } => Course::Submitter(*index),
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bond { series } => write!(f, "bond of series {series}"),
            Self::ReclaimBond { series } => write!(f, "reclaiming the bond of series {series}"),
            Self::Fund { binding } => write!(f, "funding of binding {binding}"),
            Self::Collect { binding } => write!(f, "collecting for binding {binding}"),
            Self::GiveBack { binding } => write!(f, "giving back for binding {binding}"),
            Self::Refund { binding } => write!(f, "refund of binding {binding}"),
            Self::Pay { id } => write!(f, "payment {}", hex::encode(id)),
            Self::Reclaim { balance } => write!(f, "taking back balance {balance}"),
            Self::OpenSubmitter { index } => write!(f, "opening submitter account {index}"),
            Self::FeedSubmitter { index } => write!(f, "topping up submitter account {index}"),
            Self::MergeSubmitter { index } => write!(f, "merging submitter account {index}"),
            Self::Trust { id } => write!(f, "trustline {}", hex::encode(id)),
            Self::Stamp { root } => write!(f, "timestamp {root}"),
            Self::Settle { binding } => write!(f, "settling binding {binding}"),
            Self::Receive { binding } => write!(f, "claiming what was left of binding {binding}"),
            Self::MergeController { sequence } => write!(f, "merging the controller of funding {sequence}"),
            Self::Help { id } => write!(f, "help exchange {}", hex::encode(id)),
        }
    }
}

/// Where a transaction stands.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum IntentState {
    /// Signed and stored; may have been revealed.
    Signed {
        /// Handed to the counterparty first, not submitted by us yet.
        held: bool,
    },
    /// An RPC server has taken it. That is not inclusion.
    Submitted,
    /// In a ledger.
    Included {
        /// Which ledger.
        at: LedgerPoint,
        /// Whether its operations took effect. Fee and sequence number are used either way.
        success: bool,
        /// The `TransactionResult`; empty where it was larger than is kept.
        result: Vec<u8>,
    },
    /// It was never included and never will be.
    Dead,
    /// Its sequence number is used, and history no longer tells whether by it.
    Unknown,
    /// It waits in an envelope that offers more than it was signed with.
    Bumped(Bump),
}

/// A fee bump: the same transaction in an envelope that offers more. Its own hash still finds it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Bump {
    /// The signed envelope around it.
    pub envelope: Vec<u8>,
    /// That envelope's hash.
    pub hash: TxHash,
    /// Who pays.
    pub payer: AccountId,
    /// The most that it may cost, in stroops.
    pub fee: Stroops,
    /// The newest ledger known when it was signed.
    pub at: u32,
}

/// A journalled transaction.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Intent {
    /// Whose transaction.
    pub account: AccountId,
    /// The sequence number that it uses.
    pub sequence: i64,
    /// What it is for.
    pub purpose: Purpose,
    /// The signed envelope.
    pub envelope: Vec<u8>,
    /// Its hash.
    pub hash: TxHash,
    /// The latest close time of a ledger that may include it.
    pub max_time: Timestamp,
    /// The newest ledger known when it was signed: it can only be in a later one.
    pub since: u32,
    /// Where it stands.
    pub state: IntentState,
}

/// How a transaction ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntentOutcome {
    /// It is in a ledger.
    Included {
        /// Which.
        at: LedgerPoint,
        /// Whether its operations took effect.
        success: bool,
        /// The `TransactionResult`.
        result: Vec<u8>,
    },
    /// It never will be; nothing was used.
    Dead,
    /// Its sequence number is used and history can't tell by what: look at what it was to change.
    Unknown,
}

impl Intent {
    /// The key under which it is stored: account ‖ sequence, big endian, so that an account's are in order.
    pub fn key(&self) -> Vec<u8> {
        let mut key = self.account.as_bytes().to_vec();
        key.extend(self.sequence.to_be_bytes());
        key
    }

    /// Its stored form.
    ///
    /// # Errors
    /// Where it is larger than a stored value may be.
    pub fn to_bytes(&self) -> Result<Vec<u8>, FrameError> {
        frame::encode(self)
    }

    /// Reads its stored form.
    ///
    /// # Errors
    /// Where the bytes aren't one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FrameError> {
        frame::decode(bytes)
    }

    /// The newest envelope of it, and that one's hash.
    pub fn newest(&self) -> (&[u8], TxHash) {
        match &self.state {
            IntentState::Bumped(bump) => (&bump.envelope, bump.hash),
            _ => (&self.envelope, self.hash),
        }
    }

    /// How it ended; `None` while that is open.
    pub fn outcome(&self) -> Option<IntentOutcome> {
        match &self.state {
            IntentState::Signed { .. } | IntentState::Submitted | IntentState::Bumped(_) => None,
            IntentState::Included { at, success, result } => {
                Some(IntentOutcome::Included { at: *at, success: *success, result: result.clone() })
            }
            IntentState::Dead => Some(IntentOutcome::Dead),
            IntentState::Unknown => Some(IntentOutcome::Unknown),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn intent(state: IntentState) -> Intent {
        Intent {
            account: AccountId::from_bytes([1; 32]),
            sequence: 0x0102_0304_0506,
            purpose: Purpose::Fund { binding: BindingId::from_bytes([2; 32]) },
            envelope: vec![0xee; 3],
            hash: TxHash::from_bytes([3; 32]),
            max_time: Timestamp::from_secs(1_000),
            since: 77,
            state,
        }
    }

    #[test]
    fn the_key_orders_an_accounts_transactions() {
        let one = intent(IntentState::Dead);
        assert_eq!(hex::encode(one.key()), format!("{}0000010203040506", "01".repeat(32)));
        let later = Intent { sequence: one.sequence + 1, ..one.clone() };
        assert!(later.key() > one.key());
    }

    #[test]
    fn every_state_has_its_golden_bytes() {
        let at = LedgerPoint::new(80, Timestamp::from_secs(900));
        let bump = Bump {
            envelope: vec![0xdd; 2],
            hash: TxHash::from_bytes([5; 32]),
            payer: AccountId::from_bytes([6; 32]),
            fee: Stroops::new(1_000_000).unwrap(),
            at: 78,
        };
        let bumped = format!("0502dddd{}{}fc40420f004e", "05".repeat(32), "06".repeat(32));
        let states = [
            (IntentState::Signed { held: true }, "0001"),
            (IntentState::Signed { held: false }, "0000"),
            (IntentState::Submitted, "01"),
            (IntentState::Included { at, success: true, result: vec![0xaa, 0xbb] }, "0250fb84030102aabb"),
            (IntentState::Dead, "03"),
            (IntentState::Unknown, "04"),
            (IntentState::Bumped(bump), bumped.as_str()),
        ];
        let head = format!(
            "{}fd0c0a080604020000{}{}03eeeeee{}fbe8034d",
            "01".repeat(32),
            "02",
            "02".repeat(32),
            "03".repeat(32)
        );
        for (state, tail) in states {
            let intent = intent(state);
            let bytes = intent.to_bytes().unwrap();
            assert_eq!(hex::encode(&bytes), format!("{head}{tail}"));
            assert_eq!(Intent::from_bytes(&bytes).unwrap(), intent);
        }
    }

    #[test]
    fn every_purpose_has_its_golden_bytes() {
        let (series, binding) = (SeriesId::from_bytes([1; 32]), BindingId::from_bytes([2; 32]));
        let (ones, twos) = ("01".repeat(32), "02".repeat(32));
        let all = [
            (Purpose::Bond { series }, format!("00{ones}")),
            (Purpose::ReclaimBond { series }, format!("01{ones}")),
            (Purpose::Fund { binding }, format!("02{twos}")),
            (Purpose::Collect { binding }, format!("03{twos}")),
            (Purpose::GiveBack { binding }, format!("04{twos}")),
            (Purpose::Refund { binding }, format!("05{twos}")),
            (Purpose::Pay { id: [3; 16] }, format!("06{}", "03".repeat(16))),
            (Purpose::Reclaim { balance: BalanceId::from_bytes([4; 32]) }, format!("07{}", "04".repeat(32))),
            (Purpose::OpenSubmitter { index: 1 }, "0801".into()),
            (Purpose::FeedSubmitter { index: 2 }, "0902".into()),
            (Purpose::MergeSubmitter { index: 3 }, "0a03".into()),
            (Purpose::Trust { id: [5; 16] }, format!("0b{}", "05".repeat(16))),
            (Purpose::Stamp { root: Sha256Hash::from_bytes([6; 32]) }, format!("0c{}", "06".repeat(32))),
            (Purpose::Settle { binding }, format!("0d{twos}")),
            (Purpose::Receive { binding }, format!("0e{twos}")),
            (Purpose::MergeController { sequence: 300 }, "0ffb5802".into()),
        ];
        for (purpose, bytes) in all {
            assert_eq!(hex::encode(frame::encode(&purpose).unwrap()), bytes);
        }
    }
}
