//! Checks a request's target and `Host` before anything trusts them: what could mean two things is refused.

use crate::pipeline::failure::Failure;

/// Longest target in bytes.
pub const MAX_TARGET_BYTES: usize = 8 * 1024;

/// Most bytes of all header names and values of one request.
pub const MAX_HEADER_BYTES: usize = 48 * 1024;

/// Refuses paths with dot segments, empty segments, encoded separators, NUL or parameters.
///
/// `%2F` is let through in the last segment of `…/models/{id}`, in the model of a path of Bedrock's, in the deployment of
/// one of Azure's, in the name of a logical model and in the id of a session: that is how SDKs send names with a slash, and ARNs.
///
/// # Errors
/// [`Failure::BadTarget`] or [`Failure::TargetTooLong`].
pub fn check_path(path: &str, query_bytes: usize) -> Result<(), Failure> {
    if MAX_TARGET_BYTES < path.len() + query_bytes {
        return Err(Failure::TargetTooLong);
    }
    if !path.starts_with('/') {
        return bad("the target must be a path");
    }
    let plain = path
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'%' | b';' | b'\\'));
    if plain && !path.contains("//") && !path.contains("/.") {
        return Ok(());
    }
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let model_at = match segments.as_slice() {
        ["model", _, _] => Some(1),
        [_, "model", _, _] => Some(2),
        ["openai", "deployments", _, _, ..] => Some(2),
        ["logical-models", _] | ["logical-models", _, "upstreams"] => Some(1),
        ["context", _] => Some(1),
        ["routing", "sessions", _] => Some(2),
        [.., "models", _] => Some(segments.len() - 1),
        _ => None,
    };
    for (at, segment) in segments.iter().enumerate() {
        let last = at + 1 == segments.len();
        check_segment(segment, last, model_at == Some(at))?;
    }
    Ok(())
}

fn check_segment(segment: &str, last: bool, is_model_name: bool) -> Result<(), Failure> {
    if segment.is_empty() && !last {
        return bad("the path has an empty segment");
    }
    if segment
        .bytes()
        .any(|byte| matches!(byte, b';' | b'\\') || !byte.is_ascii_graphic())
    {
        return bad("the path has a character that is not allowed");
    }
    let lower = segment.to_ascii_lowercase();
    if matches!(lower.replace("%2e", ".").as_str(), "." | "..") {
        return bad("the path has a dot segment");
    }
    let forbidden = ["%00", "%5c", "%3b", "%0d", "%0a"];
    if forbidden.iter().any(|code| lower.contains(code)) {
        return bad("the path has an encoded character that is not allowed");
    }
    if lower.contains("%2f") {
        let hides_dots = lower
            .replace("%2e", ".")
            .split("%2f")
            .any(|part| matches!(part, "." | ".." | ""));
        if !is_model_name || hides_dots {
            return bad("the path has an encoded slash");
        }
    }
    Ok(())
}

/// Refuses a `Host` that is more than a name or address with an optional port.
///
/// # Errors
/// [`Failure::BadTarget`].
pub fn check_host(host: &[u8]) -> Result<(), Failure> {
    let Ok(host) = std::str::from_utf8(host) else {
        return bad("the Host header is not valid");
    };
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) if address.parse::<std::net::Ipv6Addr>().is_ok() => ("", port),
            _ => return bad("the Host header is not valid"),
        },
        None => match host.split_once(':') {
            Some((name, _)) => (name, host.get(name.len()..).unwrap_or_default()),
            None => (host, ""),
        },
    };
    let good_name = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
    let good_port = match port.strip_prefix(':') {
        None => port.is_empty(),
        Some(digits) => digits.is_empty() || digits.parse::<u16>().is_ok(),
    };
    if good_name && good_port {
        Ok(())
    } else {
        bad("the Host header is not valid")
    }
}

fn bad(reason: &'static str) -> Result<(), Failure> {
    Err(Failure::BadTarget { reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_paths_pass() {
        for path in [
            "/",
            "/v1/chat/completions",
            "/v1/models/Qwen%2FQwen3-8B",
            "/model/arn%3Aaws%3Abedrock%3A%3Ainference-profile%2Fus.x/converse",
            "/bedrock-claude/model/a%2Fb/invoke",
            "/openai/deployments/anthropic%2Fclaude/chat/completions",
            "/logical-models/a%2Fb",
            "/logical-models/a%2Fb/upstreams",
            "/context/a%2Fb",
            "/routing/sessions/a%2Fb",
            "/v1/models/gpt-4o",
            "/v1/files/",
            "/v1/models/ft:gpt-4o:org::id",
            "/v1/files/a%20b",
            "/openai/models",
        ] {
            assert_eq!(check_path(path, 0), Ok(()), "{path}");
        }
    }

    #[test]
    fn path_tricks_are_refused() {
        for path in [
            "//admin",
            "/v1//chat",
            "/v1/../admin",
            "/v1/%2e%2e/admin",
            "/v1/.%2E/admin",
            "/v1/./x",
            "/v1/..;/admin",
            "/v1/x;y",
            "/v1/a%2fb",
            "/v1/a%2Fb/models",
            "/v1/a%5cb",
            "/v1/a\\b",
            "/v1/%00",
            "/v1/models/..%2Fadmin",
            "/context/..%2Fadmin",
            "/routing/sessions/a%2F%2Fb",
            "/model/..%2Fadmin/invoke",
            "/logical-models/..%2Fadmin",
            "/logical-models/a/b%2Fupstreams",
            "/model/a/b%2Finvoke",
            "/openai/deployments/..%2Fadmin/chat/completions",
            "/openai/deployments/a%2F%2Fb/chat/completions",
            "/openai/deployments/a%2f/chat/completions",
            "/openai/deployments/a%2Fb%5cc/chat/completions",
            "/openai/deployments/a%2Fb",
            "/openai/deployments/a/chat%2Fcompletions",
            "/openai/a%2Fb/chat/completions",
            "/v1/openai/deployments/a%2Fb/chat/completions",
            "/x/deployments/a%2Fb/chat/completions",
            "/model/a%2Fb",
            "/model/a%2Fb/invoke/x",
            "/v1/x/model/a%2Fb/invoke",
            "/v1/models/a%2F%2e%2e%2Fb",
            "/v1/a%0d%0ab",
            "*",
            "http://x/v1",
        ] {
            assert!(check_path(path, 0).is_err(), "{path}");
        }
        assert_eq!(
            check_path("/v1/x", MAX_TARGET_BYTES),
            Err(Failure::TargetTooLong)
        );
    }

    #[test]
    fn hosts_are_names_with_ports() {
        for host in [
            "localhost",
            "127.0.0.1:8000",
            "[::1]:8000",
            "api.example.org",
            "x_y:1",
        ] {
            assert_eq!(check_host(host.as_bytes()), Ok(()), "{host}");
        }
        for host in [
            "a/#@evil",
            "a b",
            "user@host",
            "a:b",
            "a:99999",
            "[::1",
            "[x]:1",
            "a,b",
            "a?x",
        ] {
            assert!(check_host(host.as_bytes()).is_err(), "{host}");
        }
    }
}
