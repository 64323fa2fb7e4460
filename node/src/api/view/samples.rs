//! One value of each view, for tests.

use serde_json::json;
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::{Stroops, Unit};
use tradepost_protocol::asset::Asset;
use tradepost_protocol::document::{Transport, Windows};
use tradepost_protocol::escrow::EscrowKind;
use tradepost_protocol::message::{BalanceId, BindingId, MessageId, SeriesId, TemplateId, TxHash};
use tradepost_protocol::time::Timestamp;

use super::*;
use crate::api::base64::Base64;

fn at(secs: u64) -> Moment {
    Timestamp::from_secs(1_800_000_000 + secs).into()
}

fn account(byte: u8) -> AccountId {
    AccountId::from_bytes([byte; 32])
}

/// A new trustline for an asset whose issuer may take it back.
pub(crate) fn trust() -> TrustView {
    TrustView {
        asset: Asset::issued("HEXA", account(3)).expect("four letters"),
        limit: Stroops::whole(5_000),
        before: None,
        holds: Stroops::ZERO,
        fee: Stroops::new(100).expect("positive"),
        reserve: Stroops::new(5_000_000).expect("positive"),
        spendable_before: Stroops::whole(90),
        must_authorize: false,
        may_revoke: true,
        may_claw_back: true,
        accepted: false,
    }
}

/// This node's published request of 10 calls for at most 5 XLM.
pub(crate) fn request() -> RequestView {
    RequestView {
        request: MessageId::from_bytes([0xcd; 32]),
        role: "own".into(),
        state: "live".into(),
        binding: None,
        account: account(1),
        series: SeriesId::from_bytes([1; 32]),
        offering: MessageId::from_bytes([2; 32]),
        title: Some("Weather".into()),
        units: 10,
        unit: Some(Unit::Call),
        budget: Some(Stroops::whole(5)),
        asset: Some(Asset::Native),
        peer: "12D3KooWabc".parse().expect("it is base58"),
        valid_until: at(600),
        note: None,
    }
}

/// A consumer's active binding of 10 calls for 5 XLM.
pub(crate) fn binding() -> BindingView {
    BindingView {
        binding: Some(BindingId::from_bytes([0xab; 32])),
        request: MessageId::from_bytes([0xcd; 32]),
        side: "consumer".into(),
        phase: "active".into(),
        negotiation: "agreed".into(),
        session: "active".into(),
        ended: None,
        title: Some("Weather".into()),
        series: SeriesId::from_bytes([1; 32]),
        offering: MessageId::from_bytes([2; 32]),
        consumer: account(1),
        recipient: Some(account(2)),
        peer: "12D3KooWabc".parse().expect("it is base58"),
        units: 10,
        used: 3,
        seen: None,
        if_unbound: Some(SplitView { to_provider: Stroops::whole(5), to_consumer: Stroops::ZERO }),
        unit: Some(Unit::Call),
        amount: Some(Stroops::whole(5)),
        asset: Some(Asset::Native),
        escrow: Some(EscrowView {
            kind: EscrowKind::Timed,
            protects: EscrowKind::Timed.protects().into(),
            state: "locked".into(),
            division: None,
            mismatch: None,
            balance: Some(BalanceId::from_bytes([3; 32])),
            beneficiary: "consumer".into(),
            arbiters: Vec::new(),
            dispute: None,
        }),
        issuer: None,
        deadlines: Some(DeadlinesView {
            fund_by: at(20),
            start_by: at(30),
            deliver_by: at(90),
            dispute_by: None,
            award_by: None,
            refund_at: Some(at(102)),
        }),
        next_deadline: Some(DeadlineView { name: "deliver_by".into(), at: at(90) }),
        next_action: "use it: tradepost call".into(),
        transactions: TransactionsView { funding: Some(TxHash::from_bytes([4; 32])), closing: None },
        note: None,
        is_final: false,
    }
}

/// One of the arbiters, who wants one coin.
fn arbiter(award: Option<AwardView>) -> ArbiterView {
    ArbiterView { account: account(4), fee: Stroops::whole(1), award }
}

