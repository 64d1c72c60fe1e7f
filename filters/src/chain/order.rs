//! Which filters an exchange concerns, in their order.

/// Positions of the selected filters in their chain, first to last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    positions: Vec<usize>,
}

impl Selection {
    /// The positions that are true; `None` when no one is, without an allocation.
    pub(crate) fn of(chosen: impl Iterator<Item = bool>) -> Option<Self> {
        let positions: Vec<usize> = chosen
            .enumerate()
            .filter(|(_, chosen)| *chosen)
            .map(|(at, _)| at)
            .collect();
        (!positions.is_empty()).then_some(Self { positions })
    }

    /// On the way in: first to last.
    pub(crate) fn inward(&self) -> impl DoubleEndedIterator<Item = usize> {
        self.positions.iter().copied()
    }

    /// On the way out: last to first.
    pub(crate) fn outward(&self) -> impl Iterator<Item = usize> {
        self.inward().rev()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_out_is_the_way_in_reversed() {
        let selection = Selection::of([true, false, true].into_iter()).unwrap();
        assert_eq!(selection.inward().collect::<Vec<_>>(), [0, 2]);
        assert_eq!(selection.outward().collect::<Vec<_>>(), [2, 0]);
        assert_eq!(Selection::of([false, false].into_iter()), None);
    }
}
