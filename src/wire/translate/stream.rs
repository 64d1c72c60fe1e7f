//! A stream in another format: each event in, what it comes to out, at once.

use super::call_id::Ids;
use super::ending::Ending;
use super::piece::{Give, Piece};
use super::turns::Turns;
use super::{
    AnswerFacts, ClientFormat, Dropped, Format, TranslateError, anthropic, argo, bedrock_converse,
    converse_client, gemini, openai_chat, openai_completions, openai_responses, signed_id,
};

/// Translates one stream.
pub struct StreamTranslator {
    reader: Reader,
    /// For clients whose calls come one behind the other.
    turns: Option<Turns>,
    writer: Writer,
    ending: Ending,
    ids: Ids,
    /// What the reader could not carry, and what the writer.
    dropped: Dropped,
    unsaid: Dropped,
    is_over: bool,
}

enum Reader {
    OpenaiChat(openai_chat::Reader),
    Anthropic(anthropic::Reader),
    Gemini(gemini::Reader),
    Argo(argo::Reader),
    BedrockConverse(bedrock_converse::Reader),
    /// For formats without streams: whatever comes is none of theirs.
    None,
}

/// Writes the events of a stream.
pub(super) enum Writer {
    OpenaiChat(openai_chat::Writer),
    Anthropic(anthropic::Writer),
    OpenaiResponses(openai_responses::Writer),
    OpenaiCompletions(openai_completions::Writer),
    Gemini(gemini::Writer),
    Converse(converse_client::Writer),
}

impl StreamTranslator {
    /// From the upstream's format to the client's.
    pub fn new(from: Format, to: ClientFormat, facts: &AnswerFacts) -> Self {
        Self {
            reader: match from {
                Format::OpenaiChat => Reader::OpenaiChat(openai_chat::Reader::default()),
                Format::Anthropic => Reader::Anthropic(anthropic::Reader::default()),
                Format::Gemini => Reader::Gemini(gemini::Reader::default()),
                Format::Argo => Reader::Argo(argo::Reader::default()),
                Format::BedrockConverse => {
                    Reader::BedrockConverse(bedrock_converse::Reader::default())
                }
                Format::Asksage => Reader::None,
            },
            turns: calls_in_turn(to).then(Turns::default),
            writer: Writer::new(to, facts),
            ending: Ending::new(from, to),
            ids: Ids::new(&facts.request_id),
            dropped: Dropped::default(),
            unsaid: Dropped::default(),
            is_over: false,
        }
    }

    /// Takes the data of one event and adds what it comes to, in whole events, to `out`. What comes behind the end is
    /// nothing.
    ///
    /// # Errors
    /// [`TranslateError`] when it reports an error, or is not of its format; `out` has all that came before.
    pub fn event(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), TranslateError> {
        if self.is_over {
            return Ok(());
        }
        let read = match std::str::from_utf8(data) {
            Ok(data) => self.give_from(out, |reader, dropped, give| {
                reader.read(data, dropped, give)
            }),
            Err(_) => Err(TranslateError::Malformed(
                "an event is not UTF-8".to_owned(),
            )),
        };
        read.inspect_err(|_| self.give_rest(out))
    }

    /// Gives to the writer what waits for its turn, for the stream goes on no more. Once more is nothing more.
    pub fn give_rest(&mut self, out: &mut Vec<u8>) {
        let Self {
            turns,
            writer,
            unsaid,
            ..
        } = self;
        if let Some(turns) = turns {
            turns.give_rest(&mut |piece| writer.write(piece, unsaid, out));
        }
    }

    /// Gives to the writer what the reader gives.
    fn give_from(
        &mut self,
        out: &mut Vec<u8>,
        read: impl FnOnce(&mut Reader, &mut Dropped, Give<'_>) -> Result<(), TranslateError>,
    ) -> Result<(), TranslateError> {
        let Self {
            reader,
            turns,
            writer,
            ending,
            ids,
            dropped,
            unsaid,
            is_over,
        } = self;
        let (mut is_unknown, mut failure) = (false, None);
        let mut write = |piece: Piece<'_>| writer.write_in_turn(turns, piece, unsaid, out);
        let mut give = |piece: Piece<'_>| {
            if failure.is_some() {
                return;
            }
            *is_over |= matches!(piece, Piece::End);
            let mut ended = Ok(());
            let named = ids.piece(piece, &mut |piece| {
                ended = ending.piece(piece, &mut is_unknown, &mut write);
            });
            failure = named.and(ended).err();
        };
        read(reader, dropped, &mut give)?;
        if is_unknown {
            dropped.add(ending.path());
        }
        for number in writer.take_cut() {
            dropped.add(reader.input_path(number));
        }
        failure
            .or_else(|| writer.take_failure())
            .map_or(Ok(()), Err)
    }

