"""Runs every case against a fresh development ledger, and prints how often each operation came to which outcome.

python -m client RPC_URL
"""

import sys
import time
import traceback
from inspect import getmembers, isfunction

from . import accounts, balances, fee_bumps, rpc, signers, sponsorship, trust
from .network import Network


def cases():
    """The functions whose names are sentences: those of one argument."""
    for module in [accounts, trust, balances, signers, sponsorship, fee_bumps, rpc]:
        own = [f for _, f in getmembers(module, isfunction) if f.__module__ == module.__name__]
        own = [f for f in own if f.__code__.co_varnames[: f.__code__.co_argcount] == ("net",)]
        yield from sorted(own, key=lambda f: f.__code__.co_firstlineno)


def main(url):
    began, failed, number = time.monotonic(), [], 0
    net = Network(url)
    for case in cases():
        number += 1
        try:
            case(net)
        except Exception:
            failed.append(case.__name__)
            print(f"python {case.__name__}: FAILED", file=sys.stderr)
            traceback.print_exc()
    for (operation, outcome), count in sorted(net.counts.items()):
        print(f"{operation:<32} {outcome:<52} {count:>4}")
    sent = sum(count for (operation, _), count in net.counts.items() if operation == "transaction")
    took = time.monotonic() - began
    print(f"python: {number - len(failed)} of {number} cases passed, {sent} transactions, {took:.0f} s")
    return 1 if failed else 0


sys.exit(main(*sys.argv[1:]))
