//! `fiscal-hq`: see the library.

fn main() -> std::process::ExitCode {
    fiscal_hq::cli::main()
}
