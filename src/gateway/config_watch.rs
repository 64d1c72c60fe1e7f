//! Looks at the configuration file again and again, and has it read anew when it holds something else. By its path, so a
//! link that leads elsewhere by now is a change too. What was told to be wrong is told again only after a change.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::gateway::reload::{Cause, Reloader};

/// What a look at the file showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    /// Device, inode, size and time of the last change, in seconds and nanoseconds; `None` where there is no file.
    stamp: Option<(u64, u64, u64, i64, i64)>,
    /// Of what it holds; `None` where it cannot be read.
    digest: Option<[u8; 32]>,
    /// Whether there is nothing in it: then somebody has only begun to write it.
    is_blank: bool,
}

impl Look {
    /// Reads the file only where its stamp is not the one of `before`.
    fn at(file: &Path, before: Option<Self>) -> Self {
        let stamp = std::fs::metadata(file).ok().map(|found| {
            let changed = (found.mtime(), found.mtime_nsec());
            (found.dev(), found.ino(), found.size(), changed.0, changed.1)
        });
        match before {
            Some(before) if before.stamp == stamp => before,
            Some(_) | None => {
                let bytes = std::fs::read(file).ok();
                let is_blank = bytes
                    .as_ref()
                    .is_some_and(|bytes| bytes.trim_ascii().is_empty());
                Self {
                    stamp,
                    digest: bytes.map(|bytes| Sha256::digest(bytes).into()),
                    is_blank,
                }
            }
        }
    }
}

/// Looks for ever.
pub(super) async fn watch(reloader: Arc<Reloader>, every: Duration) {
    let Some(file) = reloader.file().map(Path::to_owned) else {
        return;
    };
    let mut seen: Option<Look> = None;
    loop {
        tokio::time::sleep(every).await;
        let Some(now) = settled(&reloader, &file, seen, every / 4).await else {
            return;
        };
        let cause = match seen {
            None if now.is_blank => None,
            None => Some(Cause::FirstLook),
            Some(before) if before.digest == now.digest => None,
            Some(_) if now.is_blank => {
                tracing::warn!(
                    "the configuration file is empty: the configuration of before stays"
                );
                None
            }
            Some(_) => Some(Cause::File),
        };
        seen = Some(now);
        if let Some(cause) = cause {
            // Whatever comes of it has been told.
            drop(reloader.reload(cause).await);
        }
    }
}

/// A look that shows what the one before it showed: half of a file may be a configuration, too.
async fn settled(
    reloader: &Reloader,
    file: &Path,
    before: Option<Look>,
    wait: Duration,
) -> Option<Look> {
    let mut now = look(reloader, file, before).await?;
    let mut last = before;
    while last != Some(now) {
        tokio::time::sleep(wait).await;
        last = Some(now);
        now = look(reloader, file, last).await?;
    }
    Some(now)
}

/// On a thread that a slow disk may keep; `None` when the server has ended.
async fn look(reloader: &Reloader, file: &Path, before: Option<Look>) -> Option<Look> {
    let file: PathBuf = file.to_owned();
    let look = reloader
        .runner
        .run_blocking(move || Look::at(&file, before));
    look.await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_leads_elsewhere_is_a_change() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let link = |to: &str| {
            std::os::unix::fs::symlink(path(to), path("new")).expect("a link");
            std::fs::rename(path("new"), path("config")).expect("a rename");
        };
        for name in ["a", "b"] {
            std::fs::write(path(name), name).expect("a file");
        }
        std::fs::write(path("c"), "b").expect("a file");
        link("a");
        let first = Look::at(&path("config"), None);
        assert_eq!(Look::at(&path("config"), Some(first)), first);
        link("b");
        let second = Look::at(&path("config"), Some(first));
        assert!(second.digest.is_some() && second.digest != first.digest);
        link("c");
        let same = Look::at(&path("config"), Some(second));
        assert!(same.stamp != second.stamp && same.digest == second.digest);
        std::fs::remove_file(path("c")).expect("a file");
        let gone = Look::at(&path("config"), Some(same));
        assert_eq!((gone.stamp, gone.digest), (None, None));
    }
}
