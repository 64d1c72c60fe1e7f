//! The lock beside a SQLite file: two instances on one file would fight over it. One that is ending says so in its
//! lock, and the next one waits for it.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::config::DatabaseUrl;
use crate::gateway::StartError;

/// What stands in the lock of an instance that is ending.
const ENDING: &str = "ending";

/// Time between two looks at a lock that is held.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The lock on a SQLite file, until it is dropped or the process ends.
pub(super) struct DatabaseLock(File);

impl DatabaseLock {
    /// Takes it; `None` where there is no SQLite file. Waits for an instance that is ending, but no longer than
    /// `most`.
    ///
    /// # Errors
    /// [`StartError::Held`] when another instance has it.
    pub(super) async fn take(
        url: &DatabaseUrl,
        most: Duration,
    ) -> Result<Option<Self>, StartError> {
        let Some(file) = url.sqlite_file() else {
            return Ok(None);
        };
        let name = lock_name(file);
        let until = Instant::now() + most;
        let mut is_told = false;
        loop {
            // A folder that cannot be written is the store's trouble, which does not keep the proxy from starting.
            let Ok(lock) = open(&name) else {
                return Ok(None);
            };
            match lock.try_lock() {
                Ok(()) => {
                    // What an earlier instance said of itself is not said of this one; one that reads it waits.
                    drop(lock.set_len(0));
                    return Ok(Some(Self(lock)));
                }
                Err(std::fs::TryLockError::Error(_)) => return Ok(None),
                Err(std::fs::TryLockError::WouldBlock) => {}
            }
            let is_ending = std::fs::read_to_string(&name).is_ok_and(|text| text == ENDING);
            if !is_ending || until <= Instant::now() {
                return Err(StartError::Held(format!("the database {}", file.display())));
            }
            if !is_told {
                tracing::info!("another instance on this database is ending: waiting for it");
                is_told = true;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Tells the next instance that waiting is worth it.
    pub(super) fn say_ending(&self) {
        let mut file = &self.0;
        if let Err(error) = file
            .rewind()
            .and_then(|()| file.write_all(ENDING.as_bytes()))
        {
            tracing::debug!("the next instance will not wait for this one: {error}");
        }
    }
}

fn lock_name(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

fn open(name: &Path) -> io::Result<File> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn f95_only_one_that_is_ending_is_waited_for() {
        let dir = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:///{}", dir.path().join("a.db").display());
        let url = DatabaseUrl::parse(&url).expect("a URL");
        let take = async |most| DatabaseLock::take(&url, most).await;
        let first = take(Duration::ZERO).await.expect("free").expect("a lock");
        let minute = Duration::from_secs(60);
        assert!(matches!(take(minute).await, Err(StartError::Held(_))));
        first.say_ending();
        assert!(matches!(take(LOOK_EVERY).await, Err(StartError::Held(_))));
        let (second, ()) = tokio::join!(take(minute), async { drop(first) });
        assert!(second.is_ok_and(|lock| lock.is_some()));
        assert!(
            take(Duration::ZERO).await.is_ok(),
            "a lock that was dropped is free"
        );
    }

    #[tokio::test]
    async fn a_server_needs_none() {
        let url = DatabaseUrl::parse("postgres://h/db").expect("a URL");
        let lock = DatabaseLock::take(&url, Duration::ZERO).await;
        assert!(lock.is_ok_and(|lock| lock.is_none()));
    }
}
