//! `tradepost peers`: who is connected.

use clap::Args;

use super::client::Client;
use super::failure::Failure;
use super::{Global, show};
use crate::api::view::PeerList;
use crate::terminal::Table;

/// Lists the connected peers.
#[derive(Debug, Args)]
pub struct Peers {}

impl Peers {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let terminal = global.terminal();
        let peers: PeerList = Client::of(&global.home()?)?.get("/v1/peers").await?;
        if let Some(remedy) = peers.remedy.as_ref().filter(|_| !terminal.json) {
            terminal.say(&format!("no peers: {remedy}"));
        }
        Ok(terminal.print(&peers, text)?)
    }
}

fn text(peers: &PeerList) -> String {
    let own = peers.addresses.iter().map(|address| ("address", address));
    let text = show::fields([("this node", &peers.peer_id)].into_iter().chain(own));
    let mut table = Table::new(&["PEER", "ADDRESS", "OPENED", "PING", "TRADES", "SCORE"]);
    for peer in &peers.items {
        table.row([
            peer.peer.clone(),
            show::cut(peer.address.split("/p2p/").next().unwrap_or_default(), 26),
            peer.direction.clone(),
            peer.rtt_ms.map_or("-".to_owned(), |ms| format!("{ms} ms")),
            if peer.met { "yes".to_owned() } else { "no".to_owned() },
            peer.score.to_string(),
        ]);
    }
    text + &table.render()
}
