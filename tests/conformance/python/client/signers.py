"""Signers of every kind, thresholds, and preconditions."""

import hashlib
import warnings

from stellar_sdk import Keypair, SignedPayloadSigner, Signer, SignerKey
from stellar_sdk.operation import BumpSequence, CreateAccount, ManageData, Payment, SetOptions

from .accounts import XLM

PREIMAGE = b"thirty-two bytes or up to 64 ..."
HASHX = SignerKey.sha256_hash(hashlib.sha256(PREIMAGE).digest())


def sub_entries(net, key):
    return net.account_entry(key).num_sub_entries.uint32


def two_of_three_sign(net):
    a, b, c = net.account(), Keypair.random(), Keypair.random()
    add = [SetOptions(signer=Signer.ed25519_public_key(k.public_key, 1)) for k in (b, c)]
    net.run(a, *add, SetOptions(low_threshold=1, med_threshold=2, high_threshold=3))
    pay = Payment(a.public_key, XLM, "1")
    net.run(a, pay, want="opBAD_AUTH")
    net.run(a, pay, signers=[a, b])
    net.run(a, pay, signers=[b, c])
    net.run(a, pay, signers=[a, b, c], want="txBAD_AUTH_EXTRA")
    net.run(a, BumpSequence(0))
    net.run(a, SetOptions(low_threshold=2), signers=[a, b], want="opBAD_AUTH")
    net.run(a, SetOptions(low_threshold=2), signers=[a, b, c])
    net.run(a, BumpSequence(0), want="txBAD_AUTH")
    net.run(a, SetOptions(master_weight=0, high_threshold=2), signers=[a, b, c])
    net.run(a, pay, signers=[a, b], want="txBAD_AUTH")
    gone = SetOptions(signer=Signer.ed25519_public_key(c.public_key, 0), low_threshold=1, med_threshold=1,
                      high_threshold=1)
    net.run(a, gone, signers=[b, c])
    net.run(a, pay, signers=[b])
    assert sub_entries(net, a) == 1


def a_threshold_out_of_range_is_refused(net):
    a = net.account()
    net.run(a, SetOptions(low_threshold=256), want="SET_OPTIONS_THRESHOLD_OUT_OF_RANGE")
    too_heavy = SetOptions(signer=Signer.ed25519_public_key(Keypair.random().public_key, 256))
    net.run(a, too_heavy, want="SET_OPTIONS_BAD_SIGNER")


def a_transaction_signed_in_advance_needs_no_signature(net):
    a, b = net.account(), net.account()
    next_one = net.sequence(a) + 2
    for pay, want in [("1", "PAYMENT_SUCCESS"), ("1000", "PAYMENT_UNDERFUNDED")]:
        envelope = net.build(a, Payment(b.public_key, XLM, pay), sequence=next_one)
        net.run(a, SetOptions(signer=Signer.pre_auth_tx(envelope.hash(), 1)))
        assert sub_entries(net, a) == 1
        net.send(envelope, want)
        assert sub_entries(net, a) == 0, "used once, also where it fails"
        next_one += 2


def a_preimage_signs(net):
    a = net.account()
    net.run(a, SetOptions(signer=Signer(HASHX, 1)))
    for preimage, want in [(PREIMAGE, None), (b"another one", "txBAD_AUTH"), (PREIMAGE, None)]:
        envelope = net.build(a, Payment(a.public_key, XLM, "1"))
        envelope.sign_hashx(preimage)
        net.send(envelope, want)
    assert sub_entries(net, a) == 1


def a_signed_payload_signs(net):
    a, signer = net.account(), Keypair.random()
    for payload in [b"\x01", b"\x02\x03\x04\x05\x06", bytes(64)]:
        key = SignerKey.ed25519_signed_payload(SignedPayloadSigner(signer.public_key, payload))
        net.run(a, SetOptions(signer=Signer(key, 1)))
        for signed, want in [(payload, None), (payload + b"\x07", "txBAD_AUTH")]:
            envelope = net.build(a, Payment(a.public_key, XLM, "1"))
            envelope.signatures.append(signer.sign_payload_decorated(signed))
            net.send(envelope, want)
        net.run(a, SetOptions(signer=Signer(key, 0)))


