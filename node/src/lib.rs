//! Tradepost: a marketplace node without a middleman.

/// Runs the program as its command line says.
pub fn main() {}
