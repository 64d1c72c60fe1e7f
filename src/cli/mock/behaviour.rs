//! What a model name asks of the mock: `mock-s200-d20-cut-7` and so on. The
//! table of names is in the doc of [`crate::cli::mock`].
//!
//! Pure: a name in, a [`Behaviour`] out. A part that nobody knows is an error,
//! so that a typing mistake in a test does not pass as a plain answer.

use std::time::Duration;

/// How one exchange is to go.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Behaviour {
    /// Content chunks of a stream; also the completion tokens that are reported.
    pub(super) chunks: u32,
    /// Pause before each content chunk.
    pub(super) pause: Duration,
    /// Wire bytes of one event, or of a whole body; `None` is about 280, or 670.
    pub(super) size_bytes: Option<usize>,
    /// Pause before the first byte of the head.
    pub(super) first_byte_after: Duration,
    /// The error to answer with.
    pub(super) error: Option<ErrorAnswer>,
    /// How the body ends.
    pub(super) end: End,
    /// How the body is cut into writes.
    pub(super) pieces: Pieces,
    /// What the model says.
    pub(super) content: Content,
    /// Where and how usage is told.
    pub(super) usage: UsageStyle,
    /// What kind of HTTP answer it is.
    pub(super) form: Form,
    /// Length of one giant event of a stream.
    pub(super) line_bytes: Option<u64>,
    /// Length of the whole body, made while it is sent, without a stated length.
    pub(super) big_bytes: Option<u64>,
    /// Oddities of an event stream.
    pub(super) oddities: Oddities,
    /// What becomes of the connection.
    pub(super) connection: Connection,
    /// Request headers come back as response headers and in the text.
    pub(super) echo: bool,
}

/// An error status and what goes with it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ErrorAnswer {
    /// HTTP status, 400 to 599.
    pub(super) status: u16,
    /// Only so many times for one `x-test-id`, then the answer is normal; `None` is for ever.
    pub(super) times: Option<u32>,
    /// Only for so many of 100 requests, spread evenly; `None` is all.
    pub(super) percent: Option<u64>,
    /// Seconds of `retry-after`; `None` sends 1 on 429, 503 and 529 and nothing else.
    pub(super) retry_after_s: Option<u32>,
    /// Value of `x-should-retry`; `None` sends none.
    pub(super) should_retry: Option<bool>,
}

/// How a body ends. The number is of content chunks that go out before;
/// `None` is half of them, and half of the bytes in a whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// As it should.
    Normal,
    /// Connection reset.
    Reset(Option<u32>),
    /// A well-formed end of the HTTP body, before the finish reason.
    Early(Option<u32>),
    /// Nothing more comes, for ever.
    Stall(Option<u32>),
}

/// How a body is cut into writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pieces {
    /// One write an event, one a whole answer.
    Natural,
    /// As many events as are due in one write.
    Burst,
    /// Each write ends inside a UTF-8 sequence.
    InsideCharacters,
    /// Each write carries so many bytes.
    Bytes(usize),
}

/// What the model says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// ASCII filler.
    Text,
    /// Filler of two-, three- and four-byte characters.
    Wide,
    /// Two parallel tool calls.
    Tools,
    /// A JSON object.
    Json,
    /// A refusal.
    Refusal,
    /// `content: null`, nothing else.
    Null,
    /// What was seen of the images in the request.
    Vision,
}

/// Where and how usage is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UsageStyle {
    /// Whole answers have it, streams when it was asked for.
    AsAsked,
    /// Never, even when asked.
    None,
    /// On the first chunk, asked or not.
    First,
    /// On each chunk, asked or not.
    Every,
    /// On the chunk with the finish reason, asked or not.
    Last,
    /// An empty object.
    Empty,
    /// Negative numbers.
    Negative,
    /// 1e18 and more.
    Huge,
    /// Numbers as strings.
    Text,
}

