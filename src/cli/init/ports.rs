//! The two ports: the configuration's own, or the next free ones.

use std::net::TcpListener;

use super::ask::Ask;
use super::sketch::{Judge, Sketch, number_or_text, put};

/// Asks for both.
///
/// # Errors
/// The terminal has gone.
pub(super) fn ask(ask: &Ask<'_>, judge: &Judge<'_>, sketch: &mut Sketch) -> anyhow::Result<()> {
    let defaults = judge.whole(&Sketch::default())?;
    let (server, admin) = (&defaults.server, &defaults.admin);
    let data = free_from(&server.host, server.port, None);
    let data = one(
        ask,
        judge,
        sketch,
        ("port for clients", "server.port"),
        (&server.host, data),
    )?;
    let management = free_from(&admin.host, admin.port, Some(data));
    one(
        ask,
        judge,
        sketch,
        ("port for metrics and management", "admin.port"),
        (&admin.host, management),
    )?;
    Ok(())
}

fn one(
    ask: &Ask<'_>,
    judge: &Judge<'_>,
    sketch: &mut Sketch,
    (prompt, path): (&str, &str),
    (host, offered): (&str, u16),
) -> anyhow::Result<u16> {
    loop {
        let answer = ask.text(prompt, &offered.to_string())?;
        let mut tried = sketch.clone();
        let lines = match path {
            "server.port" => &mut tried.server,
            _ => &mut tried.admin,
        };
        put(lines, "port", number_or_text(&answer));
        if let Some(objection) = judge.objection(&tried, &[path]) {
            ask.say(&objection);
            continue;
        }
        let port = answer.parse().unwrap_or(offered);
        let is_wanted = is_free(host, port)
            || ask.yes(
                &format!("port {port} is taken now; use it all the same"),
                Some(false),
            )?;
        if is_wanted {
            *sketch = tried;
            return Ok(port);
        }
    }
}

fn is_free(host: &str, port: u16) -> bool {
    TcpListener::bind((host, port)).is_ok()
}

/// The first free port from this one on, but for one that is spoken for; the port itself where none is free.
fn free_from(host: &str, port: u16, taken: Option<u16>) -> u16 {
    let mut free = (port..=u16::MAX).filter(|port| Some(*port) != taken && is_free(host, *port));
    free.next().unwrap_or(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_free_port_is_offered() {
        let host = "127.0.0.1";
        let taken = TcpListener::bind((host, 0)).expect("a port");
        let port = taken.local_addr().expect("an address").port();
        assert!(!is_free(host, port));
        let offered = free_from(host, port, None);
        assert_ne!(offered, port);
        assert_ne!(free_from(host, offered, Some(offered)), offered);
        // There is none behind it.
        let last = u16::MAX;
        assert_eq!(free_from(host, last, Some(last)), last);
    }
}
