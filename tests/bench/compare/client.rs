//! One HTTP/1.1 connection, read with as little work as can be: the driver must never be what is measured.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Digits of the number that the mock gives a request and puts into ids.
const NUMBER_DIGITS: usize = 10;

/// A connection kept from one request to the next.
pub(crate) struct Client {
    stream: TcpStream,
    /// Bytes read and not used yet.
    unread: Vec<u8>,
    /// The body of the last answer.
    pub(crate) body: Vec<u8>,
}

/// The head of an answer.
pub(crate) struct Head {
    /// Status code.
    pub(crate) status: u16,
    /// The mock's number of the request; empty where it gave none.
    number: Vec<u8>,
    length: Option<usize>,
    chunked: bool,
}

impl Client {
    /// Connects.
    pub(crate) async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.context("connect")?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            unread: Vec::with_capacity(16 << 10),
            body: Vec::new(),
        })
    }

    /// Sends bytes as they are.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(bytes).await.context("send")
    }

    /// Sends a request and reads its answer whole, into `body`.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Head> {
        self.send(request).await?;
        self.answer(|_| {}).await
    }

    /// Reads an answer whole; `piece` is called with the bytes that each read brought.
    pub(crate) async fn answer(&mut self, mut piece: impl FnMut(&[u8])) -> anyhow::Result<Head> {
        let head = self.head().await?;
        self.body.clear();
        if head.chunked {
            self.chunks(&mut piece).await?;
        } else {
            let length = head.length.context("an answer without a length")?;
            while self.unread.len() < length {
                self.read().await?;
            }
            self.body.extend_from_slice(&self.unread[..length]);
            self.unread.drain(..length);
        }
        Ok(head)
    }

    /// Reads a head alone.
    pub(crate) async fn head(&mut self) -> anyhow::Result<Head> {
        loop {
            if let Some(end) = memmem::find(&self.unread, b"\r\n\r\n") {
                let head = Head::parse(&self.unread[..end])?;
                self.unread.drain(..end + 4);
                return Ok(head);
            }
            self.read().await?;
        }
    }

    /// Reads until so many bytes of the body's wire form are there.
    pub(crate) async fn wait_for_bytes(&mut self, count: usize) -> anyhow::Result<()> {
        while self.unread.len() < count {
            self.read().await?;
        }
        Ok(())
    }

    async fn chunks(&mut self, piece: &mut impl FnMut(&[u8])) -> anyhow::Result<()> {
        let mut at = 0;
        loop {
            let line = loop {
                match memmem::find(&self.unread[at..], b"\r\n") {
                    Some(end) => break &self.unread[at..at + end],
                    None => {
                        self.unread.drain(..at);
                        at = 0;
                        self.read().await?;
                    }
                }
            };
            let size = usize::from_str_radix(std::str::from_utf8(line)?, 16)?;
            let begin = at + line.len() + 2;
            let mut from = begin;
            while self.unread.len() < from + size + 2 {
                self.unread.drain(..from);
                from = 0;
                self.read().await?;
            }
            let data = &self.unread[from..from + size];
            piece(data);
            self.body.extend_from_slice(data);
            at = from + size + 2;
            if size == 0 {
                self.unread.drain(..at);
                return Ok(());
            }
        }
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        let read = self.stream.read_buf(&mut self.unread).await?;
        ensure!(read != 0, "the connection ended inside an answer");
        Ok(())
    }
}

impl Head {
    fn parse(head: &[u8]) -> anyhow::Result<Self> {
        let text = std::str::from_utf8(head)?;
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let mut parsed = Self {
            status: status.context("no status")?.parse()?,
            number: Vec::new(),
            length: None,
            chunked: false,
        };
        for line in lines {
            let Some((name, value)) = line.split_once(':') else {
                bail!("a header without a colon: {line}");
            };
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                parsed.length = Some(value.parse()?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                parsed.chunked = value.eq_ignore_ascii_case("chunked");
            } else if ["x-request-id", "request-id"]
                .iter()
                .any(|known| name.eq_ignore_ascii_case(known))
            {
                let digits = value.len().saturating_sub(NUMBER_DIGITS);
                parsed.number = value.as_bytes()[digits..].to_vec();
            }
        }
        Ok(parsed)
    }
}

