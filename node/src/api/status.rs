//! `/v1/status`: "am I all right?"; what the node was told; and the end.

use axum::Json;
use axum::extract::State;
use tradepost_network::{Origin, PeerInfo};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::binding::session::End;
use tradepost_protocol::limits::FIRST_SYNC_PEERS;
use tradepost_protocol::market::{Market, WAITS_FOR_WORD};
use tradepost_protocol::time::Now;

use super::context::Context;
use super::problem::Problem;
use super::view::{
    BindingView, ConfigView, DisputeView, Done, EndpointView, FirstSyncView, KeysView, LedgerView, NetworkView, Offers,
    OwnOfferingView, Peers, StatusView, Trouble, WalletView,
};
use super::{disputes, health, peers};
use crate::config::Network;

pub(super) async fn config(State(context): State<Context>) -> Json<ConfigView> {
    Json(ConfigView::from(context.config()))
}

pub(super) async fn shutdown(State(context): State<Context>) -> Json<Done> {
    context.shutdown().drain().cancel();
    Json(Done { done: true })
}

pub(super) async fn status(State(context): State<Context>) -> Result<Json<StatusView>, Problem> {
    let connected = context.node().network.peers().await?;
    let (wallet, offerings, bindings, now) = context.ask(of_market).await?;
    let beginning = context.ask(health::Beginning::of).await?;
    let disputes = context.ask(open_disputes).await?;
    let peers = Peers {
        peer_id: context.node().peer_id.to_string(),
        addresses: context.p2p_addresses().await?,
        connected: connected.len(),
        met: connected.iter().filter(|peer| peer.met).count(),
        first_sync: first_sync(&context, &connected).await?,
    };
    let keys = context.keys();
    let mut view = StatusView {
        ok: false,
        troubles: Vec::new(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        network: NetworkView {
            name: context.config().network.to_string(),
            passphrase: context.node().facts.passphrase.clone(),
            id: context.node().facts.network_id.to_string(),
        },
        ledger: ledger(&context, now),
        keys: KeysView {
            account: keys.account,
            serving: keys.serving,
            sealing: keys.sealing,
            roles: keys.roles.iter().map(ToString::to_string).collect(),
        },
        wallet: keys.account.map(|_| wallet),
        peers,
        offerings,
        bindings,
        disputes,
        resets: context.node().facts.resets.clone(),
    };
    view.troubles = health::hindrances(&context, beginning);
    view.troubles.extend(health::of_double(beginning));
    view.troubles.extend(troubles(&view, &context));
    view.ok = view.troubles.is_empty();
    Ok(Json(view))
}

async fn first_sync(context: &Context, connected: &[PeerInfo]) -> Result<FirstSyncView, Problem> {
    let standing = context.ask(|market, now| market.first_sync(now)).await?;
    let found: Vec<String> =
        connected.iter().filter(|peer| peer.origin == Origin::Found).map(|peer| peer.peer.to_base58()).collect();
    Ok(FirstSyncView {
        wanted: FIRST_SYNC_PEERS,
        read: standing.read.len(),
        under_way: standing.under_way,
        independent: standing.read.iter().filter(|peer| !found.iter().any(|id| id == peer.as_str())).count(),
    })
}

fn of_market(market: &Market, now: Now) -> (WalletView, Offers, Vec<BindingView>, Now) {
    let filter = tradepost_protocol::book::Filter::default();
    let page = tradepost_protocol::book::Page { offset: 0, limit: 1 };
    let offers = Offers {
        known: market.book().len(),
        live: market.book().listing(&filter, page, now).map_or(0, |found| found.total),
        waiting: market.book().waiting(),
        own: market.offers().map(|(_, offer)| OwnOfferingView::of(offer, market, now)).collect(),
    };
    let open = market.trades().filter(|trade| !trade.phase().is_final());
    let bindings = open.map(|trade| BindingView::of(trade, market)).collect();
    (WalletView::of(market), offers, bindings, now)
}

/// Disputes that somebody has opened and that aren't over.
fn open_disputes(market: &Market, now: Now) -> Vec<DisputeView> {
    let mut all = disputes::all(market, now);
    all.retain(DisputeView::is_under_way);
    all
}

fn ledger(context: &Context, now: Now) -> LedgerView {
    let health = context.node().health().ledger;
    LedgerView {
        ok: health.is_fine(),
        rpc_url: context.node().ledger.endpoint_name().to_owned(),
        sequence: health.newest.sequence,
        age_secs: now.timestamp().since(health.newest.close_time).as_secs(),
        close_time: health.newest.close_time.into(),
        why: health.trouble,
        endpoints: context.node().ledger.endpoints().iter().map(EndpointView::from).collect(),
    }
}

/// What is wrong with one of several servers, where the others still serve.
fn of_endpoint(endpoint: &EndpointView) -> Option<Trouble> {
    let (url, operator) = (&endpoint.url, &endpoint.operator);
    let why = endpoint.why.as_deref().unwrap_or_default();
    match endpoint.state.as_str() {
        "failing" => Some(Trouble::new(
            format!("the RPC server {url} ({operator}) doesn't answer: {why}"),
            "the others serve meanwhile; see that it answers again, or take it out of `ledger.endpoints`",
        )),
        "behind" => Some(Trouble::new(
            format!("the RPC server {url} ({operator}) is behind: {why}"),
            "the others serve meanwhile; ask who runs it, or take it out of `ledger.endpoints`",
        )),
        "dropped" => Some(Trouble::new(
            format!("the RPC server {url} ({operator}) was dropped, it doesn't agree with what was seen: {why}"),
            "find out who is right; then take it out of `ledger.endpoints`, or start the node again to ask it anew",
        )),
        _ => None,
    }
}

/// What else is wrong, and what won't happen by itself because a key isn't here.
fn troubles(view: &StatusView, context: &Context) -> Vec<Trouble> {
    let mut found = Vec::new();
    if view.ledger.endpoints.len() > 1 {
        found.extend(view.ledger.endpoints.iter().filter_map(of_endpoint));
    }
    // Whoever was told no first peer is found by others, or by nobody.
    if view.peers.met == 0 && context.config().bootstrap.is_empty() {
        found.push(Trouble::new("no peers", peers::remedy(0)));
    }
    if let Some(wallet) = view.wallet.as_ref().filter(|_| view.ledger.why.is_none()) {
        let fund = match context.config().network {
            Network::Public => "pay coins into it from another wallet",
            _ => "`tradepost wallet fund` asks the friendbot for test money",
        };
        if !wallet.exists {
            found.push(Trouble::new("the account doesn't exist on the ledger yet", fund));
        } else if wallet.spendable.is_zero() {
            found.push(Trouble::new("the account can spend nothing: all it has is reserve or committed", fund));
        }
    }
    found.extend(view.bindings.iter().filter_map(waits));
    found.extend(view.bindings.iter().filter_map(undecided));
    found.extend(view.disputes.iter().filter_map(case_to_decide));
    found.extend(view.bindings.iter().filter_map(|binding| unattended(binding, view.keys.account)));
    found.extend(view.offerings.own.iter().filter_map(|offer| unattended_bond(offer, view.keys.account)));
    found
}

/// A delivery that waits for the word of a second operator.
fn waits(binding: &BindingView) -> Option<Trouble> {
    let note = binding.note.as_ref().filter(|note| note.starts_with(WAITS_FOR_WORD))?;
    let what = format!("binding {} {note}", &binding.name()[..12]);
    Some(Trouble::new(what, "see that a second operator's server answers, or raise `ledger.one_word_limit`"))
}

/// A session that ended while this consumer's node was away: by itself it neither pays nor asks the arbiters.
fn undecided(binding: &BindingView) -> Option<Trouble> {
    let gone = binding.ended.as_deref() == Some(End::ConsumerGone.as_str());
    let escrow = binding.escrow.as_ref().filter(|escrow| escrow.dispute.as_deref() == Some("none"))?;
    let by = binding.deadlines.as_ref().and_then(|d| d.dispute_by.as_ref())?;
    (gone && binding.is_consumers() && binding.phase == "delivered").then(|| {
        let (id, by, whose) = (&binding.name()[..12], &by.text, &escrow.beneficiary);
        Trouble::new(
            format!(
                "binding {id} ended while this node was away: until {by} you decide; then silence means the {whose}"
            ),
            "`tradepost binding release` pays the provider, `tradepost dispute open` asks the arbiters",
        )
    })
}

/// A dispute that waits for this node's award.
fn case_to_decide(dispute: &DisputeView) -> Option<Trouble> {
    dispute.needs_you.then(|| {
        let (id, by, whose) = (&dispute.binding.to_string()[..12], &dispute.award_by.text, &dispute.beneficiary);
        Trouble::new(
            format!("the dispute about {id} waits for your award until {by}; silence means the {whose}"),
            "`tradepost dispute show` has both sides, `tradepost dispute award` decides",
        )
    })
}

/// What to do where a key isn't here.
const KEY_ELSEWHERE: &str = "run this node with that account's key, or a node where it is";

/// A bond that only a key which isn't here can take back.
fn unattended_bond(offer: &OwnOfferingView, here: Option<AccountId>) -> Option<Trouble> {
    let locked = matches!(offer.state.as_str(), "open" | "withdrawn");
    let bond = &offer.bond;
    (locked && Some(bond.recipient) != here).then(|| {
        let (series, from) = (&offer.series.to_string()[..12], &bond.returns_at.text);
        let what = format!("taking the bond of series {series} back from {from} needs the key of {}", bond.recipient);
        Trouble::new(what, KEY_ELSEWHERE)
    })
}

/// Money of a binding that only a key which isn't here can move.
fn unattended(binding: &BindingView, here: Option<AccountId>) -> Option<Trouble> {
    let id = &binding.name()[..12];
    let before = |name: &str| match binding.deadlines.as_ref().and_then(|d| d.refund_at.as_ref()) {
        Some(at) => format!("{name} {}", at.text),
        None => String::new(),
    };
    match (binding.is_consumers(), binding.phase.as_str()) {
        (false, "delivered") if binding.recipient != here => {
            let who = binding.recipient.map(|r| r.to_string()).unwrap_or_default();
            Some(Trouble::new(
                format!("collecting binding {id} {} needs the key of {who}", before("before")),
                KEY_ELSEWHERE,
            ))
        }
        (true, "failed" | "refused" | "timeout") if Some(binding.consumer) != here => {
            let what = format!("the refund of binding {id} {} needs the key of {}", before("from"), binding.consumer);
            Some(Trouble::new(what, KEY_ELSEWHERE))
        }
        _ => None,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::api::view::samples;

    fn other() -> Option<AccountId> {
        Some(AccountId::from_bytes([99; 32]))
    }

    #[test]
    fn money_that_needs_a_key_from_elsewhere_is_named_with_its_time() {
        let mut served = samples::binding();
        served.side = "provider".into();
        served.phase = "delivered".into();
        let trouble = unattended(&served, other()).unwrap();
        let recipient = served.recipient.unwrap().to_string();
        assert!(
            trouble.what.contains("before 2027-01-15T08:01:42Z") && trouble.what.contains(&recipient),
            "{trouble:?}"
        );
        assert_eq!(unattended(&served, served.recipient), None);
        let bought = BindingView { phase: "failed".into(), ..samples::binding() };
        let trouble = unattended(&bought, None).unwrap();
        assert!(trouble.what.contains("refund") && trouble.what.contains("from 2027"), "{trouble:?}");
        assert_eq!(unattended(&bought, Some(bought.consumer)), None);
        assert_eq!(unattended(&samples::binding(), None), None, "what is active needs no key");
    }

    #[test]
    fn what_waits_for_its_owners_word_is_named_with_the_deadline_and_whom_silence_favours() {
        let mut case = samples::dispute().dispute;
        assert_eq!(case_to_decide(&case), None, "a party decides nothing");
        case.needs_you = true;
        let trouble = case_to_decide(&case).unwrap();
        assert!(
            trouble.what.contains(&case.award_by.text) && trouble.what.contains("means the consumer"),
            "{trouble:?}"
        );
        let mut away = samples::arbitrated_binding();
        assert_eq!(undecided(&away), None);
        (away.phase, away.ended) = ("delivered".into(), Some(End::ConsumerGone.as_str().into()));
        away.escrow.as_mut().unwrap().dispute = Some("none".into());
        assert!(undecided(&away).unwrap().remedy.contains("binding release"));
    }

    #[test]
    fn a_bond_that_pays_another_account_is_named_with_its_time() {
        let offer = samples::own_offering();
        assert!(unattended_bond(&offer, other()).unwrap().what.contains(&offer.bond.returns_at.text));
        assert_eq!(unattended_bond(&offer, Some(offer.bond.recipient)), None);
    }
}
