//! `/v1/peers`: who is connected.

use axum::Json;
use axum::extract::State;

use super::context::Context;
use super::problem::Problem;
use super::view::{PeerList, PeerView};

/// What to do without a peer.
pub(super) fn remedy(bootstrap: usize) -> &'static str {
    match bootstrap {
        0 => {
            "no first peer is configured: set `bootstrap` to the address of a node that you know, or give others one of \
             this node's addresses"
        }
        _ => {
            "none of the first peers in `bootstrap` answers: check their addresses, and whether this machine is online"
        }
    }
}

pub(super) async fn list(State(context): State<Context>) -> Result<Json<PeerList>, Problem> {
    let peers = context.node().network.peers().await?;
    let remedy = peers.is_empty().then(|| remedy(context.config().bootstrap.len()).to_owned());
    Ok(Json(PeerList {
        peer_id: context.node().peer_id.to_string(),
        addresses: context.p2p_addresses().await?,
        items: peers.iter().map(PeerView::from).collect(),
        remedy,
    }))
}
