//! What a node gives to those who ask what its book holds: by its own rules, or less than that.

use tradepost_protocol::kind::Kind;
use tradepost_protocol::message::MessageId;

use super::World;
use super::network::Reply;

/// How much a node gives of its book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Giving {
    /// All that it holds.
    #[default]
    Everything,
    /// It lists all and sends no message.
    ListsOnly,
    /// It leaves every other offering out of its lists, by the last bit of their ids.
    LeavesOut,
}

impl Giving {
    pub(super) fn ids(self, mut ids: Vec<(Kind, MessageId)>, more: bool) -> Reply {
        if self == Self::LeavesOut {
            ids.retain(|(kind, id)| *kind != Kind::Offering || id.as_bytes()[31] & 1 == 0);
        }
        Reply::Ids { ids, more }
    }

    pub(super) fn messages(self, found: Vec<Option<Vec<u8>>>) -> Reply {
        match self {
            Self::ListsOnly => Reply::Messages(vec![None; found.len()]),
            _ => Reply::Messages(found),
        }
    }
}

impl World {
    /// From now on a node gives so much of its book.
    ///
    /// # Panics
    /// Where there is no such node.
    pub fn set_giving(&mut self, name: &str, giving: Giving) {
        let index = self.index(name);
        self.nodes[index].giving = giving;
    }
}
