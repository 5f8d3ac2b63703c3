//! What the Mesh and the backend are told.

use super::{IdentityFiles, QuicSettings, Settings, words};
use crate::store::{DataDir, Owner, StoreError};
use bytesize::ByteSize;
use pingpong_core::MeshConfig;
use pingpong_core::config::{ConfigError, Limits, Timeouts};
use pingpong_core::exercise::{Members, MembersError};
use pingpong_core::inbox::Allow;
use pingpong_core::link::DialError;
use pingpong_core::{NodeName, ServerName};
use pingpong_transport_quic::{BindError, Identity, QuicConfig, check_address};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files of an identity cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// A file cannot be read.
    #[error("{what} cannot be read from {}: {error}; check identity in the configuration", .path.display())]
    File {
        /// What is in it.
        what: &'static str,
        /// Where it is looked for.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Others than its owner may read the key.
    #[error(
        "the private key in {} can be read by others (its mode is {mode:03o}); take the right away, with `chmod 600`, or `chmod 640` if it is \
         root's and the node's group reads it; if others may have read it, issue a new one",
        .path.display()
    )]
    Readable {
        /// The key's file.
        path: PathBuf,
        /// The permission bits.
        mode: u32,
    },
    /// The files were read, and do not make an identity.
    #[error(
        "{error} (authority: {}, certificate: {}, key: {})",
        .files.authority.display(), .files.certificate.display(), .files.key.display()
    )]
    Unusable {
        /// What is wrong.
        error: pingpong_transport_quic::IdentityError,
        /// The files.
        files: Box<IdentityFiles>,
    },
    /// It is another node's.
    #[error(
        "the certificate in {} is that of {proved}, and the configuration names {configured}; correct the name, or give the \
         certificate of {configured}",
        .certificate.display()
    )]
    Name {
        /// The name in the configuration.
        configured: NodeName,
        /// The name in the certificate.
        proved: NodeName,
        /// The certificate's file.
        certificate: PathBuf,
    },
}

