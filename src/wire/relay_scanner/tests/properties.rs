//! What holds for any stream and any way to cut it.

use proptest::prelude::*;

use super::*;

/// Streams from whole events, broken ones and pieces of both.
fn near_stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        TEXT.as_bytes(),
        STOP.as_bytes(),
        USAGE.as_bytes(),
        DONE.as_bytes(),
        BOM,
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"\r\r",
        b": c",
        b"data:",
        b"data: ",
        b"data: {\"error\":1}",
        b"data: {\"choices\":[]",
        b",\"usage\":{}}",
        b"data: [DONE]",
        b"event: response.completed",
        b"event: x",
        b"data: {\"type\":\"response.completed\"}",
        b"{",
        b"}",
        b"[",
        b"\xff",
        b"data: {\"id\":1,\"choices\" : [ ],\"usage\":{\"a\":1}}\r\n\r\n",
        b"id: 1",
        b"\"choices\"",
        b" ",
    ]);
    prop::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn f31_any_chunking_gives_the_same(text in near_stream(), mut cuts in prop::collection::vec(0usize..400, 0..8)) {
        cuts.iter_mut().for_each(|cut| *cut = (*cut).min(text.len()));
        cuts.sort_unstable();
        for options in [CHAT, PLAIN, RESPONSES, RAW, ScanOptions { repair: false, ..CHAT }] {
            let whole = scan(&text, &[], options);
            prop_assert_eq!(&scan(&text, &cuts, options), &whole);
            let each: Vec<_> = (0..text.len()).collect();
            prop_assert_eq!(&scan(&text, &each, options), &whole);
        }
    }

    #[test]
    fn p1_bytes_out_are_bytes_in(text in near_stream()) {
        for options in [PLAIN, RAW, ScanOptions { repair: false, ..RESPONSES }] {
            let scanned = scan(&text, &[], options);
            prop_assert_eq!(&scanned.client, &text);
            prop_assert_eq!(scanned.facts.repairs, Repairs::default());
        }
    }

    #[test]
    fn no_bytes_break_the_scan(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        prop_assert_eq!(&scan(&bytes, &[], PLAIN).client, &bytes);
    }
}
