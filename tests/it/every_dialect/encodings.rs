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

#[track_caller]
fn check_decoded(coding: &str, bytes: usize) {
    every_pair(|pair| {
        let whole = pair.kind.whole(&pair.client).as_bytes();
        let body = encoded(coding, whole);
        let seen = pair.answered(answer(coding, "application/json", &body, bytes), false);
        seen.is_answer();
        assert!(seen.answer.header("content-encoding").is_none());
        if pair.is_native() {
            assert_eq!(seen.answer.body, whole);
        }
        let events = pair.kind.events(&pair.client);
        let body = encoded(coding, &events);
        let content_type = pair.kind.stream_type();
        let seen = pair.answered(answer(coding, content_type, &body, bytes), true);
        seen.is_answer();
        if pair.is_native() {
            assert!(seen.answer.header("content-encoding").is_none());
        }
    });
}

#[test]
fn f43_encoded_answers_are_decoded() {
    for coding in CODINGS {
        check_decoded(coding, 1 << 20);
    }
}

#[test]
fn f43_whatever_their_chunks() {
    check_decoded("gzip", 1);
    check_decoded("br", 7);
}

/// Cut, and not of its encoding.
#[test]
fn f43_what_cannot_be_decoded_is_no_answer() {
    every_pair(|pair| {
        for coding in CODINGS {
            let body = encoded(coding, pair.kind.whole(&pair.client).as_bytes());
            let (cut, _) = body.split_at(body.len() / 2);
            for (wrong, outcomes) in [
                (cut, &["upstream_truncated"][..]),
                (b"{\"a\":1}", &["upstream_error", "upstream_truncated"]),
            ] {
                let seen = pair.answered(answer(coding, "application/json", wrong, 1 << 20), false);
                assert_eq!(seen.answer.status, 502, "{coding}: {seen:?}");
                let outcome = &*seen.row.outcome;
                assert!(outcomes.contains(&outcome), "{coding}: {seen:?}");
            }
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
