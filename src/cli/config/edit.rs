//! `config edit`: the file in the editor, as a copy that takes its place once it is right.

use std::io::{BufRead, IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::Context;

use crate::config::{Environment, Rules, Sources, load};

use super::super::exit::Failure;
use super::super::output::{Output, complain};

/// Runs `config edit` on the file in use.
///
/// # Errors
/// There is no such file, the editor cannot be run or fails, or what it left is wrong and is given up.
pub(super) fn run<W: Write>(
    mut sources: Sources,
    rules: &Rules<'_>,
    output: &mut Output<W>,
) -> anyhow::Result<()> {
    let Some(file) = sources.config_file() else {
        return Err(Failure::failed("no file is used, so there is none to edit").into());
    };
    // What a link leads to is edited; the link stays.
    let file = std::fs::canonicalize(&file)
        .map_err(|error| Failure::usage(format!("{} cannot be read: {error}", file.display())))?;
    let before = std::fs::read(&file)?;
    let folder = file.parent().unwrap_or(Path::new("/"));
    let mut builder = tempfile::Builder::new();
    let copy = builder.prefix(".aiproxy-edit-").suffix(".yaml");
    let copy = copy
        .tempfile_in(folder)
        .context("cannot make a copy beside the file")?;
    std::fs::write(copy.path(), &before)?;
    sources.file = Some(copy.path().to_owned());
    loop {
        open_editor(copy.path())?;
        match load(&sources, rules) {
            Ok(_) => break,
            Err(problems) => complain(&problems.to_string()),
        }
        if !asks_again()? {
            let message = format!("{} is as it was: what was written is wrong", file.display());
            return Err(Failure::usage(message).into());
        }
    }
    // An editor may have put another file in the copy's place: what the name holds now counts.
    let after = std::fs::read(copy.path())?;
    if after == before {
        output.line(&format!("{}: nothing changed", file.display()))?;
        return output.flush();
    }
    if std::fs::read(&file)? != before {
        let message = format!("{} was changed by somebody else meanwhile", file.display());
        return Err(Failure::failed(message).into());
    }
    let mode = std::fs::metadata(&file)?.permissions().mode() & 0o7777;
    std::fs::set_permissions(copy.path(), std::fs::Permissions::from_mode(mode))?;
    std::fs::File::open(copy.path())?.sync_all()?;
    copy.persist(&file)
        .with_context(|| format!("cannot write {}", file.display()))?;
    output.line(&format!("{}: no problems; saved", file.display()))?;
    output.flush()
}

/// Opens the user's editor and waits for its end. Its name may have options, as the shell splits them.
fn open_editor(file: &Path) -> anyhow::Result<()> {
    let environment = Environment::from_process();
    let editor = ["VISUAL", "EDITOR"]
        .into_iter()
        .find(|name| environment.is_given(name));
    let call = editor.map_or_else(|| "vi \"$1\"".to_owned(), |name| format!("${name} \"$1\""));
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &call, "sh"]).arg(file);
    let status = command.status().context("cannot run /bin/sh")?;
    if status.success() {
        return Ok(());
    }
    let name = editor.map_or("vi".to_owned(), |name| format!("${name}"));
    Err(Failure::failed(format!(
        "the editor ({name}) failed: {status}; nothing changed"
    ))
    .into())
}

/// Whether to open the editor again; without anybody to ask: no.
fn asks_again() -> anyhow::Result<bool> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Ok(false);
    }
    // There is nobody to tell when this fails.
    drop(write!(std::io::stderr(), "edit again? [Y/n] "));
    let mut answer = String::new();
    let read = stdin.lock().read_line(&mut answer)?;
    Ok(0 < read && !answer.trim().to_ascii_lowercase().starts_with('n'))
}
