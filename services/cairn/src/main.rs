use std::process::ExitCode;

use cairn::suite::Engines;
use mimalloc::MiMalloc;

/// A request makes many small, short-lived allocations: a quarter of a small request's time with the C library's own.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    cairn::cli::main(Engines::default())
}
