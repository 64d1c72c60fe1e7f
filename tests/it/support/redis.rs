//! Redis for tests: a private server in a temporary directory without persistence, run by a shell that obeys lines of its
//! standard input and ends it at their end: the server ends with the test, however that ends. Where there is no Redis,
//! tests fail.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use aiproxy::clock::Dice;
use tempfile::TempDir;

use super::from_environment;

/// A running server.
pub(crate) struct Server {
    /// URL of its first database.
    pub(crate) url: String,
    /// `None`: the server is another's.
    shell: Option<Mutex<Shell>>,
}

struct Shell {
    child: Child,
    output: BufReader<ChildStdout>,
}

const SCRIPT: &str = r#"
dir=$1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
shift
command -v redis-server >/dev/null || { echo "no redis-server: install Redis"; exit 1; }
start() {
    : >log
    redis-server "$@" >log 2>&1 &
    pid=$!
    until grep -q 'Ready to accept connections' log; do
        kill -0 $pid 2>/dev/null || return 1
    done
}
finish() {
    kill -KILL $pid
    wait $pid 2>/dev/null
}
start "$@" || { cat log; exit 1; }
echo done
while read -r wanted; do
    case $wanted in
        start) start "$@" ;;
        kill) finish; true ;;
        pause) kill -STOP $pid && until grep -q '^State:.T' /proc/$pid/status; do :; done ;;
        resume) kill -CONT $pid ;;
    esac && echo done || cat log
done
finish
"#;

/// The server that tests share: the one that the environment names, else one of this process. Each test has keys of
/// its own.
pub(crate) fn shared() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| match from_environment("AIPROXY_TEST_REDIS") {
        Some(url) => Server { url, shell: None },
        None => Server::start(&[]),
    })
}

/// A port that nobody listens at. It and the one of a cluster, 10,000 above, are below those that systems give to clients:
/// while a server is away, none gets its port.
pub(crate) fn free_port() -> u16 {
    let mut ports = std::iter::repeat_with(|| 10_000 + Dice::machine().roll(12_000))
        .filter_map(|port| u16::try_from(port).ok());
    ports
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}

impl Server {
    /// One of the test's own, with further options such as `--requirepass x`.
    pub(crate) fn start(options: &[&str]) -> Self {
        let dir = TempDir::with_prefix("aiproxy-redis-")
            .expect("a temporary directory")
            .keep();
        let port = free_port();
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "sh"]).arg(&dir);
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
        command
            .args(["--save", "", "--appendonly", "no"])
            .args(options);
        // A group of its own, or a Ctrl-C for the tests would end it before it has cleaned up.
        command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().expect("a shell");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let mut shell = Shell { child, output };
        shell.expect_done();
        Self {
            url: format!("redis://127.0.0.1:{port}"),
            shell: Some(Mutex::new(shell)),
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(&self) {
        self.tell("kill");
    }

    /// Starts it again at the same port, empty.
    pub(crate) fn restart(&self) {
        self.tell("start");
    }

    /// SIGSTOP: it accepts connections, as the system does that, and does nothing more.
    pub(crate) fn pause(&self) {
        self.tell("pause");
    }

    /// SIGCONT.
    pub(crate) fn resume(&self) {
        self.tell("resume");
    }

    fn tell(&self, wanted: &str) {
        let shell = self.shell.as_ref().expect("a server of the test's own");
        let mut shell = shell.lock().expect("no holder panics");
        let mut input = shell.child.stdin.as_ref().expect("its input");
        writeln!(input, "{wanted}").expect("a living shell");
        shell.expect_done();
    }

    /// Runs a command, its words with a space between, in the first database.
    #[track_caller]
    pub(crate) fn run<T: redis::FromRedisValue>(&self, command: &str) -> T {
        let client = redis::Client::open(self.url.as_str()).expect("a URL");
        let mut connection = client.get_connection().expect("a connection");
        let mut words = command.split(' ');
        let mut sent = redis::cmd(words.next().unwrap_or_default());
        for word in words {
            sent.arg(word);
        }
        let answer = sent.query(&mut connection);
        answer.unwrap_or_else(|error| panic!("{command}: {error}"))
    }
}

impl Shell {
    fn expect_done(&mut self) {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line of output");
        if line.trim_end() != "done" {
            drop(self.child.stdin.take());
            self.output.read_to_string(&mut line).expect("its words");
            panic!("Redis does not do as these tests need:\n{line}");
        }
    }
}

impl Drop for Shell {
    /// The end of its input is the sign to clean up.
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}
