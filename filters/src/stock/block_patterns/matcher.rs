//! Finds words and patterns, and says where in an unfinished text a match may still begin.
use std::fmt::Write;
use std::ops::Range;

use regex_automata::Input;
use regex_automata::meta::Regex;
use regex_automata::nfa::thompson::{NFA, State, WhichCaptures};
use regex_automata::util::primitives::StateID;
use regex_automata::util::syntax;

use crate::ConfigError;

/// How much of a stream a pattern without a bound sees, in bytes.
const UNBOUNDED_WINDOW: usize = 4096;

/// Most memory that the compiled patterns may take, in bytes.
const SIZE_LIMIT: usize = 10 * 1024 * 1024;

/// A match and which word or pattern it is of, counted over both.
pub(super) struct Found {
    pub(super) range: Range<usize>,
    pub(super) pattern: usize,
}

#[derive(Debug)]
pub(super) struct Matcher {
    regex: Regex,
    /// The same patterns as states that can be followed byte by byte.
    states: NFA,
    words: usize,
    /// Most bytes of text whose matches may stay open.
    pub(super) window: usize,
}

impl Matcher {
    pub(super) fn new(words: &[String], patterns: &[String]) -> Result<Self, ConfigError> {
        if words.is_empty() && patterns.is_empty() {
            return Err(ConfigError::option(
                "words",
                "`words` or `patterns` must name something",
            ));
        }
        let mut sources = Vec::with_capacity(words.len() + patterns.len());
        for word in words {
            if word.trim().is_empty() {
                return Err(ConfigError::option("words", "an empty word is everywhere"));
            }
            sources.push(whole_word(word));
        }
        sources.extend(patterns.iter().cloned());
        let mut window = UNBOUNDED_WINDOW;
        for (at, source) in sources.iter().enumerate() {
            let number = (at + 1).saturating_sub(words.len());
            window = window.max(longest_match(source, number)?);
        }
        let too_large = |error: String| ConfigError::option("patterns", error);
        let regex = Regex::builder()
            .configure(Regex::config().nfa_size_limit(Some(SIZE_LIMIT)))
            .build_many(&sources)
            .map_err(|error| too_large(error.to_string()))?;
        let config = NFA::config()
            .which_captures(WhichCaptures::None)
            .nfa_size_limit(Some(SIZE_LIMIT));
        let states = NFA::compiler()
            .configure(config)
            .build_many(&sources)
            .map_err(|error| too_large(error.to_string()))?;
        Ok(Self {
            regex,
            states,
            words: words.len(),
            window,
        })
    }

    /// The leftmost match at or after `from`; what stands before it is context.
    pub(super) fn find(&self, text: &str, from: usize) -> Option<Found> {
        let found = self.regex.find(Input::new(text).range(from..))?;
        Some(Found {
            range: found.range(),
            pattern: found.pattern().as_usize(),
        })
    }

    /// Which word or pattern matches first, by its number.
    pub(super) fn first(&self, text: &str) -> Option<String> {
        Some(self.name(self.regex.find(text)?.pattern().as_usize()))
    }

    /// A word or pattern by its number.
    pub(super) fn name(&self, pattern: usize) -> String {
        match pattern.checked_sub(self.words) {
            Some(pattern) => format!("pattern {}", pattern + 1),
            None => format!("word {}", pattern + 1),
        }
    }

    /// The text with every match masked, `None` when there is none.
    pub(super) fn mask(&self, text: &str, mask: &str) -> Option<String> {
        let mut masked = String::new();
        let mut at = 0;
        for found in self.regex.find_iter(text) {
            masked.push_str(text.get(at..found.start()).unwrap_or(""));
            masked.push_str(mask);
            at = found.end();
        }
        if at == 0 {
            return None;
        }
        masked.push_str(text.get(at..).unwrap_or(""));
        Some(masked)
    }
}

/// A pattern for the word with no letter, digit or underscore beside it, in any case.
fn whole_word(word: &str) -> String {
    let mut pattern = String::from(r"(?i)\b{start-half}");
    for character in word.chars() {
        // Writing to a string does not fail.
        if write!(pattern, r"\x{{{:x}}}", u32::from(character)).is_err() {
            break;
        }
    }
    pattern.push_str(r"\b{end-half}");
    pattern
}

/// The longest match in bytes, 0 when there is no bound.
fn longest_match(source: &str, number: usize) -> Result<usize, ConfigError> {
    let parsed = syntax::parse(source).map_err(|error| {
        let error = error.to_string();
        // The lines before the last one draw the pattern.
        let reason = error.lines().last().unwrap_or_default();
        let reason = reason.trim_start_matches("error: ");
        let message = format!("number {number} cannot be read: {reason}");
        ConfigError::option("patterns", message)
    })?;
    match parsed.properties().minimum_len() {
        Some(0) => {
            let message = format!("number {number} matches the empty text");
            Err(ConfigError::option("patterns", message))
        }
        Some(_) | None => Ok(parsed.properties().maximum_len().unwrap_or(0)),
    }
}

/// Follows the patterns' states through the end of a text. Kept for its memory.
#[derive(Default)]
pub(super) struct Follower {
    threads: Vec<(StateID, usize)>,
    next: Vec<(StateID, usize)>,
    waiting: Vec<StateID>,
    /// Per state the last round in which it was added.
    seen: Vec<u64>,
    round: u64,
}

