//! What each kind of provider has of its own and cannot do without: a table, so that a new kind is a row.

/// What a kind has of its own.
pub(super) struct Own {
    /// How its URL is asked for.
    pub(super) url: &'static str,
    /// Settings that are asked for.
    pub(super) settings: &'static [Setting],
    /// Whether it has keys.
    pub(super) has_keys: bool,
    /// The setting in whose company it has none.
    pub(super) no_keys_with: Option<&'static str>,
    /// Whether it can be asked for its models.
    pub(super) has_list: bool,
}

/// A setting of a kind.
pub(super) struct Setting {
    /// Its key in the configuration.
    pub(super) key: &'static str,
    /// How it is asked for.
    pub(super) prompt: &'static str,
    /// How it is written.
    pub(super) form: Form,
    /// The setting without which it is not asked for.
    pub(super) only_with: Option<&'static str>,
}

/// How a setting is written.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// Text.
    Text,
    /// A number, or a word.
    NumberOrWord,
    /// Names with a value each.
    Pairs,
    /// A credential, which is not shown; the variable that stands for it.
    Secret(&'static str),
}

/// Kinds by their words.
const OF_KINDS: &[(&str, Own)] = &[
    (
        "azure",
        Own {
            settings: &[
                setting(
                    "api_version",
                    "version of its API (empty: the newest that is no preview)",
                    Form::Text,
                ),
                setting(
                    "deployments",
                    "MODEL=DEPLOYMENT where names differ (empty: no more)",
                    Form::Pairs,
                ),
            ],
            ..PLAIN
        },
    ),
    (
        "argo",
        Own {
            settings: &[setting("user", "your user name with Argo", Form::Text)],
            // A user's name is all that it asks for.
            has_keys: false,
            ..PLAIN
        },
    ),
    (
        "asksage",
        Own {
            settings: &[
                setting(
                    "dataset",
                    "dataset that answers may use (empty: none)",
                    Form::Text,
                ),
                setting(
                    "persona",
                    "number of a persona (empty: the default one)",
                    Form::NumberOrWord,
                ),
            ],
            ..PLAIN
        },
    ),
    (
        "bedrock",
        Own {
            url: "URL (empty: that of the region)",
            settings: &[
                setting("region", "region, such as us-east-1", Form::Text),
                setting(
                    "access_key_id",
                    "access key ID (empty: a key of Bedrock's own, or none)",
                    Form::Text,
                ),
                Setting {
                    only_with: Some("access_key_id"),
                    ..setting(
                        "secret_access_key",
                        "secret access key, not shown",
                        Form::Secret("AWS_SECRET_ACCESS_KEY"),
                    )
                },
                Setting {
                    only_with: Some("access_key_id"),
                    ..setting(
                        "session_token",
                        "session token, not shown (empty: none)",
                        Form::Secret("AWS_SESSION_TOKEN"),
                    )
                },
            ],
            no_keys_with: Some("access_key_id"),
            // Its runtime has no such call.
            has_list: false,
            ..PLAIN
        },
    ),
];

/// A kind that has keys and nothing else.
const PLAIN: Own = Own {
    url: "URL",
    settings: &[],
    has_keys: true,
    no_keys_with: None,
    has_list: true,
};

const fn setting(key: &'static str, prompt: &'static str, form: Form) -> Setting {
    Setting {
        key,
        prompt,
        form,
        only_with: None,
    }
}

/// What the kind of a word has of its own.
pub(super) fn own(word: &str) -> &'static Own {
    let own = OF_KINDS.iter().find(|(known, _)| *known == word);
    own.map_or(&PLAIN, |(_, own)| own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ProviderKind;

    #[test]
    fn each_word_is_a_kinds() {
        for (word, _) in OF_KINDS {
            assert!(ProviderKind::of_word(word).is_some(), "{word}");
        }
    }
}
