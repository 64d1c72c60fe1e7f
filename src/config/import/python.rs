//! The values that a Python file gives names to: literals, and variables of the environment. It is read as text and
//! never run; what is neither is passed over.

use crate::config::problem::{Origin, Problem};
use crate::config::tree::{Entry, Node, Value};

use super::taking::REFERENCE;
use super::{Text, at};

/// Deepest nesting of lists and dictionaries.
const MOST_DEPTH: usize = 32;

/// Reads the names and their values, of those statements that are no more than that.
///
/// # Errors
/// A statement begins as a list or dictionary and cannot be read.
pub(super) fn parse(text: Text<'_>) -> Result<Node, Problem> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut offset = 0;
    let mut done_until = 0;
    for line in text.text.split_inclusive('\n') {
        let begin = offset;
        offset += line.len();
        if begin < done_until {
            continue;
        }
        let Some((name, value)) = assignment(line) else {
            continue;
        };
        let at = begin + value;
        let mut reader = Reader { text, at };
        let key_origin = reader.origin();
        match reader.value(0) {
            Ok(node) => {
                done_until = reader.at;
                entries.retain(|entry| entry.key != name);
                entries.push(Entry {
                    key: name.to_owned(),
                    key_origin,
                    node,
                });
            }
            Err(problem) if reader.begins_container(at) => return Err(problem),
            Err(_) => {}
        }
    }
    Ok(Node {
        value: Value::Map(entries),
        origin: at(text, 0, 0),
    })
}

/// `NAME = …` or `NAME: type = …` without indent: the name, and where the value begins.
fn assignment(line: &str) -> Option<(&str, usize)> {
    let equals = line.find('=')?;
    let (left, right) = line.split_at(equals);
    let name = left.split(':').next()?.trim_end();
    let is_compared = right.starts_with("==");
    (super::dotenv::is_name(name) && !is_compared).then_some((name, equals + 1))
}

/// Reads one expression.
struct Reader<'a> {
    text: Text<'a>,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.text.get(self.at..).unwrap_or_default()
    }

    fn begins_container(&self, at: usize) -> bool {
        let rest = self.text.text.get(at..).unwrap_or_default();
        rest.trim_start().starts_with(['[', '{', '('])
    }

    fn origin(&self) -> Origin {
        let before = self.text.text.get(..self.at).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        at(self.text, u64::try_from(line).unwrap_or(0), 1)
    }

    fn wrong(&self, message: &str) -> Problem {
        Problem {
            origin: self.origin(),
            path: String::new(),
            message: message.to_owned(),
        }
    }

    /// Passes white space and comments over.
    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with('#') {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    fn take(&mut self, token: &str) -> bool {
        self.skip();
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn value(&mut self, depth: usize) -> Result<Node, Problem> {
        if MOST_DEPTH < depth {
            return Err(self.wrong("lists are nested too deep"));
        }
        self.skip();
        let origin = self.origin();
        let value = if self.take("[") {
            Value::List(self.items("]", depth)?)
        } else if self.take("(") {
            Value::List(self.items(")", depth)?)
        } else if self.take("{") {
            Value::Map(self.entries(depth)?)
        } else if self.rest().starts_with(['"', '\'']) {
            let text = self.string()?;
            Value::Text { text, quoted: true }
        } else {
            self.word()?
        };
        Ok(Node { value, origin })
    }

    fn items(&mut self, end: &str, depth: usize) -> Result<Vec<Node>, Problem> {
        let mut items = Vec::new();
        while !self.take(end) {
            items.push(self.value(depth + 1)?);
            if !self.take(",") {
                self.skip();
                if !self.rest().starts_with(end) {
                    return Err(self.wrong("expected `,` or the end of the list"));
                }
            }
        }
        Ok(items)
    }

    fn entries(&mut self, depth: usize) -> Result<Vec<Entry>, Problem> {
        let mut entries = Vec::new();
        while !self.take("}") {
            self.skip();
            let key_origin = self.origin();
            let key = self.string()?;
            if !self.take(":") {
                return Err(self.wrong("expected `:` behind a key"));
            }
            let node = self.value(depth + 1)?;
            entries.push(Entry {
                key,
                key_origin,
                node,
            });
            if !self.take(",") {
                self.skip();
                if !self.rest().starts_with('}') {
                    return Err(self.wrong("expected `,` or `}`"));
                }
            }
        }
        Ok(entries)
    }

    fn string(&mut self) -> Result<String, Problem> {
        let mut chars = self.rest().char_indices();
        let Some((_, quote @ ('"' | '\''))) = chars.next() else {
            return Err(self.wrong("expected text between quotes"));
        };
        let mut text = String::new();
        while let Some((index, c)) = chars.next() {
            match c {
                c if c == quote => {
                    self.at += index + 1;
                    return Ok(text);
                }
                '\\' => match chars.next() {
                    Some((_, c @ ('"' | '\'' | '\\'))) => text.push(c),
                    Some(_) | None => {
                        return Err(self.wrong("expected no escapes but of quotes and `\\`"));
                    }
                },
                '\n' => break,
                c => text.push(c),
            }
        }
        Err(self.wrong("a quote is opened and never closed on this line"))
    }

    fn word(&mut self) -> Result<Value, Problem> {
        for (word, value) in [
            ("True", Value::Bool(true)),
            ("False", Value::Bool(false)),
            ("None", Value::Null),
        ] {
            if self.take(word) {
                return Ok(value);
            }
        }
        for (begin, end) in [
            ("os.environ.get(", ")"),
            ("os.getenv(", ")"),
            ("os.environ[", "]"),
        ] {
            if self.take(begin) {
                let items = self.items(end, 0)?;
                let Some(Value::Text { text, .. }) = items.into_iter().next().map(|it| it.value)
                else {
                    return Err(self.wrong("expected a variable's name between quotes"));
                };
                return Ok(Value::Text {
                    text: format!("{REFERENCE}{text}"),
                    quoted: true,
                });
            }
        }
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_digit() && !"+-._e".contains(c));
        let number = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        let value = if let Ok(value) = number.parse() {
            Value::Integer(value)
        } else if let Ok(value) = number.parse() {
            Value::Float(value)
        } else {
            return Err(self.wrong("expected text, a number, a list or a dictionary"));
        };
        self.at += number.len();
        Ok(value)
    }
}
