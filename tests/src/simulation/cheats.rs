//! Everything that a cheat may try, by name, and how often it was tried.

use core::fmt;
use std::collections::BTreeMap;

use tradepost_protocol::kind::Kind;

/// An enum of ways to cheat, with all of them in a list.
macro_rules! ways {
    ($(#[$doc:meta])* $name:ident { $($(#[$way_doc:meta])* $way:ident,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$way_doc])* $way,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$way),*];
        }
    };
}

ways! {
    /// One thing that is otherwise than agreed in a funding, of the balance first, then of its controller.
    Change {
        /// A stroop less.
        AmountLess,
        /// A stroop more.
        AmountMore,
        /// Another asset.
        Asset,
        /// Somebody else instead of who may claim before T.
        Controller,
        /// Somebody else instead of who may claim from T on.
        Beneficiary,
        /// Another binding's id.
        Hash,
        /// The first one may claim after T, too.
        ControllerLater,
        /// The second one may claim before T.
        BeneficiaryEarlier,
        /// The second one may claim at any time.
        BeneficiaryAnytime,
        /// The third one may claim.
        HashClaims,
        /// One more may claim.
        FourthClaimant,
        /// The balance commits to nothing.
        NoHash,
        /// Only the balance is made, not its controller.
        NoController,
        /// The consumer weighs as much as all together.
        OwnWeight,
        /// An arbiter weighs as much as all together.
        ArbiterWeight,
        /// The provider weighs less.
        ProviderWeight,
        /// An arbiter's key is another.
        Signer,
        /// An arbiter has no key.
        SignerMissing,
        /// One key more.
        SignerMore,
        /// A lower low threshold: claims take less.
        LowThreshold,
        /// A lower medium threshold: payments take less.
        MediumThreshold,
        /// A lower high threshold: changes take less.
        HighThreshold,
        /// The controller's own key keeps a weight.
        MasterWeight,
        /// Nothing gives the controller back.
        NoUnlock,
        /// Another transaction gives the controller back.
        OtherUnlock,
        /// The controller has data.
        Entry,
        /// The controller has flags.
        Flags,
        /// The controller can't hold the asset.
        NoTrust,
        /// The controller can hold a little of it.
        LimitedTrust,
        /// Somebody else holds the controller's reserves.
        Sponsored,
    }
}

ways! {
    /// A transaction about what stands on the ledger.
    Trick {
        /// Somebody without any part claims an escrow.
        ClaimAsNobody,
        /// A party claims an escrow, in its time or not.
        ClaimAsParty,
        /// An arbiter claims an escrow.
        ClaimAsArbiter,
        /// The controller claims an escrow by one party's word.
        ClaimAsController,
        /// The controller claims an escrow by an arbiter's word.
        ClaimByArbiter,
        /// The controller claims an escrow by the words of a party and an arbiter that is no majority, and pays a third.
        AwardToAThird,
        /// What was claimed is claimed again.
        ClaimAgain,
        /// The controller pays its reserve out.
        DrainController,
        /// The controller is merged by a party's word.
        MergeController,
        /// The controller is merged by its own key before T.
        MergeByMaster,
        /// The controller's own key is given weight by a party's word.
        WeighMaster,
        /// The controller gets another signer by a party's word.
        AddSigner,
        /// The controller's sequence number is raised by a party's word, so that nothing gives it back.
        BumpController,
        /// What gives the controller back is handed in by somebody else, in its time or before.
        Unlock,
        /// Something else is handed in instead of it, to burn its signature.
        BurnUnlock,
        /// The reserve of an escrow is pushed to somebody else.
        RevokeSponsorship,
        /// Somebody claims what a settlement left for another.
        ClaimShare,
        /// Somebody claims another's bond.
        ClaimBond,
        /// The price is paid instead of locked.
        PayInstead,
        /// The controller of a funding that was handed over is made before it.
        MakeController,
        /// A funding that was handed over is handed in by somebody else.
        HandIn,
        /// A funding that was handed over is handed in by somebody else, for a higher fee.
        BumpFunding,
        /// A balance is left for somebody who didn't ask for it.
        Spam,
        /// A controller is paid a stroop.
        Dust,
        /// Beside the funding another balance is locked that names the binding, and the arbiters are asked about that one.
        Decoy,
        /// The same, with one that is right in everything.
        Twin,
    }
}

/// A way to cheat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cheat {
    /// A frame that nobody asked for.
    Frame(Kind),
    /// A frame as an answer.
    Answer(Kind),
    /// A funding that is otherwise than agreed, handed over as it should be.
    Funding(Change),
    /// A funding that is otherwise than agreed, handed over as it is.
    Shown(Change),
    /// A transaction about what stands.
    Trick(Trick),
}

impl Cheat {
    /// Every way there is.
    pub fn all() -> impl Iterator<Item = Self> {
        let frames = Kind::ALL.iter().flat_map(|kind| [Self::Frame(*kind), Self::Answer(*kind)]);
        let fundings = Change::ALL.iter().flat_map(|change| [Self::Funding(*change), Self::Shown(*change)]);
        frames.chain(fundings).chain(Trick::ALL.iter().map(|trick| Self::Trick(*trick)))
    }
}

impl fmt::Display for Cheat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(kind) => write!(f, "the frame {kind}"),
            Self::Answer(kind) => write!(f, "the answer {kind}"),
            Self::Funding(change) => write!(f, "the funding {change:?}"),
            Self::Shown(change) => write!(f, "the shown funding {change:?}"),
            Self::Trick(trick) => write!(f, "the transaction {trick:?}"),
        }
    }
}

/// How often each way was tried.
#[derive(Debug, Clone, Default)]
pub struct Cheats(BTreeMap<Cheat, usize>);

impl Cheats {
    /// Counts some.
    pub fn count(&mut self, cheat: Cheat, times: usize) {
        *self.0.entry(cheat).or_default() += times;
    }

    /// Adds those of another world.
    pub fn add(&mut self, other: &Self) {
        other.0.iter().for_each(|(cheat, times)| self.count(*cheat, *times));
    }

    /// All together.
    pub fn sum(&self) -> usize {
        self.0.values().sum()
    }

    /// How many ways were tried.
    pub fn ways(&self) -> usize {
        self.0.len()
    }

    /// Those that nobody tried.
    pub fn missing(&self) -> Vec<Cheat> {
        Cheat::all().filter(|cheat| !self.0.contains_key(cheat)).collect()
    }
}
