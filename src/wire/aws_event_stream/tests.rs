use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Frames that AWS publishes to test such codecs, by name.
fn published() -> BTreeMap<String, Vec<u8>> {
    let text = include_str!("../../../tests/fixtures/aws_event_stream/published.json");
    let hex: BTreeMap<String, String> = serde_json::from_str(text).expect("the fixture");
    let bytes = |hex: &str| {
        let digit = |digit: &u8| char::from(*digit).to_digit(16).expect("hex") as u8;
        let pairs = hex.as_bytes().chunks(2);
        pairs
            .map(|pair| pair.iter().fold(0, |byte, next| byte << 4 | digit(next)))
            .collect()
    };
    hex.iter()
        .map(|(name, hex)| (name.clone(), bytes(hex)))
        .collect()
}

/// Decodes with these cuts; what is left behind the last frame comes last.
fn decode(stream: &[u8], cuts: &[usize]) -> (Vec<RawFrame>, Result<(), FrameError>, Bytes) {
    let mut decoder = Decoder::new(1 << 20);
    let mut out = Vec::new();
    let mut result = Ok(());
    let mut from = 0;
    for cut in cuts.iter().copied().chain([stream.len()]) {
        result = decoder.push(Bytes::copy_from_slice(&stream[from..cut]), &mut out);
        from = cut;
    }
    let rest = decoder.take_rest();
    assert!(decoder.is_at_border());
    (out, result, rest)
}

fn one(stream: &[u8]) -> RawFrame {
    let (mut frames, result, rest) = decode(stream, &[]);
    assert_eq!((frames.len(), result, rest.len()), (1, Ok(()), 0));
    frames.pop().expect("one")
}

