//! How answers end: for reasons that other formats do not know, with refusals that have no place of their own, or with
//! nothing said at all. Every end that is written has a reason.

use super::canonical::{Answer, Part, Stop};
use super::piece::{Give, Piece};
use super::{ClientFormat, Dropped, Format, ProviderError, TranslateError};

/// What an answer says, as far as its end depends on it.
#[derive(Debug, Clone, Copy, Default)]
struct Said {
    text: bool,
    refusal: bool,
    calls: bool,
}

/// Follows a stream to its end.
#[derive(Debug)]
pub(super) struct Ending {
    from: Format,
    to: ClientFormat,
    said: Said,
    has_stop: bool,
}

impl Said {
    /// Thoughts alone are no answer.
    fn see(&mut self, piece: &Piece<'_>) {
        match piece {
            Piece::Text(text) => self.text |= !text.is_empty(),
            Piece::Refusal(_) => self.refusal = true,
            Piece::Tool { .. } => self.calls = true,
            Piece::Start { .. }
            | Piece::Thinking(_)
            | Piece::Signature(_)
            | Piece::RedactedThinking(_)
            | Piece::Input { .. }
            | Piece::PartEnd { .. }
            | Piece::Usage(_)
            | Piece::Logprobs(_)
            | Piece::Ping
            | Piece::Stop { .. }
            | Piece::End => {}
        }
    }

    fn of(answer: &Answer) -> Self {
        let any = |is: fn(&Part) -> bool| answer.parts.iter().any(is);
        Self {
            text: any(|part| matches!(part, Part::Text(text) if !text.is_empty())),
            refusal: any(|part| matches!(part, Part::Refusal(_))),
            calls: any(|part| matches!(part, Part::ToolUse { .. })) || !answer.cut_calls.is_empty(),
        }
    }

    /// The reason that is written. `word`: the source's own.
    fn stop(
        self,
        to: ClientFormat,
        stop: Option<Stop>,
        word: Option<&str>,
    ) -> Result<Stop, TranslateError> {
        let refuses = self.refusal && !has_refusals(to);
        match stop {
            Some(Stop::End) if refuses => Ok(Stop::Refused),
            Some(stop) => Ok(stop),
            None if self.calls => Ok(Stop::ToolUse),
            None if refuses => Ok(Stop::Refused),
            None if self.text || self.refusal => Ok(Stop::End),
            None => Err(nothing_said(word)),
        }
    }
}

impl Ending {
    pub(super) fn new(from: Format, to: ClientFormat) -> Self {
        let said = Said::default();
        Self {
            from,
            to,
            said,
            has_stop: false,
        }
    }

    /// Whether it was said why the answer ends.
    pub(super) fn has_stop(&self) -> bool {
        self.has_stop
    }

    /// Gives the piece as it is written, behind a reason to end where there should have been one. `is_unknown`: whether it
    /// tells of a reason that is not carried.
    ///
    /// # Errors
    /// [`TranslateError`] when the answer ends with nothing said, and for no reason that other formats know.
    pub(super) fn piece(
        &mut self,
        piece: Piece<'_>,
        is_unknown: &mut bool,
        give: Give<'_>,
    ) -> Result<(), TranslateError> {
        self.said.see(&piece);
        match piece {
            Piece::Stop {
                stop,
                word,
                sequence,
            } => {
                self.stop(stop, word, sequence, give)?;
                // A reason may be missing there as well.
                *is_unknown |= stop.is_none() && !word.is_empty();
            }
            // Some servers' streams end without a reason, as some whole answers do.
            Piece::End if !self.has_stop => {
                self.stop(None, "", None, give)?;
                give(piece);
            }
            piece => give(piece),
        }
        Ok(())
    }

    fn stop(
        &mut self,
        stop: Option<Stop>,
        word: &str,
        sequence: Option<&str>,
        give: Give<'_>,
    ) -> Result<(), TranslateError> {
        self.has_stop = true;
        let said = Some(word).filter(|word| !word.is_empty());
        let stop = Some(self.said.stop(self.to, stop, said)?);
        give(Piece::Stop {
            stop,
            word,
            sequence,
        });
        Ok(())
    }

    /// The path of the reason.
    pub(super) fn path(&self) -> &'static str {
        path(self.from)
    }
}

/// Gives a whole answer the reason that is written, and leaves out the calls that were cut where they cannot be said.
///
/// # Errors
/// [`TranslateError`] when it says nothing, and for no reason that other formats know.
pub(super) fn settle(
    answer: &mut Answer,
    from: Format,
    to: ClientFormat,
    dropped: &mut Dropped,
) -> Result<(), TranslateError> {
    let word = answer.stop_word.as_deref();
    let stop = Said::of(answer).stop(to, answer.stop, word)?;
    if answer.stop.is_none() && word.is_some() {
        dropped.add(path(from));
    }
    answer.stop = Some(stop);
    if !has_inputs_as_texts(to) {
        for cut in answer.cut_calls.drain(..) {
            dropped.add(cut.path);
        }
    }
    Ok(())
}

fn path(from: Format) -> &'static str {
    match from {
        Format::OpenaiChat => "choices[0].finish_reason",
        Format::Anthropic => "stop_reason",
        Format::Gemini => "candidates[0].finishReason",
        Format::BedrockConverse => "stopReason",
        // They have none.
        Format::Asksage | Format::Argo => "finish_reason",
    }
}

/// Whether a refusal is a part of its own there, and the reason stays what it is. Elsewhere it is a text, of which the
/// reason says what it is: `refusal`, `SAFETY`, `content_filtered`.
fn has_refusals(to: ClientFormat) -> bool {
    match to {
        ClientFormat::OpenaiChat | ClientFormat::OpenaiResponses => true,
        ClientFormat::OpenaiCompletions
        | ClientFormat::Anthropic
        | ClientFormat::Gemini
        | ClientFormat::BedrockConverse
        | ClientFormat::BedrockInvoke => false,
    }
}

/// Whether what is passed to a call is a text, which may be cut, and no object.
fn has_inputs_as_texts(to: ClientFormat) -> bool {
    match to {
        ClientFormat::OpenaiChat | ClientFormat::OpenaiResponses => true,
        ClientFormat::OpenaiCompletions
        | ClientFormat::Anthropic
        | ClientFormat::Gemini
        | ClientFormat::BedrockConverse
        | ClientFormat::BedrockInvoke => false,
    }
}

/// Such as of Gemini, when the model's call was malformed.
fn nothing_said(word: Option<&str>) -> TranslateError {
    match word {
        None => TranslateError::Malformed("nothing is said in it, for no reason".to_owned()),
        Some(word) => TranslateError::Reported(ProviderError {
            code: Some(word.to_owned()),
            message: format!("the answer ended with nothing said: {word}"),
            ..ProviderError::default()
        }),
    }
}