/// What kind of HTTP answer it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// JSON or an event stream, as asked.
    AsAsked,
    /// JSON, even when a stream was asked for.
    Whole,
    /// A page of HTML.
    Html,
    /// A redirect with this status to another path of the mock.
    Redirect(u16),
    /// `text/plain` in place of the right type.
    PlainType,
    /// No content type.
    NoType,
    /// A second JSON object after the first.
    Trailing,
    /// A node's text in place of an answer.
    NodeError,
    /// A node's error: nobody serves the model.
    NoProvider,
    /// A sentence of Ask Sage's in place of an answer.
    Told(Told),
}

/// What Ask Sage tells under a good status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// There is no such model any more.
    Gone,
    /// The model has too much to do.
    Overloaded,
    /// The key is not for this model.
    Denied,
    /// Something else.
    Sorry,
}

/// Oddities of an event stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Oddities {
    /// Lines end with CRLF.
    pub(super) crlf: bool,
    /// A byte order mark in front.
    pub(super) bom: bool,
    /// An event with empty data after each event.
    pub(super) empty_data: bool,
    /// A comment line before each event.
    pub(super) comments: bool,
    /// The blank line after the last event is missing.
    pub(super) no_final_blank: bool,
    /// No `[DONE]`.
    pub(super) no_done: bool,
    /// An error object in place of the second half.
    pub(super) error_event: bool,
    /// The first frame with content has a wrong checksum.
    pub(super) bad_crc: bool,
    /// The first frame with content has a wrong checksum of its lengths.
    pub(super) bad_length: bool,
}

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connection {
    /// Kept for the next request.
    Keep,
    /// Closed after the answer without a word.
    CloseAfter,
    /// Closed in place of an answer.
    CloseBefore,
    /// Reset in place of an answer.
    ResetBefore,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            chunks: 10,
            pause: Duration::ZERO,
            size_bytes: None,
            first_byte_after: Duration::ZERO,
            error: None,
            end: End::Normal,
            pieces: Pieces::Natural,
            content: Content::Text,
            usage: UsageStyle::AsAsked,
            form: Form::AsAsked,
            line_bytes: None,
            big_bytes: None,
            oddities: Oddities::default(),
            connection: Connection::Keep,
            echo: false,
        }
    }
}

impl Behaviour {
    /// Reads a model name. What stands before the last `/` is not looked at, and a
    /// name that does not begin with `mock` gives the plain answer.
    ///
    /// # Errors
    /// The part that nobody knows, or whose number is missing or wrong.
    pub(super) fn parse(model: &str) -> Result<Self, String> {
        let name = model.rsplit_once('/').map_or(model, |(_, name)| name);
        let mut words = name.split('-').peekable();
        if words.next() != Some("mock") {
            return Ok(Self::default());
        }
        let mut behaviour = Self::default();
        while let Some(word) = words.next() {
            let known = behaviour.take(word, &mut words);
            known.ok_or_else(|| word.to_owned())?;
        }
        Ok(behaviour)
    }

    fn take(&mut self, word: &str, words: &mut Words<'_>) -> Option<()> {
        match word {
            "cut" => self.end = End::Reset(optional_number(words)),
            "eof" => self.end = End::Early(optional_number(words)),
            "stall" => self.end = End::Stall(optional_number(words)),
            "slow" => self.first_byte_after = Duration::from_millis(number(words.next()?)?),
            "err" => self.error = Some(ErrorAnswer::new(number(words.next()?)?)?),
            "times" => self.error.as_mut()?.times = Some(number(words.next()?)?),
            "part" => self.error.as_mut()?.percent = Some(number(words.next()?)?),
            "after" => self.error.as_mut()?.retry_after_s = Some(number(words.next()?)?),
            "retry" => self.error.as_mut()?.should_retry = Some(true),
            "noretry" => self.error.as_mut()?.should_retry = Some(false),
            "usage" => self.usage = UsageStyle::parse(words.next()?)?,
            "line" => self.line_bytes = Some(bytes(words.next()?)?),
            "big" => self.big_bytes = Some(bytes(words.next()?)?),
            "redirect" => self.form = Form::Redirect(redirect_status(words)?),
            "html" => self.form = Form::Html,
            "whole" => self.form = Form::Whole,
            "plaintype" => self.form = Form::PlainType,
            "notype" => self.form = Form::NoType,
            "trailing" => self.form = Form::Trailing,
            "nodeerror" => self.form = Form::NodeError,
            "noprovider" => self.form = Form::NoProvider,
            "gone" => self.form = Form::Told(Told::Gone),
            "overloaded" => self.form = Form::Told(Told::Overloaded),
            "denied" => self.form = Form::Told(Told::Denied),
            "sorry" => self.form = Form::Told(Told::Sorry),
            "burst" => self.pieces = Pieces::Burst,
            "utf8" => (self.content, self.pieces) = (Content::Wide, Pieces::InsideCharacters),
            "tools" => self.content = Content::Tools,
            "json" => self.content = Content::Json,
            "refusal" => self.content = Content::Refusal,
            "null" => self.content = Content::Null,
            "vision" => self.content = Content::Vision,
            "echo" => self.echo = true,
            "close" => self.connection = Connection::CloseAfter,
            "hangup" => self.connection = Connection::CloseBefore,
            "reset" => self.connection = Connection::ResetBefore,
            _ => return self.oddities.take(word).or_else(|| self.take_joined(word)),
        }
        Some(())
    }

