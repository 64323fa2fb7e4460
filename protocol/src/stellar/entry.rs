//! Ledger entries, read.

use stellar_xdr::{
    AccountEntry, AccountEntryExt, AccountEntryExtensionV1Ext, AccountEntryExtensionV2Ext, ClaimableBalanceEntry,
    ClaimableBalanceEntryExt, Claimant, DataEntry, LedgerEntryData, LedgerEntryExt, SignerKey, TrustLineEntry,
    TrustLineEntryExt,
};

use crate::account::AccountId;
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::message::BalanceId;
use crate::stellar::balance_id;
use crate::stellar::ledger_key::{Key, read_data_name};
use crate::stellar::predicate::Predicate;
use crate::stellar::xdr::{self, XdrError};
use crate::time::Timestamp;

/// Flag of an account: holders of its assets need its authorisation.
pub const AUTH_REQUIRED: u32 = 1;
/// Flag of an account: it may revoke authorisations.
pub const AUTH_REVOCABLE: u32 = 2;
/// Flag of an account: its assets may be clawed back.
pub const AUTH_CLAWBACK_ENABLED: u32 = 8;
/// Flag of a trustline: fully authorised.
pub const LINE_AUTHORIZED: u32 = 1;
/// Flag of a trustline: what it holds may be clawed back.
pub const LINE_CLAWBACK_ENABLED: u32 = 4;
/// Flag of a claimable balance: its issuer may claw it back.
const BALANCE_CLAWBACK_ENABLED: u32 = 1;

/// A ledger entry of a kind that this program reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// An account.
    Account(AccountState),
    /// A claimable balance.
    Balance(BalanceState),
    /// A trustline.
    Trustline(TrustlineState),
    /// A data entry.
    Data(DataState),
}

/// The weights that an account's master key has and its operations need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Thresholds {
    /// Weight of the master key.
    pub master: u8,
    /// Weight that low operations need.
    pub low: u8,
    /// Weight that medium operations need: payments, creating claimable balances.
    pub medium: u8,
    /// Weight that high operations need: changing signers.
    pub high: u8,
}

/// An additional signer of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountSigner {
    /// What signs.
    pub key: SignerKey,
    /// Its weight.
    pub weight: u32,
}

/// An account as the ledger holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountState {
    /// Which.
    pub id: AccountId,
    /// Its native balance, reserves included.
    pub balance: Stroops,
    /// The sequence number of its last transaction.
    pub sequence: i64,
    /// Trustlines, offers, data entries and signers.
    pub sub_entries: u32,
    /// Base reserves that it holds for others' entries, and for the claimable balances that it made.
    pub sponsoring: u32,
    /// Base reserves that others hold for it.
    pub sponsored: u32,
    /// Its thresholds.
    pub thresholds: Thresholds,
    /// Its signers besides the master key.
    pub signers: Vec<AccountSigner>,
    /// Its `AUTH_*` flags.
    pub flags: u32,
    /// Native coins bound by its selling offers.
    pub selling: Stroops,
    /// Native coins that its buying offers may bring.
    pub buying: Stroops,
    /// When its sequence number was set last, where the ledger keeps that (CAP-21).
    pub sequence_at: Option<Timestamp>,
}

/// One claimant of a balance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalanceClaimant {
    /// Who may claim.
    pub account: AccountId,
    /// When.
    pub predicate: Predicate,
}

/// A claimable balance as the ledger holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalanceState {
    /// Which.
    pub id: BalanceId,
    /// What it holds.
    pub asset: Asset,
    /// How much of it.
    pub amount: Stroops,
    /// Who may claim it, in the order of its creation.
    pub claimants: Vec<BalanceClaimant>,
    /// Whether the asset's issuer may claw it back.
    pub clawback_enabled: bool,
    /// Who holds its reserve and gets it back.
    pub sponsor: Option<AccountId>,
}

/// A trustline as the ledger holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustlineState {
    /// Whose.
    pub account: AccountId,
    /// In what.
    pub asset: Asset,
    /// How much it holds.
    pub balance: Stroops,
    /// How much it may hold.
    pub limit: Stroops,
    /// Its `LINE_*` flags.
    pub flags: u32,
    /// How much is bound by selling offers.
    pub selling: Stroops,
    /// How much buying offers may bring.
    pub buying: Stroops,
}

