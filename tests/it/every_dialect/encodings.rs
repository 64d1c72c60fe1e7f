//! Answers that are encoded although nobody asked for it.

use async_compression::tokio::bufread::{BrotliEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::pair::every_pair;
use crate::support::wire::{LAST_CHUNK, chunk};

const CODINGS: [&str; 4] = ["gzip", "deflate", "br", "zstd"];

fn encoded(coding: &str, plain: &[u8]) -> Vec<u8> {
    match coding {
        "gzip" => read(GzipEncoder::new(plain)),
        "deflate" => read(ZlibEncoder::new(plain)),
        "br" => read(BrotliEncoder::new(plain)),
        "zstd" => read(ZstdEncoder::new(plain)),
        other => panic!("no encoder for {other}"),
    }
}

fn read(mut encoder: impl AsyncRead + Unpin) -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let mut all = Vec::new();
    runtime
        .block_on(encoder.read_to_end(&mut all))
        .expect("encoded");
    all
}

/// An answer in chunks of so many bytes.
fn answer(coding: &str, content_type: &str, body: &[u8], bytes: usize) -> Vec<u8> {
    let mut wire = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-encoding: {coding}\r\n\
         transfer-encoding: chunked\r\n\r\n"
    )
    .into_bytes();
    for piece in body.chunks(bytes) {
        wire.extend(chunk(piece));
    }
    wire.extend_from_slice(LAST_CHUNK.as_bytes());
    wire
}

/// Answers of all pairs, whole and streamed, in these encodings, in chunks of so many bytes.
#[track_caller]
fn check_decoded(codings: &[(&str, usize)]) {
    every_pair(|pair| {
        let whole = pair.kind.whole(&pair.client).as_bytes();
        let events = pair.kind.events(&pair.client);
        let mut answers = Vec::new();
        for (coding, bytes) in codings {
            let body = encoded(coding, whole);
            answers.push((answer(coding, "application/json", &body, *bytes), false));
            let body = encoded(coding, &events);
            let content_type = pair.kind.stream_type();
            answers.push((answer(coding, content_type, &body, *bytes), true));
        }
        for (at, seen) in pair.each_answered(answers).iter().enumerate() {
            seen.is_answer();
            assert!(seen.answer.header("content-encoding").is_none());
            if pair.is_native() && at % 2 == 0 {
                assert_eq!(seen.answer.body, whole);
            }
        }
    });
}

#[test]
fn f43_encoded_answers_are_decoded() {
    check_decoded(&CODINGS.map(|coding| (coding, 1 << 20)));
}

#[test]
fn f43_whatever_their_chunks() {
    check_decoded(&[("gzip", 1), ("br", 7)]);
}

/// Cut, and not of its encoding.
#[test]
fn f43_what_cannot_be_decoded_is_no_answer() {
    every_pair(|pair| {
        let json = |coding, body: &[u8]| answer(coding, "application/json", body, 1 << 20);
        let mut answers = Vec::new();
        for coding in CODINGS {
            let body = encoded(coding, pair.kind.whole(&pair.client).as_bytes());
            let (cut, _) = body.split_at(body.len() / 2);
            answers.push((json(coding, cut), false));
            answers.push((json(coding, b"{\"a\":1}"), false));
        }
        for (at, seen) in pair.each_answered(answers).iter().enumerate() {
            let outcomes = match at % 2 {
                0 => &["upstream_truncated"][..],
                _ => &["upstream_error", "upstream_truncated"],
            };
            assert_eq!(seen.answer.status, 502, "{seen:?}");
            assert!(outcomes.contains(&&*seen.row.outcome), "{seen:?}");
        }
    });
}

/// A few kilobytes that come to megabytes.
#[test]
fn f43_a_bomb_is_no_answer() {
    for coding in CODINGS {
        let bomb = answer(
            coding,
            "application/json",
            &encoded(coding, &[b' '; 8 << 20]),
            1 << 20,
        );
        every_pair(|pair| {
            if pair.client.name == "chat" {
                let seen = pair.answered(bomb.clone(), false);
                assert_eq!(seen.row.outcome, "upstream_error", "{coding}: {seen:?}");
                let is_told = seen.answer.status == 502 || !seen.answer.complete;
                assert!(is_told, "{coding}: {seen:?}");
            }
        });
    }
}

#[test]
fn an_unknown_encoding_and_a_part_pass_as_they_came() {
    every_pair(|pair| {
        if !pair.is_native() {
            return;
        }
        let wire = answer("x-own", "application/json", b"{\"own\":1}", 100);
        let seen = pair.answered(wire, false);
        assert_eq!(seen.answer.header("content-encoding"), Some("x-own"));
        assert_eq!(seen.answer.text(), "{\"own\":1}");
    });
}
