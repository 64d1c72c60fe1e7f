//! What filters leave behind in an exchange: tags for the row, and their own scratch values.
use std::any::{Any, TypeId};

use serde_json::{Map, Value};

/// Tags in the order in which they came, and scratch values by filter and type.
#[derive(Default)]
pub(crate) struct Notes {
    tags: Vec<(String, Value)>,
    scratch: Vec<(usize, TypeId, Box<dyn Any>)>,
}

impl Notes {
    pub(crate) fn tag(&mut self, key: String, value: Value) {
        if !value.is_null() {
            self.tags.push((key, value));
        }
    }

    pub(crate) fn tags(&self) -> Map<String, Value> {
        self.tags.iter().cloned().collect()
    }

    pub(crate) fn has_tags(&self) -> bool {
        !self.tags.is_empty()
    }

    /// How many tags there are, to come back to with [`forget_tags_after`](Self::forget_tags_after).
    pub(crate) fn tag_count(&self) -> usize {
        self.tags.len()
    }

    pub(crate) fn forget_tags_after(&mut self, count: usize) {
        self.tags.truncate(count);
    }

    pub(crate) fn scratch<T: Default + 'static>(&mut self, filter: usize) -> &mut T {
        let wanted = (filter, TypeId::of::<T>());
        let at = self
            .scratch
            .iter()
            .position(|(filter, id, _)| (*filter, *id) == wanted);
        let at = at.unwrap_or_else(|| {
            self.scratch
                .push((wanted.0, wanted.1, Box::new(T::default())));
            self.scratch.len() - 1
        });
        match self
            .scratch
            .get_mut(at)
            .and_then(|(_, _, value)| value.downcast_mut())
        {
            Some(value) => value,
            None => unreachable!("scratch values are found by their type"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scratch_is_apart_by_filter_and_type() {
        let mut notes = Notes::default();
        *notes.scratch::<u32>(0) = 1;
        *notes.scratch::<u32>(1) = 2;
        notes.scratch::<String>(0).push('x');
        assert_eq!((*notes.scratch::<u32>(0), *notes.scratch::<u32>(1)), (1, 2));
        assert_eq!(notes.scratch::<String>(0), "x");
    }

    #[test]
    fn the_last_tag_under_a_key_stands() {
        let mut notes = Notes::default();
        notes.tag("a".to_owned(), 1.into());
        notes.tag("b".to_owned(), Value::Null);
        let count = notes.tag_count();
        notes.tag("a".to_owned(), 2.into());
        assert_eq!(Value::from(notes.tags()), serde_json::json!({"a": 2}));
        notes.forget_tags_after(count);
        assert_eq!(Value::from(notes.tags()), serde_json::json!({"a": 1}));
    }
}