/// A data entry as the ledger holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataState {
    /// Whose.
    pub account: AccountId,
    /// Its name.
    pub name: String,
    /// Its value, at most 64 bytes.
    pub value: Vec<u8>,
}

impl Entry {
    /// Reads `LedgerEntryData` with the `LedgerEntryExt` that names its sponsor.
    ///
    /// # Errors
    /// [`XdrError`] where they aren't that, or the entry isn't of a kind that this program reads.
    pub fn read(data: &[u8], ext: Option<&[u8]>) -> Result<Self, XdrError> {
        let sponsor = match ext {
            None => None,
            Some(ext) => match xdr::read::<LedgerEntryExt>("ledger entry's extension", ext)? {
                LedgerEntryExt::V0 => None,
                LedgerEntryExt::V1(v1) => v1.sponsoring_id.0.as_ref().map(xdr::read_account),
            },
        };
        match xdr::read::<LedgerEntryData>("ledger entry", data)? {
            LedgerEntryData::Account(entry) => AccountState::from_xdr(&entry).map(Self::Account),
            LedgerEntryData::ClaimableBalance(entry) => BalanceState::from_xdr(&entry, sponsor).map(Self::Balance),
            LedgerEntryData::Trustline(entry) => TrustlineState::from_xdr(&entry).map(Self::Trustline),
            LedgerEntryData::Data(entry) => DataState::from_xdr(&entry).map(Self::Data),
            _ => Err(XdrError::Invalid("kind of ledger entry")),
        }
    }

    /// Reads an entry as RPC servers send it: base64 of the data, and of the extension where there is one.
    ///
    /// # Errors
    /// As [`Entry::read`], and [`XdrError::NotBase64`].
    pub fn from_base64(data: &str, ext: Option<&str>) -> Result<Self, XdrError> {
        let ext = ext.map(xdr::from_base64).transpose()?;
        Self::read(&xdr::from_base64(data)?, ext.as_deref())
    }

    /// The key under which the ledger holds it.
    pub fn key(&self) -> Key {
        match self {
            Self::Account(account) => Key::Account(account.id),
            Self::Balance(balance) => Key::Balance(balance.id),
            Self::Trustline(line) => Key::Trustline(line.account, line.asset.clone()),
            Self::Data(data) => Key::Data(data.account, data.name.clone()),
        }
    }
}

impl AccountState {
    fn from_xdr(entry: &AccountEntry) -> Result<Self, XdrError> {
        let [master, low, medium, high] = entry.thresholds.0;
        let mut account = Self {
            id: xdr::read_account(&entry.account_id),
            balance: xdr::read_amount(entry.balance)?,
            sequence: entry.seq_num.0,
            sub_entries: entry.num_sub_entries,
            sponsoring: 0,
            sponsored: 0,
            thresholds: Thresholds { master, low, medium, high },
            signers: entry.signers.iter().map(|s| AccountSigner { key: s.key.clone(), weight: s.weight }).collect(),
            flags: entry.flags,
            selling: Stroops::ZERO,
            buying: Stroops::ZERO,
            sequence_at: None,
        };
        if let AccountEntryExt::V1(v1) = &entry.ext {
            account.selling = xdr::read_amount(v1.liabilities.selling)?;
            account.buying = xdr::read_amount(v1.liabilities.buying)?;
            if let AccountEntryExtensionV1Ext::V2(v2) = &v1.ext {
                account.sponsoring = v2.num_sponsoring;
                account.sponsored = v2.num_sponsored;
                if let AccountEntryExtensionV2Ext::V3(v3) = &v2.ext {
                    account.sequence_at = Some(Timestamp::from_secs(v3.seq_time.0));
                }
            }
        }
        Ok(account)
    }

    /// Whether the account's own key alone can move its money: its weight reaches the medium threshold.
    pub fn master_key_rules(&self) -> bool {
        self.thresholds.master > 0 && self.thresholds.master >= self.thresholds.medium
    }
}

