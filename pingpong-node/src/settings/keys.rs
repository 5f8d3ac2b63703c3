//! Every key of the settings, described once.

/// What a key's text is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One value: a text, a time or a size.
    One,
    /// A whole number.
    Number,
    /// Several, apart by commas in a flag or a variable.
    List,
    /// `SERVER=NODE,NODE`, apart by semicolons in a variable; the flag may be given several times.
    Allow,
}

/// A key of the settings.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Where it stands in the file: tables and name, apart by dots.
    pub path: &'static str,
    /// What its text is read as.
    pub kind: Kind,
    /// What stands for its value in `--help`.
    pub value: &'static str,
    /// What it means, with unit, range and default.
    pub help: &'static str,
    /// What the example shows if there is no default.
    pub example: Option<&'static str>,
    /// Whether a node cannot do without it.
    pub required: bool,
}

const fn key(path: &'static str, value: &'static str, help: &'static str) -> Key {
    Key { path, kind: Kind::One, value, help, example: None, required: false }
}

const fn number(path: &'static str, value: &'static str, help: &'static str) -> Key {
    Key { kind: Kind::Number, ..key(path, value, help) }
}

const fn required(path: &'static str, value: &'static str, example: &'static str, help: &'static str) -> Key {
    Key { required: true, example: Some(example), ..key(path, value, help) }
}

const fn optional(path: &'static str, value: &'static str, example: &'static str, help: &'static str) -> Key {
    Key { example: Some(example), ..key(path, value, help) }
}

const fn list(path: &'static str, value: &'static str, example: &'static str, help: &'static str) -> Key {
    Key { kind: Kind::List, example: Some(example), ..key(path, value, help) }
}

