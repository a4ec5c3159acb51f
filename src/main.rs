//! `fiscald`: see the library.

/// Sales are many small allocations, freed on other threads than they were made on; the system's allocator
/// spends a tenth of a sale on them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    fiscald::cli::main()
}
