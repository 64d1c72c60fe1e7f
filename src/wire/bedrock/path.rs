//! What the paths of Bedrock's runtime say: `/model/{model}/{verb}`. The model stands there and in no body, and so does
//! whether the answer is a stream.

use aiproxy_filters::Endpoint;

/// The parts of a path that names a model, percent signs as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelPath<'a> {
    /// The model, or its ARN.
    pub model: &'a str,
    /// What is done with it.
    pub verb: &'a str,
}

impl<'a> ModelPath<'a> {
    /// Reads a path. `None` when it names no model, or nothing that is done with it.
    pub fn read(path: &'a str) -> Option<Self> {
        let (model, verb) = path.strip_prefix("/model/")?.rsplit_once('/')?;
        (!model.is_empty() && !verb.is_empty()).then_some(Self { model, verb })
    }

    /// Which API it is.
    pub fn endpoint(self) -> Endpoint {
        match self.verb {
            "invoke" | "invoke-with-response-stream" => Endpoint::BedrockInvoke,
            "converse" | "converse-stream" => Endpoint::BedrockConverse,
            _ => Endpoint::Passthrough,
        }
    }
}

/// Whether a path asks for a stream.
pub fn is_stream(path: &str) -> bool {
    ModelPath::read(path)
        .is_some_and(|path| matches!(path.verb, "invoke-with-response-stream" | "converse-stream"))
}
