//! The node as the scenarios run it: the very program, built with the tests.

fn main() -> std::process::ExitCode {
    tradepost::main()
}
