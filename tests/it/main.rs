//! Integration tests, one binary: each module is a subject.

mod cli;
mod columns;
mod filters;
mod http_framing;
mod kill_loop;
mod lifecycle;
mod outage;
mod providers;
mod schema;
mod store;
mod stream_faults;
mod support;
mod thread;
mod tls;
mod upstream_faults;
