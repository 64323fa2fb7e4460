//! Types, rules, state machines and on-ledger shapes of Tradepost.
