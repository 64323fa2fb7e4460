"""The Python SDK as a client of the development ledger."""