#[test]
fn published_frames_are_read_and_written() {
    let published = published();
    let good: [(&str, &[Header<'_>], &[u8]); 4] = [
        ("empty_message", &[], b""),
        (
            "int32_header",
            &[Header {
                name: "event-id",
                value: HeaderValue::Integer(0xa00c),
            }],
            b"{'foo':'bar'}",
        ),
        ("payload_no_headers", &[], b"{'foo':'bar'}"),
        (
            "payload_one_str_header",
            &[Header {
                name: "content-type",
                value: HeaderValue::Text("application/json"),
            }],
            b"{'foo':'bar'}",
        ),
    ];
    for (name, headers, payload) in good {
        let raw = one(&published[name]);
        let frame = raw.frame();
        assert!(frame.crc_holds, "{name}");
        assert_eq!(frame.headers().as_deref(), Some(headers), "{name}");
        assert_eq!(frame.payload(), payload, "{name}");
        assert_eq!(raw.payload(), payload, "{name}");
        assert_eq!(encode(headers, payload).as_ref(), Ok(&published[name]));
    }
}

#[test]
fn published_frames_that_are_broken_are_known_as_such() {
    let published = published();
    for (name, header) in [
        ("corrupted_headers", "content+type"),
        ("corrupted_payload", ""),
    ] {
        let raw = one(&published[name]);
        assert_eq!(raw.raw, published[name], "{name} passes as it came");
        assert!(!raw.crc_holds && !raw.frame().crc_holds, "{name}");
        let headers = raw.frame().headers().expect("headers");
        assert_eq!(headers.first().map_or("", |header| header.name), header);
    }
    for name in ["corrupted_header_len", "corrupted_length"] {
        let (frames, result, rest) = decode(&published[name], &[]);
        assert_eq!((frames, result), (vec![], Err(FrameError::PreludeCrc)));
        assert_eq!(rest, published[name], "{name}");
    }
}

#[test]
fn what_a_frame_says_of_itself() {
    let stream = [
        event("chunk", br#"{"bytes":"e30="}"#),
        exception("throttlingException", br#"{"message":"later"}"#),
    ]
    .concat();
    let (raw, _, _) = decode(&stream, &[]);
    let [chunk, throttled] = [raw[0].frame(), raw[1].frame()];
    let kind = |message, event, exception| FrameKind {
        message: Some(message),
        event,
        exception,
    };
    assert_eq!(chunk.kind(), Some(kind("event", Some("chunk"), None)));
    assert_eq!(chunk.content_type(), Some("application/json"));
    let thrown = kind("exception", None, Some("throttlingException"));
    assert_eq!(throttled.kind(), Some(thrown));
    assert_eq!(throttled.payload(), br#"{"message":"later"}"#);
    assert_eq!(raw[1].range, raw[0].range.end..stream.len() as u64);
    let mut whole = frames(&stream);
    assert_eq!(whole.by_ref().collect::<Vec<_>>(), [chunk, throttled]);
    assert!(whole.rest().is_empty());
}

/// A prelude whose checksum holds, whatever its lengths are.
fn prelude(total: u32, headers: u32) -> Vec<u8> {
    let mut bytes = [total.to_be_bytes(), headers.to_be_bytes()].concat();
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    bytes
}

#[test]
fn lengths_that_cannot_be_are_refused_before_anything_is_held() {
    let good = event("chunk", b"{}");
    for (total, headers, error) in [
        (0, 0, FrameError::Lengths),
        (15, 0, FrameError::Lengths),
        (20, 5, FrameError::Lengths),
        (16, u32::MAX, FrameError::Lengths),
        (u32::MAX, 0, FrameError::TooLarge { limit: 1 << 20 }),
        ((1 << 20) + 1, 0, FrameError::TooLarge { limit: 1 << 20 }),
    ] {
        let stream = [good.clone(), prelude(total, headers), vec![0; 64]].concat();
        let (frames, result, _) = decode(&stream, &[]);
        assert_eq!((frames.len(), result), (1, Err(error)), "{total} {headers}");
    }
    let mut decoder = Decoder::new(1 << 20);
    let mut out = Vec::new();
    decoder
        .push(prelude(0, 0).into(), &mut out)
        .expect_err("lengths");
    decoder.push(good.into(), &mut out).expect_err("still");
    assert_eq!(decoder.take_rest().len(), PRELUDE, "nothing more was kept");
    assert!(out.is_empty());
}

fn headers(bytes: &[u8]) -> Option<Vec<Header<'_>>> {
    header::Headers::new(bytes).collect()
}

#[test]
fn headers_that_are_none() {
    for broken in [
        &b"\x05:even"[..],
        b"\x00\x00",
        b"\x01a",
        b"\x01a\x0a",
        b"\x01a\x07\x00\x02x",
        b"\x01a\x07\x00\x01\xff",
        b"\x01\xff\x00",
        b"\x01a\x04\x00\x00",
        b"\x01a\x09\x00",
    ] {
        assert_eq!(headers(broken), None, "{broken:?}");
        let mut stream = prelude((OVERHEAD + broken.len()) as u32, broken.len() as u32);
        stream.extend_from_slice(broken);
        stream.extend(crc32fast::hash(&stream).to_be_bytes());
        let raw = one(&stream);
        assert!(raw.crc_holds);
        assert_eq!(raw.frame().headers(), None);
        assert_eq!(raw.frame().kind(), None);
        assert_eq!(raw.frame().payload(), b"");
    }
}

#[test]
fn what_no_frame_can_say() {
    let [long, longest_text, long_name, longest_name] =
        [65_536, 65_535, 256, 255].map(|bytes| "x".repeat(bytes));
    for (name, value) in [
        ("", HeaderValue::Bool(true)),
        (&*long_name, HeaderValue::Bool(true)),
        ("a", HeaderValue::Text(&long)),
        ("a", HeaderValue::Bytes(long.as_bytes())),
    ] {
        let headers = [
            Header {
                name: "ok",
                value: HeaderValue::Byte(-1),
            },
            Header { name, value },
        ];
        assert_eq!(encode(&headers, b""), Err(EncodeError::Header { index: 1 }));
    }
    let longest = [Header {
        name: &longest_name,
        value: HeaderValue::Text(&longest_text),
    }];
    let raw = one(&encode(&longest, b"").expect("encoded"));
    assert_eq!(raw.frame().headers().as_deref(), Some(&longest[..]));
}

/// A header value that owns what it says.
#[derive(Debug, Clone)]
enum Owned {
    Plain(HeaderValue<'static>),
    Bytes(Vec<u8>),
    Text(String),
}

impl Owned {
    fn value(&self) -> HeaderValue<'_> {
        match self {
            Self::Plain(value) => *value,
            Self::Bytes(bytes) => HeaderValue::Bytes(bytes),
            Self::Text(text) => HeaderValue::Text(text),
        }
    }
}

fn any_value() -> impl Strategy<Value = Owned> {
    prop_oneof![
        any::<bool>().prop_map(|value| Owned::Plain(HeaderValue::Bool(value))),
        any::<i8>().prop_map(|value| Owned::Plain(HeaderValue::Byte(value))),
        any::<i16>().prop_map(|value| Owned::Plain(HeaderValue::Short(value))),
        any::<i32>().prop_map(|value| Owned::Plain(HeaderValue::Integer(value))),
        any::<i64>().prop_map(|value| Owned::Plain(HeaderValue::Long(value))),
        any::<i64>().prop_map(|value| Owned::Plain(HeaderValue::Timestamp(value))),
        any::<[u8; 16]>().prop_map(|value| Owned::Plain(HeaderValue::Uuid(value))),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Owned::Bytes),
        ".{0,20}".prop_map(Owned::Text),
    ]
}

fn any_parts() -> impl Strategy<Value = (Vec<(String, Owned)>, Vec<u8>)> {
    (
        prop::collection::vec((".{1,12}", any_value()), 0..5),
        prop::collection::vec(any::<u8>(), 0..200),
    )
}

fn headers_of(owned: &[(String, Owned)]) -> Vec<Header<'_>> {
    owned
        .iter()
        .map(|(name, value)| Header {
            name,
            value: value.value(),
        })
        .collect()
}

proptest! {
    #[test]
    fn what_was_written_is_read(all in prop::collection::vec(any_parts(), 0..4), mut cuts in prop::collection::vec(0usize..900, 0..8)) {
        let encoded: Vec<_> = all.iter().map(|(headers, payload)| {
            encode(&headers_of(headers), payload).expect("encoded")
        }).collect();
        let stream = encoded.concat();
        cuts.iter_mut().for_each(|cut| *cut = (*cut).min(stream.len()));
        cuts.sort_unstable();
        let (frames, result, rest) = decode(&stream, &cuts);
        prop_assert_eq!((result, rest.len(), frames.len()), (Ok(()), 0, all.len()));
        for ((raw, (headers, payload)), encoded) in frames.iter().zip(&all).zip(&encoded) {
            prop_assert!(raw.crc_holds);
            prop_assert_eq!(&raw.raw, encoded);
            prop_assert_eq!(raw.frame().headers(), Some(headers_of(headers)));
            prop_assert_eq!(raw.frame().payload(), payload);
        }
    }

    #[test]
    fn byte_by_byte_is_as_whole_and_a_cut_loses_only_its_frame(
        parts in any_parts(), noise in prop::collection::vec(any::<u8>(), 0..30), flip in any::<prop::sample::Index>(), cut in any::<prop::sample::Index>(),
    ) {
        let frame = encode(&headers_of(&parts.0), &parts.1).expect("encoded");
        let mut second = frame.clone();
        second[flip.index(frame.len())] ^= 1;
        let stream = [frame.clone(), second, noise].concat();
        let whole = decode(&stream, &[]);
        let each: Vec<_> = (0..stream.len()).collect();
        let bytewise = decode(&stream, &each);
        prop_assert_eq!(&bytewise.0, &whole.0);
        prop_assert_eq!(bytewise.1, whole.1);
        prop_assert!(whole.0[0].crc_holds);
        prop_assert!(whole.0.get(1).is_none_or(|flipped| !flipped.crc_holds));
        prop_assert_eq!(frames(&stream).map(|frame| frame.raw).collect::<Vec<_>>(), whole.0.iter().map(|frame| &frame.raw[..]).collect::<Vec<_>>());

        let cut = cut.index(frame.len());
        let (frames, result, rest) = decode(&frame[..cut], &[]);
        prop_assert_eq!((frames.len(), result), (0, Ok(())));
        prop_assert_eq!(&rest, &frame[..cut]);
    }

    #[test]
    fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let (frames, _, rest) = decode(&bytes, &[]);
        prop_assert!(frames.is_empty() && rest == bytes);
        let read = headers(&bytes);
        prop_assert!(read.is_none_or(|headers| headers.len() <= bytes.len()));
    }
}
