//! A gateway that shows every finished record to an observer: a line for each answer that took long.
//!
//! An observer runs on the writer's thread and must not block: this one only hands what it needs to a thread.
//!
//! ```sh
//! cargo run --example observer -- aiproxy.yaml
//! ```

use std::io::Write;
use std::sync::mpsc;

use aiproxy::Gateway;
use aiproxy::access_log::observer::Observer;
use aiproxy::access_log::record::LogRecord;

/// What takes longer than this is told.
const SLOW_MS: f64 = 5_000.0;

struct SlowAnswers {
    lines: mpsc::Sender<String>,
}

impl Observer for SlowAnswers {
    fn on_complete(&self, record: &LogRecord) {
        let Some(duration_ms) = record.duration_ms.filter(|ms| SLOW_MS < *ms) else {
            return;
        };
        let model = record.model.as_deref().unwrap_or("no model");
        let line = format!("{} {model}: {duration_ms:.0} ms", record.request_id);
        // An error means that the printing thread is gone: then nobody wants the line.
        self.lines.send(line).ok();
    }
}

fn main() -> aiproxy::Result<()> {
    let (lines, printed) = mpsc::channel::<String>();
    std::thread::spawn(move || {
        let mut out = std::io::stdout();
        printed
            .iter()
            .take_while(|line| writeln!(out, "{line}").is_ok())
            .count()
    });
    let mut gateway = Gateway::builder().observer(SlowAnswers { lines });
    if let Some(file) = std::env::args().nth(1) {
        gateway = gateway.config_file(file);
    }
    gateway.run()
}