impl BalanceState {
    fn from_xdr(entry: &ClaimableBalanceEntry, sponsor: Option<AccountId>) -> Result<Self, XdrError> {
        let flags = match &entry.ext {
            ClaimableBalanceEntryExt::V0 => 0,
            ClaimableBalanceEntryExt::V1(v1) => v1.flags,
        };
        Ok(Self {
            id: balance_id::from_xdr(&entry.balance_id),
            asset: xdr::read_asset(&entry.asset)?,
            amount: xdr::read_amount(entry.amount)?,
            claimants: read_claimants(&entry.claimants),
            clawback_enabled: flags & BALANCE_CLAWBACK_ENABLED != 0,
            sponsor,
        })
    }
}

/// Claimants from XDR.
pub(crate) fn read_claimants(claimants: &[Claimant]) -> Vec<BalanceClaimant> {
    claimants
        .iter()
        .map(|Claimant::ClaimantTypeV0(c)| BalanceClaimant {
            account: xdr::read_account(&c.destination),
            predicate: Predicate::from_xdr(&c.predicate),
        })
        .collect()
}

impl TrustlineState {
    fn from_xdr(entry: &TrustLineEntry) -> Result<Self, XdrError> {
        let (selling, buying) = match &entry.ext {
            TrustLineEntryExt::V0 => (0, 0),
            TrustLineEntryExt::V1(v1) => (v1.liabilities.selling, v1.liabilities.buying),
        };
        Ok(Self {
            account: xdr::read_account(&entry.account_id),
            asset: xdr::read_trustline_asset(&entry.asset)?,
            balance: xdr::read_amount(entry.balance)?,
            limit: xdr::read_amount(entry.limit)?,
            flags: entry.flags,
            selling: xdr::read_amount(selling)?,
            buying: xdr::read_amount(buying)?,
        })
    }

    /// Whether it is fully authorised.
    pub fn is_authorized(&self) -> bool {
        self.flags & LINE_AUTHORIZED != 0
    }

    /// What it can pay out now.
    pub fn available(&self) -> Stroops {
        self.balance.minus(self.selling).unwrap_or_default()
    }

    /// What it can still take in.
    pub fn room(&self) -> Stroops {
        self.limit.minus(self.balance).and_then(|left| left.minus(self.buying)).unwrap_or_default()
    }
}

