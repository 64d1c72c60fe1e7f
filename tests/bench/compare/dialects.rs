//! What the other dialects cost beside OpenAI's chat: whole answers, streams, and streams that are translated.

use crate::client;
use crate::load::Ask;
use crate::scenarios::{CONNECTIONS, Loop, Series, WARM_UP};
use crate::table::{Line, median};
use crate::targets::{Kind, plain};

/// Pieces of text in a stream.
const PIECES: usize = 200;
/// Most that another dialect may cost, as a multiple of a chat.
const MOST: f64 = 1.1;

pub(crate) const WHOLE: Loop = Loop {
    connections: CONNECTIONS,
    requests: 20_000,
    warm_up: WARM_UP,
};

pub(crate) const STREAMS: Loop = Loop {
    connections: CONNECTIONS,
    requests: 1_500,
    warm_up: 100,
};

impl Series {
    /// Every other dialect beside OpenAI's chat.
    pub(crate) async fn dialects(&mut self) -> anyhow::Result<()> {
        let chat = Ask::new(self.mock, plain()).await?;
        let wholes = [
            ("a completion", client::completion("mock", 730)),
            ("an embedding", client::embedding("mock", 730)),
            ("a response", client::response("mock", 730)),
            ("an Anthropic message", client::message("mock", false, 730)),
            ("a Gemini content", client::content("mock", false, 730)),
            ("a Bedrock converse", client::converse("mock", false, 730)),
            ("a Bedrock invoke", client::invoke("claude-mock", 730)),
        ];
        for (name, request) in wholes {
            let other = Ask::new(self.mock, request).await?;
            let what = format!("{name} beside a plain chat, CPU µs per request");
            self.beside(&what, &chat, &other, &WHOLE, 1).await?;
        }
        let model = &format!("mock-s{PIECES}");
        let chat = Ask::stream(self.mock, model).await?;
        let streams = [
            ("an Anthropic stream", client::message(model, true, 730)),
            ("a Gemini stream", client::content(model, true, 730)),
            ("a Bedrock stream", client::converse(model, true, 730)),
        ];
        for (name, request) in streams {
            let other = Ask::new(self.mock, request).await?;
            let what = format!("{name} of {PIECES} beside a chat's, CPU µs per piece");
            self.beside(&what, &chat, &other, &STREAMS, PIECES).await?;
        }
        self.translated(&chat).await
    }

    /// One dialect and OpenAI's in turns. Judged are the ratios of the turns, for a machine may be slow for a while.
    pub(crate) async fn beside(
        &mut self,
        what: &str,
        chat: &Ask,
        other: &Ask,
        load: &Loop,
        parts: usize,
    ) -> anyhow::Result<()> {
        let (mut chats, mut others, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.runs {
            let of_chat = self.closed_loop(Kind::Full, chat, load).await?.all;
            let of_other = self.closed_loop(Kind::Full, other, load).await?.all;
            chats.push(of_chat / parts as f64);
            others.push(of_other / parts as f64);
            ratios.push(of_other / of_chat);
        }
        let line = Line::of(what, median(&ratios), "x a chat", MOST, MOST);
        self.lines
            .push(line.beside_of_ours(median(&chats), median(&others)));
        Ok(())
    }

    /// A stream of another dialect, translated, beside one that passes as it is.
    async fn translated(&mut self, passing: &Ask) -> anyhow::Result<()> {
        let translated = Ask::translated(PIECES);
        let (mut passed, mut made) = (Vec::new(), Vec::new());
        for _ in 0..self.runs {
            for (ask, cpu) in [(passing, &mut passed), (&translated, &mut made)] {
                let spent = self.closed_loop(Kind::Full, ask, &STREAMS).await?.all;
                cpu.push(spent / PIECES as f64);
            }
        }
        let what =
            format!("a translated stream of {PIECES} beside one that passes, CPU µs per event");
        let line = Line::of(&what, median(&made), "µs", 25.0, 25.0);
        self.lines
            .push(line.beside_of_ours(median(&passed), median(&made)));
        Ok(())
    }
}
