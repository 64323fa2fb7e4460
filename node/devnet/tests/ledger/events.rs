//! Events of assets (CAP-67), and how they are asked for.

use serde_json::{Value, json};
use stellar_xdr::*;
use tradepost_devnet::{INVALID_PARAMS, INVALID_REQUEST, Ledger};

use crate::asking::*;
use crate::audit::text_of;
use crate::world::*;

fn symbol(name: &str) -> ScVal {
    ScVal::Symbol(ScSymbol(name.try_into().unwrap()))
}

fn address(key: &Key) -> ScVal {
    ScVal::Address(ScAddress::Account(key.id()))
}

fn text(text: &str) -> ScVal {
    ScVal::String(ScString(text.try_into().unwrap()))
}

fn number(n: u64) -> ScVal {
    ScVal::I128(Int128Parts { hi: 0, lo: n })
}

/// An amount with whom it is for.
fn for_whom(n: u64, whom: ScVal) -> ScVal {
    let entry = |key: &str, val: ScVal| ScMapEntry { key: symbol(key), val };
    ScVal::Map(Some(ScMap(vec![entry("amount", number(n)), entry("to_muxed_id", whom)].try_into().unwrap())))
}

/// The events of the newest ledger's operations.
fn newest(world: &mut World) -> Vec<(Vec<ScVal>, ScVal)> {
    let start = world.ledger.sequence();
    let page = rpc(world, "getEvents", json!({ "startLedger": start, "filters": [] }));
    page["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["transactionIndex"] != 0)
        .map(|event| (event["topic"].as_array().unwrap().iter().map(from_b64).collect(), from_b64(&event["value"])))
        .collect()
}

fn run(world: &mut World, tx: Tx, keys: &[&Key]) -> Vec<(Vec<ScVal>, ScVal)> {
    let outcome = world.run(tx, keys);
    assert!(outcome.succeeded(), "{outcome:?}");
    newest(world)
}

struct Cast {
    world: World,
    /// Issues USD, which can be clawed back.
    issuer: Key,
    a: Key,
    b: Key,
    usd: Asset,
}

impl Cast {
    fn new() -> Self {
        let mut world = World::new();
        let [issuer, a, b] = ["issuer", "a", "b"].map(|name| world.account(name, 100 * XLM));
        let usd = issuer.asset("USD");
        let flags = AccountFlags::RevocableFlag as u32 | AccountFlags::ClawbackEnabledFlag as u32;
        world.must(&issuer, options(|o| o.set_flags = Some(flags)));
        for key in [&a, &b] {
            world.must(key, trust(&usd, i64::MAX));
        }
        world.must(&issuer, pay(&a, usd.clone(), 1_000));
        Self { world, issuer, a, b, usd }
    }

    fn one(&mut self, source: &Key, body: OperationBody) -> Vec<(Vec<ScVal>, ScVal)> {
        let tx = self.world.next(source).op(body);
        run(&mut self.world, tx, &[source])
    }
}

#[test]
fn a_payment_is_a_transfer_a_mint_or_a_burn() {
    let mut cast = Cast::new();
    let (issuer, a, b, usd) = (cast.issuer.clone(), cast.a.clone(), cast.b.clone(), cast.usd.clone());
    let asset = text(&text_of(&usd));
    let told = cast.one(&a, pay(&b, usd.clone(), 10));
    assert_eq!(told, [(vec![symbol("transfer"), address(&a), address(&b), asset.clone()], number(10))]);
    let told = cast.one(&issuer, pay(&b, usd.clone(), 11));
    assert_eq!(told, [(vec![symbol("mint"), address(&b), asset.clone()], number(11))]);
    let told = cast.one(&b, pay(&issuer, usd, 12));
    assert_eq!(told, [(vec![symbol("burn"), address(&b), asset], number(12))]);
    // Native coin has no issuer; who pays himself is told all the same.
    let told = cast.one(&issuer, pay(&a, Asset::Native, 13));
    assert_eq!(told, [(vec![symbol("transfer"), address(&issuer), address(&a), text("native")], number(13))]);
    let told = cast.one(&a, pay(&a, Asset::Native, 14));
    assert_eq!(told, [(vec![symbol("transfer"), address(&a), address(&a), text("native")], number(14))]);
}

#[test]
fn accounts_are_made_and_merged_by_transfers_of_native_coin() {
    let mut cast = Cast::new();
    let (a, new) = (cast.a.clone(), Key::of("new"));
    let told = cast.one(&a, create_account(&new, 5 * XLM));
    let amount = u64::try_from(5 * XLM).unwrap();
    assert_eq!(told, [(vec![symbol("transfer"), address(&a), address(&new), text("native")], number(amount))]);
    let told = cast.one(&new, merge(&a));
    let left = amount - 100;
    assert_eq!(told, [(vec![symbol("transfer"), address(&new), address(&a), text("native")], number(left))]);
}

#[test]
fn a_claimable_balance_takes_part_by_its_id() {
    let mut cast = Cast::new();
    let (issuer, a, b, usd) = (cast.issuer.clone(), cast.a.clone(), cast.b.clone(), cast.usd.clone());
    let asset = text(&text_of(&usd));
    let anyone = |key: &Key| vec![claimant(key, ClaimPredicate::Unconditional)];
    let id = balance_id(&a, cast.world.sequence(&a) + 1, 0);
    let balance = ScVal::Address(ScAddress::ClaimableBalance(id.clone()));
    let told = cast.one(&a, create_balance(usd.clone(), 20, anyone(&b)));
    assert_eq!(told, [(vec![symbol("transfer"), address(&a), balance.clone(), asset.clone()], number(20))]);
    let told = cast.one(&b, claim(&id));
    assert_eq!(told, [(vec![symbol("transfer"), balance, address(&b), asset.clone()], number(20))]);

    let id = balance_id(&issuer, cast.world.sequence(&issuer) + 1, 0);
    let balance = ScVal::Address(ScAddress::ClaimableBalance(id.clone()));
    let told = cast.one(&issuer, create_balance(usd, 21, anyone(&b)));
    assert_eq!(told, [(vec![symbol("mint"), balance.clone(), asset.clone()], number(21))]);
    let told = cast.one(&issuer, claw_back_balance(&id));
    assert_eq!(told, [(vec![symbol("clawback"), balance, asset], number(21))]);
}

#[test]
fn the_issuer_is_heard_taking_back_and_authorising() {
    let mut cast = Cast::new();
    let (issuer, a, usd) = (cast.issuer.clone(), cast.a.clone(), cast.usd.clone());
    let asset = text(&text_of(&usd));
    let told = cast.one(&issuer, claw_back(&a, &usd, 30));
    assert_eq!(told, [(vec![symbol("clawback"), address(&a), asset.clone()], number(30))]);
    let authorized = |now| [(vec![symbol("set_authorized"), address(&a), asset.clone()], ScVal::Bool(now))];
    assert_eq!(cast.one(&issuer, set_trust_flags(&a, &usd, 1, 2)), authorized(false));
    assert_eq!(cast.one(&issuer, set_trust_flags(&a, &usd, 2, 0)), [], "it wasn't authorised before either");
    assert_eq!(cast.one(&issuer, set_trust_flags(&a, &usd, 0, 1)), authorized(true));
    assert_eq!(cast.one(&issuer, set_trust_flags(&a, &usd, 4, 0)), [], "another flag");
}

#[test]
fn a_memo_or_a_muxed_id_says_whom_an_amount_is_for() {
    let mut cast = Cast::new();
    let (a, b) = (cast.a.clone(), cast.b.clone());
    let with = |cast: &Cast, memo: Memo, body: OperationBody| {
        let mut tx = cast.world.next(&a).op(body);
        tx.tx.memo = memo;
        tx
    };
    let plain = || pay(&b, Asset::Native, 7);
    for (memo, whom) in [
        (Memo::Id(9), ScVal::U64(9)),
        (Memo::Text("for you".try_into().unwrap()), text("for you")),
        (Memo::Hash(Hash([3; 32])), ScVal::Bytes(ScBytes([3; 32].to_vec().try_into().unwrap()))),
        (Memo::Return(Hash([4; 32])), ScVal::Bytes(ScBytes([4; 32].to_vec().try_into().unwrap()))),
    ] {
        let tx = with(&cast, memo, plain());
        let told = run(&mut cast.world, tx, &[&a]);
        assert_eq!(told[0].1, for_whom(7, whom));
    }
    // The muxed id counts where both are there; topics never have it.
    let muxed = |key: &Key| MuxedAccount::MuxedEd25519(MuxedAccountMed25519 { id: 77, ed25519: Uint256(key.bytes()) });
    let body = OperationBody::Payment(PaymentOp { destination: muxed(&b), asset: Asset::Native, amount: 7 });
    let mut tx = with(&cast, Memo::Id(9), body);
    tx.tx.source_account = muxed(&a);
    let told = run(&mut cast.world, tx, &[&a]);
    let topics = vec![symbol("transfer"), address(&a), address(&b), text("native")];
    assert_eq!(told, [(topics, for_whom(7, ScVal::U64(77)))]);
    // Behind a claimable balance there is nobody; behind who claims it there is.
    let id = balance_id(&a, cast.world.sequence(&a) + 1, 0);
    let tx =
        with(&cast, Memo::Id(9), create_balance(Asset::Native, 8, vec![claimant(&a, ClaimPredicate::Unconditional)]));
    assert_eq!(run(&mut cast.world, tx, &[&a])[0].1, number(8));
    let tx = with(&cast, Memo::Id(9), claim(&id));
    assert_eq!(run(&mut cast.world, tx, &[&a])[0].1, for_whom(8, ScVal::U64(9)));
}

/// The contract of native coin on Stellar's own networks, as everybody knows
/// it there.
#[test]
fn events_come_from_the_contract_that_the_asset_has_on_its_network() {
    for (passphrase, contract) in [
        ("Test SDF Network ; September 2015", "CDLZFC3SYJYDZT7K67VZ75HPJVIEUVNIXF47ZG2FB2RMQQVU2HHGCYSC"),
        ("Public Global Stellar Network ; September 2015", "CAS3J7GYLGXMF6TDJBBYYSE3HQ6BBSMLNUQ34T6TZMYMW2EVH34XOWMA"),
    ] {
        let ledger = Ledger::genesis(passphrase, START);
        let root = Key::from_seed(ledger.root_secret());
        let mut world = World { ledger, root: root.clone() };
        world.account("a", 10 * XLM);
        let page =
            rpc(&mut world, "getEvents", json!({ "startLedger": 2, "filters": [{ "contractIds": [contract] }] }));
        let events = page["events"].as_array().unwrap();
        assert_eq!(events.len(), 2, "{passphrase}");
        assert!(events.iter().all(|event| event["contractId"] == contract));
    }
}

#[test]
fn an_event_says_where_it_happened_and_a_fee_is_before_everything() {
    let mut world = World::new();
    let (a, b) = (world.account("a", 100 * XLM), world.account("b", 100 * XLM));
    for key in [&a, &b] {
        let envelope = world.next(key).op(bump_to(0)).op(pay(&a, Asset::Native, 1)).sign(&world, &[key]);
        world.admit(&envelope);
    }
    let closed = world.close();
    let ledger = closed.sequence;
    let page = rpc(&mut world, "getEvents", json!({ "startLedger": ledger, "filters": [] }));
    let events = page["events"].as_array().unwrap();
    let places: Vec<_> = events
        .iter()
        .map(|e| {
            (e["transactionIndex"].as_u64().unwrap(), e["operationIndex"].as_u64().unwrap(), e["id"].as_str().unwrap())
        })
        .collect();
    let id = |tx: u64, op: u64, event: u32| format!("{:019}-{event:010}", (u64::from(ledger) << 32) + (tx << 12) + op);
    let ids = [id(0, 0, 0), id(0, 0, 1), id(1, 1, 0), id(2, 1, 0)];
    assert_eq!(places, [(0, 0, &*ids[0]), (0, 0, &*ids[1]), (1, 1, &*ids[2]), (2, 1, &*ids[3])]);
    let hashes: Vec<String> = closed.transactions.iter().map(|record| hex::encode(record.hash)).collect();
    for (event, hash) in events.iter().zip([&hashes[0], &hashes[1], &hashes[0], &hashes[1]]) {
        assert_eq!(event["txHash"], **hash);
        assert_eq!(event["type"], "contract");
        assert_eq!(event["ledger"], ledger);
        assert_eq!(event["ledgerClosedAt"], "2023-11-14T22:13:35Z");
        assert_eq!(event["inSuccessfulContractCall"], true);
    }
    assert_eq!(from_b64::<ScVal>(&events[0]["topic"][0]), symbol("fee"));
    assert_eq!(page["latestLedger"], ledger);
    assert_eq!(page["latestLedgerCloseTime"], closed.close_time.to_string());
    assert_eq!(page["oldestLedgerCloseTime"], START.to_string());
    // Where nothing is left to come, the cursor is the end of what was looked through.
    assert_eq!(page["cursor"], format!("{:019}-4294967295", (u64::from(ledger) << 32) + 0xffff_ffff));
}

fn ids(page: &Value) -> Vec<String> {
    page["events"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn events_come_in_pages_that_neither_repeat_nor_lose_one() {
    let mut cast = Cast::new();
    let (a, b) = (cast.a.clone(), cast.b.clone());
    for _ in 0..3 {
        cast.one(&a, pay(&b, Asset::Native, 3));
    }
    let world = &mut cast.world;
    let all = ids(&rpc(world, "getEvents", json!({ "startLedger": 1, "filters": [] })));
    assert!(all.len() > 15 && all.is_sorted());
    for limit in [1, 2, 3, 7, 10_000] {
        let mut page =
            rpc(world, "getEvents", json!({ "startLedger": 1, "filters": [], "pagination": { "limit": limit } }));
        let mut seen = Vec::new();
        while !ids(&page).is_empty() {
            assert!(ids(&page).len() <= limit);
            seen.extend(ids(&page));
            let next = json!({ "filters": [], "pagination": { "cursor": page["cursor"], "limit": limit } });
            page = rpc(world, "getEvents", next);
        }
        assert_eq!(seen, all, "{limit} at a time");
    }
    // The end of a range isn't part of it.
    let newest = world.ledger.sequence();
    let part = rpc(world, "getEvents", json!({ "startLedger": newest - 1, "endLedger": newest, "filters": [] }));
    assert_eq!(numbers(&part["events"], "ledger"), [u64::from(newest) - 1; 2]);
    let none = rpc(world, "getEvents", json!({ "startLedger": newest, "endLedger": newest, "filters": [] }));
    assert_eq!(ids(&none).len(), 0);
}

#[test]
fn filters_choose_by_contract_and_topic_with_wildcards() {
    let mut cast = Cast::new();
    let (issuer, a, b, usd) = (cast.issuer.clone(), cast.a.clone(), cast.b.clone(), cast.usd.clone());
    let from = cast.world.ledger.sequence() + 1;
    cast.one(&a, pay(&b, usd.clone(), 10));
    cast.one(&a, pay(&b, Asset::Native, 11));
    cast.one(&issuer, pay(&b, usd.clone(), 12));
    cast.one(&b, pay(&issuer, usd.clone(), 13));
    let world = &mut cast.world;
    let whole = rpc(world, "getEvents", json!({ "startLedger": from, "filters": [] }));
    let contract = whole["events"][1]["contractId"].clone();
    let amount = |event: &Value| match from_b64(&event["value"]) {
        ScVal::I128(parts) => parts.lo,
        other => panic!("{other:?}"),
    };
    let (transfer, mint, any, rest) = (b64(&symbol("transfer")), b64(&symbol("mint")), "*", "**");
    let (from_a, to_b, dollars) = (b64(&address(&a)), b64(&address(&b)), b64(&text(&text_of(&usd))));
    let cases: Vec<(Value, &[u64])> = vec![
        (json!([]), &[100, 10, 100, 11, 100, 12, 100, 13]),
        (json!([{}]), &[100, 10, 100, 11, 100, 12, 100, 13]),
        (json!([{ "type": "contract" }]), &[100, 10, 100, 11, 100, 12, 100, 13]),
        (json!([{ "type": "system,contract" }]), &[100, 10, 100, 11, 100, 12, 100, 13]),
        (json!([{ "type": "system" }]), &[]),
        (json!([{ "contractIds": [contract] }]), &[10, 12, 13]),
        (json!([{ "topics": [[transfer, any, any, any]] }]), &[10, 11]),
        (json!([{ "topics": [[transfer, any, any]] }]), &[]),
        (json!([{ "topics": [[transfer, rest]] }]), &[10, 11]),
        (json!([{ "topics": [[transfer, any, any, any, rest]] }]), &[10, 11]),
        (json!([{ "topics": [[rest]] }]), &[100, 10, 100, 11, 100, 12, 100, 13]),
        (json!([{ "topics": [[any, any]] }]), &[100, 100, 100, 100]),
        (json!([{ "topics": [[any, from_a, rest]] }]), &[100, 10, 100, 11]),
        (json!([{ "topics": [[any, any, to_b, dollars]] }]), &[10]),
        (json!([{ "topics": [[mint, to_b, dollars], [transfer, rest]] }]), &[10, 11, 12]),
        (json!([{ "contractIds": [contract], "topics": [[transfer, rest]] }]), &[10]),
        (json!([{ "topics": [[mint, rest]] }, { "contractIds": [contract], "topics": [[transfer, rest]] }]), &[10, 12]),
    ];
    for (filters, expected) in cases {
        let page = rpc(world, "getEvents", json!({ "startLedger": from, "filters": filters }));
        let amounts: Vec<u64> = page["events"].as_array().unwrap().iter().map(amount).collect();
        assert_eq!(amounts, expected, "{filters}");
    }
}

#[test]
fn what_cant_be_asked_for_is_refused_with_the_place_that_is_wrong() {
    let mut world = World::new();
    world.account("a", 10 * XLM);
    let value = b64(&symbol("transfer"));
    let filters = |filters: Value| json!({ "startLedger": 2, "filters": filters });
    let topics = |topics: Value| filters(json!([{ "topics": topics }]));
    let contract = "CDLZFC3SYJYDZT7K67VZ75HPJVIEUVNIXF47ZG2FB2RMQQVU2HHGCYSC";
    for (params, code, told) in [
        (json!({ "filters": [] }), INVALID_PARAMS, "startLedger must be positive"),
        (json!({ "startLedger": 9, "filters": [] }), INVALID_REQUEST, "within the ledger range: 1 - 2"),
        (
            json!({ "startLedger": 2, "pagination": { "cursor": "1-1" } }),
            INVALID_PARAMS,
            "ledger ranges and cursor cannot both be set",
        ),
        (
            json!({ "endLedger": 2, "pagination": { "cursor": "1-1" } }),
            INVALID_PARAMS,
            "ledger ranges and cursor cannot both be set",
        ),
        (json!({ "pagination": { "cursor": "12" } }), INVALID_PARAMS, "invalid event id 12"),
        (json!({ "pagination": { "cursor": "1-1" } }), INVALID_REQUEST, "within the ledger range: 1 - 2"),
        (json!({ "startLedger": 2, "pagination": { "limit": 10_001 } }), INVALID_PARAMS, "must not exceed 10000"),
        (filters(json!([{}, {}, {}, {}, {}, {}])), INVALID_PARAMS, "maximum 5 filters"),
        (filters(json!([7])), INVALID_PARAMS, "filter 1 invalid: not an object"),
        (filters(json!({})), INVALID_PARAMS, "filters must be a list"),
        (filters(json!([{}, { "type": "diagnostic" }])), INVALID_PARAMS, "filter 2 invalid: filter type invalid"),
        (filters(json!([{ "contractIds": ["GABC"] }])), INVALID_PARAMS, "contract ID 1 invalid"),
        (filters(json!([{ "contractIds": vec![contract; 6] }])), INVALID_PARAMS, "maximum 5 contract IDs"),
        (topics(json!(vec![["*"]; 6])), INVALID_PARAMS, "maximum 5 topics"),
        (topics(json!([[]])), INVALID_PARAMS, "topic 1 invalid: topic must have at least 1 segment"),
        (topics(json!([["*"], ["**", "*"]])), INVALID_PARAMS, "topic 2 invalid: segment 1 invalid"),
        (topics(json!([vec!["*"; 5]])), INVALID_PARAMS, "cannot have more than 4 segments"),
        (topics(json!([[value, "AAAA"]])), INVALID_PARAMS, "segment 2 invalid"),
        (topics(json!([[7]])), INVALID_PARAMS, "segment 1 invalid"),
        (json!({ "startLedger": 2, "xdrFormat": "json" }), INVALID_PARAMS, "\"base64\" only"),
    ] {
        let (answered, message) = fault(&mut world, "getEvents", params.clone());
        assert_eq!(answered, code, "{params}: {message}");
        assert!(message.contains(told), "{params}: {message}");
    }
    let four_and_more = topics(json!([[value, "*", "*", "*", "**"]]));
    assert!(world.ledger.rpc("getEvents", &four_and_more).is_ok());
}

#[test]
fn one_call_looks_through_ten_thousand_ledgers_at_most() {
    let mut world = World::new();
    for _ in 0..10_010 {
        world.ledger.close(world.ledger.close_time() + 1).unwrap();
    }
    let a = world.root.clone();
    world.must(&a, pay(&a, Asset::Native, 1));
    let page = rpc(&mut world, "getEvents", json!({ "startLedger": 1, "filters": [] }));
    assert_eq!(ids(&page).len(), 0);
    let next = json!({ "pagination": { "cursor": page["cursor"] } });
    let page = rpc(&mut world, "getEvents", next);
    assert_eq!(ids(&page).len(), 2);
}
