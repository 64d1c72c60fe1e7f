//! Lists of models as the table takes them: the names that clients ask for, and the providers' own.

use crate::routing::table::Listed;
use crate::upstream::discovery::Snapshot;

/// What the providers were found to have, each in its place.
pub fn listed(snapshot: &Snapshot, providers: usize) -> Vec<Vec<Listed>> {
    let mut all = vec![Vec::new(); providers];
    for (index, of) in snapshot.iter() {
        if let Some(place) = all.get_mut(index) {
            let models = of.models.iter().map(|model| Listed {
                name: of.name_of(model),
                upstream: (!of.prefix.is_empty()).then(|| model.id.clone()),
            });
            *place = models.collect();
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::discovery::testing::snapshot;

    #[test]
    fn names_have_their_prefix_and_places_their_provider() {
        let found = snapshot(3, &[(2, "lab/", &["a", "b/c"][..]), (0, "", &["a"])]);
        let name = |name: &str, upstream: Option<&str>| Listed {
            name: name.to_owned(),
            upstream: upstream.map(str::to_owned),
        };
        let expected = [
            vec![name("a", None)],
            vec![],
            vec![name("lab/a", Some("a")), name("lab/b/c", Some("b/c"))],
        ];
        assert_eq!(listed(&found, 3), expected);
        assert_eq!(listed(&found, 1), expected[..1]);
    }
}
