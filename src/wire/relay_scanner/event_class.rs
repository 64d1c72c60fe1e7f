//! What an event of a stream is, told from its bytes. The hot path: byte searches only, and a closer look at the
//! few events where such a search hits. Over 400 lines: every dialect's words, which the searches share.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::{Finder, find};
use memchr::memrchr2;

use super::{Facts, HOLD_LIMIT, ScanOptions};
use crate::wire::gemini;
use crate::wire::json_reader::{Kind, Reader};
use crate::wire::sse::{self, Fields};

/// Which words end a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Chat completions and completions: `[DONE]`, or an error object.
    Chat,
    /// Responses: `response.completed`, `response.incomplete`, `response.failed`, `error`; also `[DONE]`.
    Responses,
    /// Anthropic's Messages: `message_stop`, or `error`.
    Messages,
    /// Gemini's: nothing but the end of the body ends it, behind the reason of a candidate or of a refused prompt; or
    /// an error object.
    Candidates,
    /// Anything else, never mended: only `[DONE]`.
    Raw,
}

/// What is to be done with a complete event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Class<'a> {
    Ordinary,
    Terminal,
    /// It ends the stream if nothing follows.
    Last,
    /// The usage chunk that we asked for: its data.
    Usage(&'a [u8]),
    /// Data lines without data.
    Empty,
}

/// What is to be done with an unfinished event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// It will not be taken out, and probably does not end the stream.
    Pass,
    /// It ends the stream or may be taken out: it waits to be complete.
    Hold,
    /// More of it must be seen.
    Undecided,
}

pub(super) const DONE_DATA: &[u8] = b"[DONE]";

static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"error\""));
static FINISH_REASON: LazyLock<Finder<'static>> =
    LazyLock::new(|| Finder::new(b"\"finish_reason\""));
static CANDIDATE_REASON: LazyLock<Finder<'static>> =
    LazyLock::new(|| Finder::new(b"\"finishReason\""));
static BLOCK_REASON: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"blockReason\""));
static CHOICES: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"choices\""));

/// In place of a number of lines where nobody counted.
pub(super) const UNKNOWN_LINES: u32 = 0;

/// The fields of an event, with a short cut for the one line of data that nearly all have.
#[inline]
fn fields(event: &[u8], lines: u32) -> Fields<'_> {
    match event.strip_prefix(b"data:") {
        Some(data) if lines == 1 => Fields {
            data: Some(Cow::Borrowed(data)),
            data_lines: 1,
            ..Fields::default()
        },
        Some(_) | None => sse::fields(event),
    }
}

/// Classifies a complete event of so many lines and notes what it teaches.
pub(super) fn classify<'a>(
    event: &'a [u8],
    lines: u32,
    options: &ScanOptions,
    facts: &mut Facts,
) -> Class<'a> {
    let Fields {
        data: Some(data),
        name,
        data_lines,
        ..
    } = fields(event, lines)
    else {
        return Class::Ordinary;
    };
    let trimmed = data.trim_ascii();
    if trimmed.is_empty() && options.repair && event.len() <= HOLD_LIMIT {
        facts.repairs.empty_event = true;
        return Class::Empty;
    }
    let choices = match options.dialect {
        Dialect::Chat => choices(trimmed),
        Dialect::Responses | Dialect::Messages | Dialect::Candidates | Dialect::Raw => {
            Choices::Unknown
        }
    };
    if options.strip_usage
        && data_lines == 1
        && event.len() <= HOLD_LIMIT
        && let Cow::Borrowed(data) = data
        && is_usage_chunk(trimmed, choices)
    {
        return Class::Usage(data.trim_ascii());
    }
    facts.event_count += 1;
    if trimmed == DONE_DATA {
        facts.saw_done = true;
        facts.saw_terminal = true;
        return Class::Terminal;
    }
    let terminal = match options.dialect {
        Dialect::Raw => false,
        Dialect::Chat => {
            facts.first_content_seen = facts.first_content_seen || has_content(trimmed);
            facts.saw_finish_reason = facts.saw_finish_reason || has_finish_reason(choices);
            false
        }
        Dialect::Responses => {
            let kind = event_type(name, trimmed);
            facts.first_content_seen = facts.first_content_seen || kind.ends_with(b".delta");
            facts.saw_error_event =
                facts.saw_error_event || matches!(&*kind, b"error" | b"response.failed");
            is_terminal_type(&kind)
        }
        Dialect::Messages => {
            let kind = event_type(name, trimmed);
            facts.first_content_seen |= *kind == *b"content_block_delta";
            facts.saw_finish_reason |= *kind == *b"message_delta" && has_stop_reason(trimmed);
            facts.saw_error_event |= *kind == *b"error";
            is_terminal_type(&kind)
        }
        Dialect::Candidates => {
            facts.first_content_seen = facts.first_content_seen || has_content(trimmed);
            false
        }
    };
    let error = options.dialect != Dialect::Raw && is_error(trimmed);
    facts.saw_error_event = facts.saw_error_event || error;
    if terminal || error {
        facts.saw_terminal = true;
        return Class::Terminal;
    }
    if options.dialect == Dialect::Candidates && ends_candidates(trimmed) {
        facts.saw_finish_reason = true;
        return Class::Last;
    }
    Class::Ordinary
}

