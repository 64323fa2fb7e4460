//! The stable codes of what the API and calls answer where the protocol's own tables have none. `docs/errors.md` lists them
//! all, the protocol's and these.

use serde::{Serialize, Serializer};
use tradepost_protocol::binding::precheck::PrecheckCode;
use tradepost_protocol::market::command::{CommandCode, CommandError};
use tradepost_protocol::refusal::Reason;

/// Makes the enum together with its table, so that neither can lack what the other has.
macro_rules! codes {
    ($($name:ident = $code:literal, $meaning:literal, $remedy:literal;)*) => {
        /// Why the API, or a call, answers with a problem.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum ProblemCode {
            $(#[doc = $meaning] $name,)*
        }

        impl ProblemCode {
            /// All of them, in the table's order.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The stable code.
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// What it says, in a sentence.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => $meaning,)*
                }
            }

            /// What can be done about it.
            pub const fn remedy(self) -> &'static str {
                match self {
                    $(Self::$name => $remedy,)*
                }
            }
        }
    };
}

codes! {
    NoToken = "no-token", "The request doesn't carry this node's token.", "send `Authorization: Bearer` with the content of the home's api-token file";
    ForeignHost = "foreign-host", "The request names another host than the address that the node listens on.", "use the address that `run.json` in the home says";
    ForeignOrigin = "foreign-origin", "The request comes from a page of another site.", "call the API from a program of your own";
    NoSuchResource = "no-such-resource", "There is nothing at that path.", "look at the paths of this version of the node";
    NoSuchMethod = "no-such-method", "The resource doesn't take that method.", "use the method that the resource has";
    BadRequest = "bad-request", "The request makes no sense.", "correct what the error names";
    NotJson = "not-json", "The body isn't JSON, or isn't said to be.", "send JSON, with the content type `application/json` in its header";
    InvalidBody = "invalid-body", "The body is JSON and not what the resource takes.", "correct the field that the error names";
    UnreadableBody = "unreadable-body", "The body can't be read, or is too large.", "send a smaller one, and all of it";
    InvalidQuery = "invalid-query", "The query isn't what the resource takes.", "correct the field that the error names";
    InvalidPath = "invalid-path", "The path holds what can't be read.", "correct the path";
    NotAnId = "not-an-id", "That is no id, and no beginning of one.", "give hex digits, such as a list shows them";
    AmbiguousId = "ambiguous-id", "More than one id begins like that.", "give more of its digits";
    PriceRange = "price-range", "No price lies between the two.", "give the lower one first";
    PageLimit = "page-limit", "A page can't have so many items.", "ask for several pages";
    InvalidService = "invalid-service", "The service can't be started as it is described.", "correct the key that the error names";
    NoServiceKey = "no-service-key", "This node holds no key for services.", "register services where the key is";
    TooManyServices = "too-many-services", "All keys for services are in use.", "register a new revision of one of them";
    NotTheArbiter = "not-the-arbiter", "This node is no arbiter of that binding.", "see `dispute list` for those that it decides";
    NoFriendbot = "no-friendbot", "The network has no friendbot, or none is configured.", "let another wallet pay in: `tradepost wallet link` makes a link for it";
    NoBackup = "no-backup", "The backup can't be written.", "do what the error says";
    Unreadable = "unreadable", "What was kept in the home can't be read.", "check the disk, and bring back a copy of the file that the error names";
    NotReady = "not-ready", "The node can't trade now.", "do what the error says; `tradepost status` has all of it";
    TooManyWatchers = "too-many-watchers", "Too many programs watch this node's events.", "close one of them";
    Unavailable = "unavailable", "A part of the node has ended, is stopping, or doesn't answer.", "try again; if it lasts, see the node's log and start it again";
    Fault = "fault", "A fault in this program.", "see the node's log, and report it";
    UnknownBinding = "unknown-binding", "No binding of that id, or not with that token.", "see `binding list` for those that stand";
    BindingNotActive = "binding-not-active", "The binding's session isn't active.", "see `binding show`: it may not have started, or be over";
    NoCredentials = "no-credentials", "A call doesn't say for which binding it is.", "make calls through this node: `tradepost call`, or its API";
    NoTunnel = "no-tunnel", "A call asks for a tunnel.", "use another method than CONNECT";
    BadPath = "bad-path", "The path of a call isn't one that can be passed on.", "correct the path";
    BodyTooLarge = "body-too-large", "The body of a call is larger than a call's may be.", "send less in one call";
    Busy = "busy", "Too many calls arrive at the provider at once.", "try again shortly";
    Internal = "internal", "A fault in the provider's node.", "try again; if it lasts, tell the provider";
    ServiceDown = "service-down", "The binding's service doesn't run now.", "see `binding show`; try again shortly";
    ServiceFailed = "service-failed", "The service broke off before it responded.", "try again; if it lasts, tell the provider";
    ServiceTimeout = "service-timeout", "The service sent no response in time.", "try again; if it lasts, tell the provider";
    ProviderBusy = "provider-busy", "Too many calls to that provider are under way from here.", "wait until one of them has ended";
    ProviderTimeout = "provider-timeout", "The provider's node sent no response in time.", "try again; if it lasts, see what `binding show` says";
    MarketStopped = "market-stopped", "This node's market has ended, or doesn't answer.", "see the node's log, and start it again";
}

/// A code that stands in one of the tables: nothing else can be told to a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StableCode(&'static str);

impl StableCode {
    /// As text.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl Serialize for StableCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

impl From<ProblemCode> for StableCode {
    fn from(code: ProblemCode) -> Self {
        Self(code.code())
    }
}

impl From<PrecheckCode> for StableCode {
    fn from(code: PrecheckCode) -> Self {
        Self(code.code())
    }
}

impl From<CommandCode> for StableCode {
    fn from(code: CommandCode) -> Self {
        Self(code.code())
    }
}

impl From<Reason> for StableCode {
    fn from(reason: Reason) -> Self {
        Self(reason.code())
    }
}

impl From<&CommandError> for StableCode {
    fn from(error: &CommandError) -> Self {
        Self(error.code())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_distinct_from_each_other_and_from_the_protocols_and_each_says_something() {
        let protocol = tradepost_protocol::refusal::table();
        let mut seen: BTreeSet<&str> = protocol.iter().flat_map(|part| &part.rules).map(|rule| rule.code).collect();
        for code in ProblemCode::ALL {
            assert!(seen.insert(code.code()), "{} stands twice", code.code());
            assert!(code.code().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{code:?}");
            assert!(code.meaning().ends_with('.') && !code.meaning().contains('|'), "{code:?}");
            assert!(
                !code.remedy().is_empty() && !code.remedy().ends_with('.') && !code.remedy().contains('|'),
                "{code:?}"
            );
        }
    }
}