impl DataState {
    fn from_xdr(entry: &DataEntry) -> Result<Self, XdrError> {
        Ok(Self {
            account: xdr::read_account(&entry.account_id),
            name: read_data_name(&entry.data_name)?,
            value: entry.data_value.0.as_slice().to_vec(),
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use stellar_xdr::{
        AccountEntryExtensionV1, AccountEntryExtensionV2, AccountEntryExtensionV3, ClaimableBalanceEntryExtensionV1,
        ClaimableBalanceEntryExtensionV1Ext, ClaimantV0, ExtensionPoint, LedgerEntryExtensionV1,
        LedgerEntryExtensionV1Ext, Liabilities, SequenceNumber, Signer, SponsorshipDescriptor, String32,
        Thresholds as XdrThresholds, TimePoint, Uint256,
    };

    const ME: AccountId = AccountId::from_bytes([1; 32]);

    fn account_entry(ext: AccountEntryExt) -> AccountEntry {
        AccountEntry {
            account_id: xdr::account(ME),
            balance: 1_000,
            seq_num: SequenceNumber(7),
            num_sub_entries: 3,
            inflation_dest: None,
            flags: AUTH_REVOCABLE,
            home_domain: String32::default(),
            thresholds: XdrThresholds([1, 2, 3, 4]),
            signers: vec![Signer { key: SignerKey::HashX(Uint256([5; 32])), weight: 9 }].try_into().unwrap(),
            ext,
        }
    }

    #[test]
    fn an_account_is_read_with_its_liabilities_and_sponsorships() {
        let v2 = AccountEntryExtensionV2 {
            num_sponsored: 2,
            num_sponsoring: 4,
            signer_sponsoring_i_ds: vec![SponsorshipDescriptor(None)].try_into().unwrap(),
            ext: AccountEntryExtensionV2Ext::V3(AccountEntryExtensionV3 {
                ext: ExtensionPoint::V0,
                seq_ledger: 77,
                seq_time: TimePoint(1_000),
            }),
        };
        let ext = AccountEntryExt::V1(AccountEntryExtensionV1 {
            liabilities: Liabilities { buying: 11, selling: 12 },
            ext: AccountEntryExtensionV1Ext::V2(v2),
        });
        let bytes = xdr::write(&LedgerEntryData::Account(account_entry(ext))).unwrap();
        let entry = Entry::read(&bytes, None).unwrap();
        assert_eq!(entry.key(), Key::Account(ME));
        let Entry::Account(account) = entry else { panic!("an account") };
        assert_eq!((account.sequence, account.sub_entries), (7, 3));
        assert_eq!((account.sponsored, account.sponsoring), (2, 4));
        assert_eq!((account.buying.get(), account.selling.get()), (11, 12));
        assert_eq!(account.sequence_at, Some(Timestamp::from_secs(1_000)));
        assert_eq!(account.thresholds, Thresholds { master: 1, low: 2, medium: 3, high: 4 });
        assert_eq!(account.signers.len(), 1);
        assert!(!account.master_key_rules());
    }

    #[test]
    fn the_master_key_rules_only_with_the_medium_weight() {
        let Ok(mut account) = AccountState::from_xdr(&account_entry(AccountEntryExt::V0)) else { panic!() };
        for (master, medium, rules) in [(1, 0, true), (1, 1, true), (0, 0, false), (1, 2, false), (2, 2, true)] {
            account.thresholds = Thresholds { master, low: 0, medium, high: 9 };
            assert_eq!(account.master_key_rules(), rules, "{master} of {medium}");
        }
    }

    #[test]
    fn a_balance_is_read_with_sponsor_and_clawback_flag() {
        let entry = ClaimableBalanceEntry {
            balance_id: balance_id::to_xdr(BalanceId::from_bytes([8; 32])),
            claimants: vec![Claimant::ClaimantTypeV0(ClaimantV0 {
                destination: xdr::account(ME),
                predicate: Predicate::Never.to_xdr(),
            })]
            .try_into()
            .unwrap(),
            asset: stellar_xdr::Asset::Native,
            amount: 55,
            ext: ClaimableBalanceEntryExt::V1(ClaimableBalanceEntryExtensionV1 {
                ext: ClaimableBalanceEntryExtensionV1Ext::V0,
                flags: 1,
            }),
        };
        let ext = LedgerEntryExt::V1(LedgerEntryExtensionV1 {
            sponsoring_id: SponsorshipDescriptor(Some(xdr::account(ME))),
            ext: LedgerEntryExtensionV1Ext::V0,
        });
        let data = xdr::to_base64(&xdr::write(&LedgerEntryData::ClaimableBalance(entry)).unwrap());
        let ext = xdr::to_base64(&xdr::write(&ext).unwrap());
        let Entry::Balance(balance) = Entry::from_base64(&data, Some(&ext)).unwrap() else { panic!("a balance") };
        assert_eq!(balance.sponsor, Some(ME));
        assert!(balance.clawback_enabled);
        assert_eq!(balance.claimants, [BalanceClaimant { account: ME, predicate: Predicate::Never }]);
        let Entry::Balance(bare) = Entry::from_base64(&data, None).unwrap() else { panic!("a balance") };
        assert_eq!(bare.sponsor, None);
    }

    #[test]
    fn cut_and_garbled_entries_are_errors() {
        let bytes = xdr::write(&LedgerEntryData::Account(account_entry(AccountEntryExt::V0))).unwrap();
        for end in 0..bytes.len() {
            assert!(Entry::read(&bytes[..end], None).is_err(), "{end}");
        }
        let mut negative = account_entry(AccountEntryExt::V0);
        negative.balance = -1;
        let bytes = xdr::write(&LedgerEntryData::Account(negative)).unwrap();
        assert_eq!(Entry::read(&bytes, None), Err(XdrError::Invalid("negative amount")));
    }
}
