//! The filters that come with the program, each usable from the configuration alone. They use
//! nothing but the public API of this crate, and so are examples as well.
use serde_json::Value;

use crate::{ConfigError, Filter};

mod banned_users;
mod block_patterns;
mod canned_answer;
mod model_override;
mod reply;
mod require_user;
mod tag;

pub use banned_users::BannedUsers;
pub use block_patterns::BlockPatterns;
pub use canned_answer::CannedAnswer;
pub use model_override::ModelOverride;
pub use require_user::RequireUser;
pub use tag::Tag;

type Build = fn(&Value) -> Result<Filter, ConfigError>;

/// Every stock filter, by its `kind` in the configuration.
pub(crate) const KINDS: &[(&str, Build)] = &[
    ("banned_users", BannedUsers::from_config),
    ("block_patterns", BlockPatterns::from_config),
    ("canned_answer", CannedAnswer::from_config),
    ("model_override", ModelOverride::from_config),
    ("require_user", RequireUser::from_config),
    ("tag", Tag::from_config),
];
