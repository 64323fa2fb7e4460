//! The events that movements of assets leave (CAP-67): one stream, in the form
//! of the contract that each asset has, whether or not it was ever deployed.

use stellar_strkey::ed25519::PublicKey as Address;
use stellar_xdr::{
    AccountId, Asset, ClaimableBalanceId, ContractEvent, ContractEventBody, ContractEventType, ContractEventV0,
    ContractId, ExtensionPoint, Hash, Int128Parts, Memo, MuxedAccount, ScAddress, ScBytes, ScMap, ScMapEntry, ScString,
    ScSymbol, ScVal, TransactionEvent, TransactionEventStage, Uint256,
};

use crate::asset;
use crate::hash;

/// Who gives or gets an amount.
#[derive(Debug, Clone)]
pub(crate) enum Party {
    Account(MuxedAccount),
    Balance(ClaimableBalanceId),
}

impl Party {
    /// An account without a muxed id.
    pub(crate) fn of(account: &AccountId) -> Self {
        Self::Account(MuxedAccount::Ed25519(Uint256(*hash::key_bytes(account))))
    }

    fn account(&self) -> Option<AccountId> {
        match self {
            Self::Account(account) => Some(account.clone().account_id()),
            Self::Balance(_) => None,
        }
    }

    /// Whether it makes an asset by giving it, and burns it by getting it.
    fn issues(&self, asset: &Asset) -> bool {
        asset::issuer(asset).is_some_and(|issuer| self.account().as_ref() == Some(issuer))
    }

    /// Events name accounts without a muxed id.
    fn topic(&self) -> ScVal {
        ScVal::Address(match self {
            Self::Account(account) => ScAddress::Account(account.clone().account_id()),
            Self::Balance(id) => ScAddress::ClaimableBalance(id.clone()),
        })
    }
}

/// An amount went from one to another: a transfer, or a mint or a burn where
/// one of them issues the asset.
pub(crate) fn moved(
    network_id: &[u8; 32],
    asset: &Asset,
    from: &Party,
    to: &Party,
    amount: i64,
    memo: &Memo,
) -> ContractEvent {
    let value = with_destination(amount, to, memo);
    match (from.issues(asset), to.issues(asset)) {
        (true, false) => event(network_id, asset, "mint", [to.topic()], value),
        (false, true) => event(network_id, asset, "burn", [from.topic()], number(amount)),
        _ => event(network_id, asset, "transfer", [from.topic(), to.topic()], value),
    }
}

/// The issuer took an amount back.
pub(crate) fn clawed_back(network_id: &[u8; 32], asset: &Asset, from: &Party, amount: i64) -> ContractEvent {
    event(network_id, asset, "clawback", [from.topic()], number(amount))
}

/// The issuer authorised a trustline, or no longer does.
pub(crate) fn authorized(network_id: &[u8; 32], asset: &Asset, trustor: &AccountId, now: bool) -> ContractEvent {
    let trustor = ScVal::Address(ScAddress::Account(trustor.clone()));
    event(network_id, asset, "set_authorized", [trustor], ScVal::Bool(now))
}

/// An account paid a fee, before anything else happened in the ledger. Where
/// nothing was taken there is no event.
pub(crate) fn fee(network_id: &[u8; 32], from: &AccountId, amount: i64) -> Option<TransactionEvent> {
    let topics = vec![symbol("fee"), ScVal::Address(ScAddress::Account(from.clone()))];
    (amount != 0).then(|| TransactionEvent {
        stage: TransactionEventStage::BeforeAllTxs,
        event: of_contract(network_id, &Asset::Native, topics, number(amount)),
    })
}

/// An event whose last topic is its asset.
fn event<const N: usize>(
    network_id: &[u8; 32],
    asset: &Asset,
    name: &str,
    parties: [ScVal; N],
    value: ScVal,
) -> ContractEvent {
    let mut topics = Vec::with_capacity(N + 2);
    topics.push(symbol(name));
    topics.extend(parties);
    topics.push(ScVal::String(ScString(asset_text(asset).as_bytes().try_into().expect("a code and an address"))));
    of_contract(network_id, asset, topics, value)
}

fn of_contract(network_id: &[u8; 32], asset: &Asset, topics: Vec<ScVal>, value: ScVal) -> ContractEvent {
    ContractEvent {
        ext: ExtensionPoint::V0,
        contract_id: Some(ContractId(Hash(hash::contract_id(network_id, asset)))),
        type_: ContractEventType::Contract,
        body: ContractEventBody::V0(ContractEventV0 { topics: topics.try_into().expect("four at most"), data: value }),
    }
}

/// An amount, and whom behind the destination it is for: the id of a muxed
/// account, or else the transaction's memo. A claimable balance has nobody
/// behind it.
fn with_destination(amount: i64, to: &Party, memo: &Memo) -> ScVal {
    let behind = match (to, memo) {
        (Party::Balance(_), _) | (Party::Account(MuxedAccount::Ed25519(_)), Memo::None) => return number(amount),
        (Party::Account(MuxedAccount::MuxedEd25519(muxed)), _) => ScVal::U64(muxed.id),
        (_, Memo::Id(id)) => ScVal::U64(*id),
        (_, Memo::Text(text)) => ScVal::String(ScString(text.as_slice().try_into().expect("28 bytes at most"))),
        (_, Memo::Hash(bytes) | Memo::Return(bytes)) => {
            ScVal::Bytes(ScBytes(bytes.0.to_vec().try_into().expect("32 bytes")))
        }
    };
    let entries = vec![
        ScMapEntry { key: symbol("amount"), val: number(amount) },
        ScMapEntry { key: symbol("to_muxed_id"), val: behind },
    ];
    ScVal::Map(Some(ScMap(entries.try_into().expect("two entries"))))
}

/// An asset as SEP-11 writes it.
fn asset_text(asset: &Asset) -> String {
    let (code, issuer): (&[u8], &AccountId) = match asset {
        Asset::Native => return "native".to_owned(),
        Asset::CreditAlphanum4(a) => (&a.asset_code.0, &a.issuer),
        Asset::CreditAlphanum12(a) => (&a.asset_code.0, &a.issuer),
    };
    let length = code.iter().position(|byte| *byte == 0).unwrap_or(code.len());
    let code = String::from_utf8_lossy(&code[..length]);
    format!("{code}:{}", Address(*hash::key_bytes(issuer)).to_string().as_str())
}

fn symbol(name: &str) -> ScVal {
    ScVal::Symbol(ScSymbol(name.try_into().expect("names are short")))
}

fn number(amount: i64) -> ScVal {
    let wide = i128::from(amount);
    ScVal::I128(Int128Parts { hi: if wide < 0 { -1 } else { 0 }, lo: amount.cast_unsigned() })
}
