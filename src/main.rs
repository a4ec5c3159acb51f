//! `fiscald`: see the library.

fn main() -> std::process::ExitCode {
    fiscald::cli::main()
}
