use super::*;
use crate::wire::translate::piece::spelt;

const fn tool(number: u64) -> Piece<'static> {
    Piece::Tool {
        number,
        id: "i",
        name: "f",
        signature: "",
    }
}

const fn input(number: u64, json: &str) -> Piece<'_> {
    Piece::Input { number, json }
}

const fn end(number: u64) -> Piece<'static> {
    Piece::PartEnd { number }
}

#[track_caller]
fn check(pieces: &[Piece<'_>], expected: &[Piece<'_>]) {
    let mut turns = Turns::default();
    let mut given = Vec::new();
    for piece in pieces {
        turns.piece(*piece, &mut |piece| given.push(format!("{piece:?}")));
    }
    let expected: Vec<String> = expected.iter().map(|piece| format!("{piece:?}")).collect();
    assert_eq!(given, expected);
    assert_eq!(turns.kept_bytes(), 0);
}

#[test]
fn what_waits_for_nobody_goes_on_at_once() {
    let whole = r#"{\"a\":\"}\"}"#;
    // Whoever says where calls end.
    let ended = [tool(1), end(1), Piece::Text("x"), end(2), tool(3), end(3)];
    check(&ended, &ended);
    // Whoever does not, but calls one after the other.
    let (first, second) = (input(0, whole), input(1, whole));
    check(
        &[
            tool(0),
            first,
            tool(1),
            second,
            Piece::Text("x"),
            Piece::End,
        ],
        &[
            tool(0),
            first,
            end(0),
            tool(1),
            second,
            end(1),
            Piece::Text("x"),
            Piece::End,
        ],
    );
    // What is not of an order.
    let beside = [
        tool(0),
        Piece::Ping,
        Piece::Logprobs(&[]),
        input(7, "{"),
        end(0),
    ];
    let without_unknown = [tool(0), Piece::Ping, Piece::Logprobs(&[]), end(0)];
    check(&beside, &without_unknown);
}

#[test]
fn what_comes_side_by_side_is_put_in_order() {
    let signed = Piece::Signature("s");
    let begun = [
        tool(0),
        input(0, "{"),
        tool(1),
        Piece::Text("x"),
        input(1, "{"),
    ];
    let beside = [Piece::Text("y"), signed, signed, end(9), Piece::Ping];
    let ended = [input(0, "}"), input(1, "}"), Piece::End];
    let first = [tool(0), input(0, "{"), Piece::Ping, input(0, "}"), end(0)];
    let second = [tool(1), input(1, "{"), input(1, "}"), end(1)];
    let said = [Piece::Text("xy"), signed, signed, end(9), Piece::End];
    check(
        &[&begun[..], &beside, &ended].concat(),
        &[&first[..], &second, &said].concat(),
    );
    // A call that has ended before its turn, and one without input of which nobody says that it has.
    check(
        &[tool(0), tool(1), input(1, "{"), end(1), tool(2), Piece::End],
        &[
            tool(0),
            end(0),
            tool(1),
            input(1, "{"),
            end(1),
            tool(2),
            end(2),
            Piece::End,
        ],
    );
}

#[test]
fn the_rest_is_what_waits() {
    for (pieces, expected) in [
        (vec![tool(0), input(0, "{")], vec![]),
        (
            vec![tool(0), tool(1), Piece::Text("x"), tool(2), input(2, "{")],
            vec![
                end(0),
                tool(1),
                end(1),
                Piece::Text("x"),
                tool(2),
                input(2, "{"),
            ],
        ),
    ] {
        let mut turns = Turns::default();
        for piece in pieces {
            turns.piece(piece, &mut |_| {});
        }
        let mut given = Vec::new();
        turns.give_rest(&mut |piece| given.push(format!("{piece:?}")));
        let expected: Vec<String> = expected.iter().map(|piece| format!("{piece:?}")).collect();
        assert_eq!(given, expected);
        assert_eq!(turns.kept_bytes(), 0);
    }
}

#[test]
fn what_waits_is_counted() {
    let mut turns = Turns::default();
    let mut last = 0;
    for piece in [
        tool(1),
        input(1, "{"),
        Piece::Text("x"),
        Piece::Text("y"),
        end(9),
    ] {
        turns.piece(tool(0), &mut |_| {});
        turns.piece(piece, &mut |_| {});
        assert!(last < turns.kept_bytes(), "{piece:?}");
        last = turns.kept_bytes();
    }
}

#[test]
fn an_input_is_whole_where_its_object_ends() {
    for (json, is_whole) in [
        ("", false),
        ("{", false),
        ("{}", true),
        ("{\"a\":[{}", false),
        ("{\"a\":[{}]}\n", true),
        ("{\"a\":\"}\"", false),
        ("{\"a\\\\\":\"\\\"}\"", false),
        ("{\"a\\\\\":\"\\\"}\"}", true),
        ("{\"ä😀\":\"\\u0022\"}", true),
        ("5", false),
    ] {
        let odd: String = json
            .chars()
            .map(|letter| format!("\\u{:04x}", u32::from(letter).min(0xffff)))
            .collect();
        for spelling in [spelt(json), odd] {
            let mut read = Input::default();
            read.read(&spelling);
            assert_eq!(read.is_whole, is_whole, "{spelling}");
        }
    }
}