/// A consumer's binding for 20 of an asset that its issuer may take back, disputed, in which silence pays.
pub(crate) fn arbitrated_binding() -> BindingView {
    let hexa = Asset::issued("HEXA", account(3)).expect("four letters");
    let usual = binding();
    BindingView {
        phase: "disputed".into(),
        if_unbound: None,
        amount: Some(Stroops::whole(20)),
        asset: Some(hexa.clone()),
        escrow: usual.escrow.map(|escrow| EscrowView {
            kind: EscrowKind::Arbitrated,
            protects: EscrowKind::Arbitrated.protects().into(),
            beneficiary: "provider".into(),
            arbiters: vec![arbiter(None)],
            dispute: Some("opened".into()),
            ..escrow
        }),
        issuer: Some(IssuerView { asset: hexa, must_authorize: false, may_revoke: true, may_claw_back: true }),
        deadlines: usual.deadlines.map(|deadlines| DeadlinesView {
            deliver_by: at(68),
            dispute_by: Some(at(76)),
            award_by: Some(at(82)),
            refund_at: Some(at(90)),
            ..deadlines
        }),
        ..usual
    }
}

/// A consumer's dispute about 20 XLM, awarded 15 to 5, with what it has shown.
pub(crate) fn dispute() -> DisputeDetails {
    let split = SplitView { to_provider: Stroops::whole(15), to_consumer: Stroops::whole(5) };
    let all = SplitView { to_provider: Stroops::ZERO, to_consumer: Stroops::whole(20) };
    let award = AwardView { split, note: "It answered three of four calls.".into() };
    let dispute = DisputeView {
        binding: BindingId::from_bytes([0xab; 32]),
        request: MessageId::from_bytes([0xcd; 32]),
        role: "consumer".into(),
        title: Some("Weather".into()),
        amount: Stroops::whole(20),
        asset: Asset::Native,
        state: "awarded".into(),
        opened_by: Some("consumer".into()),
        asks: BySide { provider: None, consumer: Some(all) },
        released: BySide::default(),
        shown: BySide { provider: 0, consumer: 1 },
        arbiters: vec![arbiter(Some(award))],
        majority: 1,
        award: Some(split),
        fees: Stroops::whole(1),
        dispute_by: at(76),
        award_by: at(82),
        refund_at: at(90),
        beneficiary: "consumer".into(),
        next_action: "the side that gains settles it on the ledger".into(),
        needs_you: false,
        is_open: true,
    };
    let log = FileView { name: "log.txt".into(), bytes: Base64(vec![1, 2, 3]) };
    let evidence = EvidenceView {
        by: "consumer".into(),
        number: 0,
        at: at(40),
        text: "One call wasn't answered.".into(),
        files: vec![log],
    };
    DisputeDetails { dispute, evidence: vec![evidence] }
}

/// An offering of calls at 0.5 XLM.
pub(crate) fn offering() -> OfferingView {
    let parameters = json!({"endpoints": [{"method": "GET", "path": "/weather"}]});
    OfferingView {
        id: MessageId::from_bytes([2; 32]),
        series: SeriesId::from_bytes([1; 32]),
        revision: 1,
        title: "Weather".into(),
        description: "Of today.".into(),
        template: TemplateView { id: TemplateId::from_bytes([5; 32]), name: Some("http-api".into()) },
        parameters: parameters.as_object().cloned().unwrap_or_default(),
        service: None,
        price: PriceView {
            amount: Stroops::new(5_000_000).unwrap_or_default(),
            asset: Asset::Native,
            unit: Unit::Call,
        },
        min_units: 1,
        max_units: 100,
        max_supply: 4,
        free: 3,
        live: true,
        bonded: true,
        withdrawn: false,
        conflicting: false,
        outdated: false,
        own: false,
        escrow: vec![EscrowKind::Timed],
        protects: vec![EscrowKind::Timed.protects().into()],
        windows: Windows { deliver_secs: 60, collect_secs: 12 },
        arbitration: None,
        account: account(2),
        recipient: account(2),
        serving_key: tradepost_protocol::account::ServingKey::from_bytes([6; 32]),
        peer_ids: vec!["12D3KooWabc".parse().expect("it is base58")],
        transports: vec![Transport::Tcp],
        bond: BalanceId::from_bytes([7; 32]),
        valid_until: at(3_600),
        presence_at: Some(at(0)),
    }
}

/// What 10 calls of it cost.
pub(crate) fn cost() -> CostView {
    CostView {
        amount: Stroops::whole(5),
        asset: Asset::Native,
        fee: Stroops::new(1_000_000).unwrap_or_default(),
        reserve: Stroops::new(15_000_000).unwrap_or_default(),
        returns_at: Some(at(102)),
        spendable_before: Stroops::whole(97),
        protects: Some(EscrowKind::Timed.protects().into()),
        held: Some(HeldView { kind: EscrowKind::Timed, beneficiary: "consumer".into(), arbiters: Vec::new() }),
        issuer: None,
    }
}

