//! From a request to its answer: which endpoint, which behaviour, and how the
//! behaviour dresses the answer. Pure; sending is elsewhere. Long because every API's paths stand here side by side.

use serde_json::Value;

use crate::cli::mock::answer::{Ask, Said, Turn, headers_json};
use crate::cli::mock::bedrock::{
    completion, completion_stream, converse, converse_stream, count, exception, message,
    message_stream,
};
use crate::cli::mock::behaviour::{Behaviour, ErrorAnswer, Form, Oddities};
use crate::cli::mock::multipart::Upload;
use crate::cli::mock::refused::{
    Family, Refused, anthropic_error_json, error_json, gemini_error_json,
};
use crate::cli::mock::reply::{Body, Filler, Reply};
use crate::cli::mock::request::RawRequest;
use crate::cli::mock::{
    argo, azure, chat, completions, generate_content, media, messages, node, query, responses,
};
use crate::filter::Endpoint;
use crate::wire::bedrock;
use crate::wire::gemini::{ModelPath, asks_for_events};
use crate::wire::percent;

/// Text bytes of an event when a stream of so many bytes was asked for.
const BIG_EVENT_BYTES: u32 = 64 << 10;

/// An endpoint that makes text.
struct Format {
    whole: fn(&Turn<'_>) -> Reply,
    stream: fn(&Turn<'_>) -> Reply,
    /// What stands before the text in a whole answer.
    text_mark: &'static str,
    /// What ends a stream.
    end: &'static [u8],
}

const CHAT: Format = Format {
    whole: chat::whole,
    stream: chat::stream,
    text_mark: "\"content\":\"",
    end: DONE,
};
const DONE: &[u8] = b"data: [DONE]\n\n";

const COMPLETIONS: Format = Format {
    whole: completions::whole,
    stream: completions::stream,
    text_mark: "\"text\":\"",
    end: DONE,
};
const AZURE_CHAT: Format = Format {
    whole: azure::chat,
    stream: azure::chat_stream,
    ..CHAT
};
const AZURE_COMPLETIONS: Format = Format {
    whole: azure::completion,
    stream: azure::completion_stream,
    ..COMPLETIONS
};
const RESPONSES: Format = Format {
    whole: responses::whole,
    stream: responses::stream,
    text_mark: "\"text\":\"",
    end: b"",
};
const MESSAGES: Format = Format {
    whole: messages::whole,
    stream: messages::stream,
    text_mark: "\"text\":\"",
    end: messages::STOP,
};

const EVENTS: Format = Format {
    whole: generate_content::whole,
    stream: generate_content::events,
    text_mark: "\"text\":\"",
    end: b"",
};
const ARRAY: Format = Format {
    whole: generate_content::whole,
    stream: generate_content::array,
    text_mark: "\"text\":\"",
    end: b"\n]\n",
};

const CONVERSE: Format = Format {
    whole: converse,
    stream: converse_stream,
    text_mark: "\"text\":\"",
    end: b"",
};
const MESSAGE: Format = Format {
    whole: message,
    stream: message_stream,
    text_mark: "\"text\":\"",
    end: b"",
};
const COMPLETION: Format = Format {
    whole: completion,
    stream: completion_stream,
    text_mark: "\"completion\":\"",
    end: b"",
};

const ARGO: Format = Format {
    whole: argo::whole,
    stream: argo::stream,
    text_mark: "\"response\":\"",
    end: b"",
};

const QUERY: Format = Format {
    whole: query::whole,
    // It has none.
    stream: query::whole,
    text_mark: "\"message\":\"",
    end: b"",
};

/// Decides what is answered to request `number`, whose test id has come `before` times.
pub(super) fn answer(request: &RawRequest, number: u64, before: u32) -> (Behaviour, Reply) {
    let (behaviour, reply) = match route(request, number, before) {
        Ok(answered) => answered,
        Err(refused) => (Behaviour::default(), refused.reply(Family::of(request))),
    };
    let id = format!("req_mock_{number:010}");
    let reply = match Family::of(request) {
        Family::Anthropic => reply.header("request-id", id),
        Family::Gemini => reply.header("server-timing", "gfet4t7; dur=1"),
        Family::Asksage => reply,
        Family::Bedrock => reply.header("x-amzn-requestid", id),
        Family::Openai => reply
            .header("x-request-id", id)
            .header("openai-processing-ms", "1")
            .header("openai-version", "2020-10-01"),
    };
    let is_of_node = request.path().starts_with(node::SERVICE)
        && !matches!(behaviour.form, Form::NodeError | Form::NoProvider);
    let reply = match is_of_node {
        true => reply.header("x-computing-node", node::PEER.to_owned()),
        false => reply,
    };
    (behaviour, reply)
}

type Answered = Result<(Behaviour, Reply), Refused>;

fn route(request: &RawRequest, number: u64, before: u32) -> Answered {
    if Family::of(request) == Family::Gemini {
        return gemini(request, number, before);
    }
    if let Some(path) = bedrock::ModelPath::read(request.path()) {
        return of_bedrock(request, number, before, path);
    }
    let path = request.path();
    if let Some(door) = path.strip_prefix(query::BASE) {
        return ask_sage(request, number, before, door);
    }
    if let Some(call) = path.strip_prefix(argo::CALLS) {
        return of_argo(request, number, before, call);
    }
    if path == argo::MODELS {
        return Ok((Behaviour::default(), argo::models()));
    }
    if path == node::TABLE && request.method == "GET" {
        return Ok((Behaviour::default(), node::table()));
    }
    if let Some(call) = path.strip_prefix(azure::DEPLOYMENTS) {
        return of_azure(request, number, before, call);
    }
    let behind_node = path.strip_prefix(node::SERVICE);
    if behind_node.is_some() && request.body.is_empty() {
        // It finds who serves a model by the body.
        return Ok((Behaviour::default(), node::nobody()));
    }
    let path = behind_node.unwrap_or(path);
    let path = path.strip_prefix(azure::BASE).unwrap_or(path);
    let path = path
        .strip_prefix("/v1/")
        .or_else(|| path.strip_prefix('/'))
        .unwrap_or(path);
    let (area, rest) = path.split_once('/').unwrap_or((path, ""));
    let plain = |reply: Reply| Ok((Behaviour::default(), reply));
    match (request.method.as_str(), area, rest) {
        ("POST", "chat", "completions") => generate(request, number, before, &CHAT),
        ("POST", "completions", "") => generate(request, number, before, &COMPLETIONS),
        ("POST", "responses", "") => generate(request, number, before, &RESPONSES),
        ("POST", "messages", "") => generate(request, number, before, &MESSAGES),
        ("POST", "messages", "count_tokens") => {
            let (_, model) = Ask::read(&request.body)?;
            let behaviour = behaviour(&model)?;
            Ok(dressed(
                behaviour,
                messages::count(),
                request,
                number,
                before,
            ))
        }
        ("POST", "embeddings", "") => {
            let (ask, model) = Ask::read(&request.body)?;
            embeddings(request, number, before, &ask, &model)
        }
        ("GET" | "HEAD", "models", "") => plain(media::models(request)),
        ("GET" | "HEAD", "models", id) => plain(media::model(request, id)),
        ("POST", "audio", "speech") => {
            let (_, model) = Ask::read(&request.body)?;
            let behaviour = behaviour(&model)?;
            let reply = media::speech(&behaviour);
            Ok(dressed(behaviour, reply, request, number, before))
        }
        ("POST", "audio", "transcriptions" | "translations") => {
            let upload = read_upload(request)?;
            let behaviour = behaviour(upload.field("model").unwrap_or_default())?;
            let reply = media::transcription(&upload);
            Ok(dressed(behaviour, reply, request, number, before))
        }
        ("POST", "files", "") => plain(media::file_uploaded(number, &read_upload(request)?)),
        ("GET", "files", "") => plain(media::files()),
        ("GET", "files", id) => plain(match id.strip_suffix("/content") {
            Some(_) => media::speech(&Behaviour::default()),
            None => media::file(id),
        }),
        ("DELETE", "files", id) => plain(media::file_deleted(id)),
        _ => plain(media::echo(request)),
    }
}

/// Ask Sage's API.
fn ask_sage(request: &RawRequest, number: u64, before: u32, door: &str) -> Answered {
    let plain = |reply: Reply| Ok((Behaviour::default(), reply));
    if request.header("x-access-tokens").is_none() {
        return plain(query::denied());
    }
    match (&*request.method, door) {
        ("POST", "query") => generate(request, number, before, &QUERY),
        ("POST", "get-models") => plain(query::models()),
        _ => plain(media::echo(request)),
    }
}

/// Argo's API, in which the call says whether a stream is asked for.
fn of_argo(request: &RawRequest, number: u64, before: u32, call: &str) -> Answered {
    let asked = |stream: bool| -> Answered {
        let (mut ask, model) = Ask::read(&request.body)?;
        ask.stream = Some(stream);
        generated(request, number, before, &ARGO, ask, &model)
    };
    match (&*request.method, call) {
        ("POST", "chat/") => asked(false),
        ("POST", "streamchat/") => asked(true),
        ("POST", "embed/") => Ok((Behaviour::default(), argo::embeddings(&request.body))),
        _ => Ok((Behaviour::default(), media::echo(request))),
    }
}

/// Azure's calls, whose paths name the model.
fn of_azure(request: &RawRequest, number: u64, before: u32, call: &str) -> Answered {
    let (deployment, call) = call.split_once('/').unwrap_or((call, ""));
    let Some(model) = percent::decoded(deployment) else {
        return Err(Refused::new(
            400,
            "bad_path",
            "the deployment cannot be read",
        ));
    };
    let ask = || Ask::read_without_model(&request.body);
    match (&*request.method, call) {
        ("POST", "chat/completions") => {
            generated(request, number, before, &AZURE_CHAT, ask()?, &model)
        }
        ("POST", "completions") => {
            generated(request, number, before, &AZURE_COMPLETIONS, ask()?, &model)
        }
        ("POST", "embeddings") => embeddings(request, number, before, &ask()?, &model),
        _ => Ok((Behaviour::default(), media::echo(request))),
    }
}

/// Bedrock's runtime, whose paths name the model and say whether a stream is asked for.
fn of_bedrock(
    request: &RawRequest,
    number: u64,
    before: u32,
    path: bedrock::ModelPath<'_>,
) -> Answered {
    let Some(model) = percent::decoded(path.model) else {
        return Err(Refused::new(400, "bad_path", "the model cannot be read"));
    };
    let mut ask = Ask::read_without_model(&request.body)?;
    ask.stream = Some(bedrock::is_stream(request.path()));
    let format = match path.endpoint() {
        Endpoint::BedrockConverse => &CONVERSE,
        Endpoint::BedrockInvoke if bedrock::has_prompt(&request.body) => &COMPLETION,
        Endpoint::BedrockInvoke => &MESSAGE,
        _ => {
            return Ok(dressed(
                behaviour(&model)?,
                count(),
                request,
                number,
                before,
            ));
        }
    };
    generated(request, number, before, format, ask, &model)
}

/// Gemini's API, whose paths name the model.
fn gemini(request: &RawRequest, number: u64, before: u32) -> Answered {
    let plain = |reply: Reply| Ok((Behaviour::default(), reply));
    let path = ModelPath::read(request.path());
    let model = path.and_then(|path| percent::decoded(path.model));
    let is_list = request.path().ends_with("/models");
    let (Some(ModelPath { verb, .. }), Some(model)) = (path, model) else {
        return plain(match (&*request.method, is_list) {
            ("GET", true) => generate_content::models(),
            _ => media::echo(request),
        });
    };
    let Some(verb) = verb.filter(|_| request.method == "POST") else {
        return plain(generate_content::model(&model));
    };
    let mut ask = Ask::read_without_model(&request.body)?;
    let behaved = behaviour(&model)?;
    let whole = match verb {
        "countTokens" => generate_content::count(),
        "embedContent" | "batchEmbedContents" => generate_content::embeddings(&request.body),
        "generateContent" | "streamGenerateContent" => {
            ask.stream = Some(verb == "streamGenerateContent");
            let events = asks_for_events(request.query().unwrap_or_default());
            let format = if events { &EVENTS } else { &ARRAY };
            return generated(request, number, before, format, ask, &model);
        }
        _ => return plain(media::echo(request)),
    };
    Ok(dressed(behaved, whole, request, number, before))
}

fn embeddings(
    request: &RawRequest,
    number: u64,
    before: u32,
    ask: &Ask<'_>,
    model: &str,
) -> Answered {
    let behaviour = behaviour(model)?;
    let reply = media::embeddings(ask, model, &behaviour);
    Ok(dressed(behaviour, reply, request, number, before))
}

fn read_upload(request: &RawRequest) -> Result<Upload, Refused> {
    let refusal = || Refused::new(400, "invalid_form", "could not parse the multipart form");
    Upload::read(request).ok_or_else(refusal)
}

fn behaviour(model: &str) -> Result<Behaviour, Refused> {
    Behaviour::parse(model).map_err(|part| {
        let message = format!("the model `{model}` does not exist: unknown part `{part}`");
        Refused::new(404, "model_not_found", message)
    })
}

fn generate(request: &RawRequest, number: u64, before: u32, format: &Format) -> Answered {
    let (ask, model) = Ask::read(&request.body)?;
    generated(request, number, before, format, ask, &model)
}

fn generated(
    request: &RawRequest,
    number: u64,
    before: u32,
    format: &Format,
    ask: Ask<'_>,
    model: &str,
) -> Answered {
    let mut behaviour = behaviour(model)?;
    let streamed = ask.stream == Some(true) && behaviour.form != Form::Whole;
    if let Some(bytes) = behaviour.big_bytes.filter(|_| streamed) {
        behaviour.chunks = u32::try_from(bytes / u64::from(BIG_EVENT_BYTES)).unwrap_or(u32::MAX);
        behaviour.size_bytes = usize::try_from(BIG_EVENT_BYTES).ok();
    }
    let mut turn = Turn::new(number, model, &behaviour, &ask, request);
    let reply = if streamed {
        with_oddities(
            (format.stream)(&turn),
            &behaviour,
            format.end,
            Family::of(request),
        )
    } else if let Some(bytes) = behaviour.big_bytes {
        turn.said = Said::Text(String::new());
        big((format.whole)(&turn), format.text_mark, bytes)
    } else {
        (format.whole)(&turn)
    };
    Ok(dressed(behaviour, reply, request, number, before))
}

/// Makes a whole answer so many bytes long by filler in its empty text.
fn big(mut reply: Reply, mark: &str, bytes: u64) -> Reply {
    if let Body::Whole(body) = &reply.body {
        let frame_bytes = u64::try_from(body.len()).unwrap_or(u64::MAX);
        let fill_bytes = bytes.saturating_sub(frame_bytes);
        reply.body = Body::Filler(Filler::inside(body, mark, fill_bytes));
    }
    reply
}

/// Adds the end and the error event where they belong.
fn with_oddities(
    mut reply: Reply,
    behaviour: &Behaviour,
    end: &'static [u8],
    family: Family,
) -> Reply {
    let Oddities {
        no_done,
        error_event,
        ..
    } = behaviour.oddities;
    if let Body::Stream(script) = &mut reply.body {
        if !end.is_empty() && !no_done {
            script.after.push(end.to_vec());
        }
        if error_event {
            let message = "mock error inside the stream";
            let event = match family {
                Family::Openai | Family::Asksage => {
                    format!("data: {}\n\n", error_json(500, "server_error", message))
                }
                Family::Gemini => {
                    let error = gemini_error_json(503, message);
                    match end.is_empty() {
                        true => format!("data: {error}\r\n\r\n"),
                        false => format!(",\r\n{error}\n]\n"),
                    }
                }
                Family::Bedrock => {
                    // Both APIs have the same frame for it.
                    script.error = Some(exception(Endpoint::BedrockConverse, message));
                    return reply;
                }
                Family::Anthropic => {
                    format!(
                        "event: error\ndata: {}\n\n",
                        anthropic_error_json(529, message)
                    )
                }
            };
            script.error = Some(event.into_bytes());
        }
    }
    reply
}

/// Applies what concerns the HTTP answer as a whole.
fn dressed(
    behaviour: Behaviour,
    reply: Reply,
    request: &RawRequest,
    number: u64,
    before: u32,
) -> (Behaviour, Reply) {
    let failing = |error: &&ErrorAnswer| {
        error.times.is_none_or(|times| before < times) && error.is_for(number)
    };
    let mut reply = match behaviour.error.as_ref().filter(failing) {
        Some(error) => failed(error, behaviour.echo, request),
        None => reply,
    };
    match behaviour.form {
        Form::AsAsked | Form::Whole | Form::Told(_) => {}
        Form::NodeError => reply = node::unreached(),
        Form::NoProvider => reply = node::nobody(),
        Form::Html => {
            reply.content_type = Some("text/html; charset=utf-8");
            reply.body = Body::Whole(HTML.to_vec());
        }
        Form::Redirect(status) => reply = redirect(status, request),
        Form::PlainType => reply.content_type = Some("text/plain; charset=utf-8"),
        Form::NoType => reply.content_type = None,
        Form::Trailing => {
            if let Body::Whole(body) = &mut reply.body {
                body.extend_from_within(..);
            }
        }
    }
    if behaviour.echo {
        for (name, value) in request.headers() {
            reply = reply.header(&format!("x-echo-{}", name.to_ascii_lowercase()), value);
        }
    }
    (behaviour, reply)
}

const HTML: &[u8] = b"<!doctype html><html><head><title>mock</title></head>\
    <body><h1>Bad gateway</h1></body></html>\n";

fn failed(error: &ErrorAnswer, echo: bool, request: &RawRequest) -> Reply {
    let status = error.status;
    let code = match status {
        401 => "invalid_api_key",
        404 => "model_not_found",
        429 => "rate_limit_exceeded",
        _ => "mock_error",
    };
    let seen = if echo {
        headers_json(request).to_string()
    } else {
        String::new()
    };
    let mut reply = Refused::new(
        status,
        code,
        format!("mock error {status} {seen}").trim_end(),
    )
    .reply(Family::of(request));
    let usual = matches!(status, 429 | 503 | 529).then_some(1);
    if let Some(seconds) = error.retry_after_s.or(usual) {
        reply = reply.header("retry-after", seconds.to_string());
    }
    if let Some(retry) = error.should_retry {
        reply = reply.header("x-should-retry", retry.to_string());
    }
    reply
}

/// Sends the peer to another path; a request there shows that it followed.
fn redirect(status: u16, request: &RawRequest) -> Reply {
    let host = request.header("host").unwrap_or("127.0.0.1");
    let location = format!("http://{host}/redirected");
    Reply::json(status, &Value::Null).header("location", location)
}
