//! Why the ledger gave no answer: what, why, and what to do.

use core::time::Duration;

/// Why a question to the ledger has no answer. Texts from outside are shortened and cleaned before they get here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The configured address can't be used.
    #[error("the address {address:?} can't be used: {why}")]
    BadAddress {
        /// What was configured, shortened.
        address: String,
        /// What is wrong and what to write instead.
        why: String,
    },
    /// A configured header or token isn't one.
    #[error("the authentication configured for {endpoint} isn't a valid HTTP header: check it for stray characters")]
    BadAuth {
        /// Whose.
        endpoint: String,
    },
    /// No answer at all, after all tries.
    #[error(
        "{endpoint} could not be reached ({why}; tries: {tries}): check its address and this machine's connection, or \
         configure another RPC endpoint"
    )]
    Unreachable {
        /// Who.
        endpoint: String,
        /// The last try's fault.
        why: String,
        /// How often it was tried.
        tries: u32,
    },
    /// Answers, but none that could be used within the deadline of one question.
    #[error(
        "{endpoint} gave no answer that could be used within {} s: it is behind, or too slow; try again, or use another \
         RPC endpoint",
        deadline.as_secs()
    )]
    Late {
        /// Who.
        endpoint: String,
        /// How long it was waited for.
        deadline: Duration,
    },
    /// It limits our rate.
    #[error(
        "{endpoint} asks us to slow down (HTTP 429{}; tries: {tries}): wait a while, ask less often, or use an endpoint \
         with a higher limit",
        wait.map(|wait| format!(", for {} s", wait.as_secs())).unwrap_or_default()
    )]
    Busy {
        /// Who.
        endpoint: String,
        /// For how long, where it says so.
        wait: Option<Duration>,
        /// How often it was tried.
        tries: u32,
    },
    /// An HTTP status that isn't an answer.
    #[error("{endpoint} answers HTTP {status}: {remedy}")]
    Status {
        /// Who.
        endpoint: String,
        /// The HTTP status.
        status: u16,
        /// What to do about it.
        remedy: &'static str,
    },
    /// It wants us to go elsewhere.
    #[error(
        "{endpoint} redirects to {to:?}, and redirects aren't followed: if that address is right, configure it directly"
    )]
    Redirected {
        /// Who.
        endpoint: String,
        /// Where to, shortened.
        to: String,
    },
    /// More bytes than an answer may have.
    #[error("{endpoint} answers with more than {limit} bytes, and was cut off: use another RPC endpoint")]
    TooLarge {
        /// Who.
        endpoint: String,
        /// The bound in bytes.
        limit: usize,
    },
    /// An answer that can't be read.
    #[error(
        "{endpoint} gives an answer to {method} that can't be read ({why}): it may be no Stellar RPC server, or of a \
         version that this node doesn't know"
    )]
    Garbled {
        /// Who.
        endpoint: String,
        /// Asked what.
        method: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// An answer that contradicts the question, itself, or an earlier answer.
    #[error("{endpoint} contradicts itself: {what}; its answer is not used, use another RPC endpoint")]
    Contradiction {
        /// Who.
        endpoint: String,
        /// What it said.
        what: String,
    },
    /// An answer from an older ledger than one that was already shown.
    #[error(
        "{endpoint} went back to ledger {now} after it had shown {shown}: it is behind or its network was reset; wait \
         for it to catch up, or use another RPC endpoint"
    )]
    Backwards {
        /// Who.
        endpoint: String,
        /// The newest ledger seen before the question was sent.
        shown: u32,
        /// The answer's.
        now: u32,
    },
    /// The network began anew under its old name.
    #[error(
        "the network behind {endpoint} was reset: {what}. What this node held there belongs to a ledger that no longer \
         exists"
    )]
    Reset {
        /// Who.
        endpoint: String,
        /// What proves it.
        what: String,
    },
    /// The endpoint serves another network.
    #[error(
        "{endpoint} serves the network {found:?}, this node is configured for {expected:?}: change the endpoint or the \
         network in the configuration"
    )]
    WrongNetwork {
        /// Who.
        endpoint: String,
        /// The configured passphrase.
        expected: String,
        /// The endpoint's passphrase.
        found: String,
    },
    /// None of several endpoints answers.
    #[error("none of this node's RPC endpoints answers: {}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    NoneAnswers {
        /// What each one's fault is, in their order.
        faults: Vec<LedgerError>,
    },
    /// What two operators have to agree on has one answer only.
    #[error(
        "only {} of the endpoints can be asked now, and this needs the word of two operators{}", alone,
        fault.as_ref().map(|fault| format!(": {fault}")).unwrap_or_default()
    )]
    Alone {
        /// Who answers.
        alone: String,
        /// Why the other one doesn't.
        fault: Option<Box<LedgerError>>,
    },
    /// Two endpoints don't come to the same answer.
    #[error(
        "{} and {} don't come to the same answer about an entry of the ledger: one of them is behind or wrong; nothing \
         that needs both goes on", endpoints.0, endpoints.1
    )]
    Disagree {
        /// The two.
        endpoints: (String, String),
    },
    /// A JSON-RPC error.
    #[error("{endpoint} can't answer {method}: {message} (code {code})")]
    Rpc {
        /// Who.
        endpoint: String,
        /// Asked what.
        method: &'static str,
        /// The JSON-RPC code.
        code: i64,
        /// Its words, shortened.
        message: String,
    },
    /// Each read was of a ledger whose close time could not be had before the next one closed.
    #[error(
        "{endpoint} is slower than its ledger: in {rounds} reads the ledger moved on before its close time could be \
         read; try again, or use a nearer RPC endpoint"
    )]
    NotSteady {
        /// Who.
        endpoint: String,
        /// How often it was tried.
        rounds: u32,
    },
    /// The network has no friendbot.
    #[error("the network {network:?} has no friendbot: fund the account by a payment from another one")]
    NoFriendbot {
        /// Its passphrase.
        network: String,
    },
    /// The friendbot didn't fund the account.
    #[error("the friendbot at {friendbot} did not fund the account ({why}): try again in a minute")]
    Friendbot {
        /// Who.
        friendbot: String,
        /// Its words, shortened.
        why: String,
    },
    /// A key that can't be written.
    #[error("a ledger key can't be written ({why}): nothing was asked")]
    BadKey {
        /// What is wrong with it.
        why: String,
    },
    /// The bytes to be submitted aren't a transaction.
    #[error("the bytes to submit aren't a transaction ({why}): nothing was sent")]
    NotATransaction {
        /// What is wrong with them.
        why: String,
    },
}

