//! Bytes as event streams: cut into events, and watched while they are relayed; and as the array that stands for one.

use aiproxy::filter::Endpoint;
use aiproxy::wire::relay_scanner::{Dialect, Facts, Piece, ScanOptions, Scanner, StreamEnd};
use aiproxy::wire::sse::{self, EventTooLarge, RawEvent, SseDecoder};
use bytes::Bytes;

use super::array;
use super::input::Chunked;

/// A limit that no input is over, and one that some events are.
const LIMITS: [usize; 2] = [1 << 20, 100];

const DIALECTS: [Dialect; 5] = [
    Dialect::Chat,
    Dialect::Responses,
    Dialect::Messages,
    Dialect::Candidates,
    Dialect::Raw,
];

const ENDPOINTS: [Endpoint; 6] = [
    Endpoint::ChatCompletions,
    Endpoint::Responses,
    Endpoint::Messages,
    Endpoint::GenerateContent,
    Endpoint::ArgoChat,
    Endpoint::Passthrough,
];

/// Whatever the chunks: the same events, the same to the client, the same on record; unmended, what came.
pub(crate) fn check(data: &[u8]) {
    let Some(input) = Chunked::read(data) else {
        return;
    };
    array::check(&input);
    let whole = [input.whole];
    let chunks = input.chunks(input.whole);
    for limit in LIMITS {
        let decoded = decoded(&whole, limit);
        assert_eq!(self::decoded(&chunks, limit), decoded);
    }
    for dialect in DIALECTS {
        for (repair, strip_usage) in [(false, false), (true, false), (true, true)] {
            for max_event_bytes in LIMITS {
                let options = ScanOptions {
                    dialect,
                    strip_usage,
                    repair,
                    max_event_bytes,
                };
                let scanned = scanned(&whole, options);
                assert_eq!(self::scanned(&chunks, options), scanned, "{options:?}");
                if let Ok(scanned) = scanned
                    && !repair
                {
                    assert_eq!(scanned.client, input.whole, "{options:?}");
                }
            }
        }
    }
    for endpoint in ENDPOINTS {
        let events = aiproxy::wire::decode_stream(endpoint, input.whole).event_count;
        assert!(events <= sse::events(input.whole).count() as u64);
    }
}

/// The events of a stream and what is left behind them.
fn decoded(chunks: &[&[u8]], limit: usize) -> Result<(Vec<RawEvent>, Bytes), EventTooLarge> {
    let mut decoder = SseDecoder::new(limit);
    let mut events = Vec::new();
    for chunk in chunks {
        decoder.push(chunk, &mut events)?;
    }
    let has_rest = decoder.finish(&mut events)?;
    let rest = decoder.take_rest();
    assert_eq!(has_rest, !rest.is_empty());
    let whole = chunks.concat();
    let mut end = 0;
    for event in &events {
        let range = usize::try_from(event.range.end).expect("a short stream");
        assert_eq!(usize::try_from(event.range.start), Ok(end));
        let bytes = whole.get(end..range).expect("within the stream");
        assert!(bytes.ends_with(&event.raw));
        assert!(event.has_bom() || bytes == event.raw);
        end = range;
    }
    assert_eq!(whole.get(end..), Some(&*rest));
    let told = events.iter().map(RawEvent::fields);
    assert!(sse::events(&whole).eq(told.filter(|fields| fields.data.is_some())));
    Ok((events, rest))
}

/// All that a client and a record can know of a scan, free of how bytes were cut into pieces.
#[derive(Debug, PartialEq)]
struct Scanned {
    client: Vec<u8>,
    stripped: Vec<Bytes>,
    facts: Facts,
    end: StreamEnd,
}

fn scanned(chunks: &[&[u8]], options: ScanOptions) -> Result<Scanned, EventTooLarge> {
    let mut scanner = Scanner::new(options);
    let mut out = Vec::new();
    for chunk in chunks {
        let pushed = scanner.push(Bytes::copy_from_slice(chunk), &mut out);
        if let Err(error) = pushed {
            scanner.cut(&mut out);
            return Err(error);
        }
    }
    let end = scanner.finish(&mut out);
    let mut scanned = Scanned {
        client: Vec::new(),
        stripped: Vec::new(),
        facts: *scanner.facts(),
        end,
    };
    for piece in out {
        match piece {
            Piece::Send(bytes) | Piece::Terminal(bytes) => scanned.client.extend_from_slice(&bytes),
            Piece::Stripped(data) => scanned.stripped.push(data),
        }
    }
    Ok(scanned)
}
