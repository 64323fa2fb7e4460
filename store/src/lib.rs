//! Durable state of a Tradepost node.