impl LedgerError {
    /// Whether the same question may well be answered later, with nothing changed here.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Busy { .. }
            | Self::Late { .. }
            | Self::Backwards { .. }
            | Self::NotSteady { .. }
            | Self::Alone { .. }
            | Self::Disagree { .. }
            | Self::Friendbot { .. } => true,
            Self::NoneAnswers { faults } => faults.iter().any(Self::is_passing),
            Self::Rpc { code, .. } => *code == INTERNAL_ERROR,
            Self::Status { status, .. } => *status >= 500,
            Self::BadAddress { .. }
            | Self::BadAuth { .. }
            | Self::Redirected { .. }
            | Self::TooLarge { .. }
            | Self::Garbled { .. }
            | Self::Contradiction { .. }
            | Self::Reset { .. }
            | Self::WrongNetwork { .. }
            | Self::NoFriendbot { .. }
            | Self::BadKey { .. }
            | Self::NotATransaction { .. } => false,
        }
    }

    /// Whether it says that the endpoint isn't to be believed any more, where there is another one.
    pub(crate) const fn is_disbelief(&self) -> bool {
        matches!(self, Self::Contradiction { .. } | Self::Reset { .. } | Self::WrongNetwork { .. })
    }

    /// Whether it is the question's own fault, so that every endpoint would answer alike.
    pub(crate) const fn is_the_questions(&self) -> bool {
        matches!(self, Self::BadKey { .. } | Self::NotATransaction { .. } | Self::NoFriendbot { .. })
    }

    /// The same after so many tries.
    pub(crate) fn after(mut self, count: u32) -> Self {
        if let Self::Unreachable { tries, .. } | Self::Busy { tries, .. } = &mut self {
            *tries = count;
        }
        self
    }

    /// How long the endpoint wants to be left alone.
    pub(crate) const fn wants_rest(&self) -> Option<Duration> {
        match self {
            Self::Busy { wait, .. } => *wait,
            _ => None,
        }
    }
}

/// JSON-RPC's code for "the server has a problem", such as a core that it can't reach.
const INTERNAL_ERROR: i64 = -32603;

/// The most characters of a foreign text that go into an error.
const BRIEF_CHARS: usize = 200;

/// A foreign text for people: shortened, without control characters and marks that turn the writing direction.
pub(crate) fn brief(text: &str) -> String {
    let unsafe_char = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut short: String =
        text.chars().take(BRIEF_CHARS).map(|c| if unsafe_char(c) { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(BRIEF_CHARS).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_short_and_has_no_control_characters() {
        assert_eq!(brief("plain"), "plain");
        assert_eq!(brief("a\x1b[31m\nb\u{202e}c"), "a\u{fffd}[31m\u{fffd}b\u{fffd}c");
        let long = brief(&"x".repeat(1_000_000));
        assert_eq!(long.chars().count(), BRIEF_CHARS + 1);
        assert!(long.ends_with('…'));
    }
}
