//! Which of the calls of a stream a fragment belongs to. Servers differ in what they tell calls apart by, and what is
//! looked up grows with the calls of one answer alone: no fragment is compared with all of them.

use std::collections::HashMap;

use crate::wire::json_reader::{JsonError, RawStr, Reader};

/// By what a fragment of a call is known; all texts as they are spelt, and empty where there are none.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::wire) struct Fragment<'a> {
    pub index: Option<u64>,
    pub id: &'a str,
    pub name: &'a str,
    pub input: Input,
}

/// What is passed to a call, as far as it came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::wire) enum Input {
    #[default]
    None,
    Part,
    /// An object from its beginning to its end.
    Whole,
}

/// A place among the calls that have begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::wire) struct Place {
    pub at: usize,
    /// Whether the call begins with this fragment.
    pub begins: bool,
}

/// The calls that have begun.
#[derive(Debug, Default)]
pub(in crate::wire) struct CallPlaces {
    begun: Vec<Begun>,
    /// The last call of each.
    by_index: HashMap<u64, usize>,
    by_id: HashMap<String, usize>,
}

#[derive(Debug)]
struct Begun {
    index: Option<u64>,
    id: String,
    name: String,
    input: Input,
}

impl Input {
    /// Of the insides of a JSON string.
    pub(in crate::wire) fn of(spelt: &str) -> Self {
        let text = RawStr {
            raw: spelt,
            escaped: spelt.contains('\\'),
        };
        let text = text.text();
        let is_whole = || -> Result<bool, JsonError> {
            let mut json = Reader::new(&text);
            let is_object = json.object(|_, json| json.skip())?;
            json.end().map(|()| is_object)
        };
        match spelt.is_empty() {
            true => Self::None,
            false if is_whole().unwrap_or(false) => Self::Whole,
            false => Self::Part,
        }
    }

    fn add(&mut self, more: Self) {
        *self = match (*self, more) {
            (Self::None, more) => more,
            (before, Self::None) => before,
            (Self::Part | Self::Whole, Self::Part | Self::Whole) => Self::Part,
        };
    }
}

impl Begun {
    /// Whether a fragment with the same key can go on with it. An id or a name of its own begins a call, also under an
    /// index that was used before: some servers send each call whole, all of them as the first.
    fn goes_on(&self, fragment: Fragment<'_>) -> bool {
        let has_id = !fragment.id.is_empty() && !self.id.is_empty();
        let has_name = !fragment.name.is_empty() && !self.name.is_empty();
        let is_other = has_id && fragment.id != self.id || has_name && fragment.name != self.name;
        let are_whole = fragment.input == Input::Whole && self.input == Input::Whole;
        let is_next = has_name && !has_id && are_whole;
        !(is_other || is_next)
    }
}

impl CallPlaces {
    /// Whether none has begun.
    pub(in crate::wire) fn is_empty(&self) -> bool {
        self.begun.is_empty()
    }

    /// The place of a fragment's call: that of its index, else of its id, else the last one; or a new one.
    pub(in crate::wire) fn place(&mut self, fragment: Fragment<'_>) -> Place {
        let at = match self.find(fragment) {
            Some(at) => at,
            None => return self.begin(fragment),
        };
        if let Some(call) = self.begun.get_mut(at) {
            if call.id.is_empty() && !fragment.id.is_empty() {
                fragment.id.clone_into(&mut call.id);
                self.by_id.insert(fragment.id.to_owned(), at);
            }
            if call.name.is_empty() {
                fragment.name.clone_into(&mut call.name);
            }
            call.input.add(fragment.input);
        }
        let begins = false;
        Place { at, begins }
    }

    fn find(&self, fragment: Fragment<'_>) -> Option<usize> {
        let goes_on = |at: &usize| {
            let call = self.begun.get(*at);
            call.is_some_and(|call| call.index == fragment.index && call.goes_on(fragment))
        };
        let of_id = self.by_id.get(fragment.id).copied().filter(goes_on);
        if let Some(index) = fragment.index {
            let of_index = self.by_index.get(&index).copied().filter(goes_on);
            return of_index.or(of_id);
        }
        of_id.or_else(|| {
            let last = self.begun.last()?;
            let has_other_id = !fragment.id.is_empty() && !last.id.is_empty();
            // Without an index a name begins a call, even the same one.
            let begins = has_other_id || !fragment.name.is_empty() && !last.name.is_empty();
            (!begins).then_some(self.begun.len() - 1)
        })
    }

