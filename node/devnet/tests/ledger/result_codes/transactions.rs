//! One case for each result code of transactions, and for each that any
//! operation can have.

use stellar_xdr::*;

use super::Case::{self, Argued, Reached};
use crate::world::*;

fn payer(world: &mut World) -> (Key, Tx) {
    let key = world.account("a", 100 * XLM);
    let tx = world.next(&key).op(pay(&key, Asset::Native, 1));
    (key, tx)
}

/// A payment that is changed in one way before it is signed.
fn changed(world: &mut World, change: fn(Tx) -> Tx) -> TransactionEnvelope {
    let (key, tx) = payer(world);
    change(tx).sign(world, &[&key])
}

pub fn transaction(code: TransactionResultCode) -> Case {
    use TransactionResultCode as C;
    match code {
        C::TxFeeBumpInnerSuccess => Reached(|w| {
            let (key, tx) = payer(w);
            let inner = tx.sign(w, &[&key]);
            bump(w, &key, 200, &inner, &[&key])
        }),
        C::TxFeeBumpInnerFailed => Reached(|w| {
            let (key, tx) = payer(w);
            let inner = tx.op(data("n", None)).sign(w, &[&key]);
            bump(w, &key, 300, &inner, &[&key])
        }),
        C::TxSuccess => Reached(|w| changed(w, |tx| tx)),
        C::TxFailed => Reached(|w| changed(w, |tx| tx.op(data("n", None)))),
        C::TxTooEarly => Reached(|w| changed(w, |tx| tx.times(u64::MAX, 0))),
        C::TxTooLate => Reached(|w| changed(w, |tx| tx.times(0, 1))),
        C::TxMissingOperation => Reached(|w| {
            let key = w.account("a", 100 * XLM);
            w.next(&key).sign(w, &[&key])
        }),
        C::TxBadSeq => Reached(|w| {
            changed(w, |mut tx| {
                tx.tx.seq_num.0 += 1;
                tx
            })
        }),
        C::TxBadAuth => Reached(|w| {
            let (_, tx) = payer(w);
            tx.sign(w, &[])
        }),
        C::TxInsufficientBalance => Reached(|w| changed(w, |tx| tx.fee(u32::MAX))),
        C::TxNoAccount => Reached(|w| {
            let absent = Key::of("absent");
            Tx::new(&absent, 1).op(bump_to(0)).sign(w, &[&absent])
        }),
        C::TxInsufficientFee => Reached(|w| changed(w, |tx| tx.fee(99))),
        C::TxBadAuthExtra => Reached(|w| {
            let (key, tx) = payer(w);
            tx.sign(w, &[&key, &Key::of("stranger")])
        }),
        C::TxInternalError => Argued("it reports a fault of the network's own software"),
        C::TxNotSupported => Reached(retired),
        C::TxBadSponsorship => Reached(|w| {
            let (key, tx) = payer(w);
            tx.op(begin(&Key::of("b"))).sign(w, &[&key])
        }),
        C::TxBadMinSeqAgeOrGap => Reached(|w| changed(w, |tx| tx.v2(|v2| v2.min_seq_ledger_gap = 1_000_000))),
        C::TxMalformed => Reached(|w| {
            changed(w, |tx| {
                tx.v2(|v2| {
                    let key = SignerKey::HashX(Uint256([7; 32]));
                    v2.extra_signers = vec![key.clone(), key].try_into().unwrap();
                })
            })
        }),
        C::TxSorobanInvalid => Argued("only for transactions of contracts, whose operations answer opNOT_SUPPORTED"),
        C::TxFrozenKeyAccessed => Argued("keys are frozen by a vote of validators alone (CAP-77), and here are none"),
    }
}

/// A payment in the retired form of the envelope.
fn retired(world: &mut World) -> TransactionEnvelope {
    let (key, tx) = payer(world);
    let tx = tx.build();
    let hash = tx.hash(world.ledger.network_id()).unwrap();
    let v0 = TransactionV0 {
        source_account_ed25519: Uint256(key.bytes()),
        fee: tx.fee,
        seq_num: tx.seq_num,
        time_bounds: None,
        memo: Memo::None,
        operations: tx.operations,
        ext: TransactionV0Ext::V0,
    };
    TransactionEnvelope::TxV0(TransactionV0Envelope { tx: v0, signatures: vec![key.sign(&hash)].try_into().unwrap() })
}

pub fn any_operation(code: OperationResultCode) -> Case {
    use OperationResultCode as C;
    match code {
        C::OpInner => Reached(|w| changed(w, |tx| tx)),
        C::OpBadAuth => Reached(|w| {
            let (key, tx) = payer(w);
            let other = w.account("other", XLM);
            tx.op_by(&other, bump_to(0)).sign(w, &[&key])
        }),
        C::OpNoAccount => Reached(|w| {
            let (key, tx) = payer(w);
            let absent = Key::of("absent");
            tx.op_by(&absent, bump_to(0)).sign(w, &[&key, &absent])
        }),
        C::OpNotSupported => Reached(|w| changed(w, |tx| tx.op(OperationBody::Inflation))),
        C::OpTooManySubentries => Reached(|w| {
            let key = w.account("a", 1_000 * XLM);
            for hundred in 0..10 {
                let tx = w.next(&key);
                let tx = (0..100).fold(tx, |tx, n| tx.op(data(&format!("{hundred} {n}"), Some(b"x"))));
                assert!(w.run(tx, &[&key]).succeeded());
            }
            w.next(&key).op(data("one more", Some(b"x"))).sign(w, &[&key])
        }),
        C::OpExceededWorkLimit => Argued("only for offers and paths, which answer opNOT_SUPPORTED"),
        C::OpTooManySponsoring => Argued("counts 2^32 reserves, of more entries than memory holds"),
    }
}
