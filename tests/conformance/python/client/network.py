"""A development ledger through the SDK: what is sent has to come to what is wanted, and is counted."""

from collections import Counter
from decimal import Decimal

import requests
from stellar_sdk import Account, Keypair, SorobanServer, TransactionBuilder, xdr
from stellar_sdk.operation import CreateAccount
from stellar_sdk.soroban_rpc import GetTransactionStatus, SendTransactionStatus

# How many ledgers a transaction may wait. One is enough where ledgers close on demand.
PATIENCE = 3


class Network:
    """The ledger behind an RPC, whose ledgers close when this asks for it."""

    def __init__(self, url):
        self.url = url
        self.server = SorobanServer(url)
        self.passphrase = self.server.get_network().passphrase
        self.counts = Counter()
        self.time = self.ledger = 0
        self.close()
        self.bank = Keypair.random()
        self.fund(self.bank)

    # The development ledger's own doors.

    def fund(self, key):
        """Lets the friendbot make an account of 10,000 XLM."""
        url = self.server.get_network().friendbot_url
        answer = requests.get(url, params={"addr": key.public_key}, timeout=30)
        assert answer.ok, answer.text
        self.close()

    def close(self):
        """Closes a ledger, and knows its number and time."""
        answer = requests.post(f"{self.url}/devnet/close", timeout=30)
        assert answer.ok, answer.text
        self.time, self.ledger = answer.json()["close_time"], answer.json()["sequence"]

    def advance(self, seconds):
        """Closes a ledger so many seconds later."""
        answer = requests.post(f"{self.url}/devnet/clock", json={"advance_seconds": seconds}, timeout=30)
        assert answer.ok, answer.text
        self.close()

    # What the ledger holds.

    def entry(self, **key):
        """The entry of a key as XDR, or None: account=…, trustline=(…, asset), data=(…, name), balance=id."""
        found = self.server.get_ledger_entries([ledger_key(**key)]).entries
        return xdr.LedgerEntryData.from_xdr(found[0].xdr) if found else None

    def account_entry(self, key):
        return self.entry(account=key.public_key).account

    def balance(self, key):
        return self.account_entry(key).balance.int64

    def sequence(self, key):
        return self.server.load_account(key.public_key).sequence

    # What is sent.

    def account(self, balance="100"):
        """Makes an account with so many XLM."""
        key = Keypair.random()
        self.run(self.bank, CreateAccount(key.public_key, balance))
        return key

    def build(self, source, *operations, sequence=None, fee=100, conditions=None):
        """A transaction without signatures; the next one of its source, valid for five minutes, unless told otherwise."""
        account = self.server.load_account(source.public_key) if sequence is None else None
        account = account or Account(source.public_key, sequence - 1)
        builder = TransactionBuilder(account, self.passphrase, fee).add_time_bounds(0, self.time + 300)
        for operation in operations:
            builder.append_operation(operation)
        if conditions:
            conditions(builder)
        return builder.build()

    def run(self, source, *operations, signers=None, want=None, **how):
        """Builds, signs and sends a transaction; see `send`."""
        envelope = self.build(source, *operations, **how)
        for signer in [source] if signers is None else signers:
            envelope.sign(signer)
        return self.send(envelope, want)

    def send(self, envelope, want=None):
        """Sends a signed transaction, and closes ledgers until it is decided. What comes of it has to be what is wanted:
        one code of the transaction, or one of each operation; without, success. Returns its result."""
        sent = self.server.send_transaction(envelope)
        assert sent.hash == envelope.hash_hex(), f"{sent.hash} is not the hash {envelope.hash_hex()}"
        if sent.status is SendTransactionStatus.PENDING:
            result = self.decided(sent.hash).result_xdr
        else:
            assert sent.status is SendTransactionStatus.ERROR, sent.status
            result = sent.error_result_xdr
        result = xdr.TransactionResult.from_xdr(result)
        got, operations = codes(result.result)
        kinds = [operation.body.type.name for operation in operations_of(envelope)]
        self.counts["transaction", got] += 1
        self.counts.update(zip(kinds, operations))
        wanted = want or [name + "_SUCCESS" for name in kinds]
        wanted = [wanted] if isinstance(wanted, str) else wanted
        told = operations or [got]
        assert told == wanted or [got, *operations] == wanted, f"{wanted} was wanted, and {[got, *operations]} came"
        return result

    def decided(self, hash):
        """What became of a transaction that was taken."""
        for _ in range(PATIENCE):
            self.close()
            found = self.server.get_transaction(hash)
            if found.status is not GetTransactionStatus.NOT_FOUND:
                return found
        raise AssertionError(f"{hash} was taken and never included")


def ledger_key(account=None, trustline=None, data=None, balance=None):
    kind = xdr.LedgerEntryType

    def account_id(address):
        return Keypair.from_public_key(address).xdr_account_id()

    if account:
        return xdr.LedgerKey(kind.ACCOUNT, account=xdr.LedgerKeyAccount(account_id(account)))
    if trustline:
        holder, asset = trustline
        line = xdr.LedgerKeyTrustLine(account_id(holder), asset.to_trust_line_asset_xdr_object())
        return xdr.LedgerKey(kind.TRUSTLINE, trust_line=line)
    if data:
        holder, name = data
        return xdr.LedgerKey(kind.DATA, data=xdr.LedgerKeyData(account_id(holder), xdr.String64(name.encode())))
    balance_id = xdr.ClaimableBalanceID.from_xdr_bytes(bytes.fromhex(balance))
    return xdr.LedgerKey(kind.CLAIMABLE_BALANCE, claimable_balance=xdr.LedgerKeyClaimableBalance(balance_id))


def operations_of(envelope):
    transaction = envelope.to_xdr_object()
    if transaction.fee_bump:
        return transaction.fee_bump.tx.inner_tx.v1.tx.operations
    return transaction.v1.tx.operations


def codes(result):
    """The code of a transaction's result, and those of its operations."""
    pair = getattr(result, "inner_result_pair", None)
    if pair is not None:
        inner, operations = codes(pair.result.result)
        return f"{result.code.name} {inner}", operations
    return result.code.name, [code(operation) for operation in result.results or []]


def code(operation):
    if operation.tr is None:
        return operation.code.name
    [result] = [value for name, value in vars(operation.tr).items() if name.endswith("_result") and value is not None]
    return result.code.name


def stroops(coins):
    return int(Decimal(coins).scaleb(7))
