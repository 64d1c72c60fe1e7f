//! What is measured: nginx and aiproxy in front of the mock, each started afresh for each run.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::client::{self, Client};
use crate::process::Process;

/// The core of the proxy.
const PROXY_CORE: u32 = 0;
/// The core of mock and load; this program is started on it.
const LOAD_CORE: u32 = 1;

/// What stands between client and mock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `proxy_pass` and an access log.
    Nginx,
    /// Spool `process`, bodies, tokens, SQLite.
    Full,
    /// `log.bodies: none`, durability `memory`.
    Light,
}

/// Programs and the folder for what they write.
pub(crate) struct Bench {
    /// The program `aiproxy`.
    pub(crate) aiproxy: PathBuf,
    /// Everything that is written goes below it.
    pub(crate) work: PathBuf,
}

/// A proxy that runs.
pub(crate) struct Target {
    /// Which.
    pub(crate) kind: Kind,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Its process.
    pub(crate) process: Process,
    /// From the start of the process to its first answer.
    pub(crate) first_answer: Duration,
    folder: PathBuf,
}

/// Rows of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Rows {
    /// Rows of `exchanges`.
    pub(crate) rows: u64,
    /// Different ids in them.
    pub(crate) ids: u64,
    /// Rows with the outcome `ok`.
    pub(crate) ok: u64,
    /// Rows of `exchange_bodies`.
    pub(crate) bodies: u64,
}

impl Bench {
    /// Starts the mock on the load's core.
    pub(crate) async fn mock(&self) -> anyhow::Result<(SocketAddr, Process)> {
        let address = free_address()?;
        let arguments = words(&["mock", "--port", &address.port().to_string()]);
        let log = self.work.join("mock.log");
        let process = Process::start(LOAD_CORE, &self.aiproxy, &arguments, &log)?;
        let deadline = Instant::now() + Duration::from_secs(10);
        while Client::connect(address).await.is_err() {
            ensure!(Instant::now() < deadline, "the mock does not start");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok((address, process))
    }

    /// Starts a proxy in an empty folder and waits for its first answer to `probe`.
    pub(crate) async fn start(
        &self,
        kind: Kind,
        upstream: SocketAddr,
        probe: &[u8],
    ) -> anyhow::Result<Target> {
        let folder = self.work.join(format!("{kind:?}").to_lowercase());
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let address = free_address()?;
        let (program, arguments) = match kind {
            Kind::Nginx => {
                let file = folder.join("nginx.conf");
                fs::write(&file, nginx_conf(&folder, address, upstream))?;
                let [folder, file] = [&folder, &file].map(|path| path.display().to_string());
                (PathBuf::from("nginx"), words(&["-p", &folder, "-c", &file]))
            }
            Kind::Full | Kind::Light => {
                let file = folder.join("aiproxy.yaml");
                fs::write(&file, aiproxy_yaml(&folder, kind, address, upstream))?;
                (
                    self.aiproxy.clone(),
                    words(&["serve", "--config", &file.display().to_string()]),
                )
            }
        };
        let began = Instant::now();
        let mut process = Process::start(PROXY_CORE, &program, &arguments, &folder.join("log"))?;
        while !answers(address, probe).await {
            let said = || fs::read_to_string(folder.join("log")).unwrap_or_default();
            ensure!(!process.has_ended(), "{kind:?} ended: {}", said());
            ensure!(
                began.elapsed() < Duration::from_secs(20),
                "{kind:?} does not answer: {}",
                said()
            );
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        Ok(Target {
            kind,
            address,
            process,
            first_answer: began.elapsed(),
            folder,
        })
    }
}

impl Target {
    /// Stops it; then tells what stands in its database.
    pub(crate) fn stop(self) -> anyhow::Result<Rows> {
        self.process.stop()?;
        if self.kind == Kind::Nginx {
            return Ok(Rows::default());
        }
        rows(&self.folder.join("log.db"))
    }
}

async fn answers(address: SocketAddr, probe: &[u8]) -> bool {
    let Ok(mut client) = Client::connect(address).await else {
        return false;
    };
    client
        .exchange(probe)
        .await
        .is_ok_and(|head| head.status == 200)
}

fn rows(database: &Path) -> anyhow::Result<Rows> {
    let script = "import sqlite3, sys\n\
        db = sqlite3.connect(sys.argv[1])\n\
        print(*db.execute(\"SELECT count(*), count(DISTINCT request_id), coalesce(sum(outcome = 'ok'), 0), \
        (SELECT count(*) FROM exchange_bodies) FROM exchanges\").fetchone())";
    let output = Command::new("python3")
        .args(["-c", script])
        .arg(database)
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let numbers: Vec<u64> = text
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let [rows, ids, ok, bodies] = numbers[..] else {
        anyhow::bail!("cannot count rows of {}", database.display());
    };
    Ok(Rows {
        rows,
        ids,
        ok,
        bodies,
    })
}

fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.local_addr().context("a free port")
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn nginx_conf(folder: &Path, address: SocketAddr, upstream: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        "daemon off; master_process off; worker_processes 1; worker_rlimit_nofile 20000;\n\
         error_log {folder}/error.log; pid {folder}/pid;\n\
         events {{ worker_connections 16000; }}\n\
         http {{\n\
           access_log {folder}/access.log combined; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;\n\
           client_max_body_size 0; keepalive_requests 10000000; keepalive_timeout 300s;\n\
           upstream mock {{ server {upstream}; keepalive 1024; keepalive_requests 10000000; }}\n\
           server {{ listen {address} backlog=4096;\n\
             location / {{ proxy_pass http://mock; proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
               proxy_buffering off; proxy_read_timeout 300s; }} }}\n\
         }}\n"
    )
}