/// What a package costs for 20 XLM with an arbiter.
pub(crate) fn arbitrated_cost() -> CostView {
    CostView {
        amount: Stroops::whole(20),
        reserve: Stroops::new(45_000_000).unwrap_or_default(),
        returns_at: Some(at(90)),
        protects: Some(EscrowKind::Arbitrated.protects().into()),
        held: Some(HeldView {
            kind: EscrowKind::Arbitrated,
            beneficiary: "consumer".into(),
            arbiters: vec![arbiter(None)],
        }),
        ..cost()
    }
}

/// An offering of one's own.
pub(crate) fn own_offering() -> OwnOfferingView {
    OwnOfferingView {
        series: SeriesId::from_bytes([8; 32]),
        id: MessageId::from_bytes([8; 32]),
        title: "Maps".into(),
        state: "open".into(),
        price: offering().price,
        live: true,
        max_supply: 4,
        free: Some(4),
        bond: BondView {
            balance: BalanceId::from_bytes([9; 32]),
            recipient: account(1),
            amount: Stroops::whole(2),
            returns_at: at(3_672),
            transaction: Some(TxHash::from_bytes([10; 32])),
        },
        valid_until: at(3_600),
    }
}

/// A wallet with one escrow out.
pub(crate) fn wallet() -> WalletView {
    WalletView {
        submitters: Vec::new(),
        account: Some(account(1)),
        exists: true,
        balance: Stroops::whole(100),
        spendable: Stroops::whole(97),
        reserved: Stroops::whole(3),
        committed: Stroops::ZERO,
        locked: vec![LockedView {
            what: "escrow".into(),
            of: BindingId::from_bytes([0xab; 32]).to_string(),
            balance: Some(BalanceId::from_bytes([3; 32])),
            amount: Stroops::whole(5),
            asset: Asset::Native,
            reserve: Stroops::new(15_000_000).unwrap_or_default(),
            returns_at: at(102),
            may_be_collected: true,
            beneficiary: Some("consumer".into()),
        }],
        transactions: vec![TransactionView {
            hash: TxHash::from_bytes([11; 32]),
            purpose: "pay".into(),
            of: "0c".repeat(16),
            state: "submitted".into(),
            sequence: 77,
            max_time: at(15),
        }],
    }
}

/// An escrow that was found, and a bond that another account gets.
pub(crate) fn recovery() -> RecoveryView {
    let escrow = FoundView {
        what: "escrow".into(),
        of: BindingId::from_bytes([0xab; 32]).to_string(),
        balance: BalanceId::from_bytes([3; 32]),
        amount: Stroops::whole(5),
        asset: Asset::Native,
        due: at(102),
        returns_to: account(1),
        mine: true,
        may_be_collected_by: Some(account(2)),
        state: "standing".into(),
        transaction: None,
        trouble: None,
    };
    let bond = FoundView {
        what: "bond".into(),
        of: "0c".repeat(32),
        balance: BalanceId::from_bytes([4; 32]),
        due: at(400),
        returns_to: account(2),
        mine: false,
        may_be_collected_by: None,
        ..escrow.clone()
    };
    RecoveryView {
        account: Some(account(1)),
        walked: 77,
        of: 77,
        done: true,
        found: vec![escrow, bond],
        controllers: Vec::new(),
        submitters: Vec::new(),
    }
}

/// A server that is well.
pub(crate) fn endpoint() -> EndpointView {
    EndpointView {
        url: "http://127.0.0.1:8000".into(),
        operator: "127.0.0.1".into(),
        state: "fine".into(),
        why: None,
        since_secs: None,
        newest: Some(42),
    }
}

/// A node without peers.
pub(crate) fn status() -> StatusView {
    StatusView {
        ok: false,
        troubles: vec![Trouble::new("no peers", "set `bootstrap`")],
        version: "0.1.0".into(),
        pid: 4_711,
        network: NetworkView { name: "devnet".into(), passphrase: "Devnet ; 1".into(), id: "0d".repeat(32) },
        ledger: LedgerView {
            ok: true,
            rpc_url: "http://127.0.0.1:8000".into(),
            sequence: 42,
            close_time: at(0),
            age_secs: 0,
            why: None,
            endpoints: vec![endpoint()],
        },
        keys: KeysView { account: Some(account(1)), serving: None, sealing: None, roles: vec!["account".into()] },
        wallet: Some(wallet()),
        peers: Peers {
            peer_id: "12D3KooWabc".into(),
            addresses: vec!["/ip4/127.0.0.1/tcp/4610/p2p/12D3KooWabc".into()],
            connected: 0,
            met: 0,
            first_sync: FirstSyncView { wanted: 3, read: 2, under_way: 0, independent: 1 },
        },
        offerings: Offers { known: 2, live: 1, waiting: 0, own: vec![own_offering()] },
        bindings: vec![binding()],
        disputes: vec![dispute().dispute],
        resets: vec![reset()],
    }
}

