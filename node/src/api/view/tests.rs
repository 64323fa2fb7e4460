//! Every view has its golden JSON: programs read it, so that no field may change its name or meaning.

use core::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::samples;

#[track_caller]
fn is_golden<T: Serialize + DeserializeOwned + PartialEq + Debug>(view: &T, golden: &str) {
    let json = serde_json::to_string_pretty(view).expect("views are JSON");
    assert_eq!(json, golden.trim_end());
    assert_eq!(&serde_json::from_str::<T>(golden).expect("the golden JSON is the view's"), view);
}

#[test]
fn the_status_has_its_golden_json() {
    is_golden(&samples::status(), include_str!("golden/status.json"));
}

#[test]
fn an_offering_has_its_golden_json() {
    is_golden(&samples::offering(), include_str!("golden/offering.json"));
}

#[test]
fn an_own_offering_has_its_golden_json() {
    is_golden(&samples::own_offering(), include_str!("golden/own_offering.json"));
}

#[test]
fn a_binding_has_its_golden_json() {
    is_golden(&samples::binding(), include_str!("golden/binding.json"));
}

#[test]
fn an_arbitrated_binding_has_its_golden_json() {
    is_golden(&samples::arbitrated_binding(), include_str!("golden/arbitrated_binding.json"));
}

#[test]
fn a_dispute_has_its_golden_json() {
    is_golden(&samples::dispute(), include_str!("golden/dispute.json"));
}

#[test]
fn a_request_has_its_golden_json() {
    is_golden(&samples::request(), include_str!("golden/request.json"));
}

#[test]
fn a_wallet_has_its_golden_json() {
    is_golden(&samples::wallet(), include_str!("golden/wallet.json"));
}

#[test]
fn a_trustline_has_its_golden_json() {
    is_golden(&samples::trust(), include_str!("golden/trust.json"));
}

#[test]
fn what_was_found_has_its_golden_json() {
    is_golden(&samples::recovery(), include_str!("golden/recovery.json"));
}

#[test]
fn a_cost_has_its_golden_json() {
    is_golden(&samples::cost(), include_str!("golden/cost.json"));
}

#[test]
fn a_service_has_its_golden_json() {
    is_golden(&samples::service(), include_str!("golden/service.json"));
}

#[test]
fn a_list_of_peers_has_its_golden_json() {
    is_golden(&samples::peers(), include_str!("golden/peers.json"));
}

#[test]
fn a_help_exchange_has_its_golden_json() {
    is_golden(&samples::exchange(), include_str!("golden/exchange.json"));
}

#[test]
fn a_chain_of_a_help_exchange_has_its_golden_json() {
    is_golden(&samples::chain(), include_str!("golden/chain.json"));
}
