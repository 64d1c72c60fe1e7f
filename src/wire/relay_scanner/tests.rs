//! Tables for each dialect, and every way to cut a stream. Over 400 lines: the cases of one state machine, side by side.

mod candidates;
mod messages;
mod properties;

use super::*;

const CHAT: ScanOptions = ScanOptions {
    dialect: Dialect::Chat,
    strip_usage: true,
    repair: true,
    max_event_bytes: 1 << 20,
};
const PLAIN: ScanOptions = ScanOptions {
    strip_usage: false,
    repair: false,
    ..CHAT
};
const RESPONSES: ScanOptions = ScanOptions {
    dialect: Dialect::Responses,
    strip_usage: false,
    ..CHAT
};
const RAW: ScanOptions = ScanOptions {
    dialect: Dialect::Raw,
    ..CHAT
};

/// All that a client and a record can know of a scan, free of how bytes were cut into pieces.
#[derive(Debug, PartialEq)]
struct Scanned {
    client: Vec<u8>,
    stripped: Vec<Vec<u8>>,
    facts: Facts,
    end: Option<StreamEnd>,
}

fn feed(scanner: &mut Scanner, text: &[u8], cuts: &[usize]) -> Result<Vec<Piece>, EventTooLarge> {
    let mut out = Vec::new();
    let mut from = 0;
    for cut in cuts.iter().copied().chain([text.len()]) {
        scanner.push(Bytes::copy_from_slice(&text[from..cut]), &mut out)?;
        from = cut;
    }
    Ok(out)
}

fn gather(pieces: Vec<Piece>, scanner: &Scanner, end: Option<StreamEnd>) -> Scanned {
    let mut scanned = Scanned {
        client: Vec::new(),
        stripped: Vec::new(),
        facts: *scanner.facts(),
        end,
    };
    for piece in pieces {
        match piece {
            Piece::Send(bytes) | Piece::Terminal(bytes) => scanned.client.extend_from_slice(&bytes),
            Piece::Stripped(data) => scanned.stripped.push(data.to_vec()),
        }
    }
    scanned
}

fn scan(text: &[u8], cuts: &[usize], options: ScanOptions) -> Scanned {
    let mut scanner = Scanner::new(options);
    let mut out = feed(&mut scanner, text, cuts).unwrap();
    let end = scanner.finish(&mut out);
    gather(out, &scanner, Some(end))
}

/// Scans at every split position and gives what they all agree on.
#[track_caller]
fn at_each_split(text: &str, options: ScanOptions) -> Scanned {
    let whole = scan(text.as_bytes(), &[], options);
    for cut in 0..=text.len() {
        assert_eq!(
            scan(text.as_bytes(), &[cut], options),
            whole,
            "cut at {cut}"
        );
    }
    let each: Vec<_> = (0..text.len()).collect();
    assert_eq!(scan(text.as_bytes(), &each, options), whole);
    whole
}

#[track_caller]
fn check(
    text: &str,
    options: ScanOptions,
    client: &str,
    repairs: &[&str],
    end: StreamEnd,
) -> Scanned {
    let scanned = at_each_split(text, options);
    assert_eq!(std::str::from_utf8(&scanned.client).unwrap(), client);
    assert_eq!(scanned.facts.repairs.words().collect::<Vec<_>>(), repairs);
    assert_eq!(scanned.end, Some(end));
    scanned
}

const TEXT: &str = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hé\"},\"finish_reason\":null}],\"usage\":null}\n\n";
const STOP: &str =
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str = "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

#[test]
fn f31_an_ordinary_stream_passes_unchanged() {
    let text = [TEXT, TEXT, STOP, DONE].concat();
    let scanned = check(&text, CHAT, &text, &[], StreamEnd::Complete);
    let Facts {
        saw_done,
        saw_terminal,
        saw_finish_reason,
        first_content_seen,
        ..
    } = scanned.facts;
    assert!(saw_done && saw_terminal && saw_finish_reason && first_content_seen);
    assert!(!scanned.facts.saw_error_event);
    assert_eq!(scanned.facts.event_count, 4);
}