/// A network that began anew under a binding and an offering.
pub(crate) fn reset() -> ResetView {
    ResetView {
        archive: "/var/lib/tradepost/archive/testnet-0d0d0d0d0d0d".into(),
        why: "the network behind http://127.0.0.1:8000 was reset".into(),
        noticed_at: at(0),
        bindings: vec![binding()],
        offerings: vec![own_offering()],
        unread: None,
    }
}

/// A service of one's own.
pub(crate) fn service() -> ServiceView {
    ServiceView {
        service: tradepost_protocol::account::ServiceKey::from_bytes([1; 32]),
        title: "Echo".into(),
        repository: "https://example.org/e.git".parse().expect("it is a repository"),
        commit: "ab".repeat(20).parse().expect("it is a commit"),
        path: "services/echo".parse().expect("it is a path"),
        interface_hash: tradepost_protocol::document::InterfaceHash::from_bytes([2; 32]),
        revision: 2,
        record: MessageId::from_bytes([3; 32]),
        own: true,
    }
}

/// One connected peer.
pub(crate) fn peers() -> PeerList {
    PeerList {
        peer_id: "12D3KooWabc".into(),
        addresses: vec!["/ip4/127.0.0.1/tcp/4610/p2p/12D3KooWabc".into()],
        items: vec![PeerView {
            peer: "12D3KooWdef".into(),
            address: "/ip4/127.0.0.1/tcp/4611".into(),
            direction: "outbound".into(),
            connections: 1,
            agent: Some("tradepost/0.1.0".into()),
            rtt_ms: Some(1),
            met: true,
            score: 6,
        }],
        remedy: None,
    }
}

/// An offer in a help exchange that somebody took.
pub(crate) fn chain() -> ChainView {
    let exchange = Asset::issued("ClawableHexa", account(3)).expect("twelve letters");
    let offer = LinkView {
        transaction: TxHash::from_bytes([0xaa; 32]),
        kind: "offer".into(),
        by: account(1),
        previous: None,
        depth: 0,
        ledger: 7,
        at: at(0),
        amount: Stroops::new(100).expect("positive"),
        asset: Asset::issued("HEXA", account(4)).expect("four letters"),
        description: Some("Bread".into()),
        price: Some(Stroops::whole(5)),
        series: Some(SeriesId::from_bytes([1; 32])),
        state: "stands".into(),
    };
    let take = LinkView {
        transaction: TxHash::from_bytes([0xbb; 32]),
        kind: "take".into(),
        by: account(2),
        previous: Some(offer.transaction),
        depth: 1,
        amount: Stroops::new(50_000_100).expect("positive"),
        asset: exchange.clone(),
        description: None,
        price: None,
        series: None,
        state: "waits for the maker".into(),
        ..offer.clone()
    };
    ChainView { exchange, links: vec![offer, take] }
}

/// A help exchange that this node is a member of.
pub(crate) fn exchange() -> ExchangeView {
    ExchangeView {
        clawable: Asset::issued("ClawableHexa", account(3)).expect("twelve letters"),
        plain: Asset::issued("HEXA", account(4)).expect("four letters"),
        agent: account(5),
        fee: Stroops::new(100).expect("positive"),
        start: Stroops::whole(5_000),
        repay_secs: 604_800,
        convert_secs: 0,
        role: None,
        offered: true,
        accepted: true,
        member: true,
        members: 3,
        endowed: true,
        followed: 9,
        gap: false,
        makes: Vec::new(),
        standing: vec![StandingView {
            transaction: TxHash::from_bytes([0xbb; 32]),
            kind: Some("take".into()),
            balance: BalanceId::from_bytes([0xcc; 32]),
            amount: Stroops::new(50_000_100).expect("positive"),
            asset: Asset::issued("ClawableHexa", account(3)).expect("twelve letters"),
        }],
    }
}
