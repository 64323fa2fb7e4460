//! Why something from outside was refused, and whose fault that is.

use core::fmt;

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

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $fault:ident, $remedy:literal;)*) => {
        /// The reason of a refusal: a stable code for metrics and APIs, and whose fault it is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// Every reason there is.
            pub const ALL: &'static [Reason] = &[$(Reason::$name),*];

            /// The stable code.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code),* }
            }

            /// Whose fault it is.
            pub const fn fault(self) -> Fault {
                match self { $(Self::$name => Fault::$fault),* }
            }

            /// What its author or sender can do about it.
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy),* }
            }
        }
    };
}

refusals! {
    /// Fewer bytes than a signature has.
    TooShort = "too-short", Relayer, "send payload and signature; a signature alone has 64 bytes";
    /// More bytes than its kind may have.
    TooLarge = "too-large", Relayer, "keep documents within 16 KiB and frames within their kind's bound";
    /// Not I-JSON, not a canonical frame, or not the shape of its kind.
    Malformed = "malformed", Relayer, "send what the protocol page describes for this kind";
    /// A kind that doesn't belong where it arrived.
    WrongKind = "wrong-kind", Relayer, "send this kind on its own topic or stream";
    /// The signature doesn't verify for this kind and network.
    BadSignature = "bad-signature", Relayer, "sign for this kind and this network with the author's key";
    /// Another key signed it than the one whose word it is.
    WrongAuthor = "wrong-author", Relayer, "sign with the key that owns the series";
    /// Its schema or its kind's own rules say no.
    InvalidDocument = "invalid-document", Relayer, "correct the field that the error names";
    /// An item that wasn't asked for, or doesn't match what was.
    Unasked = "unasked", Relayer, "answer a fetch with the messages asked for and nothing else";
    /// Known already.
    Duplicate = "duplicate", Nobody, "nothing to do: it is here already";
    /// Its lifetime is over.
    Expired = "expired", Nobody, "publish a renewed revision";
    /// Dated further ahead than clocks may differ.
    FromTheFuture = "from-the-future", Nobody, "set the sender's clock";
    /// A newer one is known.
    Superseded = "superseded", Nobody, "nothing to do: a newer one is known";
    /// The series was withdrawn, for good.
    Withdrawn = "withdrawn", Nobody, "publish a new series";
    /// The template isn't known here yet.
    UnknownTemplate = "unknown-template", Nobody, "publish the template before the offering";
    /// The service record isn't known here yet.
    UnknownRecord = "unknown-record", Nobody, "publish the service record before the offering";
    /// The offering names another version than its service's current record.
    NotTheRecord = "not-the-record", Author, "offer the repository, commit and path of the current service record";
    /// A service record that doesn't follow from the known one.
    RevisionGap = "revision-gap", Author, "chain the new revision to the one before it";
    /// The author's part of the book is full.
    OverQuota = "over-quota", Author, "withdraw offerings that are no longer needed";
    /// No bond was seen on the ledger yet.
    NoBond = "no-bond", Nobody, "publish when the bond stands";
    /// The bond on the ledger isn't what the offering needs.
    WrongBond = "wrong-bond", Author, "lock a bond that pays the recipient, names the series and is large enough";
    /// The author's account doesn't exist, or its master key no longer rules it.
    AuthorAccount = "author-account", Author, "fund the author's account and keep its master key in force";
    /// The series or offering isn't known here.
    UnknownSeries = "unknown-series", Nobody, "nothing to do: the offering may still arrive";
    /// No room in the waiting pool.
    WaitingFull = "waiting-full", Nobody, "send it again later";
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
    fn codes_are_distinct() {
        let codes: BTreeSet<&str> = Reason::ALL.iter().map(|r| r.code()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
    }

    #[test]
    fn a_long_detail_is_cut_at_a_character() {
        let refusal = Refusal::new(Reason::Malformed, "é".repeat(1_000));
        assert!(refusal.detail.len() <= Refusal::MAX_DETAIL + '…'.len_utf8());
    }
}
