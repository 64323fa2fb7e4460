//! Why something from outside was refused, and whose fault that is.

use core::fmt;

use crate::binding::frames::RejectCode;
use crate::binding::precheck::PrecheckCode;
use crate::community::rules::CommunityCode;
use crate::market::command::CommandCode;

/// Who is to blame for a message that wasn't taken, which decides what happens to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The peer that passed it on could have seen it: the message is rejected and the peer scored.
    Relayer,
    /// Its author did something wrong that a relayer can't see.
    Author,
    /// Nobody: timing, order, ignorance. Ignored and not scored.
    Nobody,
}

impl Fault {
    /// The word for people and programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Relayer => "relayer",
            Self::Author => "author",
            Self::Nobody => "nobody",
        }
    }
}

/// One refusal: what programs, metrics and people are told of it. `docs/errors.md` lists them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The stable code.
    pub code: &'static str,
    /// Whose fault it is.
    pub fault: Fault,
    /// What it says, in a sentence.
    pub meaning: &'static str,
    /// What its author, sender or user can do about it.
    pub remedy: &'static str,
}

/// Makes an enum of refusals together with its part of the table, so that neither can lack what the other has.
macro_rules! rules {
    (
        $(#[$meta:meta])*
        $table:ident { $($name:ident = $code:literal, $fault:ident, $meaning:literal, $remedy:literal;)* }
    ) => {
        $(#[$meta])*
        pub enum $table {
            $(#[doc = $meaning] $name,)*
        }

        impl $table {
            /// All of them, in the table's order.
            pub const ALL: &'static [$table] = &[$($table::$name),*];

            /// Its row of the table.
            pub const fn rule(self) -> &'static $crate::refusal::Rule {
                use $crate::refusal::{Fault, Rule};
                match self {
                    $(Self::$name => {
                        &Rule { code: $code, fault: Fault::$fault, meaning: $meaning, remedy: $remedy }
                    })*
                }
            }

            /// The stable code.
            pub const fn code(self) -> &'static str {
                self.rule().code
            }
        }
    };
}
pub(crate) use rules;

rules! {
    /// The reason of a refusal: a stable code for metrics and APIs, and whose fault it is.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    Reason {
        TooShort = "too-short", Relayer, "Fewer bytes than a signature has.", "send payload and signature; a signature alone has 64 bytes";
        TooLarge = "too-large", Relayer, "More bytes than its kind may have.", "keep documents within 16 KiB and frames within their kind's bound";
        Malformed = "malformed", Relayer, "Not I-JSON, not a canonical frame, or not the shape of its kind.", "send what the protocol page describes for this kind";
        WrongKind = "wrong-kind", Relayer, "A kind that doesn't belong where it arrived.", "send this kind on its own topic or stream";
        BadSignature = "bad-signature", Relayer, "The signature doesn't verify for this kind and network.", "sign for this kind and this network with the author's key";
        WrongAuthor = "wrong-author", Relayer, "Another key signed it than the one whose word it is.", "sign with the key that owns the series";
        InvalidDocument = "invalid-document", Relayer, "Its schema or its kind's own rules say no.", "correct the field that the error names";
        Unasked = "unasked", Relayer, "An item that wasn't asked for, or doesn't match what was.", "answer a fetch with the messages asked for and nothing else";
        Duplicate = "duplicate", Nobody, "Known already.", "nothing to do: it is here already";
        Expired = "expired", Nobody, "Its lifetime is over.", "publish a renewed revision";
        FromTheFuture = "from-the-future", Nobody, "Dated further ahead than clocks may differ.", "set the sender's clock";
        Superseded = "superseded", Nobody, "A newer one is known.", "nothing to do: a newer one is known";
        Withdrawn = "withdrawn", Nobody, "The series was withdrawn, for good.", "publish a new series";
        UnknownTemplate = "unknown-template", Nobody, "The template isn't known here yet.", "publish the template before the offering";
        UnknownRecord = "unknown-record", Nobody, "The service record isn't known here yet.", "publish the service record before the offering";
        NotTheRecord = "not-the-record", Author, "The offering names another version than its service's current record.", "offer the repository, commit and path of the current service record";
        RevisionGap = "revision-gap", Author, "A service record that doesn't follow from the known one.", "chain the new revision to the one before it";
        OverQuota = "over-quota", Author, "The author's part of the book is full.", "withdraw offerings, or cancel requests, that are no longer needed";
        OverRate = "over-rate", Nobody, "The peer that delivered it has delivered too much that leads nowhere.", "send more slowly; what was left out is fetched later";
        AuthorOverRate = "author-over-rate", Author, "Its author says more than one author may.", "publish and renew more slowly";
        NoBond = "no-bond", Nobody, "No bond was seen on the ledger yet.", "publish when the bond stands";
        WrongBond = "wrong-bond", Author, "The bond on the ledger isn't what the offering needs.", "lock a bond that pays the recipient, names the series and is large enough";
        AuthorAccount = "author-account", Author, "The author's account doesn't exist, or its master key no longer rules it.", "fund the author's account and keep its master key in force";
        UnknownSeries = "unknown-series", Nobody, "The series or offering isn't known here.", "nothing to do: the offering may still arrive";
        UnknownRequest = "unknown-request", Nobody, "The request that it takes back isn't known here yet.", "nothing to do: the request may still arrive";
        ConsumerUnseen = "consumer-unseen", Nobody, "The consumer's account wasn't looked up on the ledger yet.", "nothing to do: it is being looked up";
        ConsumerAccount = "consumer-account", Author, "The consumer's account doesn't exist, isn't ruled by its master key, or doesn't hold the amount.", "fund the consumer's account and keep its master key in force";
        WaitingFull = "waiting-full", Nobody, "No room in the waiting pool.", "send it again later";
    }
}

