//! What Redis does in one step: names of keys, commands, and the scripts behind two of them. For Redis 5 and newer;
//! not for a cluster.

use std::time::Duration;

use redis::{Cmd, cmd};

use super::whole_ms;

/// Every name of ours begins so.
const PREFIX: &str = "aiproxy:";

/// `KEYS[1]`: the value; `ARGV`: the moment, and its milliseconds from now. Gives the moment that holds.
const SET_IF_LATER: &str = r"
local held = redis.call('GET', KEYS[1])
held = held and string.match(held, '^%d+$') and tonumber(held)
local wanted = tonumber(ARGV[1])
if held and wanted <= held then return held end
if tonumber(ARGV[2]) > 0 then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return wanted";

/// `KEYS[1]`: a list of the moments of the last ones taken in microseconds of the server's clock, the newest first;
/// `ARGV[1]`: how many a second. Gives the microseconds until one is free, 0 when it was given. A newest from the future
/// means that the clock was set back: what is known then says nothing.
const TAKE: &str = r"
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local most = tonumber(ARGV[1])
local newest = redis.call('LINDEX', KEYS[1], 0)
if newest and now < tonumber(newest) then redis.call('DEL', KEYS[1]) end
local before = redis.call('LINDEX', KEYS[1], most - 1)
if before and now < tonumber(before) + 1000000 then return tonumber(before) + 1000000 - now end
redis.call('LPUSH', KEYS[1], string.format('%.0f', now))
redis.call('LTRIM', KEYS[1], 0, most - 1)
redis.call('PEXPIRE', KEYS[1], 2000)
return 0";

fn value_name(key: &str) -> String {
    format!("{PREFIX}value:{key}")
}

pub(super) fn get(key: &str) -> Cmd {
    let mut command = cmd("GET");
    command.arg(value_name(key));
    command
}

pub(super) fn get_many(keys: &[String]) -> Cmd {
    let mut command = cmd("MGET");
    for key in keys {
        command.arg(value_name(key));
    }
    command
}

/// `ttl` is not zero.
pub(super) fn set(key: &str, value: &[u8], ttl: Duration) -> Cmd {
    let mut command = cmd("SET");
    let name = value_name(key);
    command.arg(name).arg(value).arg("PX").arg(whole_ms(ttl));
    command
}

pub(super) fn delete(key: &str) -> Cmd {
    let mut command = cmd("DEL");
    command.arg(value_name(key));
    command
}

pub(super) fn set_if_later(key: &str, until_unix_ms: i64, left: Duration) -> Cmd {
    let mut command = cmd("EVAL");
    command.arg(SET_IF_LATER).arg(1).arg(value_name(key));
    command.arg(until_unix_ms).arg(whole_ms(left));
    command
}

pub(super) fn take(key: &str, per_second: u32) -> Cmd {
    let mut command = cmd("EVAL");
    command.arg(TAKE).arg(1).arg(format!("{PREFIX}rate:{key}"));
    command.arg(per_second);
    command
}

/// A write by a script: a server that merely answers may be a replica, full, or without scripts.
pub(super) fn probe() -> Cmd {
    let mut command = cmd("EVAL");
    command.arg(TAKE).arg(1).arg(format!("{PREFIX}probe"));
    command.arg(1_000);
    command
}
