//! Help for a word that does not exist: the known one that was probably meant, and all that are allowed.

/// The message for an unknown key.
pub(super) fn unknown_key(key: &str, known: &[&str]) -> String {
    let mut allowed: Vec<&str> = known.to_vec();
    allowed.sort_unstable();
    let allowed = allowed.join(", ");
    match closest(key, known) {
        Some(meant) => format!("unknown key; did you mean `{meant}`? allowed: {allowed}"),
        None if known.is_empty() => "unknown key; nothing is allowed here".to_owned(),
        None => format!("unknown key; allowed: {allowed}"),
    }
}

/// The word that is nearest to `given`, if it is near enough to be meant.
pub fn closest<'a>(given: &str, known: &[&'a str]) -> Option<&'a str> {
    let given = given.to_lowercase().replace('-', "_");
    known
        .iter()
        .map(|word| (distance(&given, word), *word))
        .filter(|(distance, word)| *distance <= (word.chars().count() / 3).clamp(1, 3))
        .min()
        .map(|(_, word)| word)
}

/// The words that are near enough to `given` to be meant or that begin or end with it, nearest first, at most `most`.
pub fn nearest<'a>(given: &str, known: &[&'a str], most: usize) -> Vec<&'a str> {
    let asked = given.to_lowercase();
    let mut near: Vec<(usize, &str)> = known
        .iter()
        .filter_map(|word| {
            let name = word.to_lowercase();
            let limit = (name.chars().count() / 3).clamp(1, 6);
            let is_part = !asked.is_empty()
                && (name.starts_with(&asked) || name.ends_with(&asked) || asked.starts_with(&name));
            // Far lengths cannot be near.
            let is_far = limit < name.chars().count().abs_diff(asked.chars().count());
            let distance = match is_far {
                true => usize::MAX,
                false => distance(&asked, &name),
            };
            (is_part || distance <= limit).then_some((distance, *word))
        })
        .collect();
    near.sort_unstable();
    near.into_iter().take(most).map(|(_, word)| word).collect()
}

/// How many letters must be added, removed, changed or swapped with their neighbour.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let mut least = (last[j] + usize::from(a != b))
                .min(last[j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn near_words_are_meant_and_far_ones_are_not() {
        let known = ["host", "port", "max_body_bytes", "keep_alive_s", "url"];
        for (given, meant) in [
            ("prot", Some("port")),
            ("hots", Some("host")),
            ("max-body-bytes", Some("max_body_bytes")),
            ("max_body_byte", Some("max_body_bytes")),
            ("KEEP_ALIVE_S", Some("keep_alive_s")),
            ("keepalive", Some("keep_alive_s")),
            ("uri", Some("url")),
            ("redis", None),
            ("", None),
        ] {
            assert_eq!(closest(given, &known), meant, "{given}");
        }
    }
}
