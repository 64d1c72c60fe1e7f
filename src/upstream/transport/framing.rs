//! Bodies of answers as they travel: with a length, in chunks, or until the connection ends.

use bytes::{Bytes, BytesMut};

/// How a body is framed, and where in it we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes are to come.
    Sized(u64),
    /// In chunks.
    Chunked(Chunk),
    /// Everything until the connection is closed.
    UntilClose,
}

/// A place in a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunk {
    SizeStart,
    Size(u64),
    Extension(u64),
    Data(u64),
    AfterData,
    TrailerStart,
    Trailer,
    /// After the CR of the empty line.
    LastLine,
}

/// What bytes of the connection are to the body.
#[derive(Debug)]
pub(super) struct Decoded {
    /// What they bring of it.
    pub(super) data: Bytes,
    /// Where it stands with them.
    pub(super) state: State,
}

/// Where a body stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It goes on.
    Open,
    /// It ended.
    Whole,
    /// It ended, and more came: nothing of the connection can be believed any more.
    Overrun,
    /// The chunks are none.
    Malformed,
}

impl Framing {
    /// The beginning of a body in chunks.
    pub(super) fn chunked() -> Self {
        Self::Chunked(Chunk::SizeStart)
    }

    /// Takes the next bytes of the connection.
    pub(super) fn decode(&mut self, bytes: &[u8]) -> Decoded {
        match self {
            Self::UntilClose => Decoded {
                data: Bytes::copy_from_slice(bytes),
                state: State::Open,
            },
            Self::Sized(left) => {
                let own = own_bytes(*left, bytes);
                *left -= own.len() as u64;
                Decoded {
                    data: Bytes::copy_from_slice(own),
                    state: match *left {
                        0 => ended(own.len(), bytes),
                        _ => State::Open,
                    },
                }
            }
            Self::Chunked(chunk) => {
                let mut data = Data::None;
                let end = chunk.decode(bytes, &mut data);
                Decoded {
                    data: data.joined(),
                    state: match end {
                        Ok(None) => State::Open,
                        Ok(Some(end)) => ended(end, bytes),
                        Err(Malformed) => State::Malformed,
                    },
                }
            }
        }
    }

    /// Whether the connection may end here without cutting anything off.
    pub(super) fn may_end(&self) -> bool {
        matches!(self, Self::UntilClose)
    }
}

fn ended(end: usize, bytes: &[u8]) -> State {
    match end < bytes.len() {
        true => State::Overrun,
        false => State::Whole,
    }
}

struct Malformed;

/// Data of chunks, put together; that of one chunk alone is copied once, into room of its size.
enum Data<'a> {
    None,
    One(&'a [u8]),
    More(BytesMut),
}

impl<'a> Data<'a> {
    fn push(&mut self, data: &'a [u8], most: usize) {
        match self {
            Self::None => *self = Self::One(data),
            Self::One(first) => {
                let mut joined = BytesMut::with_capacity(most);
                joined.extend_from_slice(first);
                joined.extend_from_slice(data);
                *self = Self::More(joined);
            }
            Self::More(joined) => joined.extend_from_slice(data),
        }
    }

    fn joined(self) -> Bytes {
        match self {
            Self::None => Bytes::new(),
            Self::One(data) => Bytes::copy_from_slice(data),
            Self::More(joined) => joined.freeze(),
        }
    }
}

impl Chunk {
    /// Where the body ends in these bytes; `None` when it goes on.
    fn decode<'a>(
        &mut self,
        bytes: &'a [u8],
        data: &mut Data<'a>,
    ) -> Result<Option<usize>, Malformed> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            *self = match (*self, byte) {
                (Self::Data(left), _) => {
                    let own = own_bytes(left, bytes.get(at..).unwrap_or_default());
                    data.push(own, bytes.len());
                    at += own.len();
                    *self = match left - own.len() as u64 {
                        0 => Self::AfterData,
                        left => Self::Data(left),
                    };
                    continue;
                }
                (Self::Size(size), b'\n') | (Self::Extension(size), b'\n') => match size {
                    0 => Self::TrailerStart,
                    size => Self::Data(size),
                },
                (Self::SizeStart, _) => Self::Size(hex_digit(byte).ok_or(Malformed)?),
                (Self::Size(size), _) => match hex_digit(byte) {
                    Some(digit) => Self::Size(size.checked_mul(16).ok_or(Malformed)? + digit),
                    None if matches!(byte, b';' | b' ' | b'\t' | b'\r') => Self::Extension(size),
                    None => return Err(Malformed),
                },
                (Self::Extension(size), _) => Self::Extension(size),
                (Self::AfterData, b'\r') => Self::AfterData,
                (Self::AfterData, b'\n') => Self::SizeStart,
                (Self::AfterData, _) => return Err(Malformed),
                (Self::TrailerStart, b'\r') => Self::LastLine,
                (Self::TrailerStart | Self::LastLine, b'\n') => return Ok(Some(at + 1)),
                (Self::LastLine, _) => return Err(Malformed),
                (Self::Trailer, b'\n') => Self::TrailerStart,
                (Self::TrailerStart | Self::Trailer, _) => Self::Trailer,
            };
            at += 1;
        }
        Ok(None)
    }
}

fn hex_digit(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}

fn own_bytes(left: u64, bytes: &[u8]) -> &[u8] {
    let own = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
    bytes.get(..own).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a body brings and how it stands then, whatever the pieces.
    fn check(framing: &Framing, wire: &str, body: &str, state: State) {
        for every in [1, 3, wire.len()] {
            let mut framing = framing.clone();
            let (mut got, mut seen) = (Vec::new(), State::Open);
            for piece in wire.as_bytes().chunks(every) {
                if seen == State::Whole {
                    seen = State::Overrun;
                }
                if seen != State::Open {
                    break;
                }
                let decoded = framing.decode(piece);
                got.extend_from_slice(&decoded.data);
                seen = decoded.state;
            }
            let got = String::from_utf8(got).unwrap();
            assert_eq!((got.as_str(), seen), (body, state), "{wire:?} by {every}");
        }
    }

    #[test]
    fn bodies_end_where_they_say() {
        check(&Framing::Sized(5), "hello", "hello", State::Whole);
        check(&Framing::Sized(5), "hell", "hell", State::Open);
        check(&Framing::Sized(5), "hellox", "hello", State::Overrun);
        check(&Framing::UntilClose, "any", "any", State::Open);
        assert!(Framing::UntilClose.may_end() && !Framing::Sized(1).may_end());
    }

    #[test]
    fn chunks_are_taken_apart() {
        let check = |wire: &str, body: &str, state: State| {
            check(&Framing::chunked(), wire, body, state);
        };
        let digits = "0123456789";
        check(
            &format!("A;x=1\r\n{digits}\r\n0\r\n\r\n"),
            digits,
            State::Whole,
        );
        check("1\r\na\r\n2\r\nbc\r\n3\ndef\n0\n\n", "abcdef", State::Whole);
        check("1\r\na\r\n0\r\nx: y\r\nz: a\r\n\r\n", "a", State::Whole);
        check("1\r\na\r\n0\r\n", "a", State::Open);
        check("1\r\na\r\n0\r\n\r\nHTTP/1.1", "a", State::Overrun);
        check("1\r\nabc", "a", State::Malformed);
        check("1\r\na\r\n\r\n", "a", State::Malformed);
        for wire in [
            "no chunk",
            "\r\n",
            "-1\r\n",
            "1000000000000000f\r\n",
            "0\r\n\rx",
        ] {
            check(wire, "", State::Malformed);
        }
    }
}