#[test]
fn the_usage_chunk_is_taken_out() {
    let text = [TEXT, STOP, USAGE, DONE].concat();
    let scanned = check(
        &text,
        CHAT,
        &[TEXT, STOP, DONE].concat(),
        &[],
        StreamEnd::Complete,
    );
    assert_eq!(scanned.stripped, [&USAGE.as_bytes()[6..USAGE.len() - 2]]);
    assert_eq!(scanned.facts.event_count, 3);
    let kept = ScanOptions {
        strip_usage: false,
        ..CHAT
    };
    check(&text, kept, &text, &[], StreamEnd::Complete);
    check(&text, RAW, &text, &[], StreamEnd::Complete);
}

#[test]
fn usage_chunks_in_other_spellings() {
    for usage in [
        "data:{ \"choices\" : [ ] , \"usage\" : {} }\r\n\r\n",
        "id: 1\rdata: {\"usage\":{\"total_tokens\":1},\"choices\":[]}\r\r",
    ] {
        let text = [STOP, usage, DONE].concat();
        check(
            &text,
            CHAT,
            &[STOP, DONE].concat(),
            &[],
            StreamEnd::Complete,
        );
    }
}

#[test]
fn chunks_without_choices_that_are_no_usage_pass() {
    for odd in [
        "data: {\"choices\":[],\"prompt_filter_results\":[{}],\"usage\":null}\n\n",
        "data: {\"choices\":[]}\n\n",
        "data: {\"choices\":null,\"usage\":{}}\n\n",
        "data: {\"object\":\"choices\",\"choices\":[{}],\"usage\":{}}\n\n",
        "data: {}\n\n",
        "data: 5\n\n",
        "data: {\"choices\":[]\ndata: ,\"usage\":{}}\n\n",
    ] {
        let text = [odd, STOP, DONE].concat();
        check(&text, CHAT, &text, &[], StreamEnd::Complete);
    }
}

#[test]
fn f32_variants_pass_unchanged() {
    for text in [
        "data: {\"a\":1}\r\n\r\ndata: [DONE]\r\n\r\n",
        "data: {\"a\":1}\r\rdata: [DONE]\r\r",
        "data: {\"a\":1}\n\r\ndata: {\"a\":1}\r\r\ndata: [DONE]\r\r\n",
        ": hello\n\n: again\ndata: {\"a\":1}\n\nevent: x\nid: 1\nretry: 5\ndata:{\"a\":\ndata: 1}\n\ndata: [DONE]\n\n",
        ": c\r\n: d\rdata: [DONE]\n\n\n\n",
        "event: ping\n\ndata: [DONE]\n\n",
        "data: [DONE]\n\ndata: {\"late\":1}\n\n: bye\n\n",
    ] {
        check(text, CHAT, text, &[], StreamEnd::Complete);
        check(text, PLAIN, text, &[], StreamEnd::Complete);
    }
}

#[test]
fn f32_repairs() {
    let good = [TEXT, STOP, DONE].concat();
    check(
        &format!("\u{feff}{good}"),
        CHAT,
        &good,
        &["bom"],
        StreamEnd::Complete,
    );
    check(
        &format!("data:\n\n{good}"),
        CHAT,
        &good,
        &["empty_event"],
        StreamEnd::Complete,
    );
    check(
        &format!("{TEXT}data: \r\n\r\n{STOP}{DONE}"),
        CHAT,
        &good,
        &["empty_event"],
        StreamEnd::Complete,
    );
    check(
        &format!("{TEXT}event: x\rdata\rdata: \r\r{STOP}{DONE}"),
        CHAT,
        &good,
        &["empty_event"],
        StreamEnd::Complete,
    );
    check(
        &format!("{TEXT}{STOP}data: [DONE]"),
        CHAT,
        &good,
        &["final_blank_line"],
        StreamEnd::Complete,
    );
    check(
        &format!("{TEXT}{STOP}data: [DONE]\n"),
        CHAT,
        &good,
        &["final_blank_line"],
        StreamEnd::Complete,
    );
    check(
        "data: [DONE]\r",
        CHAT,
        "data: [DONE]\r\n\n",
        &["final_blank_line"],
        StreamEnd::Complete,
    );
    check(
        "data: [DONE]\r\n",
        CHAT,
        "data: [DONE]\r\n\n",
        &["final_blank_line"],
        StreamEnd::Complete,
    );
}

