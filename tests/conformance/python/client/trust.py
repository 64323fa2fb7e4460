"""Trustlines, payments in issued assets, authorisation, and clawback."""

from stellar_sdk import Asset, Claimant, Keypair, LiquidityPoolAsset
from stellar_sdk.operation import (
    ChangeTrust,
    ClaimClaimableBalance,
    Clawback,
    ClawbackClaimableBalance,
    CreateClaimableBalance,
    Payment,
    SetOptions,
    SetTrustLineFlags,
    TrustLineFlags,
)

from .network import stroops

REQUIRED, REVOCABLE, CLAWBACK = 1, 2, 8
NONE, AUTHORISED, MAINTAIN, LINE_CLAWBACK = map(TrustLineFlags, [0, 1, 2, 4])


def issuer_with(net, flags):
    issuer = net.account()
    if flags:
        net.run(issuer, SetOptions(set_flags=flags))
    return issuer


def holder_of(net, asset, limit=None):
    holder = net.account()
    net.run(holder, ChangeTrust(asset, limit))
    return holder


def line(net, holder, asset):
    return net.entry(trustline=(holder.public_key, asset)).trust_line


def a_trustline_is_made_changed_and_removed(net):
    issuer = net.account()
    for code in ["USD", "TwelveLetter"]:
        asset = Asset(code, issuer.public_key)
        holder = holder_of(net, asset, "100")
        assert line(net, holder, asset).limit.int64 == stroops("100")
        net.run(issuer, Payment(holder.public_key, asset, "60"))
        net.run(holder, ChangeTrust(asset, "59"), want="CHANGE_TRUST_INVALID_LIMIT")
        net.run(holder, ChangeTrust(asset, "0"), want="CHANGE_TRUST_INVALID_LIMIT")
        net.run(holder, ChangeTrust(asset, "60"))
        assert line(net, holder, asset).limit.int64 == line(net, holder, asset).balance.int64 == stroops("60")
        net.run(holder, Payment(issuer.public_key, asset, "60"))
        net.run(holder, ChangeTrust(asset, "0"))
        assert net.entry(trustline=(holder.public_key, asset)) is None
    poor = net.account("1.1")
    net.run(poor, ChangeTrust(asset), want="CHANGE_TRUST_LOW_RESERVE")
    net.run(issuer, ChangeTrust(asset), want="CHANGE_TRUST_MALFORMED")
    net.run(poor, ChangeTrust(Asset("USD", Keypair.random().public_key)), want="CHANGE_TRUST_NO_ISSUER")


def shares_of_a_pool_are_trusted(net):
    issuer = net.account()
    a, b = Asset("AAA", issuer.public_key), Asset("BBB", issuer.public_key)
    shares = LiquidityPoolAsset(a, b)
    holder = holder_of(net, a)
    net.run(holder, ChangeTrust(shares), want="CHANGE_TRUST_TRUST_LINE_MISSING")
    net.run(holder, ChangeTrust(b))
    net.run(holder, ChangeTrust(shares))
    net.run(holder, ChangeTrust(a, "0"), want="CHANGE_TRUST_CANNOT_DELETE")
    net.run(holder, ChangeTrust(shares, "0"))
    net.run(holder, ChangeTrust(a, "0"))


def an_issued_asset_is_paid_or_not(net):
    issuer = net.account()
    asset = Asset("EUR", issuer.public_key)
    a, b, stranger = holder_of(net, asset), holder_of(net, asset, "5"), net.account()
    net.run(issuer, Payment(a.public_key, asset, "10"))
    net.run(a, Payment(b.public_key, asset, "5"))
    net.run(a, Payment(b.public_key, asset, "0.0000001"), want="PAYMENT_LINE_FULL")
    net.run(a, Payment(issuer.public_key, asset, "6"), want="PAYMENT_UNDERFUNDED")
    net.run(a, Payment(stranger.public_key, asset, "1"), want="PAYMENT_NO_TRUST")
    net.run(stranger, Payment(a.public_key, asset, "1"), want="PAYMENT_SRC_NO_TRUST")
    assert line(net, a, asset).balance.int64 == line(net, b, asset).balance.int64 == stroops("5")