    /// Takes a comment, by which an upstream says that it is at work.
    pub fn comment(&mut self, out: &mut Vec<u8>) {
        if !self.is_over {
            self.writer.write(Piece::Ping, &mut self.unsaid, out);
        }
    }

    /// The upstream's body is over. An end that is missing behind a reason to stop is added.
    ///
    /// # Errors
    /// [`TranslateError::BrokeOff`] when it has not said why it stops, and `out` has all that came before; others where what
    /// it said last is not of its format.
    pub fn end(&mut self, out: &mut Vec<u8>) -> Result<(), TranslateError> {
        if self.is_over {
            return Ok(());
        }
        if let Reader::Argo(_) = self.reader {
            return self.give_from(out, |reader, _, give| {
                if let Reader::Argo(reader) = reader {
                    reader.end(give);
                }
                Ok(())
            });
        }
        if !self.ending.has_stop() {
            self.give_rest(out);
            return Err(TranslateError::BrokeOff);
        }
        self.is_over = true;
        let Self {
            turns,
            writer,
            unsaid,
            ..
        } = self;
        writer.write_in_turn(turns, Piece::End, unsaid, out);
        self.writer.take_failure().map_or(Ok(()), Err)
    }

    /// How many bytes of what was said are kept, because the end says them again in one event or their turn has not come.
    pub fn kept_bytes(&self) -> usize {
        let read = match &self.reader {
            Reader::Anthropic(reader) => reader.kept_bytes(),
            Reader::OpenaiChat(_)
            | Reader::Gemini(_)
            | Reader::Argo(_)
            | Reader::BedrockConverse(_)
            | Reader::None => 0,
        };
        let written = match &self.writer {
            Writer::OpenaiChat(writer) => writer.kept_bytes(),
            Writer::OpenaiCompletions(_)
            | Writer::Anthropic(_)
            | Writer::Gemini(_)
            | Writer::Converse(_) => 0,
            Writer::OpenaiResponses(writer) => writer.kept_bytes(),
        };
        let waiting = self.turns.as_ref().map_or(0, Turns::kept_bytes);
        read.saturating_add(written).saturating_add(waiting)
    }

    /// What could not be carried since the last time.
    pub fn take_dropped(&mut self) -> Vec<String> {
        let mut fields = self.dropped.take_new();
        fields.append(&mut self.unsaid.take_new());
        fields
    }
}

impl Reader {
    fn read(
        &mut self,
        data: &str,
        dropped: &mut Dropped,
        give: Give<'_>,
    ) -> Result<(), TranslateError> {
        match self {
            Self::OpenaiChat(reader) => reader.read(data, dropped, give),
            Self::Anthropic(reader) => reader.read(data, dropped, give),
            Self::Gemini(reader) => reader.read(data, dropped, give),
            Self::BedrockConverse(reader) => reader.read(data, dropped, give),
            Self::Argo(reader) => {
                reader.read(data, give);
                Ok(())
            }
            Self::None => Err(TranslateError::Malformed(
                "its format has no streams".to_owned(),
            )),
        }
    }

    /// The path of a call's input.
    fn input_path(&self, number: u64) -> String {
        match self {
            Self::OpenaiChat(_) => openai_chat::input_path(number),
            Self::Anthropic(_) => format!("content[{number}].input"),
            Self::BedrockConverse(_) => {
                format!("output.message.content[{number}].toolUse.input")
            }
            // Their calls come whole.
            Self::Gemini(_) | Self::Argo(_) | Self::None => format!("calls[{number}]"),
        }
    }
}

impl Writer {
    pub(super) fn new(to: ClientFormat, facts: &AnswerFacts) -> Self {
        match to {
            ClientFormat::OpenaiChat => Self::OpenaiChat(openai_chat::Writer::new(facts)),
            ClientFormat::Anthropic => Self::Anthropic(anthropic::Writer::new(facts)),
            ClientFormat::OpenaiResponses => {
                Self::OpenaiResponses(openai_responses::Writer::new(facts))
            }
            ClientFormat::OpenaiCompletions => {
                Self::OpenaiCompletions(openai_completions::Writer::new(facts))
            }
            ClientFormat::Gemini => Self::Gemini(gemini::Writer::new(facts)),
            ClientFormat::BedrockConverse => Self::Converse(converse_client::Writer::default()),
            ClientFormat::BedrockInvoke => Self::Anthropic(anthropic::Writer::of_bedrock(facts)),
        }
    }