#[test]
fn f36_a_missing_done_is_added_after_a_finish_reason() {
    let good = [TEXT, STOP, DONE].concat();
    let scanned = check(
        &[TEXT, STOP].concat(),
        CHAT,
        &good,
        &["done"],
        StreamEnd::Complete,
    );
    assert!(scanned.facts.saw_done);
    check(
        format!("{TEXT}{STOP}").trim_end(),
        CHAT,
        &good,
        &["final_blank_line", "done"],
        StreamEnd::Complete,
    );
    check(
        &[TEXT, STOP].concat(),
        PLAIN,
        &[TEXT, STOP].concat(),
        &[],
        StreamEnd::Complete,
    );
    let comment = format!("{STOP}: ka");
    check(
        &comment,
        CHAT,
        &format!("{comment}\n{DONE}"),
        &["done"],
        StreamEnd::Complete,
    );
}

#[test]
fn f37_a_stream_without_a_finish_reason_is_truncated() {
    check(TEXT, CHAT, TEXT, &[], StreamEnd::Truncated);
    check("", CHAT, "", &[], StreamEnd::Truncated);
    check("", RAW, "", &[], StreamEnd::Complete);
    check(": ka", CHAT, ": ka", &[], StreamEnd::Truncated);
    // Dropped when nothing of it was sent, closed by an empty line when something was.
    check(
        &format!("{TEXT}data: {{\"err"),
        CHAT,
        TEXT,
        &[],
        StreamEnd::Truncated,
    );
    let sent = format!("{TEXT}data: {{\"choices\":[{{\"x");
    check(
        &sent,
        CHAT,
        &format!("{sent}\n\n"),
        &[],
        StreamEnd::Truncated,
    );
    check(&sent, PLAIN, &sent, &[], StreamEnd::Truncated);
    check(
        &format!("{TEXT}data: {{\"err"),
        PLAIN,
        &format!("{TEXT}data: {{\"err"),
        &[],
        StreamEnd::Truncated,
    );
}

#[test]
fn f44_an_error_inside_a_stream_ends_it() {
    for (error, terminal) in [
        ("data: {\"error\":{\"message\":\"no\"}}\n\n", true),
        ("data: { \"error\" : \"no\" }\n\n", true),
        (
            "data: {\"id\":\"x\",\"choices\":[],\"error\":{\"code\":502}}\n\n",
            true,
        ),
        (
            "data: {\"id\":\"x\",\"error\":null,\"choices\":[{}]}\n\n",
            false,
        ),
        ("data: {\"choices\":[{\"error\":{\"a\":1}}]}\n\n", false),
        (
            "data: {\"choices\":[{\"delta\":{\"content\":\"{\\\"error\\\":1}\"}}]}\n\n",
            false,
        ),
    ] {
        let text = [TEXT, error].concat();
        let end = if terminal {
            StreamEnd::Complete
        } else {
            StreamEnd::Truncated
        };
        let scanned = check(&text, CHAT, &text, &[], end);
        assert_eq!(scanned.facts.saw_error_event, terminal, "{error}");
    }
}