def an_issuer_authorises_and_revokes(net):
    issuer = issuer_with(net, REQUIRED | REVOCABLE)
    asset = Asset("GBP", issuer.public_key)
    a, b = holder_of(net, asset), holder_of(net, asset)
    assert line(net, a, asset).flags.uint32 == 0

    def flags(holder, clear, set, want=None):
        net.run(issuer, SetTrustLineFlags(holder.public_key, asset, clear, set), want=want)

    net.run(issuer, Payment(a.public_key, asset, "1"), want="PAYMENT_NOT_AUTHORIZED")
    flags(a, NONE, AUTHORISED)
    net.run(issuer, Payment(a.public_key, asset, "10"))
    net.run(a, Payment(b.public_key, asset, "1"), want="PAYMENT_NOT_AUTHORIZED")
    flags(b, NONE, AUTHORISED)
    net.run(a, Payment(b.public_key, asset, "1"))
    flags(a, AUTHORISED, MAINTAIN)
    net.run(a, Payment(b.public_key, asset, "1"), want="PAYMENT_SRC_NOT_AUTHORIZED")
    flags(a, MAINTAIN, NONE)
    assert line(net, a, asset).flags.uint32 == 0
    flags(a, NONE, MAINTAIN)
    flags(a, NONE, AUTHORISED, want="SET_TRUST_LINE_FLAGS_INVALID_STATE")
    flags(a, NONE, LINE_CLAWBACK, want="SET_TRUST_LINE_FLAGS_MALFORMED")
    flags(net.account(), NONE, AUTHORISED, want="SET_TRUST_LINE_FLAGS_NO_TRUST_LINE")
    net.run(issuer, SetOptions(clear_flags=REVOCABLE))
    flags(b, AUTHORISED, NONE, want="SET_TRUST_LINE_FLAGS_CANT_REVOKE")


def an_issuer_claws_back_from_trustlines_made_for_it(net):
    issuer = issuer_with(net, REVOCABLE)
    asset = Asset("CLAW", issuer.public_key)
    before = holder_of(net, asset)
    net.run(issuer, SetOptions(set_flags=CLAWBACK))
    after = holder_of(net, asset)
    assert line(net, before, asset).flags.uint32 == AUTHORISED
    assert line(net, after, asset).flags.uint32 == AUTHORISED | LINE_CLAWBACK
    for holder in [before, after]:
        net.run(issuer, Payment(holder.public_key, asset, "10"))
    net.run(issuer, Clawback(asset, after.public_key, "4"))
    assert line(net, after, asset).balance.int64 == stroops("6")
    net.run(issuer, Clawback(asset, after.public_key, "7"), want="CLAWBACK_UNDERFUNDED")
    net.run(issuer, Clawback(asset, before.public_key, "1"), want="CLAWBACK_NOT_CLAWBACK_ENABLED")
    net.run(issuer, Clawback(asset, net.account().public_key, "1"), want="CLAWBACK_NO_TRUST")
    net.run(after, Clawback(asset, before.public_key, "1"), want="CLAWBACK_MALFORMED")
    # The flag of a line can be taken away, and what was locked before keeps its own.
    locked = lock(net, after, asset)
    net.run(issuer, SetTrustLineFlags(after.public_key, asset, LINE_CLAWBACK, NONE))
    net.run(issuer, Clawback(asset, after.public_key, "1"), want="CLAWBACK_NOT_CLAWBACK_ENABLED")
    later = lock(net, after, asset)
    back = "CLAWBACK_CLAIMABLE_BALANCE"
    net.run(after, ClawbackClaimableBalance(locked), want=f"{back}_NOT_ISSUER")
    net.run(issuer, ClawbackClaimableBalance(locked))
    assert net.entry(balance=locked) is None
    net.run(issuer, ClawbackClaimableBalance(locked), want=f"{back}_DOES_NOT_EXIST")
    net.run(issuer, ClawbackClaimableBalance(later), want=f"{back}_NOT_CLAWBACK_ENABLED")
    net.run(after, ClaimClaimableBalance(later))


def lock(net, holder, asset):
    """Locks 1 of an asset for its holder, and returns the balance's id."""
    envelope = net.build(holder, CreateClaimableBalance(asset, "1", [Claimant(holder.public_key)]))
    envelope.sign(holder)
    net.send(envelope)
    return envelope.transaction.get_claimable_balance_id(0)
