//! A streamed answer of Argo's, read: text that comes in pieces of any length, and ends with its body.

use crate::wire::translate::canonical::Stop;
use crate::wire::translate::piece::{Give, Piece, spelt};

/// Reads pieces of text.
#[derive(Debug, Default)]
pub(in crate::wire::translate) struct Reader {
    has_begun: bool,
}

impl Reader {
    pub(in crate::wire::translate) fn read(&mut self, text: &str, give: Give<'_>) {
        self.begin(give);
        give(Piece::Text(&spelt(text)));
    }

    /// The body is over, and with it the answer.
    pub(in crate::wire::translate) fn end(&mut self, give: Give<'_>) {
        self.begin(give);
        give(Piece::Stop {
            stop: Some(Stop::End),
            word: "",
            sequence: None,
        });
        give(Piece::End);
    }

    fn begin(&mut self, give: Give<'_>) {
        if !std::mem::replace(&mut self.has_begun, true) {
            give(Piece::Start { model: None });
        }
    }
}
