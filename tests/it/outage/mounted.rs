//! The program in a mount namespace of its own, its database on a small file system that can be filled and made
//! read-only. The namespace ends with the processes in it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::support::db::{texts, with_database};
use crate::support::gateway::{sqlite_in, wait_until};
use crate::support::id;
use crate::support::process::{Program, Proxy, bare, configure, serve};

/// A proxy whose database is on a file system of 3 MiB, the spool on the disk beside it.
struct Mounted {
    proxy: Proxy,
    _mock: Program,
    folder: PathBuf,
    dir: TempDir,
}

impl Mounted {
    /// `before`: what the shell does in the new file system before the proxy starts.
    fn start(before: &str) -> Self {
        let dir = TempDir::new().expect("a folder");
        let folder = dir.path().join("db");
        fs::create_dir(&folder).expect("a folder");
        let (mock, upstream) = Program::mock();
        let url = format!("sqlite:///{}/test.db", folder.display());
        let config = configure(dir.path(), upstream, &url, "");
        let serve = serve(&config);
        let mut command = bare("unshare");
        // Somebody else than root is root within, where the system lets them.
        let within = if id(&["-u"]) == "0" { "-m" } else { "-rm" };
        let script = format!(
            "mount -t tmpfs -o size=3m none \"$1\" && cd \"$1\" && {before} && shift && exec \"$@\""
        );
        command
            .args([within, "sh", "-c", &script, "sh"])
            .arg(&folder);
        command.arg(serve.get_program()).args(serve.get_args());
        Self {
            proxy: Proxy::of(Program::start(command)),
            _mock: mock,
            folder,
            dir,
        }
    }

    /// A path within the namespace, as seen from here.
    fn inside(&self, name: &str) -> PathBuf {
        let folder = self.folder.strip_prefix("/").expect("an absolute path");
        PathBuf::from(format!("/proc/{}/root", self.proxy.program.pid()))
            .join(folder)
            .join(name)
    }

    fn remount(&self, options: &str) {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.proxy.program.pid().to_string(), "-m"]);
        if id(&["-u"]) != "0" {
            command.args(["-U", "--preserve-credentials"]);
        }
        command.args(["mount", "-o", &format!("remount,{options}")]);
        let done = command.arg(&self.folder).status().expect("nsenter");
        assert!(done.success(), "remount,{options}");
    }

    fn wait_for_db(&self, up: bool) {
        wait_until("the alarm follows the database", || {
            (self.proxy.metric("log_db_up") == 1.0) == up
        });
    }

    /// Everything is stored, nothing was dropped, and the file is sound.
    fn check(self, rows: i64) {
        self.proxy.settle();
        // SQLite follows the link into the namespace by itself, and gets lost: it gets a copy.
        for name in ["test.db", "test.db-wal"] {
            fs::copy(self.inside(name), self.dir.path().join(name)).expect("a copy");
        }
        with_database(&sqlite_in(self.dir.path()), async |database| {
            let count = texts(database, "SELECT count(*) || '' FROM exchanges").await;
            assert_eq!(count, [rows.to_string()]);
            let sound = texts(database, "PRAGMA integrity_check").await;
            assert_eq!(sound, ["ok"]);
        });
        assert_eq!(self.proxy.metric("log_stored_total"), rows as f64);
        self.proxy.stop();
        drop(self.dir);
    }
}

#[test]
fn f56_a_full_disk_of_the_database_loses_nothing() {
    let mounted = Mounted::start("head -c 1500000 /dev/zero >filler");
    let mut asked = 0;
    while mounted.proxy.metric("log_db_up") == 1.0 {
        let answer = mounted.proxy.chat("mock-b64k", "");
        assert_eq!((answer.status, answer.complete), (200, true));
        asked += 1;
        assert!(asked < 1_000, "the disk does not get full");
    }
    for _ in 0..5 {
        assert_eq!(mounted.proxy.chat("mock", "").status, 200);
    }
    fs::remove_file(mounted.inside("filler")).expect("room");
    mounted.remount("size=512m");
    mounted.check(asked + 5);
}

#[test]
fn f55_a_file_system_that_is_read_only_is_felt_by_nobody() {
    let mounted = Mounted::start("mount -o remount,ro \"$1\"");
    assert_eq!(mounted.proxy.chat("mock", "").status, 200);
    mounted.wait_for_db(false);
    mounted.remount("rw");
    mounted.check(1);
}