def a_transaction_waits_for_its_time_and_ledger(net):
    a = net.account()
    pay = Payment(a.public_key, XLM, "1")

    # Without time bounds the SDK warns.
    warnings.filterwarnings("ignore", message=".*TimeBounds.*")

    def run(want=None, **bounds):
        def conditions(builder):
            builder.time_bounds = None
            if "time" in bounds:
                builder.add_time_bounds(*bounds["time"])
            if "ledger" in bounds:
                builder.set_ledger_bounds(*bounds["ledger"])

        net.run(a, pay, conditions=conditions, want=want)

    run()
    run(time=(0, 0))
    run(time=(net.time + 1_000, 0), want="txTOO_EARLY")
    run(time=(0, net.time - 10), want="txTOO_LATE")
    run(time=(net.time - 10, net.time + 1_000))
    run(ledger=(net.ledger + 100, 0), want="txTOO_EARLY")
    run(ledger=(0, net.ledger), want="txTOO_LATE")
    run(ledger=(net.ledger - 1, net.ledger + 100))


def a_transaction_minds_its_sources_last_one(net):
    a = net.account()
    bump = BumpSequence(0)
    last = net.sequence(a)
    # From this sequence number on, whatever lies between.
    net.run(a, bump, sequence=last + 1_000, conditions=lambda b: b.set_min_sequence_number(last))
    assert net.sequence(a) == last + 1_000
    higher = last + 1_001
    net.run(a, bump, sequence=last + 2_000, conditions=lambda b: b.set_min_sequence_number(higher), want="txBAD_SEQ")
    not_yet = "txBAD_MIN_SEQ_AGE_OR_GAP"
    net.run(a, bump, conditions=lambda b: b.set_min_sequence_age(500), want=not_yet)
    net.run(a, bump, conditions=lambda b: b.set_min_sequence_ledger_gap(5), want=not_yet)
    net.advance(1_000)
    for _ in range(5):
        net.close()
    net.run(a, bump, conditions=lambda b: b.set_min_sequence_age(500).set_min_sequence_ledger_gap(5))
    net.run(a, bump, conditions=lambda b: b.set_min_sequence_age(500), want=not_yet)


def extra_signers_have_to_sign(net):
    a, other, payer = net.account(), Keypair.random(), Keypair.random()
    payload = SignerKey.ed25519_signed_payload(SignedPayloadSigner(payer.public_key, b"paid"))
    pay = Payment(a.public_key, XLM, "1")

    def run(extra, sign, want=None):
        def conditions(builder):
            for key in extra:
                builder.add_extra_signer(key)

        envelope = net.build(a, pay, conditions=conditions)
        envelope.sign(a)
        sign(envelope)
        net.send(envelope, want)

    def both(envelope):
        envelope.sign_hashx(PREIMAGE)
        envelope.sign_extra_signers_payload(payer)

    ed25519 = SignerKey.ed25519_public_key(other.public_key)
    run([ed25519], lambda e: None, want="txBAD_AUTH")
    run([ed25519], lambda e: e.sign(other))
    run([HASHX], lambda e: None, want="txBAD_AUTH")
    run([HASHX], lambda e: e.sign_hashx(PREIMAGE))
    run([HASHX, payload], lambda e: e.sign_hashx(PREIMAGE), want="txBAD_AUTH")
    run([HASHX, payload], both)
    run([HASHX, HASHX], lambda e: e.sign_hashx(PREIMAGE), want="txMALFORMED")


def an_account_is_made_and_configured_by_one_transaction(net):
    a, made = net.account(), Keypair.random()
    me = made.public_key
    operations = [
        CreateAccount(me, "5"),
        BumpSequence(net.ledger + 100 << 32, source=me),
        SetOptions(signer=Signer.ed25519_public_key(a.public_key, 1), source=me),
        SetOptions(master_weight=0, low_threshold=1, med_threshold=1, high_threshold=1, source=me),
    ]
    net.run(a, *operations, signers=[a, made])
    net.run(made, ManageData("x", b"x"), want="txBAD_AUTH")
    net.run(made, ManageData("x", b"x"), signers=[a])
