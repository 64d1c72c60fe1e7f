//! Bytes as frames of Bedrock's streams, as they came and with lengths and checksums set right, for no fuzzer finds
//! those by chance.

use aiproxy::filter::Endpoint;
use aiproxy::wire::aws_event_stream::{
    self, Decoder, Frame, FrameError, MAX_FRAME_BYTES, RawFrame,
};
use aiproxy::wire::frame_scanner::FrameScanner;
use aiproxy::wire::relay_scanner::{Facts, Piece, StreamEnd};
use bytes::Bytes;

use super::input::Chunked;

/// A limit that some frames are over.
const SMALL_FRAME_BYTES: usize = 100;

/// Bytes of lengths and checksums around a frame's headers and payload.
const OVERHEAD: usize = 16;

const ENDPOINTS: [Endpoint; 2] = [Endpoint::BedrockConverse, Endpoint::BedrockInvoke];

/// Whatever the chunks: the same frames, and no byte is lost or doubled.
pub(crate) fn check(data: &[u8]) {
    let Some(input) = Chunked::read(data) else {
        return;
    };
    for stream in [input.whole.to_vec(), mended(input.whole)] {
        let chunks = input.chunks(&stream);
        for limit in [MAX_FRAME_BYTES, SMALL_FRAME_BYTES] {
            let decoded = decoded(&[&stream], limit);
            assert_eq!(self::decoded(&chunks, limit), decoded);
            for endpoint in ENDPOINTS {
                let scanned = scanned(endpoint, &[&stream], limit, &decoded);
                assert_eq!(self::scanned(endpoint, &chunks, limit, &decoded), scanned);
            }
        }
        whole_body(&stream);
    }
}

/// These bytes as frames: a length that cannot be is cut to what is there, and each checksum holds.
fn mended(bytes: &[u8]) -> Vec<u8> {
    let mut mended = Vec::new();
    let mut rest = bytes;
    while let Some((total, body)) = rest.split_first_chunk()
        && let Some((headers, body)) = body.split_first_chunk()
        && OVERHEAD <= rest.len()
    {
        let length =
            |number: [u8; 4]| usize::try_from(u32::from_be_bytes(number)).expect("a length");
        let total = length(*total).clamp(OVERHEAD, rest.len());
        let headers = length(*headers).min(total - OVERHEAD);
        let frame = frame(headers, &body[4..total - 12]);
        assert_eq!(frame.len(), total);
        mended.extend(frame);
        rest = &rest[total..];
    }
    mended.extend_from_slice(rest);
    mended
}

/// A frame of headers that may be none, and a payload behind them.
fn frame(headers: usize, body: &[u8]) -> Vec<u8> {
    let length = |length: usize| u32::try_from(length).expect("a short frame").to_be_bytes();
    let mut frame = [length(OVERHEAD + body.len()), length(headers)].concat();
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame.extend_from_slice(body);
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame
}

/// The frames of a stream, and why it ended before its end.
type Decoded = (Vec<RawFrame>, Option<FrameError>);

fn decoded(chunks: &[&[u8]], limit: usize) -> Decoded {
    let mut decoder = Decoder::new(limit);
    let mut frames = Vec::new();
    let mut taken = 0;
    let mut failed = None;
    for chunk in chunks {
        failed = decoder
            .push(Bytes::copy_from_slice(chunk), &mut frames)
            .err();
        taken += chunk.len();
        if failed.is_some() {
            assert_eq!(
                decoder.push(Bytes::from_static(b"more"), &mut frames).err(),
                failed
            );
            break;
        }
    }
    let rest = decoder.take_rest();
    assert!(decoder.is_at_border());
    let mut end = 0;
    for frame in &frames {
        assert_eq!(frame.range.start, end);
        end = frame.range.end;
        assert!(frame.raw.len() <= limit);
        looked_at(&frame.frame());
        assert_eq!(frame.payload(), frame.frame().payload());
    }
    let raw = frames.iter().map(|frame| &frame.raw).chain([&rest]);
    let raw: Vec<u8> = raw.flatten().copied().collect();
    let whole = chunks.concat();
    assert_eq!(Some(&*raw), whole.get(..taken));
    (frames, failed)
}

/// A frame of headers that can be read is written as it was.
fn looked_at(frame: &Frame<'_>) {
    let Some(headers) = frame.headers() else {
        assert_eq!(frame.kind(), None);
        return;
    };
    let written = aws_event_stream::encode(&headers, frame.payload()).expect("it was read");
    assert_eq!(written == frame.raw, frame.crc_holds);
}

/// What the client and the record get of a stream.
#[derive(Debug, PartialEq)]
struct Scanned {
    client: usize,
    /// Where the frames stand that wait for the record.
    terminal: Vec<usize>,
    facts: Facts,
    end: Option<StreamEnd>,
}

fn scanned(endpoint: Endpoint, chunks: &[&[u8]], limit: usize, decoded: &Decoded) -> Scanned {
    let whole = chunks.concat();
    let (frames, failed) = decoded;
    let framed = frames.last().map_or(0, |frame| frame.range.end);
    let framed = usize::try_from(framed).expect("a short stream");
    let mut scanner = FrameScanner::new(endpoint, limit);
    let mut out = Vec::new();
    let mut is_too_large = false;
    for chunk in chunks {
        let pushed = scanner.push(Bytes::copy_from_slice(chunk), &mut out);
        is_too_large = pushed.is_err();
        if is_too_large {
            break;
        }
    }
    let is_over = matches!(failed, Some(FrameError::TooLarge { .. }));
    assert_eq!(is_too_large, is_over);
    let end = if is_too_large {
        scanner.cut(&mut out);
        None
    } else {
        Some(scanner.finish(&mut out))
    };
    let (client, terminal) = sent(out, &whole);
    let expected = match failed {
        Some(FrameError::PreludeCrc | FrameError::Lengths) => whole.len(),
        Some(FrameError::TooLarge { .. }) | None => framed,
    };
    assert_eq!(client, expected);
    Scanned {
        client,
        terminal,
        facts: *scanner.facts(),
        end,
    }
}

/// How many bytes go to the client, each of them what came there, and where those begin that wait for the record.
fn sent(out: Vec<Piece>, whole: &[u8]) -> (usize, Vec<usize>) {
    let mut client = 0;
    let mut terminal = Vec::new();
    for piece in out {
        let bytes = match piece {
            Piece::Send(bytes) => bytes,
            Piece::Terminal(bytes) => {
                terminal.push(client);
                bytes
            }
            Piece::Stripped(_) => panic!("nothing is taken out of frames"),
        };
        let end = client + bytes.len();
        assert_eq!(whole.get(client..end), Some(&*bytes));
        client = end;
    }
    (client, terminal)
}

/// A recorded body has the frames that the relay saw; reading it is no fault, whatever it holds.
fn whole_body(stream: &[u8]) {
    let (frames, _) = decoded(&[stream], MAX_FRAME_BYTES);
    let mut whole = aws_event_stream::frames(stream);
    assert!(whole.by_ref().eq(frames.iter().map(RawFrame::frame)));
    assert!(stream.ends_with(whole.rest()));
    for endpoint in ENDPOINTS {
        let events = aiproxy::wire::decode_stream(endpoint, stream).event_count;
        assert!(events <= frames.len() as u64);
    }
}