/// Tells from the beginning of an event whether more of it must be seen before it may go on. `Pass` promises that
/// [`classify`] will not take the event out.
pub(super) fn decide(prefix: &[u8], options: &ScanOptions) -> Decision {
    let ended = memrchr2(b'\n', b'\r', prefix).map_or(0, |at| at + 1);
    let (lines, last) = prefix.split_at(ended);
    let mut name = None;
    for line in sse::lines(lines).chain([last]) {
        // A name counts when its line is ended; it is not the last one then.
        if let Some(value) = sse::field(line, b"event") {
            name = Some(value).filter(|_| line.as_ptr() != last.as_ptr());
        }
        let data = sse::field(line, b"data")
            .unwrap_or_default()
            .trim_ascii_start();
        match data.first() {
            None => {}
            Some(b'{') => return decide_object(name, data, options),
            Some(b'[') if data.starts_with(DONE_DATA) => return Decision::Hold,
            Some(b'[') if DONE_DATA.starts_with(data) => return Decision::Undecided,
            Some(_) => return Decision::Pass,
        }
    }
    Decision::Undecided
}

fn decide_object(name: Option<&[u8]>, data: &[u8], options: &ScanOptions) -> Decision {
    let first_key = data.get(1..).unwrap_or_default().trim_ascii_start();
    match options.dialect {
        Dialect::Raw => Decision::Pass,
        Dialect::Chat | Dialect::Responses | Dialect::Messages | Dialect::Candidates
            if may_begin(first_key, b"\"error\"") =>
        {
            if first_key.len() < b"\"error\"".len() {
                Decision::Undecided
            } else {
                Decision::Hold
            }
        }
        Dialect::Chat if options.strip_usage => match choices(data) {
            Choices::Unknown => Decision::Undecided,
            Choices::None => Decision::Hold,
            Choices::Some(_) => Decision::Pass,
        },
        Dialect::Chat | Dialect::Candidates => Decision::Pass,
        Dialect::Responses | Dialect::Messages => {
            let kind = match (first_type(data), name) {
                (FirstType::Unfinished, _) => return Decision::Undecided,
                (FirstType::Is(kind), _) | (FirstType::Elsewhere, Some(kind)) => kind,
                (FirstType::Elsewhere, None) => return Decision::Pass,
            };
            if is_terminal_type(kind) {
                Decision::Hold
            } else {
                Decision::Pass
            }
        }
    }
}

/// Whether one of the two begins with the other.
fn may_begin(found: &[u8], wanted: &[u8]) -> bool {
    found.starts_with(wanted) || wanted.starts_with(found)
}

/// Whether `is` holds for what follows the colon of any key that `finder` hits. (Iterators of finders copy them, which
/// costs more than the search.)
fn any_value(finder: &Finder<'_>, data: &[u8], is: impl Fn(&[u8]) -> bool) -> bool {
    let mut rest = data;
    while let Some(at) = finder.find(rest) {
        rest = &rest[at + finder.needle().len()..];
        if let Some(value) = rest.trim_ascii_start().strip_prefix(b":")
            && is(value.trim_ascii_start())
        {
            return true;
        }
    }
    false
}

fn has_finish_reason(choices: Choices<'_>) -> bool {
    match choices {
        Choices::Some(inside) => {
            any_value(&FINISH_REASON, inside, |value| value.starts_with(b"\""))
        }
        Choices::Unknown | Choices::None => false,
    }
}

/// Whether a chunk of Gemini's may be the last. The keys are cheap to find; arguments of a call may have them too.
fn ends_candidates(data: &[u8]) -> bool {
    let is_text = |value: &[u8]| value.starts_with(b"\"");
    let may_end =
        any_value(&CANDIDATE_REASON, data, is_text) || any_value(&BLOCK_REASON, data, is_text);
    may_end && std::str::from_utf8(data).is_ok_and(gemini::ends_answer)
}

