//! Integration tests, one binary: each module is a subject.

mod cli;
mod client_faults;
mod columns;
mod decode_rows;
mod filters;
mod http_framing;
mod kill_loop;
mod leaving;
mod lifecycle;
mod outage;
mod promises;
mod providers;
mod replay;
mod routes;
mod schema;
mod security;
mod smuggling;
mod store;
mod stream;
mod stream_faults;
mod support;
mod thread;
mod timeouts;
mod tls;
mod upload;
mod upstream_faults;
