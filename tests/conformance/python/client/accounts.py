"""Accounts: made, paid, configured, merged; and what a transaction as a whole can fail with."""

from stellar_sdk import Asset, Keypair, MuxedAccount, Price, Signer, xdr
from stellar_sdk.exceptions import SorobanRpcErrorResponse
from stellar_sdk.operation import (
    AccountMerge,
    BumpSequence,
    ChangeTrust,
    CreateAccount,
    ManageData,
    ManageSellOffer,
    Payment,
    SetOptions,
)
from stellar_sdk.soroban_rpc import GetTransactionStatus, SendTransactionStatus

from .network import stroops

XLM = Asset.native()
NOBODY = Keypair.random().public_key


def an_account_is_made_by_the_friendbot_and_by_another_account(net):
    key = Keypair.random()
    net.fund(key)
    assert net.balance(key) == stroops("10000")
    made = Keypair.random()
    net.run(key, CreateAccount(made.public_key, "1"))
    assert net.balance(made) == stroops("1")
    assert net.sequence(made) == net.ledger << 32, "an account begins at its ledger's number"
    net.run(key, CreateAccount(made.public_key, "1"), want="CREATE_ACCOUNT_ALREADY_EXIST")
    net.run(key, CreateAccount(NOBODY, "0.9999999"), want="CREATE_ACCOUNT_LOW_RESERVE")
    net.run(key, CreateAccount(NOBODY, "10000"), want="CREATE_ACCOUNT_UNDERFUNDED")
    net.run(key, CreateAccount(key.public_key, "1"), want="CREATE_ACCOUNT_MALFORMED")


def a_payment_moves_coins_and_costs_its_fee(net):
    a, b = net.account(), net.account()
    net.run(a, Payment(b.public_key, XLM, "10.5"))
    assert net.balance(a) == stroops("89.5") - 100 and net.balance(b) == stroops("110.5")
    net.run(a, Payment(MuxedAccount(b.public_key, 7), XLM, "1"))
    net.run(a, Payment(a.public_key, XLM, "1"))
    net.run(a, Payment(NOBODY, XLM, "1"), want="PAYMENT_NO_DESTINATION")
    net.run(a, Payment(b.public_key, XLM, "88"), want="PAYMENT_UNDERFUNDED")
    assert net.balance(a) == stroops("88.5") - 500, "a failed transaction costs its fee as well"
    assert net.balance(b) == stroops("111.5")
    all_or_nothing = [Payment(b.public_key, XLM, "1"), Payment(NOBODY, XLM, "1")]
    net.run(a, *all_or_nothing, want=["PAYMENT_SUCCESS", "PAYMENT_NO_DESTINATION"])
    assert net.balance(b) == stroops("111.5")


def data_is_set_overwritten_read_and_deleted(net):
    a, poor = net.account(), net.account("1.1")
    for value in [b"one", b"\x00\xff" * 32]:
        net.run(a, ManageData("conformance", value))
        assert net.entry(data=(a.public_key, "conformance")).data.data_value.data_value == value
    net.run(a, ManageData("conformance", None))
    assert net.entry(data=(a.public_key, "conformance")) is None
    net.run(a, ManageData("conformance", None), want="MANAGE_DATA_NAME_NOT_FOUND")
    net.run(poor, ManageData("conformance", b"x"), want="MANAGE_DATA_LOW_RESERVE")
    net.run(a, ManageData("line\nfeed", b"x"), want="MANAGE_DATA_INVALID_NAME")


def a_sequence_number_is_bumped_and_never_back(net):
    a = net.account()
    far = net.sequence(a) + 1_000
    net.run(a, BumpSequence(far))
    assert net.sequence(a) == far
    net.run(a, BumpSequence(1))
    assert net.sequence(a) == far + 1
    net.run(a, BumpSequence(5), sequence=far + 1, want="txBAD_SEQ")
    net.run(a, BumpSequence(5), sequence=far + 3, want="txBAD_SEQ")


