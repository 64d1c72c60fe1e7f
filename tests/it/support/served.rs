//! The program serving in a folder of its own, for what is seen from outside only, such as its memory and its log.

use std::net::SocketAddr;
use std::process::Command;

use tempfile::TempDir;

use super::process::{Program, Proxy, aiproxy};

/// A running program; it is killed when this is dropped.
pub(crate) struct Served {
    proxy: Proxy,
    /// The data port.
    pub(crate) data: SocketAddr,
    /// The admin port.
    pub(crate) admin: SocketAddr,
    /// Its working folder, with `aiproxy.yaml`.
    pub(crate) dir: TempDir,
}

impl Served {
    /// Starts it with this configuration, and nothing in its environment.
    #[track_caller]
    pub(crate) fn start(yaml: &str) -> Self {
        let dir = TempDir::new().expect("a folder");
        std::fs::write(dir.path().join("aiproxy.yaml"), yaml).expect("a file");
        let mut command = within(&dir);
        command.args(["serve", "--log-format", "json"]);
        let proxy = Proxy::of(Program::start(command));
        Self {
            data: proxy.data,
            admin: proxy.admin,
            proxy,
            dir,
        }
    }

    /// What it has written to its log so far.
    pub(crate) fn log(&self) -> String {
        self.proxy.program.text()
    }

    /// What `aiproxy config show` says to the same configuration.
    pub(crate) fn config_show(&self) -> Vec<u8> {
        let output = within(&self.dir).args(["config", "show"]).output();
        let output = output.expect("the program runs");
        assert!(output.status.success());
        [output.stdout, output.stderr].concat()
    }

    /// The most memory that it has had since [`Served::forget_peak`], in bytes.
    pub(crate) fn peak_bytes(&self) -> u64 {
        super::memory::peak_bytes_of(&self.proxy.program.pid().to_string())
    }

    /// Sets the peak to what it has now.
    pub(crate) fn forget_peak(&self) {
        let path = format!("/proc/{}/clear_refs", self.proxy.program.pid());
        std::fs::write(path, "5").expect("the peak can be reset");
    }
}

fn within(dir: &TempDir) -> Command {
    let mut command = aiproxy();
    command.current_dir(dir.path());
    command
}
