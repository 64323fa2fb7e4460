"""Builds envelopes with the Python SDK from lines of JSON on standard input, one line of JSON each on standard output.

The lines are described in tests/src/conformance/description.rs.
"""

import json
import sys
import warnings
from decimal import Decimal

from stellar_sdk import (
    Account,
    Asset,
    Claimant,
    ClaimPredicate,
    HashMemo,
    IdMemo,
    Keypair,
    LiquidityPoolAsset,
    LiquidityPoolId,
    MuxedAccount,
    NoneMemo,
    ReturnHashMemo,
    Signer,
    SignerKey,
    TextMemo,
    TransactionBuilder,
)
from stellar_sdk.operation import (
    AccountMerge,
    AuthorizationFlag,
    BeginSponsoringFutureReserves,
    BumpSequence,
    ChangeTrust,
    ClaimClaimableBalance,
    Clawback,
    ClawbackClaimableBalance,
    CreateAccount,
    CreateClaimableBalance,
    EndSponsoringFutureReserves,
    ManageData,
    Payment,
    RevokeSponsorship,
    SetOptions,
    SetTrustLineFlags,
    TrustLineFlags,
)

# A transaction that is valid at any time is among the descriptions, on purpose.
warnings.filterwarnings("ignore", message=".*TimeBounds.*")


def amount(stroops):
    return Decimal(stroops).scaleb(-7)


def asset(text):
    if text == "native":
        return Asset.native()
    code, issuer = text.split(":")
    return Asset(code, issuer)


def pool(line):
    return LiquidityPoolAsset(asset(line["a"]), asset(line["b"]))


def predicate(p):
    match p["type"]:
        case "unconditional":
            return ClaimPredicate.predicate_unconditional()
        case "and":
            return ClaimPredicate.predicate_and(*map(predicate, p["of"]))
        case "or":
            return ClaimPredicate.predicate_or(*map(predicate, p["of"]))
        case "not":
            return ClaimPredicate.predicate_not(predicate(p["of"]))
        case "before_absolute_time":
            return ClaimPredicate.predicate_before_absolute_time(int(p["time"]))
        case "before_relative_time":
            return ClaimPredicate.predicate_before_relative_time(int(p["seconds"]))


def revoke(of, source):
    match of["type"]:
        case "account":
            return RevokeSponsorship.revoke_account_sponsorship(of["account"], source)
        case "trustline":
            line = of["line"]
            held = asset(line["asset"]) if line["type"] == "asset" else LiquidityPoolId(pool(line).liquidity_pool_id)
            return RevokeSponsorship.revoke_trustline_sponsorship(of["account"], held, source)
        case "data":
            return RevokeSponsorship.revoke_data_sponsorship(of["account"], of["name"], source)
        case "claimable_balance":
            return RevokeSponsorship.revoke_claimable_balance_sponsorship(of["balance"], source)
        case "signer":
            key = SignerKey.from_encoded_signer_key(of["key"])
            return RevokeSponsorship.revoke_signer_sponsorship(of["account"], key, source)


def set_options(o, source):
    signer = o["signer"]
    if signer is not None:
        signer = Signer(SignerKey.from_encoded_signer_key(signer["key"]), signer["weight"])
    return SetOptions(
        inflation_dest=o["inflation_destination"],
        clear_flags=None if o["clear_flags"] is None else AuthorizationFlag(o["clear_flags"]),
        set_flags=None if o["set_flags"] is None else AuthorizationFlag(o["set_flags"]),
        master_weight=o["master_weight"],
        low_threshold=o["low_threshold"],
        med_threshold=o["medium_threshold"],
        high_threshold=o["high_threshold"],
        home_domain=o["home_domain"],
        signer=signer,
        source=source,
    )


