//! Files that hold credentials: whole or not at all, and for their owner alone.

use std::io::Write;
use std::path::Path;

use anyhow::Context;

use super::super::exit::Failure;

/// Writes a file with mode 0600. Where there is one already it stays, unless `force` replaces it.
///
/// # Errors
/// The file is there, or cannot be written.
pub(in crate::cli) fn write(file: &Path, text: &str, force: bool) -> anyhow::Result<()> {
    let name = file.display();
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        Some(_) | None => Path::new("."),
    };
    // A temporary file is its owner's alone from the start.
    let mut temporary = tempfile::NamedTempFile::new_in(folder)
        .with_context(|| format!("cannot write to {}", folder.display()))?;
    temporary.write_all(text.as_bytes())?;
    temporary.as_file().sync_all()?;
    let placed = if force {
        temporary.persist(file)
    } else {
        temporary.persist_noclobber(file)
    };
    match placed {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {
            let message = format!("{name} is there already; --force replaces it");
            Err(Failure::usage(message).into())
        }
        Err(error) => Err(error.error).with_context(|| format!("cannot write {name}")),
    }
}
