//! The program `aiproxy`: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    aiproxy::cli::run(std::env::args_os())
}