/// What the mock sends for one kind of request: the text between the places where its number stands.
pub(crate) struct Reference {
    pieces: Vec<Vec<u8>>,
    /// Of an answer that the mock does not know: how many events it has.
    events: Option<usize>,
}

impl Reference {
    /// Asks the mock itself.
    pub(crate) async fn ask(mock: SocketAddr, request: &[u8]) -> anyhow::Result<Self> {
        let mut client = Client::connect(mock).await?;
        let head = client.exchange(request).await?;
        Self::of(&head, &client.body)
    }

    /// Asks the mock itself and takes the usage chunk out of its stream.
    pub(crate) async fn ask_without_usage(
        mock: SocketAddr,
        request: &[u8],
    ) -> anyhow::Result<Self> {
        let mut client = Client::connect(mock).await?;
        let head = client.exchange(request).await?;
        let stream = std::str::from_utf8(&client.body)?;
        let events = stream.split_inclusive("\n\n");
        let kept: String = events
            .filter(|event| !event.contains("\"choices\":[]"))
            .collect();
        ensure!(kept.len() < stream.len(), "the mock sent no usage");
        Self::of(&head, kept.as_bytes())
    }

    fn of(head: &Head, body: &[u8]) -> anyhow::Result<Self> {
        ensure!(head.status == 200, "the mock answered {}", head.status);
        let mut pieces = Vec::new();
        let mut from = 0;
        // No header has Gemini's, and Bedrock's answers have none at all.
        let number = match head.number.as_slice() {
            [] => number_in(body),
            number => number,
        };
        let has_number = !number.is_empty();
        let places = memmem::find_iter(body, number);
        for at in places.take_while(|_| has_number) {
            pieces.push(body[from..at].to_vec());
            from = at + NUMBER_DIGITS;
        }
        pieces.push(body[from..].to_vec());
        Ok(Self {
            pieces,
            events: None,
        })
    }

    /// A chat's stream of so many events, whatever they say.
    pub(crate) fn stream_of(events: usize) -> Self {
        Self {
            pieces: Vec::new(),
            events: Some(events),
        }
    }

    /// Whether an answer is what the mock sent, byte for byte but for its number, which is the same throughout.
    pub(crate) fn fits(&self, head: &Head, mut body: &[u8]) -> bool {
        if let Some(events) = self.events {
            let came = memmem::find_iter(body, "\n\n").count();
            return head.status == 200 && came == events && body.ends_with(b"data: [DONE]\n\n");
        }
        let first = self.pieces.first().map_or(0, Vec::len);
        let number = body.get(first..first + NUMBER_DIGITS).unwrap_or_default();
        for (index, piece) in self.pieces.iter().enumerate() {
            let mut rest = Some(body);
            if index != 0 {
                rest = rest.and_then(|body| body.strip_prefix(number));
            }
            match rest.and_then(|body| body.strip_prefix(piece.as_slice())) {
                Some(rest) => body = rest,
                None => return false,
            }
        }
        head.status == 200 && body.is_empty()
    }
}

/// The first digits in a body that are as many as a number has; empty without such.
fn number_in(body: &[u8]) -> &[u8] {
    let is_number = |digits: &&[u8]| digits.iter().all(u8::is_ascii_digit);
    body.windows(NUMBER_DIGITS)
        .find(is_number)
        .unwrap_or_default()
}

/// A chat request as bytes; `body_bytes` pads its message.
pub(crate) fn chat(model: &str, stream: bool, body_bytes: usize) -> Vec<u8> {
    let frame = |text: &str| {
        format!(
            r#"{{"model":"{model}","stream":{stream},"temperature":0.7,"messages":[{{"role":"system","content":"You are a helpful assistant."}},{{"role":"user","content":"{text}"}}]}}"#
        )
    };
    asked("/v1/chat/completions", body_bytes, frame)
}

