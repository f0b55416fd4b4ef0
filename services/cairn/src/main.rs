use std::process::ExitCode;

use cairn::suite::Engines;

fn main() -> ExitCode {
    cairn::cli::main(Engines::default())
}