#[test]
fn responses_end_with_their_own_events() {
    let delta = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"a\"}\n\n";
    for (kind, error) in [
        ("response.completed", false),
        ("response.incomplete", false),
        ("response.failed", true),
        ("error", true),
    ] {
        for text in [
            format!(
                "{delta}event: {kind}\ndata: {{\"type\":\"{kind}\",\"response\":{{\"error\":null}}}}\n\n"
            ),
            format!("{delta}data: {{\"sequence_number\":5,\"type\":\"{kind}\"}}\n\n"),
            format!("{delta}event: {kind}\r\ndata: {{\"a\":1}}\r\n\r\n"),
        ] {
            let scanned = check(&text, RESPONSES, &text, &[], StreamEnd::Complete);
            assert_eq!(scanned.facts.saw_error_event, error);
            assert!(scanned.facts.first_content_seen);
            assert!(!scanned.facts.saw_done);
        }
    }
    check(delta, RESPONSES, delta, &[], StreamEnd::Truncated);
}

fn pushes(chunks: &[&str], options: ScanOptions) -> Vec<Vec<Piece>> {
    let mut scanner = Scanner::new(options);
    let push = |chunk: &&str| {
        let mut out = Vec::new();
        scanner
            .push(Bytes::copy_from_slice(chunk.as_bytes()), &mut out)
            .unwrap();
        out
    };
    chunks.iter().map(push).collect()
}

fn sent(text: &str) -> Piece {
    Piece::Send(Bytes::copy_from_slice(text.as_bytes()))
}

fn terminal(text: &str) -> Piece {
    Piece::Terminal(Bytes::copy_from_slice(text.as_bytes()))
}

#[test]
fn ordinary_chunks_are_not_copied_and_not_held() {
    let chunk = Bytes::copy_from_slice(TEXT.as_bytes());
    let mut out = Vec::new();
    Scanner::new(CHAT).push(chunk.clone(), &mut out).unwrap();
    assert!(matches!(&out[..], [Piece::Send(sent)] if sent.as_ptr() == chunk.as_ptr()));
    let (head, tail) = TEXT.split_at(50);
    assert_eq!(pushes(&[head, tail], CHAT), [[sent(head)], [sent(tail)]]);
    assert_eq!(
        pushes(&[": ka\n", ": k", "a\n\n"], CHAT),
        [[sent(": ka\n")], [sent(": k")], [sent("a\n\n")]]
    );
    let (head, tail) = ("data: {\"id\":1,", "\"choices\":[{\"a\":1}]}\n\n");
    assert_eq!(pushes(&[head, tail], PLAIN), [[sent(head)], [sent(tail)]]);
    assert_eq!(
        pushes(&[head, "\"choices\":[{", "}]}\n\n"], CHAT),
        [
            vec![],
            vec![sent("data: {\"id\":1,\"choices\":[{")],
            vec![sent("}]}\n\n")]
        ]
    );
}

#[test]
fn the_terminal_event_is_held_whole_however_it_is_split() {
    for cut in 1..DONE.len() {
        let (head, tail) = DONE.split_at(cut);
        let last = pushes(&[&[STOP, head].concat(), tail], CHAT);
        assert_eq!(last, [[sent(STOP)], [terminal(DONE)]], "cut at {cut}");
    }
    let error = "data: {\"id\":\"x\",\"choices\":[{}],\"error\":{\"code\":502}}\n\n";
    let (head, tail) = error.split_at(40);
    assert_eq!(
        pushes(&[head, tail], CHAT),
        [[sent(head)], [terminal(tail)]]
    );
}

