//! The `tradepost` program.

fn main() -> std::process::ExitCode {
    tradepost::main()
}
