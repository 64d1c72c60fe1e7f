use proptest::prelude::*;

use super::*;

/// Name and data of each event, as the rules say it line by line over the whole text.
fn reference(text: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let text = text.strip_prefix(BOM).unwrap_or(text);
    let mut lines = Vec::new();
    let mut line = Vec::new();
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\n' => lines.push(std::mem::take(&mut line)),
            b'\r' => {
                bytes.next_if_eq(&b'\n');
                lines.push(std::mem::take(&mut line));
            }
            other => line.push(other),
        }
    }
    let (mut events, mut name, mut data) = (Vec::new(), Vec::new(), Vec::new());
    for line in lines {
        if line.is_empty() {
            if !data.is_empty() {
                data.pop();
                events.push((std::mem::take(&mut name), std::mem::take(&mut data)));
            }
            name.clear();
            data.clear();
            continue;
        }
        let colon = line
            .iter()
            .position(|byte| *byte == b':')
            .unwrap_or(line.len());
        let (field, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"event" => name = value.to_vec(),
            b"data" => {
                data.extend_from_slice(value);
                data.push(b'\n');
            }
            _ => {}
        }
    }
    events
}

fn seen(fields: &Fields<'_>) -> Option<(Vec<u8>, Vec<u8>)> {
    let data = fields.data.as_ref()?;
    Some((fields.name.unwrap_or_default().to_vec(), data.to_vec()))
}

fn decode(text: &[u8], cuts: &[usize]) -> Vec<RawEvent> {
    let mut decoder = SseDecoder::new(1 << 20);
    let mut out = Vec::new();
    let mut from = 0;
    for cut in cuts.iter().copied().chain([text.len()]) {
        decoder.push(&text[from..cut], &mut out).unwrap();
        from = cut;
    }
    decoder.finish(&mut out).unwrap();
    out
}

#[track_caller]
fn check(text: &str, expected: &[(&str, &str)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(name, data)| (name.as_bytes().to_vec(), data.as_bytes().to_vec()))
        .collect();
    let text = text.as_bytes();
    let whole: Vec<_> = events(text).filter_map(|fields| seen(&fields)).collect();
    assert_eq!(whole, expected);
    assert_eq!(reference(text), expected);
    for cut in 0..=text.len() {
        let events = decode(text, &[cut]);
        let pushed: Vec<_> = events
            .iter()
            .filter_map(|event| seen(&event.fields()))
            .collect();
        assert_eq!(pushed, expected, "cut at {cut}");
    }
}

#[test]
fn f32_line_ends_and_fields() {
    check("data: a\n\ndata: b\n\n", &[("", "a"), ("", "b")]);
    check("data: a\r\n\r\ndata: b\r\n\r\n", &[("", "a"), ("", "b")]);
    check("data: a\r\rdata: b\r\r", &[("", "a"), ("", "b")]);
    check(
        "data: a\r\n\ndata: b\n\r\ndata: c\r\r\n",
        &[("", "a"), ("", "b"), ("", "c")],
    );
    check("data:a\n\ndata:  b\n\n", &[("", "a"), ("", " b")]);
    check("data: a\ndata: b\ndata\n\n", &[("", "a\nb\n")]);
    check(": hello\n\ndata: a\n: x\n\n", &[("", "a")]);
    check(
        "event: x\nid: 7\nretry: 5\ndata: a\n\ndata: b\n\n",
        &[("x", "a"), ("", "b")],
    );
    check("event: x\n\ndata: b\n\n", &[("", "b")]);
    check("data:\n\n", &[("", "")]);
    check("datax: 1\n\ndat\n\n", &[]);
    check("\u{feff}data: é\n\n\u{feff}data: b\n\n", &[("", "é")]);
    check("data: lost", &[]);
    check("data: lost\n", &[]);
    check("\n\n\r\r\n\n", &[]);
}

#[test]
fn ranges_cover_the_stream() {
    let text = "\u{feff}data: a\r\n\r\n: x\n\ndata: b\r\rdata: c\n\n".as_bytes();
    let events = decode(text, &[]);
    assert_eq!(
        events
            .iter()
            .map(|event| event.range.clone())
            .collect::<Vec<_>>(),
        [0..14, 14..19, 19..28, 28..37]
    );
    assert_eq!(&events[0].raw[..], b"data: a\r\n\r\n");
}

#[test]
fn f33_an_event_without_an_end_is_refused() {
    let mut decoder = SseDecoder::new(16);
    let mut out = Vec::new();
    assert_eq!(decoder.push(b"data: 5678\n\n", &mut out), Ok(()));
    assert_eq!(decoder.push(b"data: 567890123", &mut out), Ok(()));
    assert_eq!(
        decoder.push(b"xx", &mut out),
        Err(EventTooLarge { limit: 16 })
    );
    assert_eq!(out.len(), 1);
}

/// Texts near event streams.
pub(crate) fn near_stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        &b"data: "[..],
        b"data:",
        b"data",
        b"event: x",
        b": c",
        b"id: 1",
        b"\n",
        b"\n\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\r",
        b"\r\r",
        b"{\"a\":1}",
        b"[DONE]",
        "é".as_bytes(),
        b"\xff",
        b"\0",
        BOM,
        b"",
        b" ",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn f31_any_chunking_gives_the_same_events(text in near_stream(), mut cuts in prop::collection::vec(0usize..120, 0..8)) {
        cuts.iter_mut().for_each(|cut| *cut = (*cut).min(text.len()));
        cuts.sort_unstable();
        let whole = decode(&text, &[]);
        prop_assert_eq!(&decode(&text, &cuts), &whole);
        let each: Vec<_> = (0..text.len()).collect();
        prop_assert_eq!(&decode(&text, &each), &whole);
        let pushed: Vec<_> = whole.iter().filter_map(|event| seen(&event.fields())).collect();
        prop_assert_eq!(&pushed, &reference(&text));
        let iterated: Vec<_> = events(&text).filter_map(|fields| seen(&fields)).collect();
        prop_assert_eq!(&iterated, &pushed);
    }
}
