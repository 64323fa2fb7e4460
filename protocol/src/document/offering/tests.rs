#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::amount::Unit;
use crate::asset::Asset;
use crate::refusal::Reason;

pub(in crate::document) fn offering() -> Offering {
    Offering {
        account: AccountId::from_bytes([1; 32]),
        series: None,
        revision: 1,
        template: TemplateId::from_bytes([2; 32]),
        parameters: serde_json::json!({"a": 1}).as_object().unwrap().clone(),
        title: "Snapper".into(),
        description: "Freshly caught.\n4 lb.".into(),
        service: Some(ServiceRef {
            service: ServiceKey::from_bytes([3; 32]),
            repository: "https://example.org/s.git".parse().unwrap(),
            commit: "ab".repeat(20).parse().unwrap(),
            path: "".parse().unwrap(),
        }),
        recipient: AccountId::from_bytes([4; 32]),
        serving_key: ServingKey::from_bytes([5; 32]),
        price: Price { asset: Asset::Native, amount: Stroops::whole(2), unit: Unit::Call },
        min_units: 1,
        max_units: 100,
        max_supply: 10,
        escrow: vec![EscrowKind::Timed],
        windows: Windows { deliver_secs: 60, collect_secs: 12 },
        arbitration: None,
        peer_ids: vec!["12D3KooWabc".parse().unwrap()],
        transports: vec![Transport::Tcp, Transport::Quic],
        sealing_key: SealingKey::from_bytes([6; 32]),
        bond: BalanceId::from_bytes([7; 32]),
        nonce: Nonce::from_bytes([8; 16]),
        valid_until: Timestamp::from_secs(1_800_000_000),
    }
}

/// An offering that accepts arbitrated and timed escrows, with windows of 60, then 30, 20 and 10 seconds.
pub(crate) fn offering_with_arbiters() -> Offering {
    let arbiters = vec![AccountId::from_bytes([7; 32])];
    let arbitration = Arbitration { arbiters, dispute_secs: 30, award_secs: 20, settle_secs: 10 };
    let escrow = vec![EscrowKind::Arbitrated, EscrowKind::Timed];
    Offering { escrow, arbitration: Some(arbitration), ..offering() }
}

fn refused(offering: &Offering) -> String {
    let refusal = offering.encode().unwrap_err();
    assert_eq!(refusal.reason, Reason::InvalidDocument);
    refusal.detail
}

#[test]
fn an_offering_has_its_golden_bytes() {
    let golden = concat!(
        r#"{"account":"GAAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQDZ7H","revision":1,"#,
        r#""template":"0202020202020202020202020202020202020202020202020202020202020202","parameters":{"a":1},"#,
        r#""title":"Snapper","description":"Freshly caught.\n4 lb.","service":{"#,
        r#""service":"GABQGAYDAMBQGAYDAMBQGAYDAMBQGAYDAMBQGAYDAMBQGAYDAMBQHGPC","repository":"https://example.org/s.git","#,
        r#""commit":"abababababababababababababababababababab","path":""},"#,
        r#""recipient":"GACAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAJJHP","#,
        r#""serving_key":"GACQKBIFAUCQKBIFAUCQKBIFAUCQKBIFAUCQKBIFAUCQKBIFAUCQKG7N","#,
        r#""price":{"asset":"native","amount":"20000000","unit":"call"},"min_units":1,"max_units":100,"max_supply":10,"#,
        r#""escrow":["timed"],"windows":{"deliver_secs":60,"collect_secs":12},"peer_ids":["12D3KooWabc"],"#,
        r#""transports":["tcp","quic"],"#,
        r#""sealing_key":"0606060606060606060606060606060606060606060606060606060606060606","#,
        r#""bond":"0707070707070707070707070707070707070707070707070707070707070707","#,
        r#""nonce":"08080808080808080808080808080808","valid_until":1800000000}"#
    );
    assert_eq!(String::from_utf8(offering().encode().unwrap()).unwrap(), golden);
    assert_eq!(Offering::decode(golden.as_bytes()).unwrap(), offering());
}

#[test]
fn arbiters_stand_exactly_where_the_escrow_needs_them_and_the_bond_outlasts_a_dispute() {
    let arbitrated = offering_with_arbiters();
    let (escrow, arbitration) = (arbitrated.escrow.clone(), arbitrated.arbitration.clone().unwrap());
    let text = String::from_utf8(arbitrated.encode().unwrap()).unwrap();
    let golden = concat!(
        r#""windows":{"deliver_secs":60,"collect_secs":12},"arbitration":{"arbiters":["#,
        r#""GADQOBYHA4DQOBYHA4DQOBYHA4DQOBYHA4DQOBYHA4DQOBYHA4DQOZPI"],"#,
        r#""dispute_secs":30,"award_secs":20,"settle_secs":10},"peer_ids""#
    );
    assert!(text.contains(golden), "{text}");
    assert_eq!(Offering::decode(text.as_bytes()).unwrap(), arbitrated);
    assert_eq!(arbitrated.bond_release(), arbitrated.valid_until.plus(core::time::Duration::from_secs(120)));
    assert_eq!(offering().bond_release(), offering().valid_until.plus(core::time::Duration::from_secs(72)));
    assert!(refused(&Offering { escrow, ..offering() }).contains("/arbitration"));
    assert!(refused(&Offering { arbitration: Some(arbitration.clone()), ..offering() }).contains("/arbitration"));
    for bad in [
        Arbitration { arbiters: vec![], ..arbitration.clone() },
        Arbitration { arbiters: vec![AccountId::from_bytes([7; 32]); 2], ..arbitration.clone() },
        Arbitration { dispute_secs: 0, ..arbitration.clone() },
        Arbitration { award_secs: MAX_WINDOW.as_secs() + 1, ..arbitration.clone() },
        Arbitration { settle_secs: u64::MAX, ..arbitration },
    ] {
        assert!(refused(&Offering { arbitration: Some(bad), ..arbitrated.clone() }).contains("/arbitration"));
    }
}

