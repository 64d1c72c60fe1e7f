//! What a reader looks for, as conditions with bound values.

use sea_orm::DbBackend;

use crate::access_log::query::Stored;
use crate::database::value::Cell;

/// Longest text to search for, in characters. SQLite refuses patterns of more than 50,000 bytes.
const GREP_MAX_CHARS: usize = 1_000;

/// A place in the list, newest first: the last row of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Its acceptance, in microseconds since the Unix epoch.
    pub created_at_us: i64,
    /// Its `exchanges.id`.
    pub id: i64,
}

impl From<&Stored> for Cursor {
    fn from(stored: &Stored) -> Self {
        Self {
            created_at_us: stored.record.created_at_us,
            id: stored.id,
        }
    }
}

/// Which exchanges to list. `None` selects all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter {
    /// Accepted at this time or later, in microseconds since the Unix epoch.
    pub since_us: Option<i64>,
    /// Accepted before this time.
    pub until_us: Option<i64>,
    /// The model that was asked for, or the one that answered; `*` stands for any run of characters, `?` for one.
    pub model: Option<String>,
    /// The end user.
    pub user: Option<String>,
    /// Word of the column `outcome`.
    pub outcome: Option<String>,
    /// A text within the request's text, the answer's text or the error, whatever the case of its letters.
    /// Only its first 1,000 characters count.
    pub grep: Option<String>,
    /// Only rows after this place, that is older ones.
    pub after: Option<Cursor>,
    /// Most rows.
    pub limit: u32,
}

impl Default for LogFilter {
    fn default() -> Self {
        Self {
            since_us: None,
            until_us: None,
            model: None,
            user: None,
            outcome: None,
            grep: None,
            after: None,
            limit: 50,
        }
    }
}

impl LogFilter {
    /// The WHERE condition and its values.
    pub(super) fn condition(&self, backend: DbBackend) -> (String, Vec<Cell<'_>>) {
        let like = if backend == DbBackend::Postgres {
            "ILIKE"
        } else {
            "LIKE"
        };
        let mut parts = vec!["true".to_owned()];
        let mut cells: Vec<Cell<'_>> = Vec::new();
        let mut add = |cell: Cell<'static>, part: &dyn Fn(usize) -> String| {
            cells.push(cell);
            parts.push(part(cells.len()));
        };
        if let Some(since_us) = self.since_us {
            add(Cell::Time(since_us), &|n| format!("created_at >= ${n}"));
        }
        if let Some(until_us) = self.until_us {
            add(Cell::Time(until_us), &|n| format!("created_at < ${n}"));
        }
        if let Some(model) = &self.model {
            let (operator, model) = equal_or_glob(model, backend);
            add(text(&model), &|n| {
                format!("(model {operator} ${n} OR requested_model {operator} ${n})")
            });
        }
        if let Some(user) = &self.user {
            add(text(user), &|n| format!("end_user = ${n}"));
        }
        if let Some(outcome) = &self.outcome {
            add(text(outcome), &|n| format!("outcome = ${n}"));
        }
        if let Some(grep) = &self.grep {
            add(Cell::Text(pattern(grep).into()), &|n| {
                let one = |column| format!("{column} {like} ${n} ESCAPE '\\'");
                format!(
                    "({} OR {} OR {})",
                    one("request_text"),
                    one("response_text"),
                    one("error_message")
                )
            });
        }
        if let Some(Cursor { created_at_us, id }) = self.after {
            add(Cell::Time(created_at_us), &|n| {
                format!("created_at <= ${n}")
            });
            add(Cell::Integer(id), &|n| {
                format!("(created_at < ${} OR id < ${n})", n - 1)
            });
        }
        (parts.join(" AND "), cells)
    }
}

/// A caller's text without NUL, which PostgreSQL refuses and no stored text holds.
fn text(text: &str) -> Cell<'static> {
    Cell::Text(text.replace('\0', "").into())
}

/// How a name is compared, and with what. `GLOB` and PostgreSQL's `LIKE` know upper from lower case.
fn equal_or_glob(name: &str, backend: DbBackend) -> (&'static str, String) {
    if !name.contains(['*', '?']) {
        return ("=", name.to_owned());
    }
    let mut glob = String::with_capacity(name.len() + 8);
    if backend == DbBackend::Postgres {
        for character in name.chars() {
            match character {
                '*' => glob.push('%'),
                '?' => glob.push('_'),
                '%' | '_' | '\\' => glob.extend(['\\', character]),
                _ => glob.push(character),
            }
        }
        // The backslash is LIKE's escape unless another is named.
        return ("LIKE", glob);
    }
    for character in name.chars() {
        match character {
            '[' => glob.push_str("[[]"),
            _ => glob.push(character),
        }
    }
    ("GLOB", glob)
}

/// A text as a LIKE pattern that matches it anywhere and nothing else.
fn pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for character in text
        .chars()
        .filter(|character| *character != '\0')
        .take(GREP_MAX_CHARS)
    {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_escaped_and_bounded() {
        for (text, expected) in [
            ("a", "%a%"),
            ("100%_\\", "%100\\%\\_\\\\%"),
            ("", "%%"),
            ("a\0b", "%ab%"),
        ] {
            assert_eq!(pattern(text), expected);
        }
        assert_eq!(pattern(&"%".repeat(5_000)).len(), 2 + 2 * GREP_MAX_CHARS);
    }

    #[test]
    fn names_are_compared_as_they_are_unless_they_are_globs() {
        for (name, sqlite, postgres) in [
            ("gpt-4o", ("=", "gpt-4o"), ("=", "gpt-4o")),
            ("a_b%", ("=", "a_b%"), ("=", "a_b%")),
            ("gpt-*", ("GLOB", "gpt-*"), ("LIKE", "gpt-%")),
            ("a_[b]?", ("GLOB", "a_[[]b]?"), ("LIKE", "a\\_[b]_")),
        ] {
            for (backend, (operator, glob)) in
                [(DbBackend::Sqlite, sqlite), (DbBackend::Postgres, postgres)]
            {
                let expected = (operator, glob.to_owned());
                assert_eq!(equal_or_glob(name, backend), expected, "{backend:?}");
            }
        }
    }

    #[test]
    fn values_are_bound_never_spliced() {
        let filter = LogFilter {
            model: Some("'; DROP TABLE exchanges; --".into()),
            grep: Some("x".into()),
            after: Some(Cursor {
                created_at_us: 1,
                id: 2,
            }),
            ..LogFilter::default()
        };
        let (condition, cells) = filter.condition(DbBackend::Postgres);
        assert!(!condition.contains("DROP"), "{condition}");
        assert_eq!(cells.len(), 4);
        assert!(
            condition.ends_with("created_at <= $3 AND (created_at < $3 OR id < $4)"),
            "{condition}"
        );
    }
}
