//! The database of the records: which one, and whether it can be had.

use std::path::Path;

use url::Url;

use crate::config::{DatabaseUrl, Scalar, Secret, Yaml};
use crate::database::{Database, DatabaseError};

use super::ask::Ask;
use super::reach::limited;
use super::sketch::{Judge, Sketch, put};

/// Asks for it.
///
/// # Errors
/// The terminal has gone.
pub(super) fn ask(ask: &Ask<'_>, judge: &Judge<'_>, sketch: &mut Sketch) -> anyhow::Result<()> {
    let default = judge.whole(&Sketch::default())?.database.url;
    let default = default.sqlite_file().map(|file| file.display().to_string());
    let default = default.unwrap_or_default();
    ask.say("");
    ask.say(
        "records go to a file of SQLite, or to postgres://USER@HOST/DATABASE, its password apart",
    );
    loop {
        let answer = ask.text("database", &default)?;
        let url = match answer.contains(':') {
            true => answer,
            false => DatabaseUrl::Sqlite(judge.environment.expand_home(&answer)).to_string(),
        };
        if let Some(objection) = settle(judge, sketch, &url) {
            ask.say(&objection);
            continue;
        }
        if let Some(url) = with_password(ask, &url)?
            && let Some(objection) = settle(judge, sketch, &url)
        {
            ask.say(&objection);
            continue;
        }
        let url = judge.whole(sketch)?.database.url;
        let Some(lack) = lack(&url)? else {
            return Ok(());
        };
        ask.say(&lack);
        if ask.yes("keep this database all the same", Some(false))? {
            return Ok(());
        }
    }
}

/// What is the matter with it; `None` where it can be had. Nothing is made or changed there.
fn lack(url: &DatabaseUrl) -> anyhow::Result<Option<String>> {
    if let Some(file) = url.sqlite_file() {
        let folder = file.parent().filter(|folder| *folder != Path::new(""));
        let is_missing = folder.is_some_and(|folder| !folder.is_dir());
        return Ok(is_missing.then(|| "its folder does not exist".to_owned()));
    }
    let opened = limited(async {
        Database::open(url).await?.close().await;
        Ok::<(), DatabaseError>(())
    })?;
    Ok(match opened {
        Some(Ok(())) => None,
        Some(Err(error)) => Some(format!("it cannot be reached: {error}")),
        None => Some("it does not answer".to_owned()),
    })
}

fn settle(judge: &Judge<'_>, sketch: &mut Sketch, url: &str) -> Option<String> {
    let url = Scalar::SecretUrl(Secret::new(url), "DATABASE_URL".to_owned());
    put(&mut sketch.database, "url", Some(Yaml::One(url)));
    judge.objection(sketch, &["database"])
}

/// A server's URL with the password that belongs to it, which is not to stand on the screen; `None` where none does.
fn with_password(ask: &Ask<'_>, url: &str) -> anyhow::Result<Option<String>> {
    let Ok(mut url) = Url::parse(url) else {
        return Ok(None);
    };
    if url.username().is_empty() || url.password().is_some() {
        return Ok(None);
    }
    let password = ask.hidden("its password, not shown (empty: none)")?;
    let is_set = !password.is_empty() && url.set_password(Some(&password)).is_ok();
    Ok(is_set.then(|| url.into()))
}
