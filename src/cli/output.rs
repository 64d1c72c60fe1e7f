//! What commands print. A reader that goes away (`aiproxy logs | head`) ends the command quietly; text of others
//! cannot steer the terminal.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use crate::config::{Environment, printable};

/// The reader of the output went away: no failure, but there is nothing more to do.
#[derive(Debug, thiserror::Error)]
#[error("the output is closed")]
pub struct Closed;

/// Where a command prints.
pub struct Output<W: Write> {
    to: W,
    colored: bool,
    width: Option<u16>,
}

impl Output<BufWriter<Stdout>> {
    /// Standard output; in colour when it is a terminal and `NO_COLOR` is not set.
    pub fn stdout(environment: &Environment) -> Self {
        let stdout = io::stdout();
        let colored = stdout.is_terminal() && !environment.is_given("NO_COLOR");
        Self {
            to: BufWriter::new(stdout),
            colored,
            width: comfy_table::Table::new().width(),
        }
    }
}

impl<W: Write> Output<W> {
    /// An output without colours.
    pub fn plain(to: W) -> Self {
        Self {
            to,
            colored: false,
            width: None,
        }
    }

    /// Whether colours are wanted.
    pub fn is_colored(&self) -> bool {
        self.colored
    }

    /// Columns of the terminal; `None` when the output is none.
    pub fn width(&self) -> Option<u16> {
        self.width
    }

    /// One line; what would steer the terminal is escaped.
    ///
    /// # Errors
    /// [`Closed`] when the reader went away, else why it cannot be written.
    pub fn line(&mut self, line: &str) -> anyhow::Result<()> {
        self.bytes(printable(line).as_bytes())?;
        self.bytes(b"\n")
    }

    /// Bytes as they are: recorded bodies, and text that we made ourselves.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub fn bytes(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.to.write_all(bytes).map_err(closed_or_failed)
    }

    /// Hands over what is held back; nothing is printed before.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub fn flush(&mut self) -> anyhow::Result<()> {
        self.to.flush().map_err(closed_or_failed)
    }
}

fn closed_or_failed(error: io::Error) -> anyhow::Error {
    if error.kind() == io::ErrorKind::BrokenPipe {
        anyhow::Error::new(Closed)
    } else {
        anyhow::Error::new(error).context("cannot write to the output")
    }
}

/// Lines with what would steer the terminal escaped, but for their ends.
pub(super) fn printable_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(printable).collect();
    lines.join("\n")
}

/// Says something on stderr, after the program's name; a closed stderr is no failure.
pub fn complain(message: &str) {
    // There is nobody left to tell when this fails.
    drop(writeln!(
        io::stderr(),
        "aiproxy: {}",
        printable_lines(message)
    ));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit::{Exit, of};

    /// Fails every write in one way.
    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure_and_a_full_disk_is() {
        for (kind, exit) in [
            (io::ErrorKind::BrokenPipe, Exit::Done),
            (io::ErrorKind::StorageFull, Exit::Failed),
        ] {
            let mut output = Output::plain(Broken(kind));
            assert_eq!(of(&output.line("x").expect_err("broken")), exit);
            assert_eq!(of(&output.flush().expect_err("broken")), exit);
        }
    }

    #[test]
    fn lines_cannot_steer_the_terminal_and_bytes_are_left() {
        let mut kept = Vec::new();
        let mut output = Output::plain(&mut kept);
        output.line("a\x1b[2J\nb").expect("kept");
        output.bytes(b"\x1b\xff").expect("kept");
        assert_eq!(kept, b"a\\u{1b}[2J\\nb\n\x1b\xff");
    }
}