impl Follower {
    /// The first place at or after `from` where a match may begin that is not decided by `text`
    /// alone: more text may complete it, lengthen it, or change what stands beside it. The length
    /// of the text when there is none. Look-around counts as fulfilled, so that the answer is
    /// never too late.
    pub(super) fn first_open(&mut self, matcher: &Matcher, text: &str, from: usize) -> usize {
        let states = &matcher.states;
        self.seen.resize(states.states().len(), 0);
        self.threads.clear();
        let bytes = text.as_bytes().get(from..).unwrap_or_default();
        self.round += 1;
        for (at, byte) in (from..).zip(bytes) {
            let mut threads = std::mem::take(&mut self.threads);
            self.add(states, states.start_anchored(), at, &mut threads);
            let mut next = std::mem::take(&mut self.next);
            next.clear();
            self.round += 1;
            for (state, start) in &threads {
                if let Some(target) = step(states.state(*state), *byte) {
                    self.add(states, target, *start, &mut next);
                }
            }
            self.threads = next;
            self.next = threads;
        }
        let open = self
            .threads
            .iter()
            .filter(|(state, _)| is_open(states.state(*state)));
        open.map(|(_, start)| *start).min().unwrap_or(text.len())
    }

    /// Adds a state and all that follow without a byte; the thread that began first wins.
    fn add(
        &mut self,
        states: &NFA,
        state: StateID,
        start: usize,
        threads: &mut Vec<(StateID, usize)>,
    ) {
        self.waiting.push(state);
        while let Some(id) = self.waiting.pop() {
            match self.seen.get_mut(id.as_usize()) {
                Some(seen) if *seen != self.round => *seen = self.round,
                Some(_) | None => continue,
            }
            match states.state(id) {
                State::ByteRange { .. } | State::Sparse(_) | State::Dense(_) => {
                    threads.push((id, start));
                }
                State::Look { next, .. } => {
                    threads.push((id, start));
                    self.waiting.push(*next);
                }
                State::Union { alternates } => self.waiting.extend(alternates.iter().copied()),
                State::BinaryUnion { alt1, alt2 } => self.waiting.extend([*alt1, *alt2]),
                State::Capture { next, .. } => self.waiting.push(*next),
                State::Fail | State::Match { .. } => {}
            }
        }
    }
}

fn step(state: &State, byte: u8) -> Option<StateID> {
    match state {
        State::ByteRange { trans } => trans.matches_byte(byte).then_some(trans.next),
        State::Sparse(transitions) => transitions.matches_byte(byte),
        State::Dense(transitions) => transitions.matches_byte(byte),
        State::Look { .. }
        | State::Union { .. }
        | State::BinaryUnion { .. }
        | State::Capture { .. }
        | State::Fail
        | State::Match { .. } => None,
    }
}

fn is_open(state: &State) -> bool {
    match state {
        State::ByteRange { .. } | State::Sparse(_) | State::Dense(_) | State::Look { .. } => true,
        State::Union { .. }
        | State::BinaryUnion { .. }
        | State::Capture { .. }
        | State::Fail
        | State::Match { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matcher(words: &[&str], patterns: &[&str]) -> Matcher {
        let own = |list: &[&str]| {
            list.iter()
                .map(|text| (*text).to_owned())
                .collect::<Vec<_>>()
        };
        Matcher::new(&own(words), &own(patterns)).unwrap()
    }

    #[test]
    fn words_are_whole_and_in_any_case() {
        let matcher = matcher(&["Über", "c++", "bad word"], &[]);
        for (text, masked) in [
            ("das ÜBER und über.", Some("das *** und ***.")),
            ("überall, darüber", None),
            ("C++!", Some("***!")),
            ("c++x", None),
            ("a Bad Word_", None),
            ("a Bad Word", Some("a ***")),
        ] {
            assert_eq!(matcher.mask(text, "***").as_deref(), masked, "{text}");
        }
    }

    #[test]
    fn patterns_are_as_written() {
        let matcher = matcher(&["x"], &["sk-[a-z]{3,}", "(?x) q r # comment"]);
        assert_eq!(
            matcher.mask("SK-abc sk-abcd qr", "*").as_deref(),
            Some("SK-abc * *")
        );
        assert_eq!(matcher.first("an qr").as_deref(), Some("pattern 2"));
        assert_eq!(matcher.first("X").as_deref(), Some("word 1"));
    }

    #[track_caller]
    fn check_open(matcher: &Matcher, text: &str, open: usize) {
        assert_eq!(
            Follower::default().first_open(matcher, text, 0),
            open,
            "{text}"
        );
    }

    #[test]
    fn only_what_may_become_a_match_is_open() {
        let words = matcher(&["bad"], &[]);
        check_open(&words, "good day", 8);
        check_open(&words, "good ba", 5);
        check_open(&words, "good bad", 5);
        check_open(&words, "good bad ", 9);
        check_open(&words, "good bax", 8);
        let pattern = matcher(&[], &["a.*b", "é+"]);
        check_open(&pattern, "xxaxx", 2);
        check_open(&pattern, "xxax\nx", 6);
        check_open(&pattern, "xéé", 1);
    }
}
