//! Multi-node scenarios of Tradepost.
