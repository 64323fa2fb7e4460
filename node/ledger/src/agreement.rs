//! Whether what two endpoints say can both be true, and whether it is the same.

use crate::ledger::{EntrySeen, Head};

/// What an endpoint says of some keys at one ledger.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    /// The ledger.
    pub head: Head,
    /// What is there.
    pub entries: Vec<EntrySeen>,
}

/// Two answers about the same keys, compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Compared {
    /// They say the same.
    Same,
    /// The newer one says otherwise, as it may have come to be in between.
    Moved,
    /// They can't both be true, for this reason.
    Contradiction(String),
}

/// Compares two answers, in whatever order.
pub(crate) fn compare(one: &Said, other: &Said) -> Compared {
    let (older, newer) = if one.sequence() <= other.sequence() { (one, other) } else { (other, one) };
    let same_ledger = older.sequence() == newer.sequence();
    let mut verdict = Compared::Same;
    for entry in &newer.entries {
        let before = older.get(entry);
        if before.is_some_and(|before| before == entry) {
            continue;
        }
        // What stands since then must have stood there then.
        if same_ledger || entry.last_modified <= older.sequence() {
            return Compared::Contradiction(format!(
                "an entry ({}) that was last changed by ledger {} is {} as of ledger {}",
                entry.key.name(),
                entry.last_modified,
                if before.is_some() { "another one" } else { "not there" },
                older.sequence()
            ));
        }
        verdict = Compared::Moved;
    }
    match older.entries.iter().find(|entry| newer.get(entry).is_none()) {
        Some(gone) if same_ledger => Compared::Contradiction(format!(
            "an entry ({}) is there and isn't there, both as of ledger {}",
            gone.key.name(),
            newer.sequence()
        )),
        Some(_) => Compared::Moved,
        None => verdict,
    }
}

impl Said {
    /// The ledger's number.
    pub const fn sequence(&self) -> u32 {
        self.head.ledger.sequence
    }

    fn get(&self, entry: &EntrySeen) -> Option<&EntrySeen> {
        self.entries.iter().find(|own| own.key == entry.key)
    }
}

#[cfg(test)]
mod tests {
    use stellar_xdr::{LedgerEntryData, LedgerEntryExt};
    use tradepost_protocol::amount::Stroops;
    use tradepost_protocol::stellar::reserve::LedgerParams;
    use tradepost_protocol::time::Timestamp;

    use super::*;
    use crate::ledger::{ClosedLedger, LedgerHash, LedgerTotals};

    fn entry(account: u8, balance: i64, last_modified: u32) -> EntrySeen {
        let account_id = stellar_xdr::AccountId(stellar_xdr::PublicKey::PublicKeyTypeEd25519([account; 32].into()));
        let data = LedgerEntryData::Account(stellar_xdr::AccountEntry {
            account_id,
            balance,
            seq_num: stellar_xdr::SequenceNumber(1),
            num_sub_entries: 0,
            inflation_dest: None,
            flags: 0,
            home_domain: Default::default(),
            thresholds: stellar_xdr::Thresholds([1, 0, 0, 0]),
            signers: Default::default(),
            ext: stellar_xdr::AccountEntryExt::V0,
        });
        EntrySeen { key: data.to_key(), data, sponsor: None, ext: LedgerEntryExt::V0, last_modified }
    }

    fn said(sequence: u32, entries: &[&EntrySeen]) -> Said {
        let hash = LedgerHash([0; 32]);
        let head = Head {
            ledger: ClosedLedger { sequence, close_time: Timestamp::from_secs(u64::from(sequence)), hash },
            previous: hash,
            params: LedgerParams::USUAL,
            protocol_version: 27,
            max_operations: 1,
            totals: LedgerTotals { total_coins: Stroops::ZERO, fee_pool: Stroops::ZERO },
        };
        Said { head, entries: entries.iter().map(|entry| (*entry).clone()).collect() }
    }

    #[test]
    fn what_may_have_changed_in_between_is_told_from_what_cant_be() {
        let (first, changed) = (entry(1, 10, 80), entry(1, 20, 101));
        let verdict = |one: &Said, other: &Said| {
            let (there, back) = (compare(one, other), compare(other, one));
            let kind = core::mem::discriminant;
            assert_eq!(kind(&there), kind(&back), "the order doesn't matter");
            there
        };
        let contradiction = |verdict| matches!(verdict, Compared::Contradiction(_));
        let (at_100, at_101) = (said(100, &[&first]), said(101, &[&changed]));
        assert_eq!(verdict(&at_100, &said(101, &[&first])), Compared::Same);
        assert_eq!(verdict(&said(100, &[]), &said(103, &[])), Compared::Same);
        assert_eq!(verdict(&at_100, &at_101), Compared::Moved, "it was changed by 101");
        assert_eq!(verdict(&at_100, &said(101, &[])), Compared::Moved, "it may have gone by 101");
        assert_eq!(verdict(&said(100, &[]), &at_101), Compared::Moved, "it may have come with 101");
        assert!(contradiction(verdict(&said(100, &[]), &said(101, &[&first]))), "it stands since 80");
        assert!(contradiction(verdict(&at_100, &said(101, &[&entry(1, 11, 80)]))), "it wasn't changed since 80");
        assert!(contradiction(verdict(&at_100, &said(100, &[]))), "there, and not there");
        assert!(contradiction(verdict(&said(101, &[&first]), &at_101)), "two contents at one ledger");
        assert!(contradiction(verdict(&said(101, &[&entry(1, 20, 100)]), &at_101)), "changed twice");
    }
}
