//! The process log: who writes it, in which form, and how it keeps to one line an event. What others put into a
//! message (newlines, escape sequences, direction marks) is escaped in the finished line, so no field can be forgotten.

use std::io::{self, Write};
use std::panic::PanicHookInfo;

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{LogLevel, steers};

/// How lines of the process log look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Another log was started in this process already.
#[derive(Debug, thiserror::Error)]
#[error("a process log is started already")]
pub struct AlreadyStarted;

/// Starts the process log on stderr for the rest of the process. Panics are lines of it from then on.
///
/// # Errors
/// When the process has one already.
pub fn init(level: LogLevel, format: LogFormat) -> Result<(), AlreadyStarted> {
    let subscriber = subscriber(level, format, io::stderr);
    tracing::dispatcher::set_global_default(subscriber).map_err(|_| AlreadyStarted)?;
    std::panic::set_hook(Box::new(tell_panic));
    Ok(())
}

/// Tells where a panic was. Its words are told only where they are a literal of the program's: those that were put
/// together may hold what a request held.
fn tell_panic(panic: &PanicHookInfo<'_>) {
    let at = panic.location().map(ToString::to_string);
    let thread = std::thread::current();
    let words = panic.payload().downcast_ref::<&'static str>();
    tracing::error!(
        at,
        thread = thread.name(),
        "a panic: {}",
        words.unwrap_or(&"its words are not shown")
    );
}

/// A process log that writes to `to`.
pub fn subscriber<W>(level: LogLevel, format: LogFormat, to: W) -> tracing::Dispatch
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(level))
        // Where the log cannot be written, neither can that; trying to would be a panic.
        .log_internal_errors(false)
        .with_ansi(false);
    let to = OneLine { to, format };
    match format {
        LogFormat::Text => dispatch(builder.with_writer(to).finish()),
        LogFormat::Json => dispatch(builder.json().flatten_event(true).with_writer(to).finish()),
    }
}

fn dispatch<S: Subscriber + Send + Sync + 'static>(subscriber: S) -> tracing::Dispatch {
    tracing::Dispatch::new(subscriber)
}

/// Our own events at the level asked for; those of libraries never below a warning, because they may hold
/// headers and SQL.
fn filter(level: LogLevel) -> EnvFilter {
    let (ours, theirs) = match level {
        LogLevel::Off => ("off", "off"),
        LogLevel::Error => ("error", "error"),
        LogLevel::Warn => ("warn", "warn"),
        LogLevel::Info => ("info", "warn"),
        LogLevel::Debug => ("debug", "warn"),
        LogLevel::Trace => ("trace", "warn"),
    };
    EnvFilter::new(format!("{theirs},aiproxy={ours},aiproxy_filters={ours}"))
}

/// Makes writers that keep an event on one line.
struct OneLine<W> {
    to: W,
    format: LogFormat,
}

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for OneLine<W> {
    type Writer = OneLineWriter<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        OneLineWriter {
            to: self.to.make_writer(),
            format: self.format,
        }
    }
}

/// Writes one event: it is handed over in one call, its line end last.
struct OneLineWriter<W> {
    to: W,
    format: LogFormat,
}

impl<W: Write> Write for OneLineWriter<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = std::str::from_utf8(event)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let line = text.strip_suffix('\n').unwrap_or(text);
        if line.chars().any(steers) {
            self.to.write_all(escaped(line, self.format).as_bytes())?;
        } else {
            self.to.write_all(event)?;
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// The line with its end, what steers written as the format escapes it.
fn escaped(line: &str, format: LogFormat) -> String {
    let mut escaped = String::with_capacity(line.len() + 32);
    for c in line.chars() {
        if !steers(c) {
            escaped.push(c);
            continue;
        }
        match format {
            LogFormat::Text => escaped.extend(c.escape_default()),
            // All that steers is within the first plane, where one escape is one character (RFC 8259, section 7).
            LogFormat::Json => escaped.push_str(&format!("\\u{:04x}", u32::from(c))),
        }
    }
    escaped.push('\n');
    escaped
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: LogLevel, format: LogFormat, log: impl FnOnce()) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let dispatch = subscriber(level, format, move || writer.clone());
        tracing::dispatcher::with_default(&dispatch, log);
        let bytes = kept.0.lock().expect("no panic").clone();
        String::from_utf8(bytes).expect("UTF-8")
    }

    const HOSTILE: &str = "a\nERROR forged\r\x1b[31m\u{202e}\u{2028}\u{85}\0 end";

    fn hostile() {
        let name = tracing::field::display(HOSTILE);
        tracing::warn!(name, model = HOSTILE, list = ?vec![HOSTILE], "about {HOSTILE}");
    }

    #[test]
    fn one_event_is_one_line_whatever_it_holds() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let text = logged(LogLevel::Info, format, hostile);
            assert_eq!(text.matches('\n').count(), 1, "{text}");
            assert!(
                text.ends_with('\n') && !text.trim_end_matches('\n').chars().any(steers),
                "{text:?}"
            );
            assert!(text.contains("about a"), "{text}");
        }
    }

    #[test]
    fn a_json_line_holds_what_was_said() {
        let text = logged(LogLevel::Info, LogFormat::Json, hostile);
        let line: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(line["model"], HOSTILE);
        assert_eq!(line["level"], "WARN");
        assert!(line["timestamp"].is_string());
    }

    #[test]
    fn a_panic_is_one_line_without_the_words_of_others() {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(tell_panic));
        let text = logged(LogLevel::Error, LogFormat::Json, || {
            drop(std::panic::catch_unwind(|| panic!("{HOSTILE} canary")));
            drop(std::panic::catch_unwind(|| panic!("a literal")));
        });
        std::panic::set_hook(usual);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(
            !text.contains("canary") && lines[1].contains("a panic: a literal"),
            "{text}"
        );
        assert!(lines[0].contains("subscriber.rs:"), "{text}");
    }

    #[test]
    fn the_level_says_how_much() {
        let both = || {
            tracing::error!("loud");
            tracing::debug!("quiet");
        };
        for (level, lines) in [
            (LogLevel::Off, 0),
            (LogLevel::Error, 1),
            (LogLevel::Debug, 2),
        ] {
            assert_eq!(
                logged(level, LogFormat::Text, both).lines().count(),
                lines,
                "{level:?}"
            );
        }
    }
}
