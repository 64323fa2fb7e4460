//! The `tradepost` program.

fn main() {
    tradepost::main()
}
