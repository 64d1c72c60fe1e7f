//! A process on a core of its own: its CPU time by thread, its memory, its end.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

/// Threads whose CPU time is not on the request path: the record's way into SQL and the side work.
const SIDE_THREADS: [&str; 6] = [
    "log-writer",
    "log-recovery",
    "log-upkeep",
    "sqlx-",
    "background",
    "watchdog",
];

/// CPU within 500 ms below which a process counts as quiet.
const QUIET_NS: u64 = 4_000_000;

/// Memory that changes by less than this in a second is steady.
const STEADY_KIB: u64 = 256;

/// A child that ends with this value, and with the program that started it.
pub(crate) struct Process {
    child: Child,
    name: String,
}

/// CPU time of each thread, in nanoseconds, with its name.
pub(crate) type Threads = HashMap<u32, (String, u64)>;

/// CPU time between two looks, in microseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cpu {
    /// Of all threads.
    pub(crate) all: f64,
    /// Without those that write the record into SQL.
    pub(crate) request: f64,
}

impl Process {
    /// Starts a program on one core. What it says goes to `log`.
    pub(crate) fn start(
        core: u32,
        program: &Path,
        arguments: &[String],
        log: &Path,
    ) -> anyhow::Result<Self> {
        let name = program.display().to_string();
        let log = fs::File::create(log).context("log of a process")?;
        let child = Command::new("setpriv")
            .args([
                "--pdeathsig",
                "KILL",
                "--",
                "taskset",
                "-c",
                &core.to_string(),
            ])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { child, name })
    }

    /// CPU time of its threads by now.
    pub(crate) fn threads(&self) -> anyhow::Result<Threads> {
        let mut threads = Threads::new();
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let path = task?.path();
            // A thread that ended between the two calls has nothing to tell.
            let (Ok(name), Ok(stat)) = (
                fs::read_to_string(path.join("comm")),
                fs::read_to_string(path.join("schedstat")),
            ) else {
                continue;
            };
            let id = path
                .file_name()
                .and_then(|id| id.to_str())
                .unwrap_or_default();
            let spent = stat.split(' ').next().unwrap_or_default();
            threads.insert(id.parse()?, (name.trim().to_owned(), spent.parse()?));
        }
        Ok(threads)
    }

    /// Waits until it does nothing any more.
    pub(crate) async fn quiet(&self) -> anyhow::Result<()> {
        let mut before = self.threads()?;
        for _ in 0..240 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let now = self.threads()?;
            let spent: u64 = difference(&before, &now).map(|(_, ns)| ns).sum();
            if spent < QUIET_NS {
                return Ok(());
            }
            before = now;
        }
        bail!("{} is not quiet after two minutes", self.name)
    }

    /// Waits until its memory stays as it is.
    pub(crate) async fn steady(&self) -> anyhow::Result<()> {
        let mut before = self.memory("VmRSS")?;
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = self.memory("VmRSS")?;
            if now.abs_diff(before) < STEADY_KIB {
                return Ok(());
            }
            before = now;
        }
        bail!("the memory of {} is not steady after 20 s", self.name)
    }

    /// CPU time since an earlier look.
    pub(crate) fn cpu_since(&self, before: &Threads) -> anyhow::Result<Cpu> {
        let mut cpu = Cpu::default();
        for (name, ns) in difference(before, &self.threads()?) {
            let micros = ns as f64 / 1e3;
            cpu.all += micros;
            if !SIDE_THREADS.iter().any(|side| name.starts_with(side)) {
                cpu.request += micros;
            }
        }
        Ok(cpu)
    }

    /// Resident memory in KiB: `VmRSS` now or `VmHWM` at most.
    pub(crate) fn memory(&self, field: &str) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let words = line.and_then(|line| line.trim_start_matches(':').split_whitespace().next());
        Ok(words.context("no such line in /proc/PID/status")?.parse()?)
    }

    /// Makes the peak what memory is now.
    pub(crate) fn forget_peak(&self) -> anyhow::Result<()> {
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").context("clear_refs")
    }

    /// Ends it with SIGTERM and waits for it.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        let kill = format!("kill -TERM {}", self.child.id());
        Command::new("sh").args(["-c", &kill]).status()?;
        let ended = self.child.wait()?;
        if !ended.success() {
            bail!("{} ended with {ended}", self.name);
        }
        Ok(())
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

fn difference<'a>(before: &'a Threads, now: &'a Threads) -> impl Iterator<Item = (&'a str, u64)> {
    now.iter().map(|(id, (name, ns))| {
        let earlier = before.get(id).map_or(0, |(_, ns)| *ns);
        (name.as_str(), ns.saturating_sub(earlier))
    })
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
