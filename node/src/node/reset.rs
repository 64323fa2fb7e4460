//! A network that was reset: what was before is set aside, and the node begins anew.

use tokio::task;
use tradepost_ledger::{ClosedLedger, LedgerError};
use tradepost_protocol::market::{OfferState, Setup};
use tradepost_protocol::time::Now;
use tradepost_store::Store;

use super::{Node, StartError, first_ledger, open_store, restore};
use crate::api::view::{BindingView, OwnOfferingView, ResetView};
use crate::archive;
use crate::config::Network;
use crate::home::Home;

/// What was open in an old state, or why it can't be read.
type OldState = Result<(Vec<BindingView>, Vec<OwnOfferingView>), String>;

/// Sets the state of the old network aside and opens an empty store. `new` is the new network's newest ledger.
///
/// # Errors
/// [`StartError`]; the old state is then still in its place.
pub(super) async fn begin_anew(
    home: &Home,
    network: Network,
    store: Store,
    setup: Setup,
    why: LedgerError,
    new: ClosedLedger,
) -> Result<Store, StartError> {
    let network_id = setup.network;
    // Nothing is a reset for a home that saw no ledger yet.
    let Some(first) = first_ledger::first(&store)? else { return Err(why.into()) };
    let from = home.clone();
    let set_aside = move || {
        let ended = what_ended(&store, setup, first);
        drop(store);
        archive::set_aside(&from, network, &first, |dir| note(dir.display().to_string(), &why, new, ended))
    };
    let dir = task::spawn_blocking(set_aside).await.map_err(StartError::task)??;
    tracing::warn!(
        archive = %dir.display(),
        "the network was reset: what this node had there is set aside, and it goes on with an empty book; see `tradepost \
         status`"
    );
    open_store(home, network_id).await
}

fn what_ended(store: &Store, setup: Setup, first: ClosedLedger) -> OldState {
    // It is only looked at: nothing that it would do is done.
    let now = Now::from(first.close_time);
    let (market, _) = restore(store, setup, now).map_err(|e| e.to_string())?;
    let open = market.trades().filter(|trade| !trade.phase().is_final());
    let bonded = |state| matches!(state, OfferState::Bonding | OfferState::Open | OfferState::Withdrawn);
    let offers = market.offers().map(|(_, offer)| offer).filter(|offer| bonded(offer.state));
    let bindings = open.map(|trade| BindingView::of(trade, &market)).collect();
    Ok((bindings, offers.map(|offer| OwnOfferingView::of(offer, &market, now)).collect()))
}

fn note(archive: String, why: &LedgerError, new: ClosedLedger, ended: OldState) -> ResetView {
    let (bindings, offerings, unread) = match ended {
        Ok((bindings, offerings)) => (bindings, offerings, None),
        Err(why) => (Vec::new(), Vec::new(), Some(why)),
    };
    ResetView { archive, why: why.to_string(), noticed_at: new.close_time.into(), bindings, offerings, unread }
}

impl Node {
    /// Waits until the network turns out to have been reset. The public network never is: there the node only says so,
    /// for it is the endpoint that must be wrong.
    pub async fn network_reset(&self) {
        let is_reset = |health: &tradepost_ledger::watch::Health| {
            health.trouble.as_ref().is_some_and(|trouble| matches!(trouble.error, LedgerError::Reset { .. }))
        };
        let mut health = self.handle.ledger_health();
        let public = self.handle.facts.config.network == Network::Public;
        if public || health.wait_for(is_reset).await.is_err() {
            std::future::pending().await
        }
    }
}
