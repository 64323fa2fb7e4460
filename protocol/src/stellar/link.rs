//! Links by which another wallet is asked to pay coins in (SEP-7, `web+stellar:`).
//!
//! What an escrow or a bond locks has to be the account's own when it is locked: the account signs the offering or the
//! request with the same key, and whoever else paid the reserve would be its sponsor. So another wallet signs what can be
//! another's: the payment of what is missing, or the transaction that makes the account.

use stellar_xdr::Memo;

use crate::account::AccountId;
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::network_id::NetworkId;
use crate::stellar::operation;
use crate::stellar::transaction::{Bounds, Unsigned};
use crate::stellar::xdr::{self, XdrError};
use crate::time::Timestamp;

/// The network that a link is of where it names none.
const PUBLIC: &str = "Public Global Stellar Network ; September 2015";
/// The longest message, characters before they are encoded.
pub const MAX_MESSAGE: usize = 300;
/// Stands for the account that the wallet puts in its place.
const ANYBODY: AccountId = AccountId::from_bytes([0; 32]);
/// Which field of the transaction the wallet replaces, and what it asks its user for that.
const REPLACE: &str = "sourceAccount:X;X:account that pays";
/// What making an account may cost, stroops: a wallet shows it, and may ask for less.
const FEE: u32 = 10_000;

/// Why there is no link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The message is too long.
    #[error("the message has {0} characters, and a link holds {MAX_MESSAGE}: shorten it")]
    Message(usize),
    /// Nothing is asked for.
    #[error("a payment of nothing: say how much")]
    Nothing,
    /// The transaction can't be written.
    #[error(transparent)]
    Xdr(#[from] XdrError),
}

/// What every link says.
#[derive(Debug, Clone, Copy)]
pub struct Link<'a> {
    /// Who gets the coins.
    pub account: AccountId,
    /// The network's passphrase.
    pub passphrase: &'a str,
    /// What the wallet shows its user; it isn't part of any transaction.
    pub message: Option<&'a str>,
}

impl Link<'_> {
    /// Asks for a payment to the account, which exists; of whatever its user types where there is no amount.
    ///
    /// # Errors
    /// [`LinkError::Message`], [`LinkError::Nothing`].
    pub fn pay(&self, amount: Option<Stroops>, asset: &Asset) -> Result<String, LinkError> {
        let mut fields = vec![("destination", self.account.to_string())];
        if amount.is_some_and(Stroops::is_zero) {
            return Err(LinkError::Nothing);
        }
        let shortest = |coins: &str| coins.trim_end_matches('0').trim_end_matches('.').to_owned();
        fields.extend(amount.map(|amount| ("amount", shortest(&amount.coins()))));
        if let Asset::Issued { code, issuer } = asset {
            fields.push(("asset_code", code.clone()));
            fields.push(("asset_issuer", issuer.to_string()));
        }
        self.write("pay", fields)
    }

    /// Asks for a transaction that makes the account, which doesn't exist yet, with so many coins. The wallet puts its
    /// own account and sequence number in.
    ///
    /// # Errors
    /// [`LinkError::Message`], [`LinkError::Nothing`].
    pub fn create(&self, amount: Stroops) -> Result<String, LinkError> {
        if amount.is_zero() {
            return Err(LinkError::Nothing);
        }
        let unsigned = Unsigned {
            source: ANYBODY,
            sequence: 0,
            fee: FEE,
            bounds: Bounds::from_on(Timestamp::from_secs(0)),
            memo: Memo::None,
            operations: vec![operation::create_account(self.account, amount)],
        };
        let envelope = unsigned.assemble(&[], &NetworkId::of_passphrase(self.passphrase))?;
        let fields = vec![("xdr", xdr::to_base64(envelope.bytes())), ("replace", REPLACE.to_owned())];
        self.write("tx", fields)
    }

    fn write(&self, operation: &str, mut fields: Vec<(&str, String)>) -> Result<String, LinkError> {
        if let Some(message) = self.message {
            let length = message.chars().count();
            if length > MAX_MESSAGE {
                return Err(LinkError::Message(length));
            }
            fields.push(("msg", message.to_owned()));
        }
        if self.passphrase != PUBLIC {
            fields.push(("network_passphrase", self.passphrase.to_owned()));
        }
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        Ok(format!("web+stellar:{operation}?{}", fields.join("&")))
    }
}