    fn begin(&mut self, fragment: Fragment<'_>) -> Place {
        let at = self.begun.len();
        if let Some(index) = fragment.index {
            self.by_index.insert(index, at);
        }
        if !fragment.id.is_empty() {
            self.by_id.insert(fragment.id.to_owned(), at);
        }
        self.begun.push(Begun {
            index: fragment.index,
            id: fragment.id.to_owned(),
            name: fragment.name.to_owned(),
            input: fragment.input,
        });
        let begins = true;
        Place { at, begins }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The places of fragments, each of an index, an id, a name and an input.
    #[track_caller]
    fn check(fragments: &[(Option<u64>, &str, &str, &str)], expected: &[usize]) {
        let mut places = CallPlaces::default();
        let found: Vec<usize> = fragments
            .iter()
            .map(|(index, id, name, input)| {
                let input = Input::of(input);
                let (index, begun) = (*index, places.begun.len());
                let fragment = Fragment {
                    index,
                    id,
                    name,
                    input,
                };
                let place = places.place(fragment);
                assert_eq!(place.begins, place.at == begun, "{fragments:?}");
                place.at
            })
            .collect();
        assert_eq!(found, expected, "{fragments:?}");
    }

    #[test]
    fn fragments_find_their_calls() {
        let (first, second) = (Some(0), Some(1));
        let whole = "{\\\"x\\\":\\\"}\\\"}";
        for (fragments, expected) in [
            // As OpenAI has it, side by side.
            (
                &[
                    (first, "a", "f", ""),
                    (second, "b", "f", ""),
                    (first, "", "", "{"),
                    (second, "", "", "{"),
                    (first, "", "", "}"),
                ][..],
                &[0, 1, 0, 1, 0][..],
            ),
            // All under one index: other names, with ids and without; what has none goes on with the last.
            (
                &[
                    (first, "", "f", whole),
                    (first, "", "g", "{"),
                    (first, "", "", "}"),
                    (first, "", "f", whole),
                ],
                &[0, 1, 1, 2],
            ),
            (
                &[
                    (first, "a", "f", "{"),
                    (first, "b", "g", "{"),
                    (first, "a", "", "}"),
                    (first, "b", "", "}"),
                    (first, "c", "f", ""),
                    (first, "", "", whole),
                ],
                &[0, 1, 0, 1, 2, 2],
            ),
            (
                &[(first, "a", "f", whole), (first, "", "g", whole)],
                &[0, 1],
            ),
            (
                &[(first, "a", "f", whole), (first, "a", "g", whole)],
                &[0, 1],
            ),
            // The same name twice: two calls that are whole, or what each fragment of one repeats.
            (
                &[
                    (first, "", "f", whole),
                    (first, "", "f", "{}"),
                    (first, "", "f", ""),
                ],
                &[0, 1, 1],
            ),
            (
                &[
                    (first, "", "f", ""),
                    (first, "", "f", "{\\\"x\\\":"),
                    (first, "", "f", "{}"),
                    (first, "", "f", "{}"),
                    (first, "", "f", "}"),
                ],
                &[0, 0, 0, 0, 0],
            ),
            (
                &[
                    (first, "a", "f", ""),
                    (first, "a", "f", "{"),
                    (first, "a", "f", "}"),
                ],
                &[0, 0, 0],
            ),
            (
                &[(first, "a", "f", whole), (first, "a", "f", whole)],
                &[0, 0],
            ),
            // The id comes behind the name.
            (
                &[
                    (first, "", "f", ""),
                    (first, "a", "", "{"),
                    (first, "b", "", "{"),
                ],
                &[0, 0, 1],
            ),
            // No index.
            (
                &[
                    (None, "a", "f", "{"),
                    (None, "b", "f", "{"),
                    (None, "a", "f", "}"),
                    (None, "", "", "}"),
                ],
                &[0, 1, 0, 1],
            ),
            (
                &[
                    (None, "", "f", "{"),
                    (None, "", "f", "{"),
                    (None, "", "", "}"),
                ],
                &[0, 1, 1],
            ),
        ] {
            check(fragments, expected);
        }
    }

    #[test]
    fn what_is_whole_is_an_object_and_nothing_else() {
        for (spelt, expected) in [
            ("", Input::None),
            ("{}", Input::Whole),
            (" {\\\"a\\\":[1,{}]}\\n", Input::Whole),
            ("{\\\"a\\\":", Input::Part),
            ("{}}", Input::Part),
            ("{} {}", Input::Part),
            ("1", Input::Part),
            ("[]", Input::Part),
        ] {
            assert_eq!(Input::of(spelt), expected, "{spelt}");
        }
    }

    /// A hundred thousand calls, and as many fragments of the first: quick, or the test's time is over.
    #[test]
    fn a_fragment_is_not_compared_with_every_call() {
        let mut places = CallPlaces::default();
        for number in 0..100_000 {
            let (index, id) = (Some(number), number.to_string());
            let place = places.place(Fragment {
                index,
                id: &id,
                ..Fragment::default()
            });
            assert!(place.begins);
        }
        for _ in 0..100_000 {
            let index = Some(0);
            let place = places.place(Fragment {
                index,
                ..Fragment::default()
            });
            assert_eq!(place.at, 0);
        }
    }
}
