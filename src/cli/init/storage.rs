//! The database of the records.

use url::Url;

use crate::config::{DatabaseUrl, Scalar, Secret, Yaml};

use super::ask::Ask;
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
    ask.say("records go to a file of SQLite, or to postgres://USER@HOST/DATABASE");
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
        let Some(url) = with_password(ask, &url)? else {
            return Ok(());
        };
        match settle(judge, sketch, &url) {
            Some(objection) => ask.say(&objection),
            None => return Ok(()),
        }
    }
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
