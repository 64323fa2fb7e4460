//! The table of keys: what a configuration may say, in one place for files, environment, flags and documentation.

/// One key of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its name in files, where a dot stands for a table; in the environment it is written `TRADEPOST_NAME`, with `_` for
    /// the dot.
    pub name: &'static str,
    /// What it decides, in a line.
    pub about: &'static str,
}

impl Key {
    /// Its name in the environment after the prefix, in small letters.
    pub(super) fn variable(&self) -> String {
        self.name.replace('.', "_")
    }
}

const fn key(name: &'static str, about: &'static str) -> Key {
    Key { name, about }
}

/// Every key but the tables `[service.NAME]`, in the order in which they are shown.
pub const KEYS: [Key; 38] = [
    key("network", "devnet, testnet or public: which sort of ledger"),
    key("network_passphrase", "the network's passphrase; a devnet's is read from its RPC server"),
    key("public_network_consent", "on the public network: the sentence that says you know it is real money"),
    key("rpc_url", "a Stellar RPC server"),
    key("ledger.endpoints", "several of them, each as OPERATOR=URL; instead of rpc_url"),
    key(
        "ledger.one_word_limit",
        "most that is delivered, funded or paid on one operator's word, in units of its asset",
    ),
    key("friendbot_url", "who gives test money to new accounts"),
    key("listen", "addresses to listen on for peers"),
    key("external", "addresses under which peers reach this node from outside"),
    key("bootstrap", "first peers"),
    key("local", "whether loopback and private address ranges are the network"),
    key("transports", "by which transports trades may be carried"),
    key("max_peers", "most connections that others may open, count"),
    key("api_listen", "loopback address of the local API"),
    key("assets", "what this node takes and pays with"),
    key("max_spend_per_trade", "most that one trade may cost, in units of its asset"),
    key("escrow", "kinds of escrow that this node accepts when it buys, the preferred one first"),
    key("max_timed", "most that one trade may lock under the escrow timed, in XLM"),
    key("max_timed_issued", "the same of issued assets, each as CODE:ISSUER=AMOUNT; none of one that isn't named"),
    key("arbiters", "accounts that may decide disputes of this node's trades, the preferred ones first"),
    key("arbiters_per_trade", "how many of them one trade gets where so many are common to both sides, count, odd"),
    key("max_cases", "open disputes with which this node engages itself for no more as an arbiter, count"),
    key("max_fee", "most that one ordinary transaction may pay as fee, in XLM"),
    key(
        "max_deadline_fee",
        "most that a transaction with a deadline may pay as fee where its worth can't be told, in XLM",
    ),
    key("submitters", "how many accounts of one's own may carry transactions with deadlines, count"),
    key("community.role", "issuer or agent: this node's role in a help exchange"),
    key("community.clawable", "what help is paid in: its code at the issuer, CODE:ISSUER at the agent"),
    key("community.plain", "what that is converted into: its code at the issuer, CODE:ISSUER at the agent"),
    key("community.agent", "at the issuer: the account that gives out both assets"),
    key("community.members", "at the agent: who may join; anyone where there is nobody"),
    key("community.issue", "at the issuer: how much of each asset the agent gets, in units"),
    key("community.start", "what each who joins gets of each asset, in units"),
    key("community.fee", "what each step carries besides its amount, in units"),
    key("community.repay_secs", "for how long a payment may be asked back, seconds; after that it is converted"),
    key("community.convert_secs", "for how long after that it may be converted, seconds; 0 for ever"),
    key("passphrase_file", "file that holds the passphrase of the keys"),
    key("log", "what is logged"),
    key("log_format", "text or json"),
];

/// The table that holds one's services.
pub const SERVICE_TABLE: &str = "service";

/// Keys of one service's table.
pub const SERVICE_KEYS: [Key; 8] = [
    key("start", "the command that starts the service, as a list"),
    key("url", "where a service that already runs is reached"),
    key("env", "environment variables for the command"),
    key("dir", "working directory of the command"),
    key("health", "path that answers 2xx when the service is healthy"),
    key("start_timeout", "how long it may take to become healthy, seconds"),
    key("stop_timeout", "how long it may take to end after being asked, seconds"),
    key("max_runs", "how many of its processes may run at once, count"),
];

/// The known name nearest to an unknown one, where one is near enough to be meant.
pub fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let unknown = unknown.to_lowercase();
    let (distance, name) = known.into_iter().map(|name| (edits(&unknown, name), name)).min()?;
    (distance <= name.len().div_ceil(2)).then_some(name)
}

/// Levenshtein's distance: insertions, removals and replacements.
pub(super) fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_levenshteins() {
        for (a, b, distance) in [("", "", 0), ("kitten", "sitting", 3), ("rpc", "rpc_url", 4), ("abc", "", 3)] {
            assert_eq!(edits(a, b), distance, "{a} {b}");
            assert_eq!(edits(b, a), distance, "{b} {a}");
        }
    }

    #[test]
    fn the_nearest_key_is_found_and_nonsense_has_none() {
        let names = || KEYS.iter().map(|key| key.name);
        assert_eq!(nearest("rpcurl", names()), Some("rpc_url"));
        assert_eq!(nearest("Bootstraps", names()), Some("bootstrap"));
        assert_eq!(nearest("zzzzzzzzzzzzzzzzzzzzzz", names()), None);
    }
}
