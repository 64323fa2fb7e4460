"""Reserves that somebody else holds."""

from stellar_sdk import Asset, Claimant, Keypair, Signer, SignerKey
from stellar_sdk.operation import (
    AccountMerge,
    BeginSponsoringFutureReserves,
    ChangeTrust,
    CreateAccount,
    CreateClaimableBalance,
    EndSponsoringFutureReserves,
    ManageData,
    RevokeSponsorship,
    SetOptions,
)

from .balances import ALWAYS, XLM, create

REVOKE = "REVOKE_SPONSORSHIP"


def counters(net, key):
    """How many reserves others hold for an account, and how many it holds for others."""
    extension = net.account_entry(key).ext.v1
    if extension is None or extension.ext.v2 is None:
        return 0, 0
    return extension.ext.v2.num_sponsored.uint32, extension.ext.v2.num_sponsoring.uint32


def sandwich(sponsor, sponsored, *operations):
    """The operations, with the reserves of what they make held by the sponsor."""
    begin = BeginSponsoringFutureReserves(sponsored.public_key, source=sponsor.public_key)
    return [begin, *operations, EndSponsoringFutureReserves(source=sponsored.public_key)]


def every_kind_of_entry_is_sponsored_and_given_back(net):
    sponsor, owner, issuer = net.account(), Keypair.random(), net.account()
    asset, signer = Asset("SEK", issuer.public_key), SignerKey.sha256_hash(bytes(32))
    net.run(sponsor, *sandwich(sponsor, owner, CreateAccount(owner.public_key, "0")), signers=[sponsor, owner])
    assert counters(net, owner) == (2, 0) and counters(net, sponsor) == (0, 2)
    me = owner.public_key
    steps = [
        (ChangeTrust(asset, source=me), RevokeSponsorship.revoke_trustline_sponsorship(me, asset)),
        (ManageData("x", b"x", source=me), RevokeSponsorship.revoke_data_sponsorship(me, "x")),
        (SetOptions(signer=Signer(signer, 1), source=me), RevokeSponsorship.revoke_signer_sponsorship(me, signer)),
    ]
    for number, (make, revoke) in enumerate(steps, 1):
        net.run(sponsor, *sandwich(sponsor, owner, make), signers=[sponsor, owner])
        assert counters(net, owner) == (2 + number, 0) and counters(net, sponsor) == (0, 2 + number)
        net.run(sponsor, revoke, want=f"{REVOKE}_LOW_RESERVE")
    # With coins of its own it holds its reserves itself.
    net.run(sponsor, RevokeSponsorship.revoke_account_sponsorship(me), want=f"{REVOKE}_LOW_RESERVE")
    net.run(sponsor, AccountMerge(issuer.public_key), want="ACCOUNT_MERGE_IS_SPONSOR")
    from_bank = net.account("20")
    net.run(from_bank, AccountMerge(me))
    for _, revoke in steps:
        net.run(sponsor, revoke)
    net.run(sponsor, RevokeSponsorship.revoke_account_sponsorship(me))
    assert counters(net, owner) == counters(net, sponsor) == (0, 0)
    net.run(sponsor, steps[1][1], want=f"{REVOKE}_NOT_SPONSOR")
    net.run(sponsor, RevokeSponsorship.revoke_data_sponsorship(me, "y"), want=f"{REVOKE}_DOES_NOT_EXIST")


def a_balance_changes_its_sponsor_and_is_never_without(net):
    maker, sponsor, next_one = net.account(), net.account(), net.account()
    balance = create(net, maker, Claimant(maker.public_key, ALWAYS), Claimant(sponsor.public_key, ALWAYS))
    assert counters(net, maker) == (0, 2)
    revoke = RevokeSponsorship.revoke_claimable_balance_sponsorship
    net.run(maker, revoke(balance), want=f"{REVOKE}_ONLY_TRANSFERABLE")
    net.run(sponsor, revoke(balance), want=f"{REVOKE}_NOT_SPONSOR")
    handed = sandwich(next_one, maker, revoke(balance, source=maker.public_key))
    net.run(maker, *handed, signers=[maker, next_one])
    assert counters(net, maker) == (0, 0) and counters(net, next_one) == (0, 2)
    made = CreateClaimableBalance(XLM, "1", [Claimant(maker.public_key)], source=maker.public_key)
    net.run(sponsor, *sandwich(sponsor, maker, made), signers=[sponsor, maker])
    assert counters(net, sponsor) == (0, 1)


def a_sandwich_that_is_wrong_is_refused(net):
    a, b, c = net.account(), net.account(), net.account()

    def begin(sponsor, sponsored):
        return BeginSponsoringFutureReserves(sponsored.public_key, source=sponsor.public_key)

    def end(sponsored):
        return EndSponsoringFutureReserves(source=sponsored.public_key)

    name, ended = "BEGIN_SPONSORING_FUTURE_RESERVES", "END_SPONSORING_FUTURE_RESERVES"
    net.run(a, begin(a, b), want=["txBAD_SPONSORSHIP"])
    net.run(a, EndSponsoringFutureReserves(), want=f"{ended}_NOT_SPONSORED")
    net.run(a, begin(a, a), want=f"{name}_MALFORMED")
    net.run(a, begin(a, c), begin(b, c), end(c), signers=[a, b, c],
            want=[f"{name}_SUCCESS", f"{name}_ALREADY_SPONSORED", f"{ended}_SUCCESS"])
    net.run(a, begin(a, b), begin(b, c), end(c), end(b), signers=[a, b, c],
            want=[f"{name}_SUCCESS", f"{name}_RECURSIVE", f"{ended}_NOT_SPONSORED",
                  f"{ended}_SUCCESS"])
