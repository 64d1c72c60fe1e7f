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