def operation(o):
    source = o["source"]
    match o["type"]:
        case "create_account":
            return CreateAccount(o["destination"], amount(o["starting_balance"]), source)
        case "payment":
            return Payment(o["destination"], asset(o["asset"]), amount(o["amount"]), source)
        case "set_options":
            return set_options(o, source)
        case "change_trust":
            line = o["line"]
            held = asset(line["asset"]) if line["type"] == "asset" else pool(line)
            return ChangeTrust(held, amount(o["limit"]), source)
        case "account_merge":
            return AccountMerge(o["destination"], source)
        case "manage_data":
            value = o["value"]
            return ManageData(o["name"], None if value is None else bytes.fromhex(value), source)
        case "bump_sequence":
            return BumpSequence(int(o["bump_to"]), source)
        case "create_claimable_balance":
            claimants = [Claimant(c["destination"], predicate(c["predicate"])) for c in o["claimants"]]
            return CreateClaimableBalance(asset(o["asset"]), amount(o["amount"]), claimants, source)
        case "claim_claimable_balance":
            return ClaimClaimableBalance(o["balance"], source)
        case "begin_sponsoring_future_reserves":
            return BeginSponsoringFutureReserves(o["sponsored"], source)
        case "end_sponsoring_future_reserves":
            return EndSponsoringFutureReserves(source)
        case "revoke_sponsorship":
            return revoke(o["of"], source)
        case "clawback":
            return Clawback(asset(o["asset"]), o["from"], amount(o["amount"]), source)
        case "clawback_claimable_balance":
            return ClawbackClaimableBalance(o["balance"], source)
        case "set_trust_line_flags":
            clear_flags, set_flags = TrustLineFlags(o["clear_flags"]), TrustLineFlags(o["set_flags"])
            return SetTrustLineFlags(o["trustor"], asset(o["asset"]), clear_flags, set_flags, source)
    raise ValueError(f"an operation {o['type']}")


def memo(m):
    match m["type"]:
        case "none":
            return NoneMemo()
        case "text":
            return TextMemo(bytes.fromhex(m["value"]))
        case "id":
            return IdMemo(int(m["value"]))
        case "hash":
            return HashMemo(bytes.fromhex(m["value"]))
        case "return":
            return ReturnHashMemo(bytes.fromhex(m["value"]))


def set_preconditions(builder, p):
    if p["type"] == "none":
        return
    time = p if p["type"] == "time" else p["time"]
    if time is not None:
        builder.add_time_bounds(int(time["min"]), int(time["max"]))
    if p["type"] == "time":
        return
    if p["ledgers"] is not None:
        builder.set_ledger_bounds(p["ledgers"]["min"], p["ledgers"]["max"])
    if p["min_sequence"] is not None:
        builder.set_min_sequence_number(int(p["min_sequence"]))
    builder.set_min_sequence_age(int(p["min_sequence_age"]))
    builder.set_min_sequence_ledger_gap(p["min_sequence_ledger_gap"])
    for signer in p["extra_signers"]:
        builder.add_extra_signer(signer)


def sign(envelope, signers):
    for signer in signers:
        match signer["type"]:
            case "key":
                envelope.sign(signer["seed"])
            case "preimage":
                envelope.sign_hashx(bytes.fromhex(signer["preimage"]))
            case "payload":
                key = Keypair.from_secret(signer["seed"])
                envelope.signatures.append(key.sign_payload_decorated(bytes.fromhex(signer["payload"])))


def told(envelope):
    return [(s.signature_hint + s.signature).hex() for s in envelope.signatures]


def build(d):
    source = MuxedAccount.from_account(d["source"])
    builder = TransactionBuilder(Account(source, int(d["sequence"]) - 1), d["network"], d["base_fee"])
    set_preconditions(builder, d["preconditions"])
    builder.add_memo(memo(d["memo"]))
    for o in d["operations"]:
        builder.append_operation(operation(o))
    envelope = builder.build()
    sign(envelope, d["signatures"])
    built = {"number": d["number"], "hash": envelope.hash_hex(), "signatures": told(envelope), "bump": None}
    if d["bump"] is not None:
        bump = d["bump"]
        envelope = TransactionBuilder.build_fee_bump_transaction(
            MuxedAccount.from_account(bump["source"]), int(bump["base_fee"]), envelope, d["network"]
        )
        sign(envelope, bump["signatures"])
        built["bump"] = {"hash": envelope.hash_hex(), "signatures": told(envelope)}
    built["xdr"] = envelope.to_xdr()
    return built


def main():
    for line in sys.stdin:
        description = json.loads(line)
        try:
            built = build(description)
        except Exception as error:
            raise SystemExit(f"description {description['number']}: {type(error).__name__}: {error}")
        print(json.dumps(built))


main()
