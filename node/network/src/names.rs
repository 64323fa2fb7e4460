//! Names of topics and protocols; all carry the network, so that foreign networks don't mix.

use libp2p::StreamProtocol;
use libp2p::gossipsub::IdentTopic;

/// The names within one network.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    prefix: String,
}

impl Names {
    /// Takes a prefix that [`Config::check`](crate::Config::check) has passed.
    pub(crate) fn new(network_prefix: &str) -> Self {
        Self { prefix: format!("tradepost/1/{network_prefix}") }
    }

    /// The topic of a kind; the last field is room for shards.
    pub(crate) fn topic(&self, kind: &str) -> IdentTopic {
        IdentTopic::new(format!("{}/{kind}/0", self.prefix))
    }

    /// What a node says it speaks; told by identify.
    pub(crate) fn version(&self) -> &str {
        &self.prefix
    }

    pub(crate) fn kad(&self) -> StreamProtocol {
        self.protocol("kad")
    }

    pub(crate) fn direct(&self) -> StreamProtocol {
        self.protocol("direct")
    }

    pub(crate) fn fetch(&self) -> StreamProtocol {
        self.protocol("fetch")
    }

    pub(crate) fn call(&self) -> StreamProtocol {
        self.protocol("call")
    }

    fn protocol(&self, name: &str) -> StreamProtocol {
        StreamProtocol::try_from_owned(format!("/{}/{name}", self.prefix)).expect("begins with a slash")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_carries_the_network() {
        let names = Names::new("0123abcd");
        assert_eq!(names.topic("offering").hash().as_str(), "tradepost/1/0123abcd/offering/0");
        for protocol in [names.kad(), names.direct(), names.fetch(), names.call()] {
            assert!(protocol.as_ref().starts_with("/tradepost/1/0123abcd/"), "{protocol}");
        }
    }
}