#[test]
fn a5_amounts_that_overflow_and_counts_of_zero_are_refused_and_a_price_of_zero_is_not() {
    let priced = |amount, min_units, max_supply| {
        let price = Price { amount: Stroops::new(amount).unwrap(), ..offering().price };
        Offering { price, min_units, max_units: min_units, max_supply, ..offering() }
    };
    assert!(refused(&priced(1 << 62, 2, 1)).contains("/max_units"));
    assert!(refused(&priced(1 << 62, 1, 2)).contains("/max_supply"));
    assert!(priced(1 << 62, 1, 1).encode().is_ok());
    assert!(refused(&priced(1, 0, 1)).contains("/min_units"));
    assert!(refused(&priced(1, 1, 0)).contains("/max_supply"));
    let free = priced(0, 1, u32::MAX);
    assert!(free.encode().is_ok());
    assert_eq!(free.max_exposure(), Some(Stroops::ZERO));
    assert!(refused(&Offering { min_units: 5, max_units: 4, ..offering() }).contains("/max_units"));
    let by_second = |max_units| {
        let price = Price { unit: Unit::Second, ..offering().price };
        Offering { price, max_units, ..offering() }
    };
    assert!(refused(&by_second(61)).contains("/max_units: must not be above windows.deliver_secs, 60"));
    assert!(by_second(60).encode().is_ok());
    assert_eq!(priced(3, 5, 7).max_exposure(), Stroops::new(105));
}

#[test]
fn the_first_revision_names_the_series_and_later_ones_refer_to_it() {
    let series = Some(SeriesId::from_bytes([9; 32]));
    assert!(refused(&Offering { revision: 0, ..offering() }).contains("/revision"));
    assert!(refused(&Offering { revision: 1, series, ..offering() }).contains("/series"));
    assert!(refused(&Offering { revision: 2, ..offering() }).contains("/series"));
    assert!(Offering { revision: 2, series, ..offering() }.encode().is_ok());
}

#[test]
fn windows_lists_and_texts_are_bounded() {
    let window =
        |deliver_secs, collect_secs| Offering { windows: Windows { deliver_secs, collect_secs }, ..offering() };
    for bad in [window(0, 1), window(1, 0), window(MAX_WINDOW.as_secs() + 1, 1), window(1, MAX_WINDOW.as_secs() + 1)] {
        assert!(refused(&bad).contains("/windows"));
    }
    assert!(refused(&Offering { title: " ".into(), ..offering() }).contains("/title"));
    assert!(refused(&Offering { title: "a\nb".into(), ..offering() }).contains("/title"));
    assert!(refused(&Offering { title: "é".repeat(121), ..offering() }).contains("/title"));
    assert!(refused(&Offering { description: "é".repeat(4_001), ..offering() }).contains("/description"));
    assert!(refused(&Offering { escrow: vec![], ..offering() }).contains("/escrow"));
    assert!(refused(&Offering { transports: vec![Transport::Tcp; 2], ..offering() }).contains("/transports"));
    assert!(refused(&Offering { peer_ids: vec![], ..offering() }).contains("/peer_ids"));
    let large = Offering { parameters: [("a".into(), "x".repeat(16_000).into())].into_iter().collect(), ..offering() };
    assert_eq!(large.encode().unwrap_err().reason, Reason::TooLarge);
}

#[test]
fn numbers_and_amounts_are_written_in_one_way() {
    let text = String::from_utf8(offering().encode().unwrap()).unwrap();
    for (from, to) in [
        ("\"amount\":\"20000000\"", "\"amount\":20000000"),
        ("\"amount\":\"20000000\"", "\"amount\":\"-1\""),
        ("\"min_units\":1", "\"min_units\":-1"),
        ("\"max_supply\":10", "\"max_supply\":4294967296"),
        ("\"unit\":\"call\"", "\"unit\":\"hour\""),
        ("\"asset\":\"native\"", "\"asset\":\"XLM\""),
        ("\"deliver_secs\":60", "\"deliver_secs\":60,\"extra\":1"),
        ("\"revision\":1,", ""),
    ] {
        let changed = text.replace(from, to);
        assert_ne!(changed, text);
        let refusal = Offering::decode(changed.as_bytes()).unwrap_err();
        assert_eq!(refusal.reason, Reason::Malformed, "{to}");
        assert!(refusal.detail.contains("at line 1 column "), "{refusal}");
    }
}