    /// Writes what can be said by now.
    fn write_in_turn(
        &mut self,
        turns: &mut Option<Turns>,
        piece: Piece<'_>,
        dropped: &mut Dropped,
        out: &mut Vec<u8>,
    ) {
        match turns {
            None => self.write(piece, dropped, out),
            Some(turns) => turns.piece(piece, &mut |piece| self.write(piece, dropped, out)),
        }
    }

    /// Writes a piece. Where calls come one behind the other, each must have ended before anything else is said.
    pub(super) fn write(&mut self, piece: Piece<'_>, dropped: &mut Dropped, out: &mut Vec<u8>) {
        if let Some(field) = self.unsaid(piece) {
            dropped.add(field);
        }
        match self {
            Self::OpenaiChat(writer) => writer.write(piece, out),
            Self::Anthropic(writer) => writer.write(piece, out),
            Self::OpenaiResponses(writer) => writer.write(piece, out),
            Self::OpenaiCompletions(writer) => writer.write(piece, out),
            Self::Gemini(writer) => writer.write(piece, out),
            Self::Converse(writer) => writer.write(piece, out),
        }
    }

    /// What the format has no place for.
    fn unsaid(&self, piece: Piece<'_>) -> Option<&'static str> {
        match self {
            Self::OpenaiChat(_) | Self::OpenaiResponses(_) => None,
            Self::OpenaiCompletions(_) => openai_completions::unsaid(piece),
            Self::Anthropic(_) => beside_messages(piece, usize::MAX),
            Self::Converse(_) => beside_messages(piece, signed_id::MOST_IN_CONVERSE),
            Self::Gemini(_) => {
                matches!(piece, Piece::RedactedThinking(_)).then_some("redacted_thinking")
            }
        }
    }

    /// The calls that are left out, because their input was cut.
    fn take_cut(&mut self) -> Vec<u64> {
        match self {
            Self::OpenaiChat(_)
            | Self::OpenaiCompletions(_)
            | Self::Anthropic(_)
            | Self::OpenaiResponses(_)
            | Self::Converse(_) => Vec::new(),
            Self::Gemini(writer) => writer.take_cut(),
        }
    }

    /// Why it cannot go on; what came before is written.
    fn take_failure(&mut self) -> Option<TranslateError> {
        match self {
            Self::OpenaiChat(_)
            | Self::Anthropic(_)
            | Self::OpenaiResponses(_)
            | Self::OpenaiCompletions(_)
            | Self::Converse(_) => None,
            Self::Gemini(writer) => writer.take_failure(),
        }
    }
}

/// Whether clients know one open part at a time, be it that the format itself would permit several.
fn calls_in_turn(to: ClientFormat) -> bool {
    match to {
        ClientFormat::Anthropic
        | ClientFormat::BedrockInvoke
        | ClientFormat::BedrockConverse
        | ClientFormat::OpenaiResponses => true,
        // Calls of chats have an index in each piece, those of Gemini stand in one, and completions have none.
        ClientFormat::OpenaiChat | ClientFormat::Gemini | ClientFormat::OpenaiCompletions => false,
    }
}

/// What messages and `converse` have no place for. `most_in_id`: of letters.
fn beside_messages(piece: Piece<'_>, most_in_id: usize) -> Option<&'static str> {
    match piece {
        Piece::Logprobs(_) => Some("logprobs"),
        Piece::Tool { id, signature, .. } if !signature.is_empty() => {
            let signed = signed_id::sign_spelt(id, signature, most_in_id);
            signed.is_none().then_some(signed_id::FIELD)
        }
        Piece::Start { .. }
        | Piece::Text(_)
        | Piece::Refusal(_)
        | Piece::Thinking(_)
        | Piece::RedactedThinking(_)
        | Piece::Signature(_)
        | Piece::Tool { .. }
        | Piece::Input { .. }
        | Piece::PartEnd { .. }
        | Piece::Usage(_)
        | Piece::Ping
        | Piece::Stop { .. }
        | Piece::End => None,
    }
}