/// Percent-encodes everything but the characters that mean nothing in any part of a URI (RFC 3986, unreserved).
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use stellar_xdr::{OperationBody, Preconditions, TransactionEnvelope};

    use super::*;

    const TEST: &str = "Test SDF Network ; September 2015";

    fn account(text: &str) -> AccountId {
        text.parse().unwrap()
    }

    /// The link's operation and its fields, decoded as a wallet does, by rules of its own.
    fn read(link: &str) -> (String, Vec<(String, String)>) {
        let (operation, query) = link.strip_prefix("web+stellar:").unwrap().split_once('?').unwrap();
        let decode = |text: &str| {
            let mut bytes = Vec::new();
            let mut rest = text.as_bytes();
            while let [first, tail @ ..] = rest {
                rest = match first {
                    b'%' => {
                        let digits = std::str::from_utf8(&tail[..2]).unwrap();
                        assert_eq!(digits, digits.to_uppercase());
                        bytes.push(u8::from_str_radix(digits, 16).unwrap());
                        &tail[2..]
                    }
                    plain => {
                        assert!(plain.is_ascii_alphanumeric() || b"-._~".contains(plain), "{plain} in {text}");
                        bytes.push(*plain);
                        tail
                    }
                };
            }
            String::from_utf8(bytes).unwrap()
        };
        let fields = query.split('&').map(|field| {
            let (name, value) = field.split_once('=').unwrap();
            (name.to_owned(), decode(value))
        });
        (operation.to_owned(), fields.collect())
    }

    #[test]
    fn the_seps_examples_come_out_byte_by_byte_as_far_as_they_are_ours_to_make() {
        let destination = account("GCALNQQBXAPZ2WIRSDDBMSTAKCUH5SG6U76YBFLQLIXJTF7FE5AX7AOO");
        let link = Link { account: destination, passphrase: PUBLIC, message: Some("pay me with lumens") };
        let lumens = link.pay(Some(Stroops::from_coins("120.1234567").unwrap()), &Asset::Native).unwrap();
        // Without its memo, for the node's account needs none.
        let example = "web+stellar:pay?destination=GCALNQQBXAPZ2WIRSDDBMSTAKCUH5SG6U76YBFLQLIXJTF7FE5AX7AOO\
                       &amount=120.1234567&memo=skdjfasf&msg=pay%20me%20with%20lumens";
        assert_eq!(lumens, example.replace("&memo=skdjfasf", ""));

        let issuer = account("GCRCUE2C5TBNIPYHMEP7NK5RWTT2WBSZ75CMARH7GDOHDDCQH3XANFOB");
        let usd = Asset::issued("USD", issuer).unwrap();
        let dollars = Link { message: None, ..link }.pay(Some(Stroops::from_coins("120.123").unwrap()), &usd).unwrap();
        let example = "web+stellar:pay?destination=GCALNQQBXAPZ2WIRSDDBMSTAKCUH5SG6U76YBFLQLIXJTF7FE5AX7AOO\
                       &amount=120.123&asset_code=USD\
                       &asset_issuer=GCRCUE2C5TBNIPYHMEP7NK5RWTT2WBSZ75CMARH7GDOHDDCQH3XANFOB&memo=hasysda987fs\
                       &callback=url%3Ahttps%3A%2F%2FsomeSigningService.com%2Fhasysda987fs%3Fasset%3DUSD";
        assert_eq!(dollars, example.split("&memo").next().unwrap());
        assert_eq!(
            encoded("url:https://someSigningService.com/hasysda987fs?asset=USD"),
            example.split("callback=").nth(1).unwrap()
        );
        let replace = "sourceAccount:X,operations[0].sourceAccount:Y,operations[1].destination:Y;X:account from where \
                       you want to pay fees,Y:account that needs the trustline and which will receive the new tokens";
        let example = "sourceAccount%3AX%2Coperations%5B0%5D.sourceAccount%3AY%2Coperations%5B1%5D.destination%3AY%3BX\
                       %3Aaccount%20from%20where%20you%20want%20to%20pay%20fees%2CY%3Aaccount%20that%20needs%20the\
                       %20trustline%20and%20which%20will%20receive%20the%20new%20tokens";
        assert_eq!(encoded(replace), example);
    }

    #[test]
    fn another_network_is_named_and_any_text_survives() {
        let message = "für „Tür 7“: 50 % + 1 & mehr = gut? #/";
        let link = Link { account: ANYBODY, passphrase: TEST, message: Some(message) };
        let (operation, fields) = read(&link.pay(None, &Asset::Native).unwrap());
        let named = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected =
            [named("destination", &ANYBODY.to_string()), named("msg", message), named("network_passphrase", TEST)];
        assert_eq!((operation.as_str(), fields.as_slice()), ("pay", expected.as_slice()));
    }

    #[test]
    fn a_wallet_makes_the_account_with_its_own_account_in_the_sources_place() {
        let new = AccountId::from_bytes([7; 32]);
        let link = Link { account: new, passphrase: TEST, message: None };
        let (operation, fields) = read(&link.create(Stroops::whole(5)).unwrap());
        assert_eq!(operation, "tx");
        let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["xdr", "replace", "network_passphrase"]);
        // Fields of the transaction, each with a name that is explained after the semicolon.
        let (replaced, hints) = fields[1].1.split_once(';').unwrap();
        assert_eq!((replaced, hints), ("sourceAccount:X", "X:account that pays"));
        let envelope: TransactionEnvelope = xdr::read("envelope", &xdr::from_base64(&fields[0].1).unwrap()).unwrap();
        let TransactionEnvelope::Tx(v1) = envelope else { panic!("{envelope:?}") };
        assert!(v1.signatures.is_empty() && v1.tx.seq_num.0 == 0, "the wallet puts its sequence number in, and signs");
        assert!(matches!(&v1.tx.cond, Preconditions::Time(time) if time.max_time.0 == 0), "whenever it likes");
        let [only] = v1.tx.operations.as_slice() else { panic!("{:?}", v1.tx.operations) };
        let OperationBody::CreateAccount(create) = &only.body else { panic!("{only:?}") };
        assert!(only.source_account.is_none());
        assert_eq!((xdr::read_account(&create.destination), create.starting_balance), (new, 50_000_000));
    }

    #[test]
    fn what_a_link_cannot_hold_is_refused() {
        let long = "ü".repeat(MAX_MESSAGE + 1);
        let link = Link { account: ANYBODY, passphrase: TEST, message: Some(&long) };
        assert_eq!(link.pay(None, &Asset::Native), Err(LinkError::Message(MAX_MESSAGE + 1)));
        let fits: String = long.chars().skip(1).collect();
        let link = Link { message: Some(&fits), ..link };
        assert!(link.pay(None, &Asset::Native).is_ok());
        assert_eq!(link.pay(Some(Stroops::ZERO), &Asset::Native), Err(LinkError::Nothing));
        assert_eq!(link.create(Stroops::ZERO), Err(LinkError::Nothing));
    }
}