def options_are_set_or_refused_by_name(net):
    a, poor = net.account(), net.account("1.1")
    net.run(a, SetOptions(home_domain="example.org", set_flags=3, master_weight=5, low_threshold=1, med_threshold=2,
                          high_threshold=5))
    entry = net.account_entry(a)
    assert entry.home_domain.string32 == b"example.org" and entry.flags.uint32 == 3
    assert entry.thresholds.thresholds == bytes([5, 1, 2, 5])
    net.run(a, SetOptions(home_domain="", clear_flags=1))
    entry = net.account_entry(a)
    assert entry.home_domain.string32 == b"" and entry.flags.uint32 == 2
    net.run(a, SetOptions(set_flags=1, clear_flags=1), want="SET_OPTIONS_BAD_FLAGS")
    net.run(a, SetOptions(set_flags=16), want="SET_OPTIONS_UNKNOWN_FLAG")
    net.run(a, SetOptions(signer=Signer.ed25519_public_key(a.public_key, 1)), want="SET_OPTIONS_BAD_SIGNER")
    net.run(poor, SetOptions(set_flags=8), want="SET_OPTIONS_AUTH_REVOCABLE_REQUIRED")
    net.run(poor, SetOptions(signer=Signer.ed25519_public_key(NOBODY, 1)), want="SET_OPTIONS_LOW_RESERVE")
    net.run(a, SetOptions(set_flags=4))
    net.run(a, SetOptions(set_flags=1), want="SET_OPTIONS_CANT_CHANGE")
    twenty = [SetOptions(signer=Signer.ed25519_public_key(Keypair.random().public_key, 1)) for _ in range(20)]
    net.run(a, *twenty)
    assert net.account_entry(a).num_sub_entries.uint32 == 20
    one_more = SetOptions(signer=Signer.ed25519_public_key(NOBODY, 1))
    net.run(a, one_more, want="SET_OPTIONS_TOO_MANY_SIGNERS")


def an_account_is_merged_into_another_one(net):
    a, b = net.account(), net.account("50")
    net.run(a, AccountMerge(a.public_key), want="ACCOUNT_MERGE_MALFORMED")
    net.run(a, AccountMerge(NOBODY), want="ACCOUNT_MERGE_NO_ACCOUNT")
    net.run(a, ManageData("x", b"x"))
    net.run(a, AccountMerge(b.public_key), want="ACCOUNT_MERGE_HAS_SUB_ENTRIES")
    net.run(a, ManageData("x", None))
    left = net.balance(a) - 100
    result = net.run(a, AccountMerge(b.public_key))
    told = result.result.results[0].tr.account_merge_result.source_account_balance.int64
    assert told == left and net.balance(b) == stroops("50") + left
    assert net.entry(account=a.public_key) is None
    net.run(a, Payment(b.public_key, XLM, "1"), sequence=1, want="txNO_ACCOUNT")
    immutable, far = net.account(), net.account()
    net.run(immutable, SetOptions(set_flags=4))
    net.run(immutable, AccountMerge(b.public_key), want="ACCOUNT_MERGE_IMMUTABLE_SET")
    net.run(far, BumpSequence(net.ledger + 1_000 << 32))
    net.run(far, AccountMerge(b.public_key), want="ACCOUNT_MERGE_SEQNUM_TOO_FAR")


def a_transaction_fails_as_a_whole(net):
    a, b = net.account(), net.account("1.00001")
    pay = Payment(a.public_key, XLM, "1")
    net.run(a, pay, fee=99, want="txINSUFFICIENT_FEE")
    net.run(a, want="txMISSING_OPERATION")
    net.run(b, pay, fee=101, want="txINSUFFICIENT_BALANCE")
    net.run(a, pay, signers=[], want="txBAD_AUTH")
    net.run(a, pay, signers=[b], want="txBAD_AUTH")
    net.run(a, pay, signers=[a, b], want="txBAD_AUTH_EXTRA")
    net.run(a, Payment(a.public_key, XLM, "1", source=b.public_key), want="opBAD_AUTH")
    net.run(a, Payment(a.public_key, XLM, "1", source=NOBODY), want="opBAD_AUTH")
    net.run(a, ManageSellOffer(XLM, Asset("USD", a.public_key), "1", Price(1, 1)), want="opNOT_SUPPORTED")
    net.run(a, ChangeTrust(Asset("USD", NOBODY)), want="CHANGE_TRUST_NO_ISSUER")


def the_queue_says_what_it_holds_already(net):
    a, b = net.account(), net.account()
    first = net.build(a, Payment(b.public_key, XLM, "1"))
    second = net.build(a, Payment(b.public_key, XLM, "2"))
    for envelope in [first, second]:
        envelope.sign(a)
    assert net.server.get_transaction(first.hash_hex()).status is GetTransactionStatus.NOT_FOUND
    assert net.server.send_transaction(first).status is SendTransactionStatus.PENDING
    assert net.server.send_transaction(first).status is SendTransactionStatus.DUPLICATE
    assert net.server.send_transaction(second).status is SendTransactionStatus.TRY_AGAIN_LATER
    net.decided(first.hash_hex())
    found = net.server.poll_transaction(first.hash_hex())
    assert found.status is GetTransactionStatus.SUCCESS and found.ledger == net.ledger and not found.fee_bump
    assert found.application_order == 1 and found.create_at == net.time
    assert found.envelope_xdr == first.to_xdr()
    fee = xdr.TransactionResult.from_xdr(found.result_xdr).fee_charged.int64
    assert fee == 100


def nonsense_is_refused_with_an_error(net):
    for wrong in ["", "AAAA", "not base64"]:
        try:
            net.server.send_transaction(wrong)
        except SorobanRpcErrorResponse as error:
            assert error.code == -32602, error
        else:
            raise AssertionError(f"{wrong!r} was taken")
