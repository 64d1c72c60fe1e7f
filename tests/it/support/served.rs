//! The program itself, serving in a process of its own: for what is seen from outside only, such as its memory
//! and its log.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use tempfile::TempDir;

use super::signal::LIMIT;

/// A running program; it is killed when this is dropped.
pub(crate) struct Served {
    child: Child,
    stderr: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    /// The data port.
    pub(crate) data: SocketAddr,
    /// The admin port.
    pub(crate) admin: SocketAddr,
    /// Its working folder, with `aiproxy.yaml`.
    pub(crate) dir: TempDir,
}

impl Served {
    /// Starts it with this configuration, and nothing in its environment.
    pub(crate) fn start(yaml: &str) -> Self {
        let dir = TempDir::new().expect("a folder");
        std::fs::write(dir.path().join("aiproxy.yaml"), yaml).expect("a file");
        let mut child = program(&dir)
            .args(["serve", "--log-format", "json"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stderr = Arc::<Mutex<String>>::default();
        let (sender, addresses) = mpsc::channel();
        let lines = BufReader::new(child.stderr.take().expect("piped"));
        let log = stderr.clone();
        let reader = std::thread::spawn(move || read_log(lines, &log, &sender));
        let addresses = addresses.recv_timeout(LIMIT);
        let (data, admin) = addresses.unwrap_or_else(|_| {
            panic!(
                "it does not serve: {}",
                stderr.lock().unwrap_or_else(PoisonError::into_inner)
            )
        });
        Self {
            child,
            stderr,
            reader: Some(reader),
            data,
            admin,
            dir,
        }
    }

    /// What it has written to its log so far.
    pub(crate) fn log(&self) -> String {
        self.stderr
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What `aiproxy config show` says to the same configuration.
    pub(crate) fn config_show(&self) -> Vec<u8> {
        let output = program(&self.dir).args(["config", "show"]).output();
        let output = output.expect("the program runs");
        assert!(output.status.success());
        [output.stdout, output.stderr].concat()
    }

    /// The most memory that it has had since [`Served::forget_peak`], in bytes.
    pub(crate) fn peak_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        kib.expect("a number") << 10
    }

    /// Sets the peak to what it has now.
    pub(crate) fn forget_peak(&self) {
        let path = format!("/proc/{}/clear_refs", self.child.id());
        std::fs::write(path, "5").expect("the peak can be reset");
    }
}

fn program(dir: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aiproxy"));
    command
        .env_clear()
        .current_dir(dir.path())
        .stdin(Stdio::null());
    command
}

fn read_log(
    mut lines: BufReader<impl Read>,
    log: &Mutex<String>,
    addresses: &mpsc::Sender<(SocketAddr, SocketAddr)>,
) {
    let mut line = String::new();
    while lines.read_line(&mut line).is_ok_and(|read| 0 < read) {
        let event: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        let address = |name: &str| event[name].as_str()?.parse().ok();
        if let (Some(data), Some(admin)) = (address("data"), address("admin")) {
            // Nobody listens any more when the starter has given up.
            let _gone = addresses.send((data, admin));
        }
        log.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_str(&line);
        line.clear();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if let Some(reader) = self.reader.take() {
            drop(reader.join());
        }
    }
}
