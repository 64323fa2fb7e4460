"""What the RPC tells besides: health, ledgers, transactions, events, fees."""

import hashlib

from stellar_sdk import Asset, scval, xdr
from stellar_sdk.exceptions import SorobanRpcErrorResponse
from stellar_sdk.operation import ChangeTrust, Payment
from stellar_sdk.soroban_rpc import EventFilter, EventFilterType

from .accounts import XLM
from .network import ledger_key


def refused(code, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except SorobanRpcErrorResponse as error:
        assert error.code == code, error
    else:
        raise AssertionError(f"it was answered, and an error {code} was wanted")


def the_network_describes_itself(net):
    health, network, version = net.server.get_health(), net.server.get_network(), net.server.get_version_info()
    assert health.status == "healthy"
    assert health.oldest_ledger <= net.ledger == health.latest_ledger
    assert network.protocol_version == version.protocol_version and network.passphrase == net.passphrase
    stats = net.server.get_fee_stats()
    assert stats.inclusion_fee.min >= 0 and stats.latest_ledger == net.ledger


def at_most_200_entries_are_asked_for(net):
    keys = [ledger_key(account=net.bank.public_key)] * 200
    assert net.server.get_ledger_entries(keys).entries
    refused(-32602, net.server.get_ledger_entries, keys + keys[:1])
    assert net.server.get_ledger_entries([ledger_key(balance="00" * 36)]).entries == []


def ledgers_follow_each_other(net):
    first = net.ledger
    for _ in range(5):
        net.close()
    latest = net.server.get_latest_ledger()
    assert (latest.sequence, latest.close_time) == (net.ledger, net.time)
    header = xdr.LedgerHeader.from_xdr(latest.header_xdr)
    assert hashlib.sha256(header.to_xdr_bytes()).hexdigest() == latest.id
    xdr.LedgerCloseMeta.from_xdr(latest.metadata_xdr)
    page = net.server.get_ledgers(start_ledger=first, limit=2)
    told = page.ledgers
    while told[-1].sequence < page.latest_ledger:
        page = net.server.get_ledgers(cursor=page.cursor, limit=2)
        told += page.ledgers
    refused(-32602, net.server.get_ledgers, cursor=page.cursor)
    assert [ledger.sequence for ledger in told] == list(range(first, net.ledger + 1))
    before = None
    for ledger in told:
        entry = xdr.LedgerHeaderHistoryEntry.from_xdr(ledger.header_xdr)
        assert entry.hash.hash.hex() == ledger.hash == hashlib.sha256(entry.header.to_xdr_bytes()).hexdigest()
        assert before is None or entry.header.previous_ledger_hash.hash == before
        assert entry.header.scp_value.close_time.time_point.uint64 == ledger.ledger_close_time
        meta = xdr.LedgerCloseMeta.from_xdr(ledger.metadata_xdr)
        close = meta.v2 or meta.v1
        assert close.ledger_header.hash == entry.hash
        before = entry.hash.hash
    refused(-32600, net.server.get_ledgers, start_ledger=net.ledger + 100)


def transactions_are_listed_in_their_order(net):
    first = net.ledger + 1
    a, b = net.account(), net.account()
    sent = []
    for _ in range(3):
        for key in [a, b]:
            envelope = net.build(key, Payment(a.public_key, XLM, "1"))
            envelope.sign(key)
            sent.append(net.server.send_transaction(envelope).hash)
        net.close()
    listed, page = [], net.server.get_transactions(start_ledger=first, limit=2)
    while page.transactions:
        listed += page.transactions
        page = net.server.get_transactions(cursor=page.cursor, limit=2)
    assert sorted(t.transaction_hash for t in listed[2:]) == sorted(sent)
    order = [(t.ledger, t.application_order) for t in listed]
    assert order == sorted(order)
    for transaction in listed:
        found = net.server.get_transaction(transaction.transaction_hash)
        assert found.status.value == transaction.status == "SUCCESS"
        for field in ["envelope_xdr", "result_xdr", "result_meta_xdr", "ledger", "application_order", "fee_bump"]:
            assert getattr(found, field) == getattr(transaction, field), field
        meta = xdr.TransactionMeta.from_xdr(transaction.result_meta_xdr)
        assert meta.v4 is not None and len(meta.v4.operations) == 1


def payments_are_told_as_events(net):
    issuer, holder = net.account(), net.account()
    asset = Asset("NOK", issuer.public_key)
    net.run(holder, ChangeTrust(asset))
    first = net.ledger + 1
    net.run(issuer, Payment(holder.public_key, asset, "3"))
    net.run(holder, Payment(issuer.public_key, asset, "1"))
    net.run(holder, Payment(issuer.public_key, XLM, "2"))
    of_asset = EventFilter(type=EventFilterType.CONTRACT, contractIds=[asset.contract_id(net.passphrase)])
    told = net.server.get_events(first, filters=[of_asset]).events
    kinds = [scval.from_symbol(event.topic[0]) for event in told]
    assert kinds == ["mint", "burn"], kinds
    assert [scval.from_int128(event.value) for event in told] == [30_000_000, 10_000_000]
    symbol = scval.to_symbol("transfer").to_xdr()
    native = EventFilter(type=EventFilterType.CONTRACT, topics=[[symbol, "*", "*", "*"]])
    [transfer] = net.server.get_events(first, filters=[native]).events
    assert transfer.contract_id == XLM.contract_id(net.passphrase)
    assert scval.from_address(transfer.topic[1]).address == holder.public_key
    assert scval.from_address(transfer.topic[2]).address == issuer.public_key
    assert scval.from_string(transfer.topic[3]) == b"native"
    fees = EventFilter(type=EventFilterType.CONTRACT, topics=[[scval.to_symbol("fee").to_xdr(), "**"]])
    paid = net.server.get_events(first, filters=[fees]).events
    assert sum(scval.from_int128(event.value) for event in paid) == 300
