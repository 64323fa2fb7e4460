"""Fee bumps: somebody else pays."""

from stellar_sdk import FeeBumpTransaction, FeeBumpTransactionEnvelope, Keypair, TransactionBuilder, xdr
from stellar_sdk.operation import Payment
from stellar_sdk.soroban_rpc import GetTransactionStatus

from .accounts import NOBODY, XLM


def bump(net, payer, inner, base_fee=200, signers=None):
    envelope = TransactionBuilder.build_fee_bump_transaction(payer, base_fee, inner, net.passphrase)
    for signer in [payer] if signers is None else signers:
        envelope.sign(signer)
    return envelope


def inner_of(net, source, *operations, fee=100):
    envelope = net.build(source, *operations, fee=fee)
    envelope.sign(source)
    return envelope


def somebody_else_pays_also_for_a_transaction_without_fee(net):
    a, b, payer = net.account(), net.account(), net.account()
    for fee in [0, 100]:
        held = net.balance(a), net.balance(payer)
        inner = inner_of(net, a, Payment(b.public_key, XLM, "1"), fee=fee)
        envelope = bump(net, payer, inner)
        result = net.send(envelope, ["txFEE_BUMP_INNER_SUCCESS txSUCCESS", "PAYMENT_SUCCESS"])
        assert (net.balance(a), net.balance(payer)) == (held[0] - 10_000_000, held[1] - 200)
        assert result.fee_charged.int64 == 200 and result.result.inner_result_pair.result.fee_charged.int64 == 0
        assert result.result.inner_result_pair.transaction_hash.hash == inner.hash()
        for hash in [envelope.hash_hex(), inner.hash_hex()]:
            found = net.server.get_transaction(hash)
            assert found.status is GetTransactionStatus.SUCCESS and found.fee_bump
            assert found.envelope_xdr == envelope.to_xdr()


def what_is_inside_fails_and_the_payer_pays(net):
    a, payer = net.account(), net.account()
    held = net.balance(a), net.balance(payer)
    inner = inner_of(net, a, Payment(NOBODY, XLM, "1"))
    net.send(bump(net, payer, inner), ["txFEE_BUMP_INNER_FAILED txFAILED", "PAYMENT_NO_DESTINATION"])
    assert (net.balance(a), net.balance(payer)) == (held[0], held[1] - 200)
    unsigned = net.build(a, Payment(a.public_key, XLM, "1"))
    net.send(bump(net, payer, unsigned), ["txFEE_BUMP_INNER_FAILED txBAD_AUTH"])
    wrong = net.build(a, Payment(a.public_key, XLM, "1"), sequence=1)
    wrong.sign(a)
    net.send(bump(net, payer, wrong), ["txFEE_BUMP_INNER_FAILED txBAD_SEQ"])


def the_bump_itself_is_refused(net):
    a, payer = net.account(), net.account()
    inner = inner_of(net, a, Payment(a.public_key, XLM, "1"))
    net.send(bump(net, payer, inner, signers=[]), "txBAD_AUTH")
    net.send(bump(net, payer, inner, signers=[payer, a]), "txBAD_AUTH_EXTRA")
    net.send(bump(net, Keypair.random(), inner), "txNO_ACCOUNT")
    net.send(bump(net, payer, inner, base_fee=10**9), "txINSUFFICIENT_BALANCE")
    # Less than the SDK's builder offers.
    cheap = FeeBumpTransactionEnvelope(FeeBumpTransaction(payer, 199, inner), net.passphrase)
    cheap.sign(payer)
    result = net.send(cheap, "txINSUFFICIENT_FEE")
    assert result.fee_charged.int64 == 200, "what it would have cost"


def a_waiting_transaction_is_replaced_for_ten_times_the_fee(net):
    a = net.account()
    inner = inner_of(net, a, Payment(a.public_key, XLM, "1"))
    assert net.server.send_transaction(inner).status.name == "PENDING"
    low = net.server.send_transaction(bump(net, a, inner, base_fee=999))
    assert low.status.name == "ERROR", low
    code = xdr.TransactionResult.from_xdr(low.error_result_xdr).result.code.name
    assert code == "txINSUFFICIENT_FEE", code
    net.send(bump(net, a, inner, base_fee=1_000), ["txFEE_BUMP_INNER_SUCCESS txSUCCESS", "PAYMENT_SUCCESS"])