fn aiproxy_yaml(folder: &Path, kind: Kind, address: SocketAddr, upstream: SocketAddr) -> String {
    let folder = folder.display();
    let log = match kind {
        Kind::Nginx | Kind::Full => "{ durability: process, bodies: full",
        Kind::Light => "{ durability: memory, bodies: none",
    };
    format!(
        "server: {{ host: 127.0.0.1, port: {} }}\n\
         admin: {{ enabled: false }}\n\
         database: {{ url: \"sqlite:///{folder}/log.db\" }}\n\
         log: {log}, spool_dir: \"{folder}/spool\" }}\n\
         providers:\n  - name: mock\n    kind: openai\n    base_url: http://{upstream}/v1\n    \
         api_keys: [{{ key: sk-upstream-0123456789abcdef }}]\n    timeouts: {{ idle_s: 300 }}\n  \
         - name: claude\n    kind: anthropic\n    base_url: http://{upstream}\n    \
         api_keys: [{{ key: sk-upstream-0123456789abcdef }}]\n  \
         - name: gemini\n    kind: gemini\n    base_url: http://{upstream}\n    \
         api_keys: [{{ key: sk-upstream-0123456789abcdef }}]\n  \
         - name: aws\n    kind: bedrock\n    base_url: http://{upstream}\n    region: us-east-1\n    \
         access_key_id: AKIAUPSTREAM\n    secret_access_key: upstream-0123456789abcdef\n{}",
        address.port(),
        logical(upstream)
    )
}

/// Providers and keys behind the logical models `fast` and `fast-stream`.
fn logical(upstream: SocketAddr) -> String {
    let provider = |name: &str| {
        format!(
            "  - name: {name}\n    kind: openai\n    base_url: http://{upstream}/v1\n    models: {{ list: [routed] }}\n    \
             api_keys: [{{ key: sk-first-{name}-0123456789, weight: 2 }}, {{ key: sk-second-{name}-0123456789 }}]\n"
        )
    };
    let targets = |model: &str| {
        let target = |name: &str| format!("      - {{ provider: {name}, model: {model} }}\n");
        ["one", "two", "three"].map(target).concat()
    };
    format!(
        "{}models:\n  fast:\n    targets:\n{}  fast-stream:\n    targets:\n{}",
        ["one", "two", "three"].map(provider).concat(),
        targets("mock"),
        targets("mock-s200"),
    )
}

/// The plain request of most scenarios: a body of 730 bytes.
pub(crate) fn plain() -> Vec<u8> {
    client::chat("mock", false, 730)
}
