"""Claimable balances with every kind of predicate."""

from stellar_sdk import Asset, Claimant, ClaimPredicate, Keypair
from stellar_sdk.operation import (
    ChangeTrust,
    ClaimClaimableBalance,
    CreateClaimableBalance,
    Payment,
    SetOptions,
    SetTrustLineFlags,
    TrustLineFlags,
)

XLM = Asset.native()
CREATE, CLAIM = "CREATE_CLAIMABLE_BALANCE", "CLAIM_CLAIMABLE_BALANCE"

ALWAYS = ClaimPredicate.predicate_unconditional()
before = ClaimPredicate.predicate_before_absolute_time
within = ClaimPredicate.predicate_before_relative_time
both = ClaimPredicate.predicate_and
either = ClaimPredicate.predicate_or
negated = ClaimPredicate.predicate_not


def create(net, source, *claimants, asset=XLM, amount="1", want=None):
    """Creates a balance. Returns its id as the SDK foretells it; the ledger's has to be the same."""
    envelope = net.build(source, CreateClaimableBalance(asset, amount, list(claimants)))
    envelope.sign(source)
    result = net.send(envelope, want)
    foretold = envelope.transaction.get_claimable_balance_id(0)
    if want is None:
        told = result.result.results[0].tr.create_claimable_balance_result.balance_id
        assert told.to_xdr_bytes().hex() == foretold
        assert net.entry(balance=foretold).claimable_balance.balance_id == told
    return foretold


def claim(net, source, balance, want=None):
    net.run(source, ClaimClaimableBalance(balance), want=want)


def every_predicate_holds_when_it_says(net):
    """Each predicate, with whether it holds at once, after 100 seconds, and after 1,000."""
    source, claimant = net.account("1000"), net.account()
    early, late = net.time + 500, net.time + 700
    soon = within(500)
    table = [
        (ALWAYS, "yyy"),
        (negated(ALWAYS), "nnn"),
        (before(early), "yyn"),
        (negated(before(early)), "nny"),
        (soon, "yyn"),
        (negated(soon), "nny"),
        (within((1 << 63) - 1), "yyy"),
        (before(0), "nnn"),
        (both(before(early), before(late)), "yyn"),
        (both(ALWAYS, negated(ALWAYS)), "nnn"),
        (both(negated(before(early)), ALWAYS), "nny"),
        (either(before(early), negated(before(late))), "yyy"),
        (either(negated(ALWAYS), negated(before(early))), "nny"),
        (either(negated(ALWAYS), negated(ALWAYS)), "nnn"),
        (negated(both(before(early), soon)), "nny"),
        (negated(either(before(0), negated(soon))), "yyn"),
        (both(either(before(early), ALWAYS), negated(negated(soon))), "yyn"),
    ]
    deeper = negated(negated(negated(negated(ALWAYS))))
    create(net, source, Claimant(claimant.public_key, deeper), want=f"{CREATE}_MALFORMED")
    # A balance for each moment, so that what was claimed at one doesn't hinder the next.
    rows = []
    for predicate, holds in table:
        ids = [create(net, source, Claimant(claimant.public_key, predicate)) for _ in holds]
        rows.append((ids, holds))
    begin = net.time
    for moment, seconds in enumerate([0, 100, 1_000]):
        net.advance(max(0, begin + seconds - net.time))
        assert moment == 2 or net.time < early - 100, "too late already; the moments are too close"
        for ids, holds in rows:
            claim(net, claimant, ids[moment], want=None if holds[moment] == "y" else f"{CLAIM}_CANNOT_CLAIM")


def a_relative_time_becomes_an_absolute_one(net):
    source = net.account()
    balance = create(net, source, Claimant(source.public_key, within(60)))
    [claimant] = net.entry(balance=balance).claimable_balance.claimants
    assert claimant.v0.predicate.abs_before.int64 == net.time + 60


def claimants_that_do_not_exist_are_taken_and_others_claim_nothing(net):
    source, one, two = net.account(), net.account(), net.account()
    hashed = Claimant(Keypair.random().public_key, negated(ALWAYS))
    balance = create(net, source, Claimant(one.public_key), Claimant(two.public_key), hashed)
    held = net.balance(two)
    claim(net, source, balance, want=f"{CLAIM}_CANNOT_CLAIM")
    claim(net, two, balance)
    assert net.balance(two) == held + 10_000_000 - 100
    claim(net, one, balance, want=f"{CLAIM}_DOES_NOT_EXIST")


def a_balance_is_not_made(net):
    source, poor, issuer = net.account(), net.account("2"), net.account()
    asset = Asset("JPY", issuer.public_key)
    me = Claimant(source.public_key)
    create(net, source, me, amount="100", want=f"{CREATE}_UNDERFUNDED")
    create(net, poor, me, amount="0.9", want=f"{CREATE}_LOW_RESERVE")
    create(net, source, me, me, want=f"{CREATE}_MALFORMED")
    create(net, source, want=f"{CREATE}_MALFORMED")
    create(net, source, me, asset=asset, want=f"{CREATE}_NO_TRUST")
    net.run(issuer, SetOptions(set_flags=1))
    net.run(source, ChangeTrust(asset))
    create(net, source, me, asset=asset, want=f"{CREATE}_NOT_AUTHORIZED")


def an_issued_asset_is_claimed_or_not(net):
    issuer, holder = net.account(), net.account()
    asset = Asset("CHF", issuer.public_key)
    balance = create(net, issuer, Claimant(holder.public_key), Claimant(issuer.public_key), asset=asset, amount="5")
    claim(net, holder, balance, want=f"{CLAIM}_NO_TRUST")
    net.run(holder, ChangeTrust(asset, "4"))
    claim(net, holder, balance, want=f"{CLAIM}_LINE_FULL")
    net.run(issuer, SetOptions(set_flags=2))
    net.run(issuer, SetTrustLineFlags(holder.public_key, asset, TrustLineFlags(1), None))
    net.run(holder, ChangeTrust(asset, "5"))
    claim(net, holder, balance, want=f"{CLAIM}_NOT_AUTHORIZED")
    net.run(issuer, SetTrustLineFlags(holder.public_key, asset, None, TrustLineFlags(1)))
    claim(net, holder, balance)
    net.run(holder, Payment(issuer.public_key, asset, "5"))
    # The issuer claims what it issues: that ends it.
    claim(net, issuer, create(net, issuer, Claimant(issuer.public_key), asset=asset))