/// The settings do not make a node.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// A bound or a time is outside its range.
    #[error("{key} is {value}, allowed are {least} to {most}")]
    Range {
        /// The key.
        key: String,
        /// Its value.
        value: String,
        /// The smallest that is allowed.
        least: String,
        /// The greatest that is allowed.
        most: String,
    },
    /// Two keys that must be ordered are not.
    #[error("{smaller} is {smaller_value}, above {greater}, which is {greater_value}; raise {greater}")]
    Order {
        /// The key that must not be greater.
        smaller: String,
        /// Its value.
        smaller_value: String,
        /// The key that must not be smaller.
        greater: String,
        /// Its value.
        greater_value: String,
    },
    /// All bounds together are above the stated maximum (O1).
    #[error(
        "the bounds add up to {bytes}, limits.max_memory is {limit}; lower limits.max_peers, limits.lanes, limits.queue_bytes or \
         quic.lane_window, or raise limits.max_memory"
    )]
    Memory {
        /// The sum.
        bytes: String,
        /// The stated maximum.
        limit: String,
    },
    /// The Mesh refuses them otherwise.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A size is beyond what its field can hold, and so beyond its range.
    #[error("{key} is {size}, beyond its range: {help}")]
    Size {
        /// The key.
        key: &'static str,
        /// Its value.
        size: String,
        /// What `--help` says of it, with the range.
        help: &'static str,
    },
    /// An address is not one of this transport.
    #[error("{key} has {address:?}: {words}")]
    Address {
        /// The key.
        key: &'static str,
        /// The address.
        address: String,
        /// What is wrong with it.
        words: String,
    },
    /// A node has at most eight addresses.
    #[error("advertise has {count} addresses, a node tells at most {most}; keep those that peers can reach")]
    Advertise {
        /// How many there are.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// The identity cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The members make no sense.
    #[error("members: {0}")]
    Members(#[from] MembersError),
    /// The directory of the node's data cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Addresses that a node tells of itself.
const ADDRESSES: usize = 8;

fn bytes<N: TryFrom<u64>>(key: &'static str, size: ByteSize) -> Result<N, SettingsError> {
    N::try_from(size.as_u64()).map_err(|_| words::beyond(key, size.as_u64()))
}

impl Settings {
    /// The configuration of the Mesh, without a store.
    ///
    /// # Errors
    /// [`SettingsError::Size`], [`SettingsError::Advertise`], [`SettingsError::Address`].
    pub fn mesh(&self) -> Result<MeshConfig, SettingsError> {
        if self.advertise.len() > ADDRESSES {
            return Err(SettingsError::Advertise { count: self.advertise.len(), most: ADDRESSES });
        }
        for (key, addresses) in [("seeds", &self.seeds), ("advertise", &self.advertise)] {
            for address in addresses {
                let wrong = |error| match error {
                    DialError::Address { words, .. } => words,
                    error => error.to_string(),
                };
                check_address(address).map_err(|error| SettingsError::Address {
                    key,
                    address: address.to_string(),
                    words: wrong(error),
                })?;
            }
        }
        let (l, t) = (&self.limits, &self.timeouts);
        let mut config = MeshConfig::new(self.cluster.clone(), self.name.clone());
        config.seeds = self.seeds.clone();
        config.limits = Limits {
            max_peers: l.max_peers,
            max_servers: l.max_servers,
            lanes: l.lanes,
            queue_bytes: bytes("limits.queue_bytes", l.queue_bytes)?,
            mailbox_bytes: bytes("limits.mailbox_bytes", l.mailbox_bytes)?,
            max_message: bytes("limits.max_message", l.max_message)?,
            large_bytes: bytes("limits.large_bytes", l.large_bytes)?,
            max_calls: l.max_calls,
            reply_bytes: bytes("limits.reply_bytes", l.reply_bytes)?,
            max_memory: l.max_memory.as_u64(),
        };
        config.timeouts = Timeouts {
            failure: t.failure,
            stall: t.stall,
            forget_after: t.forget_after,
            dial: t.dial,
            redial: t.redial,
        };
        Ok(config)
    }

    /// The same, with the store of the node's data directory, which nobody else may use as long as that lives.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn mesh_with_store(&self) -> Result<MeshConfig, SettingsError> {
        let mut config = self.mesh()?;
        if let Some(data) = &self.data {
            config.incarnations = Arc::new(DataDir::open(data, &self.name)?);
        }
        Ok(config)
    }

    /// Who votes; nobody, if no members are named.
    ///
    /// # Errors
    /// [`SettingsError::Members`].
    pub fn voters(&self) -> Result<Option<Members>, SettingsError> {
        let names = self.members.iter().cloned();
        let members = (!self.members.is_empty()).then(|| Members::new(self.cluster.clone(), names));
        Ok(members.transpose()?)
    }

    /// The file of the node's counts, in its data directory.
    pub fn counts_file(&self) -> Option<PathBuf> {
        self.data.as_ref().map(|data| data.join("counts.redb"))
    }

    /// Whose counts are in it.
    pub fn owner(&self) -> Owner {
        Owner { cluster: self.cluster.clone(), node: self.name.clone() }
    }

    /// Reads the identity, and checks that it is this node's and its key nobody else's.
    ///
    /// # Errors
    /// [`IdentityError`] names the file and the remedy.
    pub fn read_identity(&self) -> Result<Identity, IdentityError> {
        let files = &self.identity;
        let read = |what: &'static str, path: &Path| {
            std::fs::read(path).map_err(|error| IdentityError::File { what, path: path.to_owned(), error })
        };
        let authority = read("the authority's certificate", &files.authority)?;
        let certificate = read("the node's certificate", &files.certificate)?;
        check_private(&files.key)?;
        let key = read("the node's private key", &files.key)?;
        let revocations = match &files.revocations {
            Some(path) => Some(read("the revocation list", path)?),
            None => None,
        };
        let identity = Identity::from_pem(&authority, &certificate, &key)
            .and_then(|identity| match &revocations {
                Some(lists) => identity.with_revocations(lists),
                None => Ok(identity),
            })
            .map_err(|error| IdentityError::Unusable { error, files: Box::new(files.clone()) })?;
        if *identity.name() != self.name {
            return Err(IdentityError::Name {
                configured: self.name.clone(),
                proved: identity.name().clone(),
                certificate: files.certificate.clone(),
            });
        }
        Ok(identity)
    }

    /// The configuration of the endpoint.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn quic(&self, identity: Identity) -> Result<QuicConfig, SettingsError> {
        let mut config = QuicConfig::for_mesh(self.listen, identity, &self.mesh()?);
        let QuicSettings { lane_window, send_window, max_udp_payload, socket_buffer } = self.quic;
        config.advertise = self.advertise.clone();
        config.lane_window = bytes("quic.lane_window", lane_window)?;
        config.send_window = bytes("quic.send_window", send_window)?;
        config.max_udp_payload = max_udp_payload;
        config.socket_buffer = bytes("quic.socket_buffer", socket_buffer)?;
        Ok(config)
    }

    /// Checks every bound and time, and how they fit together, before anything is started.
    ///
    /// # Errors
    /// [`SettingsError`] names the key, its value and the range, or the remedy.
    pub fn check(&self, quic: &QuicConfig) -> Result<(), SettingsError> {
        // Whatever else is wrong with the endpoint shows when it is bound.
        if let Err(BindError::Range { field, value, least, most }) = quic.check() {
            return Err(words::range(field, value, least, most));
        }
        self.mesh()?.check(&quic.endpoint()).map_err(words::config)
    }

    /// Whom a server serves.
    pub fn allow(&self, server: &ServerName) -> Allow {
        match self.servers.get(server) {
            Some(settings) => Allow::Only(Arc::new(settings.allow.iter().cloned().collect())),
            None => Allow::Everyone,
        }
    }
}

/// Checks who may read a private key: its owner alone; its group as well if root owns it, as secrets are mounted.
///
/// # Errors
/// [`IdentityError::Readable`], or what the system says when it is asked.
#[cfg(unix)]
pub fn check_private(path: &Path) -> Result<(), IdentityError> {
    use std::os::unix::fs::MetadataExt;
    let what = "the node's private key";
    let metadata =
        std::fs::metadata(path).map_err(|error| IdentityError::File { what, path: path.to_owned(), error })?;
    let mode = metadata.mode() & 0o777;
    let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if mode & forbidden == 0 {
        return Ok(());
    }
    Err(IdentityError::Readable { path: path.to_owned(), mode })
}

/// Not known here.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn check_private(_: &Path) -> Result<(), IdentityError> {
    Ok(())
}