impl Reason {
    /// Whose fault it is.
    pub const fn fault(self) -> Fault {
        self.rule().fault
    }

    /// What its author or sender can do about it.
    pub const fn remedy(self) -> &'static str {
        self.rule().remedy
    }
}

/// A part of the table: what is refused there, and the refusals in their order.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its heading.
    pub title: &'static str,
    /// Its rows.
    pub rules: Vec<&'static Rule>,
}

/// Every refusal of this crate, part by part. Codes are distinct within a part.
pub fn table() -> [Part; 5] {
    [
        Part { title: "Messages", rules: Reason::ALL.iter().map(|r| r.rule()).collect() },
        Part { title: "Binding requests", rules: RejectCode::ALL.iter().map(|r| r.rule()).collect() },
        Part { title: "Pre-checks of a binding", rules: PrecheckCode::ALL.iter().map(|r| r.rule()).collect() },
        Part { title: "Commands", rules: CommandCode::ALL.iter().map(|r| r.rule()).collect() },
        Part { title: "Help exchanges", rules: CommunityCode::ALL.iter().map(|r| r.rule()).collect() },
    ]
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A refusal: its reason and what exactly was wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Refusal {
    /// Why, as a stable code.
    pub reason: Reason,
    /// What exactly, in a sentence; a field's path where there is one.
    pub detail: String,
}

impl Refusal {
    /// A refusal with its detail, cut to a bounded length.
    pub fn new(reason: Reason, detail: impl fmt::Display) -> Self {
        let mut detail = detail.to_string();
        if detail.len() > Self::MAX_DETAIL {
            let end = (0..=Self::MAX_DETAIL).rev().find(|&i| detail.is_char_boundary(i)).unwrap_or(0);
            detail.truncate(end);
            detail.push('…');
        }
        Self { reason, detail }
    }

    /// The most bytes of a detail that are kept.
    pub const MAX_DETAIL: usize = 512;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_distinct_and_fit_labels_and_every_rule_says_something() {
        let mut seen = BTreeSet::new();
        for rule in table().iter().flat_map(|part| &part.rules) {
            assert!(seen.insert(rule.code), "{} stands twice", rule.code);
            assert!(rule.code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", rule.code);
            assert!(rule.meaning.ends_with('.') && !rule.meaning.contains('|'), "{}", rule.meaning);
            assert!(!rule.remedy.is_empty() && !rule.remedy.ends_with('.') && !rule.remedy.contains('|'));
        }
    }

    #[test]
    fn a_long_detail_is_cut_at_a_character() {
        let refusal = Refusal::new(Reason::Malformed, "é".repeat(1_000));
        assert!(refusal.detail.len() <= Refusal::MAX_DETAIL + '…'.len_utf8());
    }
}
