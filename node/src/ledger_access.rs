//! The ledger that a configuration means: asked for its name, and refused where it is another.

use tradepost_ledger::{EndpointConfig, LedgerError, RpcConfig, RpcLedger};

use crate::config::{Config, Endpoint, Network};

/// Why there is no ledger.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The server can't be asked, or is on another network than the configuration says.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// `network = "devnet"`, and the server is on a network that isn't one.
    #[error(
        "network = \"devnet\", but {servers} is on {passphrase:?}: set network = {network:?} if you mean that, or \
         another rpc_url"
    )]
    NoDevnet {
        /// The servers.
        servers: String,
        /// What it says.
        passphrase: String,
        /// What that is called in a configuration.
        network: &'static str,
    },
}

/// A ledger with the passphrase of its network.
#[derive(Debug)]
pub struct LedgerAccess {
    /// The ledger, which has proved to be on that network.
    pub ledger: RpcLedger,
    /// The network's passphrase.
    pub passphrase: String,
}

/// Connects to the ledger of a configuration.
///
/// # Errors
/// [`AccessError`] where the server can't be asked or is on another network.
pub async fn connect(config: &Config) -> Result<LedgerAccess, AccessError> {
    let endpoints = config.endpoints.iter().map(|endpoint| EndpointConfig {
        operator: endpoint.operator.clone(),
        // The configuration has already refused plain http beyond this machine and private networks.
        allow_http: true,
        ..EndpointConfig::new(endpoint.url.as_str())
    });
    let mut rpc = RpcConfig::of(endpoints);
    rpc.friendbot = config.friendbot_url.as_ref().map(ToString::to_string);
    rpc.real_time = config.network != Network::Devnet;
    let passphrase = match &config.network_passphrase {
        Some(passphrase) => passphrase.clone(),
        None => RpcLedger::ask_network(&rpc).await?.passphrase,
    };
    let known = Network::ALL.into_iter().find(|network| network.passphrase() == Some(passphrase.as_str()));
    if let (Network::Devnet, Some(network)) = (config.network, known) {
        let servers = config.endpoints.iter().map(Endpoint::name).collect::<Vec<_>>().join(", ");
        return Err(AccessError::NoDevnet { servers, passphrase, network: network.name() });
    }
    let ledger = RpcLedger::connect(rpc, &passphrase).await?;
    Ok(LedgerAccess { ledger, passphrase })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use tradepost_devnet::Server;

    use super::*;

    async fn server(passphrase: Option<&str>) -> Server {
        let passphrase = passphrase.map(str::to_owned);
        Server::spawn(tradepost_devnet::Config { passphrase, ..tradepost_devnet::Config::default() }).await.unwrap()
    }

    fn config(server: &Server, network: &str) -> Config {
        let flag = |key: &str, value: String| (key.to_owned(), value);
        Config::of_layers(None, [], &[flag("rpc_url", server.url()), flag("network", network.to_owned())]).unwrap()
    }

    #[tokio::test]
    async fn a_devnets_passphrase_is_the_servers() {
        let server = server(None).await;
        assert_eq!(connect(&config(&server, "devnet")).await.unwrap().passphrase, server.passphrase());
    }

    #[tokio::test]
    async fn a_public_ledger_is_no_devnet_whatever_the_configuration_says() {
        let server = server(Network::Public.passphrase()).await;
        let refused = connect(&config(&server, "devnet")).await.unwrap_err();
        assert!(matches!(refused, AccessError::NoDevnet { network: "public", .. }), "{refused}");
    }

    #[tokio::test]
    async fn a_server_of_another_network_is_refused_with_both_named() {
        let server = server(None).await;
        let refused = connect(&config(&server, "testnet")).await.unwrap_err().to_string();
        assert!(refused.contains(&server.passphrase()) && refused.contains("Test SDF Network"), "{refused}");
    }
}