/// All keys, in the order of the example file.
pub const KEYS: &[Key] = &[
    required("name", "NAME", "\"n1\"", "The node's name: the one DNS name in its certificate"),
    required("cluster", "NAME", "\"prod\"", "The cluster's name; nodes of another one are refused"),
    key("listen", "ADDR:PORT", "Where to listen (UDP). [::] takes IPv4 as well. Default [::]:4400"),
    list(
        "advertise",
        "HOST:PORT,...",
        "[\"n1.example:4400\"]",
        "Where peers can dial this node, at most 8: behind NAT or a relay the public address. Needed if it listens on all addresses \
         and peers are to dial it. Default: where it listens",
    ),
    list(
        "seeds",
        "HOST:PORT,...",
        "[\"n2.example:4400\", \"n3.example:4400\"]",
        "Addresses that are dialled for ever; a DNS name is resolved anew each time, all its A and AAAA records are tried. One that \
         works is enough for a full mesh. Default: none",
    ),
    number("min_links", "COUNT", "Links that there must be for the node to be ready. Default 0"),
    optional(
        "data",
        "DIR",
        "\"/var/lib/pingpong\"",
        "Directory, for this node alone, in which it keeps its incarnation, so that a restart is greater than its last life whatever \
         the clock says; and what it has counted. Default: none; the clock and the peers' memory decide, and counts end with the process",
    ),
    list(
        "members",
        "NODE,...",
        "[\"n1\", \"n2\", \"n3\"]",
        "The nodes that vote on counts, at most 31: what a majority of them has stored survives the loss of the others, and reads at level \
         `majority` are right even during a partition. The same on every node; changed only while all members are stopped. With three of \
         them one may fail; an even number tolerates no more than one less. Default: none, nobody votes",
    ),
    key(
        "leave",
        "TIME",
        "How long a node that is asked to stop may take to hand over what it has sent, and say goodbye. Default 10s",
    ),
    required("identity.authority", "FILE", "\"/etc/pingpong/ca.pem\"", "Certificates of the cluster's authority (PEM)"),
    required(
        "identity.certificate",
        "FILE",
        "\"/etc/pingpong/n1.pem\"",
        "The node's certificate (PEM), with those between it and the authority's",
    ),
    required(
        "identity.key",
        "FILE",
        "\"/etc/pingpong/n1.key\"",
        "The node's private key (PEM). The node does not start if others than its owner, or its group if root owns it, \
         can read it",
    ),
    optional(
        "identity.revocations",
        "FILE",
        "\"/etc/pingpong/crl.pem\"",
        "Certificates that the authority has revoked (PEM): `certs init` makes an empty list, `certs revoke` a new one. Who is on it is refused, and put out at once if \
         it is linked. Like the other files it is read again when it changes, and at SIGHUP. Default: none",
    ),
    key(
        "log.level",
        "LEVEL",
        "What is logged: error, warn, info, debug or trace, or directives for single parts. Default info,quinn_proto=error: what strangers \
         send is no warning",
    ),
    key("log.format", "FORMAT", "text, or json for one object a line. Default text"),
    optional(
        "control.socket",
        "PATH",
        "\"/run/pingpong/control.sock\"",
        "Unix socket by which the node is operated; its owner alone can open it. Default: none",
    ),
    optional(
        "health.listen",
        "ADDR:PORT",
        "\"127.0.0.1:8080\"",
        "Where health, readiness and metrics are served over HTTP: /health, /ready and /metrics. Default: nowhere",
    ),
    number("limits.max_peers", "COUNT", "Nodes that are linked or wanted at once: 1 to 10000. Default 128"),
    number("limits.max_servers", "COUNT", "Servers that may be registered: 1 to 10000. Default 256"),
    number(
        "limits.lanes",
        "COUNT",
        "Server names with a lane of their own on each link; further ones share one: 1 to 1000. The same on every node. Default 24",
    ),
    key("limits.queue_bytes", "SIZE", "What waits in a lane behind its slowest link: 4 KiB to 1 GiB. Default 128 KiB"),
    key("limits.mailbox_bytes", "SIZE", "What waits in the mailbox of a server: 4 KiB to 1 GiB. Default 128 KiB"),
    key("limits.max_message", "SIZE", "The largest message: 1 B to 1 GiB. The same on every node. Default 64 MiB"),
    key(
        "limits.large_bytes",
        "SIZE",
        "All messages above 64 KiB that are being sent; as much again for those received, for answers, and for answers of own servers. At \
         least twice max_message, at most 2 GiB. Default 256 MiB",
    ),
    number("limits.max_calls", "COUNT", "Calls of this node in flight: 1 to 1000000. Default 4096"),
    key(
        "limits.reply_bytes",
        "SIZE",
        "All answers up to 64 KiB that wait for the others of their call; one beyond it fails: 64 KiB to 1 GiB. Default 256 MiB",
    ),
    key(
        "limits.max_memory",
        "SIZE",
        "The greatest sum of all bounds; the node does not start beyond it. Default 16 GiB",
    ),
    key(
        "timeouts.failure",
        "TIME",
        "A peer that is silent for this long is down: 100ms to 1h; the greater of two nodes counts. Default 2s",
    ),
    key(
        "timeouts.stall",
        "TIME",
        "A peer or server that takes nothing for this long is cut, or stopped: timeouts.failure to 24h. Default 30s",
    ),
    key(
        "timeouts.forget_after",
        "TIME",
        "How long a node that was linked is dialled without an answer: timeouts.failure to 365d. Default 1d",
    ),
    key("timeouts.dial", "TIME", "How long one dial may take: 100ms to 10m, and at least timeouts.redial. Default 5s"),
    key("timeouts.redial", "TIME", "The shortest time between two dials of one node: 10ms to 1m. Default 300ms"),
    key("quic.lane_window", "SIZE", "What a lane holds at its receiving end: 4 KiB to 1 GiB. Default 1 MiB"),
    key(
        "quic.send_window",
        "SIZE",
        "What a link has sent and the peer not acknowledged: 4 KiB to 1 GiB. Default 1 MiB",
    ),
    number("quic.max_udp_payload", "BYTES", "The largest UDP packet that is tried: 1200 to 6500. Default 6500"),
    key(
        "quic.socket_buffer",
        "SIZE",
        "What each of the socket's two buffers is asked to hold: 4 KiB to 1 GiB; the system may grant less. Default 4 MiB",
    ),
    Key {
        path: "servers",
        kind: Kind::Allow,
        value: "SERVER=NODE,...",
        help: "The nodes that a server serves beside its own; others get `not allowed`. A server that is not named serves everyone",
        example: Some("[servers.consumer]\nallow = [\"n2\", \"n3\"]"),
        required: false,
    },
];

impl Key {
    /// The flag that sets it, without its dashes: `limits.max_peers` is `--limits-max-peers`.
    pub fn flag(&self) -> String {
        match self.kind {
            Kind::Allow => "allow".to_owned(),
            _ => self.path.replace(['.', '_'], "-"),
        }
    }

    /// The environment variable that sets it: `limits.max_peers` is `PINGPONG_LIMITS_MAX_PEERS`.
    pub fn variable(&self) -> String {
        format!("PINGPONG_{}", self.flag().replace('-', "_").to_uppercase())
    }
}