#[test]
fn after_a_cut_an_error_event_may_follow() {
    for (text, client) in [
        (TEXT.to_owned(), TEXT.to_owned()),
        (format!("{TEXT}data: {{\"id\":1"), TEXT.to_owned()),
        (
            format!("{TEXT}data: {{\"choices\":[{{\"a"),
            format!("{TEXT}data: {{\"choices\":[{{\"a\n\n"),
        ),
        (STOP.trim_end().to_owned(), STOP.to_owned()),
        (
            "data: {\"a\":1}\n".to_owned(),
            "data: {\"a\":1}\n\n".to_owned(),
        ),
        (": ka".to_owned(), ": ka\n".to_owned()),
    ] {
        let mut scanner = Scanner::new(CHAT);
        let mut out = feed(&mut scanner, text.as_bytes(), &[]).unwrap();
        scanner.cut(&mut out);
        assert!(scanner.at_event_border());
        let scanned = gather(out, &scanner, None);
        assert_eq!(std::str::from_utf8(&scanned.client).unwrap(), client);
    }
}

#[test]
fn borders_are_told() {
    for (text, border) in [
        ("", true),
        (TEXT, true),
        ("data: {\"choices\":[{", false),
        ("data: {\"id\"", true),
        (": ka", false),
        (": ka\n", true),
        ("data: 1\r\r", false),
    ] {
        let mut scanner = Scanner::new(CHAT);
        feed(&mut scanner, text.as_bytes(), &[]).unwrap();
        assert_eq!(scanner.at_event_border(), border, "{text}");
    }
    let mut scanner = Scanner::new(CHAT);
    for (text, complete) in [
        ("data: {\"choices\":[{", false),
        ("}]}", true),
        ("\n", true),
        ("\n", false),
    ] {
        feed(&mut scanner, text.as_bytes(), &[]).unwrap();
        assert_eq!(scanner.partial_is_complete_json(), complete, "{text}");
    }
}

#[test]
fn f33_events_are_bounded() {
    let options = ScanOptions {
        max_event_bytes: 64,
        ..CHAT
    };
    let long = format!("data: {}", "x".repeat(100));
    assert_eq!(
        feed(&mut Scanner::new(options), long.as_bytes(), &[]),
        Err(EventTooLarge { limit: 64 })
    );
    let each: Vec<_> = (0..long.len()).collect();
    assert_eq!(
        feed(&mut Scanner::new(options), long.as_bytes(), &each),
        Err(EventTooLarge { limit: 64 })
    );
    // The last LF of CRLF may come in another chunk, and does not count.
    for (bytes, is_taken) in [(54, true), (55, true), (56, false)] {
        let text = format!("data: {}\r\n\r\n", "x".repeat(bytes));
        let each: Vec<_> = (0..text.len()).collect();
        for cuts in [[].as_slice(), &each, &[text.len() - 1]] {
            let fed = feed(&mut Scanner::new(options), text.as_bytes(), cuts);
            assert_eq!(fed.is_ok(), is_taken, "{bytes} {cuts:?}");
        }
    }
    let mut out = Vec::new();
    let text = format!("data: 1\n\n{long}");
    Scanner::new(options)
        .push(Bytes::from(text), &mut out)
        .unwrap_err();
    assert_eq!(out, [sent("data: 1\n\n")]);
}

#[test]
fn long_events_are_never_taken_out() {
    let usage = format!(
        "data: {{\"x\":\"{}\",\"choices\":[],\"usage\":{{}}}}\n\n",
        "x".repeat(HOLD_LIMIT)
    );
    let whole = scan(usage.as_bytes(), &[], CHAT);
    assert_eq!(whole.client.len(), usage.len());
    assert_eq!(
        scan(
            usage.as_bytes(),
            &[10, 70_000 - 4_500, usage.len() - 5],
            CHAT
        ),
        whole
    );
}

#[test]
fn f42_garbage_passes_unchanged() {
    let text = b"data: \xff\xfe\0{\n\n\0\0\n\xff\ndata: {\"choices\":[{\"finish_reason\":\"\xff\"}]}\n\ndata: [DONE]\n\n";
    let whole = scan(text, &[], CHAT);
    assert_eq!(whole.client, text);
    for cut in 0..text.len() {
        assert_eq!(scan(text, &[cut], CHAT), whole);
    }
}
