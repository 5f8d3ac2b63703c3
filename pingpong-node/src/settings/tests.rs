use super::*;
use std::path::Path;

const FILE: &str = r#"
name = "n1"
cluster = "prod"
[identity]
authority = "ca.pem"
certificate = "n1.pem"
key = "n1.key"
"#;

fn at() -> &'static Path {
    Path::new("node.toml")
}

fn read(more: &str) -> Result<Settings, SourceError> {
    // Keys of the top table come first.
    Settings::from_toml(at(), &format!("{more}\n{FILE}"))
}

fn key(path: &str) -> &'static Key {
    KEYS.iter().find(|key| key.path == path).unwrap()
}

fn all_paths(table: &toml::Table, before: &str, paths: &mut Vec<String>) {
    for (name, value) in table {
        let path = format!("{before}{name}");
        match value {
            toml::Value::Table(inner) if path != "servers" => all_paths(inner, &format!("{path}."), paths),
            _ => paths.push(path),
        }
    }
}

#[test]
fn the_defaults_are_those_of_the_mesh_and_the_backend() {
    let settings = read("").unwrap();
    let mesh = settings.mesh().unwrap();
    assert_eq!((mesh.limits, mesh.timeouts), (Limits::default(), Timeouts::default()));
    let authority = pingpong_transport_quic::Authority::new(&settings.cluster, Duration::from_secs(60)).unwrap();
    let valid = pingpong_transport_quic::Validity::from_now(Duration::from_secs(60));
    let identity = authority.issue(&settings.name, valid).unwrap();
    let (ours, theirs) =
        (settings.quic(identity.clone()).unwrap(), pingpong_transport_quic::QuicConfig::new(settings.listen, identity));
    assert_eq!(
        (ours.lane_window, ours.send_window, ours.max_udp_payload, ours.socket_buffer),
        (theirs.lane_window, theirs.send_window, theirs.max_udp_payload, theirs.socket_buffer)
    );
}

#[test]
fn every_field_has_a_key_and_every_key_a_field() {
    let mut settings = read("").unwrap();
    settings.data = Some("data".into());
    settings.identity.revocations = Some("crl.pem".into());
    settings.control.socket = Some("socket".into());
    settings.health.listen = Some(settings.listen);
    settings.servers.insert(ServerName::new("s").unwrap(), ServerSettings::default());
    let mut fields = Vec::new();
    all_paths(&toml::Table::try_from(settings).unwrap(), "", &mut fields);
    let mut keys: Vec<String> = KEYS.iter().map(|key| key.path.to_owned()).collect();
    fields.sort();
    keys.sort();
    assert_eq!(keys, fields);
}

#[test]
fn flags_win_over_variables_and_these_over_the_file() {
    let file =
        format!("min_links = 1\nseeds = [\"a:1\"]\n{FILE}\n[limits]\nmax_peers = 10\n[servers.s]\nallow = [\"x\"]");
    let variables = [
        ("PINGPONG_LIMITS_MAX_PEERS", "20"),
        ("PINGPONG_SEEDS", "b:1, c:1"),
        ("PINGPONG_TIMEOUTS_FAILURE", "1s 500ms"),
        ("PINGPONG_ALLOW", "s=a,b;other="),
        ("PINGPONG_SERVICE_HOST", "of somebody else"),
    ];
    let sources = Sources::new().file(at(), &file).unwrap();
    let sources = sources.variables(variables.map(|(name, value)| (name.to_owned(), value.to_owned()))).unwrap();
    let sources = sources.flag(key("limits.max_peers"), "30").unwrap().flag(key("servers"), "third=d").unwrap();
    let settings = sources.flag(key("limits.queue_bytes"), "256 KiB").unwrap().settings().unwrap();
    assert_eq!((settings.min_links, settings.limits.max_peers), (1, 30));
    assert_eq!(settings.seeds, ["b:1", "c:1"].map(|seed| Address::new(seed).unwrap()));
    assert_eq!(settings.timeouts.failure, Duration::from_millis(1_500));
    assert_eq!(settings.mesh().unwrap().limits.queue_bytes, 256 << 10);
    let allowed: Vec<(&str, usize)> = settings.servers.iter().map(|(s, of)| (s.as_str(), of.allow.len())).collect();
    assert_eq!(allowed, [("other", 0), ("s", 2), ("third", 1)]);
}

