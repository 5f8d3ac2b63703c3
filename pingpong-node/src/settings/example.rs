//! A configuration file with all keys, their meaning and their defaults.

use super::keys::{KEYS, Key, Kind};
use super::{Settings, Sources, words};
use bytesize::ByteSize;
use humantime_serde::re::humantime::parse_duration;
use std::fmt::Write;
use std::path::Path;
use toml::{Table, Value};

const HEAD: &str = "\
# A node of PingPong. Each key is also a flag (`limits.max_peers` is --limits-max-peers) and an environment variable
# (PINGPONG_LIMITS_MAX_PEERS); a flag wins over a variable, and that over this file.
# Times are written like 300ms, 2s, 24h; sizes like 64 KiB, 1 MiB.
";
/// Comments are broken before this column.
const WIDTH: usize = 118;

/// The text of the file: keys without a default are set, the others stand in comments.
pub fn example() -> String {
    let mut text = HEAD.to_owned();
    let defaults = defaults();
    let mut table = "";
    for key in KEYS {
        if key.kind == Kind::Allow {
            text.push('\n');
            comment(&mut text, key.help);
            for line in key.example.unwrap_or_default().lines() {
                let _ = writeln!(text, "# {line}");
            }
            continue;
        }
        let (of, name) = key.path.rsplit_once('.').unwrap_or(("", key.path));
        if of != table {
            table = of;
            let _ = write!(text, "\n[{table}]\n");
        } else if table.is_empty() {
            text.push('\n');
        }
        comment(&mut text, key.help);
        let shown = shown(key, &defaults);
        let _ = match key.required {
            true => writeln!(text, "{name} = {shown}"),
            false => writeln!(text, "# {name} = {shown}"),
        };
    }
    text
}

fn shown(key: &Key, defaults: &Table) -> String {
    if let Some(example) = key.example {
        return example.to_owned();
    }
    let (first, rest) = key.path.split_once('.').unwrap_or((key.path, ""));
    let mut value = defaults.get(first);
    for part in rest.split('.').filter(|part| !part.is_empty()) {
        value = value.and_then(Value::as_table).and_then(|inner| inner.get(part));
    }
    written(key, value).or_else(|| value.map(Value::to_string)).unwrap_or_default()
}

/// A size or a time as people write it, and as the other texts do.
fn written(key: &Key, value: Option<&Value>) -> Option<String> {
    let text = value?.as_str()?;
    let text = match key.value {
        "SIZE" => words::size(text.parse::<ByteSize>().ok()?.as_u64()),
        "TIME" => words::time(u64::try_from(parse_duration(text).ok()?.as_millis()).ok()?),
        _ => return None,
    };
    Some(format!("\"{text}\""))
}

/// What a node has whose file sets the required keys alone.
fn defaults() -> Table {
    let text: String = KEYS.iter().filter(|key| key.required).fold(String::new(), |mut text, key| {
        let _ = writeln!(text, "{} = {}", key.path, key.example.unwrap_or_default());
        text
    });
    let settings: Option<Settings> = Sources::new().file(Path::new("example"), &text).and_then(Sources::settings).ok();
    settings.and_then(|settings| Table::try_from(settings).ok()).unwrap_or_default()
}

fn comment(text: &mut String, words: &str) {
    let mut line = "#".to_owned();
    for word in words.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            let _ = writeln!(text, "{line}");
            line = "#".to_owned();
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(text, "{line}");
}
