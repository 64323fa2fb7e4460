//! The words from which every key follows.

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

/// How many words a new mnemonic has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Words {
    /// 128 bits.
    Twelve,
    /// 256 bits.
    #[default]
    TwentyFour,
}

impl Words {
    const fn entropy_bytes(self) -> usize {
        match self {
            Self::Twelve => 16,
            Self::TwentyFour => 32,
        }
    }
}

/// Why words are no mnemonic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MnemonicError {
    /// Neither 12 nor 24 words.
    #[error("a mnemonic has 12 or 24 words, these are {0}: enter all of them, in order, with spaces between")]
    Count(usize),
    /// A word that isn't in the list.
    #[error("word number {0} is not in the English word list of BIP-39: look for a slip of the pen there")]
    UnknownWord(usize),
    /// The last word doesn't fit the others.
    #[error("the words are all in the list, but their checksum is wrong: one is another word, or two are swapped")]
    Checksum,
    /// The system gave no random bytes.
    #[error("the system gave no random bytes: {0}")]
    NoRandomness(String),
}

/// A BIP-39 mnemonic of 12 or 24 English words. `Debug` doesn't show it; dropping it wipes it.
#[derive(Clone)]
pub struct Mnemonic(Zeroizing<bip39::Mnemonic>);

impl Mnemonic {
    /// A new mnemonic from the system's randomness.
    ///
    /// # Errors
    /// [`MnemonicError::NoRandomness`] where the system gives none.
    pub fn generate(words: Words) -> Result<Self, MnemonicError> {
        let mut entropy = Zeroizing::new([0_u8; 32]);
        let entropy = &mut entropy[..words.entropy_bytes()];
        getrandom::fill(entropy).map_err(|e| MnemonicError::NoRandomness(e.to_string()))?;
        let mnemonic = bip39::Mnemonic::from_entropy(entropy).expect("16 and 32 bytes are sizes of BIP-39");
        Ok(Self(Zeroizing::new(mnemonic)))
    }

    /// The words, to be shown to their owner once.
    pub fn phrase(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.words().collect::<Vec<_>>().join(" "))
    }

    pub(super) fn seed(&self) -> Zeroizing<[u8; 64]> {
        Zeroizing::new(self.0.to_seed_normalized(""))
    }
}

impl FromStr for Mnemonic {
    type Err = MnemonicError;

    /// Reads words in any case, with any white space between them.
    fn from_str(text: &str) -> Result<Self, MnemonicError> {
        let text = Zeroizing::new(text.to_lowercase());
        let count = text.split_whitespace().count();
        if !matches!(count, 12 | 24) {
            return Err(MnemonicError::Count(count));
        }
        let joined = Zeroizing::new(text.split_whitespace().collect::<Vec<_>>().join(" "));
        match bip39::Mnemonic::parse_in_normalized(bip39::Language::English, &joined) {
            Ok(mnemonic) => Ok(Self(Zeroizing::new(mnemonic))),
            Err(bip39::Error::UnknownWord(index)) => Err(MnemonicError::UnknownWord(index + 1)),
            Err(_) => Err(MnemonicError::Checksum),
        }
    }
}

impl fmt::Debug for Mnemonic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mnemonic(secret)")
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_new_mnemonic_has_its_words_and_reads_back() {
        for (words, count) in [(Words::Twelve, 12), (Words::TwentyFour, 24)] {
            let mnemonic = Mnemonic::generate(words).unwrap();
            assert_eq!(mnemonic.phrase().split(' ').count(), count);
            let again: Mnemonic = mnemonic.phrase().to_uppercase().replace(' ', " \n ").parse().unwrap();
            assert_eq!(again.phrase(), mnemonic.phrase());
        }
        assert_ne!(
            Mnemonic::generate(Words::Twelve).unwrap().phrase(),
            Mnemonic::generate(Words::Twelve).unwrap().phrase()
        );
    }

    #[test]
    fn each_slip_has_its_own_error() {
        let swapped = "spike illness retreat truth genius clock brain pass fit cave bargain toe";
        let misspelt = "illness spike retreet truth genius clock brain pass fit cave bargain toe";
        assert_eq!(swapped.parse::<Mnemonic>().unwrap_err(), MnemonicError::Checksum);
        assert_eq!(misspelt.parse::<Mnemonic>().unwrap_err(), MnemonicError::UnknownWord(3));
        assert_eq!("illness spike".parse::<Mnemonic>().unwrap_err(), MnemonicError::Count(2));
    }

    #[test]
    fn debug_shows_no_word() {
        let mnemonic = Mnemonic::generate(Words::Twelve).unwrap();
        let shown = format!("{mnemonic:?}");
        assert!(mnemonic.phrase().split(' ').all(|word| !shown.contains(&format!("{word} "))));
        assert_eq!(shown, "Mnemonic(secret)");
    }
}