fn has_stop_reason(data: &[u8]) -> bool {
    any_value(&Finder::new(b"\"stop_reason\""), data, |value| {
        value.starts_with(b"\"")
    })
}

#[derive(Debug, Clone, Copy)]
enum Choices<'a> {
    Unknown,
    None,
    /// With what follows the key.
    Some(&'a [u8]),
}

/// What the first key `choices` holds, as far as `data` goes.
fn choices(data: &[u8]) -> Choices<'_> {
    let mut rest = data;
    while let Some(at) = CHOICES.find(rest) {
        rest = &rest[at + CHOICES.needle().len()..];
        let after = rest.trim_ascii_start();
        let Some((b':', value)) = after.split_first() else {
            // A text that says `choices`, or the colon is still to come.
            if after.is_empty() {
                return Choices::Unknown;
            } else {
                continue;
            }
        };
        return match value.trim_ascii_start() {
            [] => Choices::Unknown,
            [b'[', inside @ ..] => match inside.trim_ascii_start().first() {
                None => Choices::Unknown,
                Some(b']') => Choices::None,
                Some(_) => Choices::Some(rest),
            },
            _ => Choices::Some(rest),
        };
    }
    Choices::Unknown
}

fn is_usage_chunk(data: &[u8], choices: Choices<'_>) -> bool {
    data.starts_with(b"{")
        && matches!(choices, Choices::None)
        && any_value(&Finder::new(b"\"usage\""), data, |value| {
            value.starts_with(b"{")
        })
}

/// Whether the top level has an `error` that is not null. The key alone is cheap to find; `null` in every chunk too.
fn is_error(data: &[u8]) -> bool {
    if !any_value(&ERROR, data, |value| !value.starts_with(b"null")) {
        return false;
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let mut found = false;
    let read = Reader::new(text).object(|key, reader| {
        found = found || key.is("error") && reader.peek()? != Kind::Null;
        reader.skip()
    });
    found && read == Ok(true)
}

/// Keys of a chunk whose text is content, and keys whose list or object is.
const TEXT_KEYS: [&[u8]; 5] = [
    b"\"content\"",
    b"\"text\"",
    b"\"refusal\"",
    b"\"reasoning_content\"",
    b"\"reasoning\"",
];
const CALL_KEYS: [&[u8]; 4] = [
    b"\"tool_calls\"",
    b"\"function_call\"",
    b"\"functionCall\"",
    b"\"inlineData\"",
];

fn has_content(data: &[u8]) -> bool {
    let has = |key: &[u8], is_content: fn(&[u8]) -> bool| {
        find(data, key).is_some() && any_value(&Finder::new(key), data, is_content)
    };
    TEXT_KEYS.iter().any(|key| {
        has(key, |value| {
            value.starts_with(b"\"") && !value.starts_with(b"\"\"")
        })
    }) || CALL_KEYS.iter().any(|key| {
        has(key, |value| {
            value.starts_with(b"[{") || value.starts_with(b"{")
        })
    })
}

fn is_terminal_type(kind: &[u8]) -> bool {
    matches!(
        kind,
        b"response.completed"
            | b"response.incomplete"
            | b"response.failed"
            | b"message_stop"
            | b"error"
    )
}

enum FirstType<'a> {
    Is(&'a [u8]),
    Elsewhere,
    Unfinished,
}

/// The value of `type` where it is the first key, as OpenAI writes it.
fn first_type(data: &[u8]) -> FirstType<'_> {
    let mut rest = data;
    for part in [&b"{"[..], b"\"type\"", b":", b"\""] {
        rest = rest.trim_ascii_start();
        match rest.strip_prefix(part) {
            Some(after) => rest = after,
            None if part.starts_with(rest) => return FirstType::Unfinished,
            None => return FirstType::Elsewhere,
        }
    }
    match memchr::memchr(b'"', rest) {
        Some(end) => FirstType::Is(&rest[..end]),
        None => FirstType::Unfinished,
    }
}

fn event_type<'a>(name: Option<&'a [u8]>, data: &'a [u8]) -> Cow<'a, [u8]> {
    if let FirstType::Is(kind) = first_type(data) {
        return Cow::Borrowed(kind);
    }
    let mut found = None;
    if let Ok(text) = std::str::from_utf8(data) {
        let read = Reader::new(text).object(|key, reader| {
            if key.is("type") {
                found = reader.string()?;
                return Ok(());
            }
            reader.skip()
        });
        found = found.filter(|_| read.is_ok());
    }
    match found {
        Some(kind) => Cow::Owned(kind.text().into_owned().into_bytes()),
        None => Cow::Borrowed(name.unwrap_or_default()),
    }
}
