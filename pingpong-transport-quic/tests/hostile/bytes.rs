//! Bytes as `docs/wire.md` says them, by hand. Nothing here knows the project's types.

/// Kinds of control messages.
pub(crate) const TAKE: u8 = 1;
pub(crate) const READY: u8 = 2;
pub(crate) const PROBE: u8 = 3;
pub(crate) const PROBE_ACK: u8 = 4;
pub(crate) const ASK_PEERS: u8 = 6;
pub(crate) const PEERS: u8 = 7;

/// Numbers of close reasons.
pub(crate) const SURPLUS: u8 = 0;
pub(crate) const STALE: u8 = 1;
pub(crate) const LOST: u8 = 2;
pub(crate) const RAISE: u8 = 3;
pub(crate) const REPLACED: u8 = 4;
pub(crate) const DISCONNECTED: u8 = 8;
pub(crate) const OVERLOADED: u8 = 11;
pub(crate) const REFUSED: u8 = 12;
pub(crate) const PROTOCOL: u8 = 13;

/// The header of a control lane: two bytes, lane 0, role `Control`.
pub(crate) const CONTROL_LANE: [u8; 6] = [2, 0, 0, 0, 0, 0];

/// Seven bits a byte, the lowest first.
pub(crate) fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

pub(crate) fn text(text: &str) -> Vec<u8> {
    [varint(text.len() as u64), text.as_bytes().to_vec()].concat()
}

pub(crate) fn list(items: &[Vec<u8>]) -> Vec<u8> {
    [varint(items.len() as u64), items.concat()].concat()
}

/// A body behind its length, as control messages and lane headers are.
pub(crate) fn sized(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_le_bytes(), body].concat()
}

/// A heartbeat of session 1 without an echo: its count, which is its time too, and the digest of its sender's links.
pub(crate) fn heartbeat(count: u64, peers: u64) -> Vec<u8> {
    [varint(1), varint(count), varint(count), varint(0), vec![0], varint(peers)].concat()
}

/// The header of a lane for a server.
pub(crate) fn server_lane(lane: u16, server: &str) -> Vec<u8> {
    sized(&[varint(u64::from(lane)), vec![2], text(server)].concat())
}

/// The first bytes of a frame that is said to be so long, a cast of type 1.
pub(crate) fn frame_header(length: u32) -> Vec<u8> {
    [&length.to_le_bytes()[..], &[1, 0, 1, 0]].concat()
}

pub(crate) fn cast(body: &[u8]) -> Vec<u8> {
    [frame_header(8 + body.len() as u32), body.to_vec()].concat()
}

/// A call of type 1 whose caller waits for a minute.
pub(crate) fn call(id: u64, body: &[u8]) -> Vec<u8> {
    let prefix = [id, 60_000_000, 60_000_000].map(u64::to_le_bytes).concat();
    [&(8 + prefix.len() as u32 + body.len() as u32).to_le_bytes(), &[2, 0, 1, 0][..], &prefix, body].concat()
}

/// Everything that a node says of itself.
#[derive(Clone)]
pub(crate) struct Hello {
    pub(crate) cluster: &'static str,
    pub(crate) versions: [u64; 3],
    pub(crate) name: String,
    pub(crate) incarnation: [u64; 2],
    pub(crate) moment: u64,
    pub(crate) failure_timeout_millis: u64,
    pub(crate) lanes: u64,
    pub(crate) addresses: Vec<String>,
}

impl Hello {
    /// An honest one.
    pub(crate) fn of(name: &str) -> Self {
        Self {
            cluster: "test",
            versions: [1, 0, 0],
            name: name.to_owned(),
            incarnation: [1_000, 5],
            moment: 1,
            failure_timeout_millis: 2_000,
            lanes: 24,
            addresses: vec!["127.0.0.1:9".to_owned()],
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let addresses: Vec<_> = self.addresses.iter().map(|address| text(address)).collect();
        [
            vec![0],
            text(self.cluster),
            self.versions.iter().flat_map(|version| varint(*version)).collect(),
            text(&self.name),
            self.incarnation.iter().flat_map(|number| varint(*number)).collect(),
            varint(self.moment),
            vec![0],
            varint(300),
            varint(self.failure_timeout_millis),
            varint(self.lanes),
            list(&addresses),
        ]
        .concat()
    }

    /// A `Take` of this node, the chooser; `theirs` is what the taker's `Hello` has for random bits.
    pub(crate) fn take(&self, number: u64, theirs: u64) -> Vec<u8> {
        let [millis, random] = self.incarnation;
        [vec![TAKE], text(&self.name), varint(millis), varint(random), varint(number), varint(300), varint(theirs)]
            .concat()
    }
}

/// Reads what a node says.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl Reader<'_> {
    pub(crate) fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().expect("more bytes");
        self.0 = rest;
        *first
    }

    pub(crate) fn varint(&mut self) -> u64 {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = self.byte();
            number |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return number;
            }
        }
    }

    pub(crate) fn text(&mut self) -> String {
        let length = self.varint() as usize;
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        String::from_utf8(text.to_vec()).unwrap()
    }

    /// The random bits of a `Hello`, of which this has the body.
    pub(crate) fn random_of_hello(mut self) -> u64 {
        assert_eq!(self.byte(), 0, "a Hello");
        self.text();
        self.skip(3);
        self.text();
        self.skip(3);
        if self.byte() == 1 {
            self.text();
            self.skip(5);
        }
        self.varint()
    }

    fn skip(&mut self, varints: usize) {
        for _ in 0..varints {
            self.varint();
        }
    }
}
