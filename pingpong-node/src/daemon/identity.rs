//! Certificates that are renewed while a node runs: their files are looked at now and then, and at once at SIGHUP.
//!
//! What does not make an identity of this node is not taken, and said once for each change; the node goes on with what it has. A
//! certificate that will expire soon is said in time.

use crate::settings::Settings;
use pingpong_transport_quic::{Identity, Renewal};
use std::path::Path;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(30);
/// From when on it is said that a certificate will expire; of one that holds for a short time, in the last third of it.
const SOON: i64 = 14 * 86_400;
/// How often.
const REMIND: Duration = Duration::from_secs(86_400);

/// What a file was when it was read last.
type Seen = Option<(SystemTime, u64)>;

pub(super) struct Watched {
    settings: Settings,
    renewal: Renewal,
    seen: [Seen; 4],
    expires: watch::Sender<i64>,
    soon: i64,
    reminded: Option<Instant>,
}

impl Watched {
    pub(super) fn new(settings: Settings, renewal: Renewal, identity: &Identity) -> Self {
        let seen = seen(&settings);
        let expires = watch::Sender::new(identity.expires());
        Self { settings, renewal, seen, expires, soon: soon(identity), reminded: None }
    }

    /// Until when the certificate holds, in seconds since 1970.
    pub(super) fn expires(&self) -> watch::Receiver<i64> {
        self.expires.subscribe()
    }

    pub(super) async fn run(mut self, mut asked: watch::Receiver<u64>) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let by_signal = tokio::select! {
                _ = looks.tick() => false,
                Ok(()) = asked.changed() => true,
            };
            let now = seen(&self.settings);
            if by_signal || now != self.seen {
                self.seen = now;
                self.renew();
            }
            self.remind();
        }
    }

    fn renew(&mut self) {
        let read = self.settings.read_identity();
        let renewed = read.map_err(|error| error.to_string()).and_then(|identity| {
            self.renewal.renew(&identity).map_err(|error| error.to_string())?;
            Ok(identity)
        });
        match renewed {
            Ok(identity) => {
                (self.reminded, self.soon) = (None, soon(&identity));
                self.expires.send_replace(identity.expires());
            }
            Err(error) => {
                tracing::warn!(%error, "the identity was not renewed; the node goes on with the one that it has");
            }
        }
    }

    fn remind(&mut self) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let left = self.expires.borrow().saturating_sub(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        if left > self.soon || self.reminded.is_some_and(|at| at.elapsed() < REMIND) {
            return;
        }
        self.reminded = Some(Instant::now());
        let certificate = self.settings.identity.certificate.display();
        if left > 0 {
            tracing::warn!(%certificate, days = left / 86_400, "the node's certificate expires soon; put a new one in its place");
        } else {
            tracing::error!(%certificate, "the node's certificate has expired: no new link comes up; put a new one in its place");
        }
    }
}

fn soon(identity: &Identity) -> i64 {
    (identity.expires().saturating_sub(identity.begins()) / 3).min(SOON)
}

fn seen(settings: &Settings) -> [Seen; 4] {
    let files = &settings.identity;
    let of = |path: &Path| std::fs::metadata(path).ok().and_then(|file| Some((file.modified().ok()?, file.len())));
    let revocations = files.revocations.as_deref().and_then(of);
    [of(&files.authority), of(&files.certificate), of(&files.key), revocations]
}
