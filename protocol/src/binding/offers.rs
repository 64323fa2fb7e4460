//! Versions of a settlement by which the other side may have paid this one, to be looked for once the escrow is gone.
//!
//! Naming one costs nothing, so each teller has a bound of its own: what the other side says itself, or has a dishonest arbiter
//! pass on, pushes out nothing that an honest arbiter passes on, or that this side signed.

use bincode::{Decode, Encode};

use crate::account::AccountId;
use crate::binding::dispute::{Settles, Split};

/// Versions that are kept of one teller's, the first.
pub const MAX_OFFERED: usize = 32;

/// A version of a settlement: the division, and by what the other side submits it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Offered {
    /// How the escrow is divided, before the arbiters' fees.
    pub split: Split,
    /// Whether the arbiters decided so, and are paid.
    pub awarded: bool,
    /// The account that submits it.
    pub account: AccountId,
    /// The sequence number that it uses.
    pub sequence: i64,
}

impl Offered {
    /// What it settles.
    pub const fn settles(&self) -> Settles {
        Settles { split: self.split, awarded: self.awarded }
    }
}

/// Who told of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Teller {
    /// This side, which signed it.
    Itself,
    /// The other side, whose word it is.
    OtherSide,
    /// The arbiter in this place of the agreement, which signed it and passed it on.
    Arbiter(usize),
}

impl Teller {
    const fn bit(self) -> u16 {
        match self {
            Self::Itself => 1,
            Self::OtherSide => 2,
            Self::Arbiter(place) => 4 << place,
        }
    }
}

/// There is no room for another version of this teller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany;

/// The versions that are looked for, with who told of each.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Offers(Vec<(u16, Offered)>);

impl Offers {
    /// Takes a version in; whether there is another one to look for.
    ///
    /// # Errors
    /// [`TooMany`] where this teller has told of [`MAX_OFFERED`] others: those stay.
    pub fn hear(&mut self, by: Teller, offered: Offered) -> Result<bool, TooMany> {
        let bit = by.bit();
        let told = self.0.iter().filter(|(tellers, _)| tellers & bit != 0).count();
        match self.0.iter_mut().find(|(_, known)| *known == offered) {
            Some((tellers, _)) if *tellers & bit != 0 => Ok(false),
            _ if told >= MAX_OFFERED => Err(TooMany),
            Some((tellers, _)) => {
                *tellers |= bit;
                Ok(false)
            }
            None => {
                self.0.push((bit, offered));
                Ok(true)
            }
        }
    }

    /// All of them, each once.
    pub fn iter(&self) -> impl Iterator<Item = &Offered> {
        self.0.iter().map(|(_, offered)| offered)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Looks no more for those that aren't in this.
    pub fn retain(&mut self, still: impl Fn(&Offered) -> bool) {
        self.0.retain(|(_, offered)| still(offered));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amount::Stroops;
    use crate::binding::phase::Side;

    fn version(sequence: i64) -> Offered {
        let split = Split::all_to(Side::Provider, Stroops::whole(1));
        Offered { split, awarded: true, account: AccountId::from_bytes([1; 32]), sequence }
    }

    #[test]
    fn no_teller_pushes_out_what_another_told_nor_its_own_first() {
        let mut offers = Offers::default();
        for sequence in 0..MAX_OFFERED as i64 {
            assert_eq!(offers.hear(Teller::OtherSide, version(sequence)), Ok(true));
        }
        assert_eq!(offers.hear(Teller::OtherSide, version(100)), Err(TooMany));
        assert_eq!(offers.hear(Teller::OtherSide, version(0)), Ok(false), "the same again");
        for (place, teller) in (0..9).map(Teller::Arbiter).chain([Teller::Itself]).enumerate() {
            assert_eq!(offers.hear(teller, version(0)), Ok(false), "it is looked for already");
            for sequence in 1..MAX_OFFERED as i64 {
                assert_eq!(offers.hear(teller, version(1_000 * (1 + place as i64) + sequence)), Ok(true));
            }
            assert_eq!(offers.hear(teller, version(2)), Err(TooMany));
        }
        assert_eq!(offers.iter().count(), MAX_OFFERED + 10 * (MAX_OFFERED - 1));
        offers.retain(|offered| offered.sequence == 2);
        assert_eq!(offers.hear(Teller::OtherSide, version(100)), Ok(true));
    }
}
