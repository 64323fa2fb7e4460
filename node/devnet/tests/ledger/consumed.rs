//! What a transaction that a ledger includes takes though it fails, for each way to fail: its fee always, its sequence
//! number once that was accepted, and its own pre-authorisations from all its sources. Preimages stay good.

use stellar_xdr::*;

use crate::world::*;

const SECRET: &[u8] = b"a preimage that was shown";

/// How a transaction fails: what another one in the same ledger does before it, and what it does itself.
struct Case {
    code: &'static str,
    /// Operations of the source that spoil it.
    spoil: fn() -> Vec<OperationBody>,
    /// Its own operation beside a payment of another source.
    body: fn() -> OperationBody,
    /// Ledgers that have to be between two uses of its source's sequence.
    gap: u32,
    /// Whether its sequence number is used up.
    sequence: bool,
}

const PLAIN: Case = Case { code: "TxFailed", spoil: Vec::new, body: || data("missing", None), gap: 0, sequence: true };

/// Every way to fail after inclusion, in the order of the checks. Some have no case because nothing in a ledger can bring
/// them about after admission: what a transaction is made of doesn't change, its times are judged at that ledger's close
/// before it is included, its source can't be merged while it waits, and a debit can't go below the reserve.
const CASES: [Case; 7] = [
    Case { code: "TxBadSeq", spoil: || vec![bump_to(i64::MAX)], sequence: false, ..PLAIN },
    Case { code: "TxBadMinSeqAgeOrGap", spoil: || vec![bump_to(0)], gap: 1, ..PLAIN },
    Case { code: "TxBadAuth", spoil: || vec![thresholds(1, 3)], ..PLAIN },
    Case { code: "TxBadAuthExtra", spoil: || vec![thresholds(1, 1)], ..PLAIN },
    // Enough for the transaction, not for its operation.
    Case { code: "TxFailed", spoil: || vec![options(|o| o.med_threshold = Some(3))], ..PLAIN },
    PLAIN,
    Case { code: "TxBadSponsorship", body: || begin(&Key::of("b")), ..PLAIN },
];

struct Scene {
    world: World,
    a: Key,
    victim: Tx,
    /// The victim as it is sent.
    envelope: TransactionEnvelope,
}

/// An account whose two signers act together, and a transaction of it and of another that pre-authorised it; on its own
/// or in a fee bump that its payer pre-authorised.
fn scene(case: &Case, bumped: bool) -> Scene {
    let mut world = World::new();
    let [a, b, payer] = ["a", "b", "payer"].map(|name| world.account(name, 100 * XLM));
    let co = Key::of("co");
    world.must(&a, add_signer(SignerKey::HashX(Uint256(sha256(SECRET))), 1));
    world.must(&a, add_signer(co.signer(), 1));
    world.must(&a, thresholds(1, 2));
    let root = world.root.clone();
    let mut victim = world.next(&a).op((case.body)()).op_by(&b, pay(&root, Asset::Native, 1));
    victim = victim.v2(|v2| v2.min_seq_ledger_gap = case.gap);
    world.must(&b, add_signer(SignerKey::PreAuthTx(Uint256(victim.hash(&world))), 1));
    let mut envelope = victim.sign(&world, &[&a, &co]);
    if bumped {
        envelope = bump(&world, &payer, 300, &envelope, &[]);
        let hash = envelope.hash(world.ledger.network_id()).unwrap();
        world.must(&payer, add_signer(SignerKey::PreAuthTx(Uint256(hash)), 1));
    }
    Scene { world, a, victim, envelope }
}

impl Scene {
    /// The spoiler and the victim in one ledger; the victim's result where it ran second, which nobody chooses.
    fn run(&mut self, case: &Case, salt: u64) -> Option<TransactionResult> {
        let root = self.world.root.clone();
        let bodies = (case.spoil)();
        let spoils = !bodies.is_empty();
        let spoiler = bodies
            .into_iter()
            .fold(self.world.next(&root).memo(salt).op(bump_to(0)), |tx, body| tx.op_by(&self.a, body));
        let keys: &[&Key] = if spoils { &[&root, &self.a, &Key::of("co")] } else { &[&root] };
        let spoiler = spoiler.sign(&self.world, keys);
        self.world.admit(&spoiler);
        let envelope = self.envelope.clone();
        self.world.admit(&envelope);
        let closed = self.world.close();
        let hash = envelope.hash(self.world.ledger.network_id()).unwrap();
        let record = closed.transactions.iter().find(|record| record.hash == hash).unwrap();
        (record.order == 2 || !spoils).then(|| record.result.clone())
    }
}