#[test]
fn an_error_names_the_key_and_where_it_was_given() {
    let error = |more: &str| read(more).unwrap_err().to_string();
    assert!(error("listen = 5").starts_with("listen, given in node.toml, is not right: "), "{}", error("listen = 5"));
    assert!(error("colour = 1").contains("colour, given in node.toml, is not right: unknown field `colour`"));
    assert!(error("name = [").starts_with("node.toml cannot be read as TOML: "));
    let flag = |path: &str, text: &str| {
        let sources = Sources::new().file(at(), FILE).unwrap().flag(key(path), text);
        sources.and_then(Sources::settings).unwrap_err().to_string()
    };
    let words = flag("timeouts.failure", "soon");
    assert!(words.starts_with("timeouts.failure, given by --timeouts-failure, is not right: "), "{words}");
    assert!(
        flag("limits.max_peers", "many").contains("given by --limits-max-peers, is not right: \"many\" is no whole")
    );
    assert!(flag("name", "N1").contains("labels of 1 to 63 lower-case letters"), "{}", flag("name", "N1"));
    assert!(flag("servers", "consumer").contains("it must be SERVER=NODE"));
    let variable = [("PINGPONG_LISTEN".to_owned(), "here".to_owned())];
    let words =
        Sources::new().file(at(), FILE).unwrap().variables(variable).unwrap().settings().unwrap_err().to_string();
    assert!(words.contains("listen, given by PINGPONG_LISTEN, is not right"), "{words}");
}

#[test]
fn what_is_missing_is_said_with_all_ways_to_give_it() {
    let words = Settings::from_toml(at(), "cluster = \"prod\"").unwrap_err().to_string();
    assert_eq!(words, "name is missing: set it in the configuration file, by --name, or by PINGPONG_NAME");
    let words = Settings::from_toml(at(), "name = \"n1\"\ncluster = \"prod\"").unwrap_err().to_string();
    assert!(words.starts_with("identity.authority is missing: "), "{words}");
    let words = Settings::from_toml(at(), &FILE.replace("key = \"n1.key\"", "")).unwrap_err().to_string();
    assert!(words.starts_with("identity.key is missing: "), "{words}");
}

#[test]
fn bounds_that_are_too_large_are_refused() {
    let mut settings = read("").unwrap();
    settings.quic.lane_window = ByteSize::gib(8);
    settings.advertise = (0..9).map(|n| Address::new(&format!("a:{n}")).unwrap()).collect();
    let words = settings.mesh().unwrap_err().to_string();
    assert_eq!(words, "advertise has 9 addresses, a node tells at most 8; keep those that peers can reach");
}

#[test]
fn the_example_is_a_configuration_and_shows_the_defaults() {
    let text = example();
    assert!(text.lines().all(|line| line.len() <= 118), "it fits on a screen");
    let as_it_is = Settings::from_toml(at(), &text).unwrap();
    // All keys that stand in comments have the value that they have without.
    let uncommented: String = text
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.starts_with('[') && rest.ends_with(']') => rest,
            Some(rest) if rest.split_once(" = ").is_some_and(|(name, _)| !name.contains(' ')) => rest,
            _ => line,
        })
        .fold(String::new(), |all, line| all + line + "\n");
    let mut shown = Settings::from_toml(at(), &uncommented).unwrap();
    assert!(!shown.seeds.is_empty() && !shown.servers.is_empty() && shown.data.is_some(), "the examples are shown");
    (shown.seeds, shown.advertise, shown.servers, shown.data) = Default::default();
    (shown.control, shown.health, shown.identity.revocations, shown.members) = Default::default();
    assert_eq!(shown, as_it_is);
}