    /// Parts whose number follows without a dash.
    fn take_joined(&mut self, word: &str) -> Option<()> {
        if let Some(count) = word.strip_prefix("bytes") {
            self.pieces = Pieces::Bytes(number(count).filter(|count| *count != 0)?);
        } else if let Some(size) = word.strip_prefix('b') {
            self.size_bytes = Some(usize::try_from(bytes(size)?).ok()?);
        } else if let Some(chunks) = word.strip_prefix('s') {
            self.chunks = number(chunks)?;
        } else {
            self.pause = Duration::from_millis(number(word.strip_prefix('d')?)?);
        }
        Some(())
    }
}

impl ErrorAnswer {
    fn new(status: u16) -> Option<Self> {
        let answer = Self {
            status,
            times: None,
            percent: None,
            retry_after_s: None,
            should_retry: None,
        };
        (400..600).contains(&status).then_some(answer)
    }

    /// Whether it is given to request `number`, from 1.
    pub(super) fn is_for(&self, number: u64) -> bool {
        let is_due = |percent| number.wrapping_mul(percent) % 100 < percent;
        self.percent.is_none_or(is_due)
    }
}

impl UsageStyle {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "none" => Self::None,
            "first" => Self::First,
            "every" => Self::Every,
            "last" => Self::Last,
            "empty" => Self::Empty,
            "negative" => Self::Negative,
            "huge" => Self::Huge,
            "string" => Self::Text,
            _ => return None,
        })
    }
}

impl Oddities {
    fn take(&mut self, word: &str) -> Option<()> {
        let flag = match word {
            "crlf" => &mut self.crlf,
            "bom" => &mut self.bom,
            "emptydata" => &mut self.empty_data,
            "comments" => &mut self.comments,
            "noblank" => &mut self.no_final_blank,
            "nodone" => &mut self.no_done,
            "errevent" => &mut self.error_event,
            "badcrc" => &mut self.bad_crc,
            "badlength" => &mut self.bad_length,
            _ => return None,
        };
        *flag = true;
        Some(())
    }
}

type Words<'a> = std::iter::Peekable<std::str::Split<'a, char>>;

fn number<T: std::str::FromStr>(word: &str) -> Option<T> {
    word.parse().ok()
}

/// The next word, if it is a number; another word stays.
fn optional_number<T: std::str::FromStr>(words: &mut Words<'_>) -> Option<T> {
    let value = number(words.peek()?)?;
    words.next();
    Some(value)
}

fn redirect_status(words: &mut Words<'_>) -> Option<u16> {
    let status = optional_number(words).unwrap_or(302);
    (300..400).contains(&status).then_some(status)
}

/// A number of bytes, with `k`, `m` or `g` for powers of 1,024.
fn bytes(word: &str) -> Option<u64> {
    let (digits, unit) = match word.as_bytes().last()? {
        b'k' => (word.strip_suffix('k')?, 1 << 10),
        b'm' => (word.strip_suffix('m')?, 1 << 20),
        b'g' => (word.strip_suffix('g')?, 1 << 30),
        _ => (word, 1),
    };
    number::<u64>(digits)?.checked_mul(unit)
}

#[cfg(test)]
mod tests;
