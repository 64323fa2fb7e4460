//! The contract that every asset has (CAP-46-06), under whose id the ledger tells of its movements (CAP-67).

use sha2::{Digest, Sha256};
use stellar_strkey::Contract;
use stellar_xdr::{ContractIdPreimage, Hash, HashIdPreimage, HashIdPreimageContractId};

use crate::asset::Asset;
use crate::network_id::NetworkId;
use crate::stellar::xdr::{self, XdrError};

/// The id of an asset's contract, `C…`. It follows from asset and network, whether or not the contract was ever deployed.
///
/// # Errors
/// [`XdrError`] where the asset can't be written.
pub fn of_asset(asset: &Asset, network: &NetworkId) -> Result<String, XdrError> {
    let preimage = HashIdPreimage::ContractId(HashIdPreimageContractId {
        network_id: Hash(*network.as_bytes()),
        contract_id_preimage: ContractIdPreimage::Asset(xdr::asset(asset)),
    });
    let id: [u8; 32] = Sha256::digest(xdr::write(&preimage)?).into();
    Ok(Contract(id).to_string().as_str().to_owned())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// Published ids of the native coin's contract.
    #[test]
    fn the_native_coins_contract_has_its_published_ids() {
        for (passphrase, id) in [
            ("Test SDF Network ; September 2015", "CDLZFC3SYJYDZT7K67VZ75HPJVIEUVNIXF47ZG2FB2RMQQVU2HHGCYSC"),
            (
                "Public Global Stellar Network ; September 2015",
                "CAS3J7GYLGXMF6TDJBBYYSE3HQ6BBSMLNUQ34T6TZMYMW2EVH34XOWMA",
            ),
        ] {
            assert_eq!(of_asset(&Asset::Native, &NetworkId::of_passphrase(passphrase)).unwrap(), id);
        }
    }
}