/// The name of a failure, of a fee bump that of what it wraps.
fn name(result: &TransactionResultResult) -> &'static str {
    match result {
        TransactionResultResult::TxFeeBumpInnerFailed(pair) => pair.result.result.name(),
        other => other.name(),
    }
}

/// When the sequence was used last: the ledger.
fn used_in(entry: &AccountEntry) -> u32 {
    let AccountEntryExt::V1(AccountEntryExtensionV1 { ext: AccountEntryExtensionV1Ext::V2(v2), .. }) = &entry.ext
    else {
        return 0;
    };
    match &v2.ext {
        AccountEntryExtensionV2Ext::V3(v3) => v3.seq_ledger,
        AccountEntryExtensionV2Ext::V0 => 0,
    }
}

#[test]
fn each_way_to_fail_costs_the_fee_the_accepted_sequence_and_every_pre_authorisation_and_nothing_else() {
    for (n, case) in CASES.iter().enumerate() {
        for bumped in [false, true] {
            let what = format!("case {n}, {}, bumped: {bumped}", case.code);
            let (mut scene, result, before) = (0..64)
                .find_map(|salt| {
                    let mut scene = scene(case, bumped);
                    let before = ["a", "b", "payer"].map(|name| scene.world.entry(&Key::of(name)).unwrap());
                    let result = scene.run(case, salt)?;
                    Some((scene, result, before))
                })
                .expect("the order comes");
            assert_eq!(name(&result.result), case.code, "{what}: {result:?}");
            let [a, b, payer] = ["a", "b", "payer"].map(|name| scene.world.entry(&Key::of(name)).unwrap());
            let fee = if bumped { 300 } else { 200 };
            assert_eq!(result.fee_charged, fee, "{what}");
            let (from_a, from_payer) = if bumped { (0, fee) } else { (fee, 0) };
            assert_eq!(
                (a.balance, payer.balance),
                (before[0].balance - from_a, before[2].balance - from_payer),
                "{what}"
            );
            // What did happen is undone, also of the other source.
            assert_eq!((b.balance, b.seq_num.clone()), (before[1].balance, before[1].seq_num.clone()), "{what}");
            let used = if case.sequence { scene.victim.tx.seq_num.0 } else { i64::MAX };
            assert_eq!(a.seq_num.0, used, "{what}");
            assert_eq!(used_in(&a), scene.world.ledger.sequence(), "{what}");
            // Pre-authorisations are used up and give their reserves back; the preimage's signer stays.
            assert_eq!((b.signers.len(), b.num_sub_entries), (0, 0), "{what}");
            assert_eq!((payer.signers.len(), payer.num_sub_entries), (0, 0), "{what}");
            let preimages = a.signers.iter().filter(|signer| matches!(signer.key, SignerKey::HashX(_))).count();
            assert_eq!((preimages, a.signers.len(), a.num_sub_entries), (1, 2, 2), "{what}");
            assert!(scene.world.ledger.totals().conserved());
            // It can't come again.
            let envelope = scene.envelope.clone();
            assert_eq!(scene.world.submit(&envelope), tradepost_devnet::Admission::TryAgainLater, "{what}");
        }
    }
}

#[test]
fn what_no_ledger_includes_costs_nothing_and_keeps_its_pre_authorisations() {
    let mut world = World::new();
    let [a, b] = ["a", "b"].map(|name| world.account(name, 100 * XLM));
    let root = world.root.clone();
    let until = world.ledger.close_time() + 60;
    let late = world.next(&a).op_by(&b, pay(&root, Asset::Native, 1)).times(0, until);
    world.must(&b, add_signer(SignerKey::PreAuthTx(Uint256(late.hash(&world))), 1));
    let before = [&a, &b].map(|key| world.entry(key).unwrap());
    let envelope = late.sign(&world, &[&a]);
    world.admit(&envelope);
    assert!(world.close_at(until + 1).transactions.is_empty());
    assert_eq!([&a, &b].map(|key| world.entry(key).unwrap()), before);
}