/// The same question to OpenAI's older call.
pub(crate) fn completion(model: &str, body_bytes: usize) -> Vec<u8> {
    asked("/v1/completions", body_bytes, |text| {
        format!(r#"{{"model":"{model}","temperature":0.7,"prompt":"{text}"}}"#)
    })
}

/// The same text to be embedded.
pub(crate) fn embedding(model: &str, body_bytes: usize) -> Vec<u8> {
    asked("/v1/embeddings", body_bytes, |text| {
        format!(r#"{{"model":"{model}","input":"{text}"}}"#)
    })
}

/// The same question to Anthropic's API.
pub(crate) fn message(model: &str, stream: bool, body_bytes: usize) -> Vec<u8> {
    asked("/v1/messages", body_bytes, |text| {
        format!(
            r#"{{"model":"{model}","max_tokens":256,"stream":{stream},"temperature":0.7,"system":"You are a helpful assistant.","messages":[{{"role":"user","content":"{text}"}}]}}"#
        )
    })
}

/// The same question to OpenAI's Responses.
pub(crate) fn response(model: &str, body_bytes: usize) -> Vec<u8> {
    asked("/v1/responses", body_bytes, |text| {
        format!(
            r#"{{"model":"{model}","temperature":0.7,"instructions":"You are a helpful assistant.","input":[{{"role":"user","content":"{text}"}}]}}"#
        )
    })
}

/// The same question to Gemini's API.
pub(crate) fn content(model: &str, stream: bool, body_bytes: usize) -> Vec<u8> {
    let verb = match stream {
        true => "streamGenerateContent?alt=sse",
        false => "generateContent",
    };
    asked(
        &format!("/v1beta/models/{model}:{verb}"),
        body_bytes,
        |text| {
            format!(
                r#"{{"generationConfig":{{"temperature":0.7}},"systemInstruction":{{"parts":[{{"text":"You are a helpful assistant."}}]}},"contents":[{{"role":"user","parts":[{{"text":"{text}"}}]}}]}}"#
            )
        },
    )
}

/// The same question to Bedrock's runtime, where it is signed anew.
pub(crate) fn converse(model: &str, stream: bool, body_bytes: usize) -> Vec<u8> {
    let verb = match stream {
        true => "converse-stream",
        false => "converse",
    };
    asked(&format!("/model/{model}/{verb}"), body_bytes, |text| {
        format!(
            r#"{{"inferenceConfig":{{"temperature":0.7}},"system":[{{"text":"You are a helpful assistant."}}],"messages":[{{"role":"user","content":[{{"text":"{text}"}}]}}]}}"#
        )
    })
}

/// The same in the maker's own words.
pub(crate) fn invoke(model: &str, body_bytes: usize) -> Vec<u8> {
    asked(&format!("/model/{model}/invoke"), body_bytes, |text| {
        format!(
            r#"{{"anthropic_version":"bedrock-2023-05-31","max_tokens":256,"temperature":0.7,"system":"You are a helpful assistant.","messages":[{{"role":"user","content":"{text}"}}]}}"#
        )
    })
}

/// A request whose question fills its body up to a length.
fn asked(path: &str, body_bytes: usize, body: impl Fn(&str) -> String) -> Vec<u8> {
    let words = "what is the answer to that question ";
    let room = body_bytes.saturating_sub(body("").len());
    let text: String = words.chars().cycle().take(room).collect();
    request(path, "application/json", body(&text).as_bytes())
}

/// A streamed chat request that asks for usage.
pub(crate) fn chat_with_usage(model: &str) -> Vec<u8> {
    let body = format!(
        r#"{{"model":"{model}","stream":true,"stream_options":{{"include_usage":true}},"messages":[]}}"#
    );
    request("/v1/chat/completions", "application/json", body.as_bytes())
}

/// A POST request as bytes, with the headers that an SDK sends.
pub(crate) fn request(path: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = head(path, content_type, body.len());
    bytes.extend_from_slice(body);
    bytes
}

/// Its head alone.
pub(crate) fn head(path: &str, content_type: &str, length: usize) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\nContent-Type: {content_type}\r\n\
         User-Agent: OpenAI/Python 2.8.1\r\nX-Stainless-Lang: python\r\nX-Stainless-Runtime: CPython\r\n\
         Authorization: Bearer sk-bench-0123456789abcdef\r\nContent-Length: {length}\r\n\r\n"
    )
    .into_bytes()
}

/// Microseconds from a moment to now.
pub(crate) fn micros(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e6
}
