//! The program `aiproxy`: hands the command line to the library, where everything is. A program of one's own has
//! its own `main` and starts with `aiproxy::Gateway::builder()`.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    aiproxy::cli::run(std::env::args_os())
}
