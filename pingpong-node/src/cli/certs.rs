//! An authority and its certificates, as files. Nothing is ever overwritten but the list of what is revoked.

use super::output::{BAD, GOOD, Outcome, complain, counted, say, say_json, styled, table};
use clap::{Args, Subcommand};
use pingpong_node::quic::{Authority, CertificateError, CertificateInfo, Identity, Validity, date};
use pingpong_node::settings::check_private;
use pingpong_node::{ClusterName, NodeName};
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

/// A certificate that holds for less than this is said to expire soon.
const SOON: i64 = 14 * 86_400;

#[derive(Debug, Args)]
pub(super) struct Where {
    /// Directory of the authority (ca.pem, ca.key) and of the nodes' files (NAME.pem, NAME.key).
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Certs {
    /// Makes the authority of a new cluster: ca.pem and crl.pem, which every node gets, and ca.key, which no node needs.
    ///
    /// crl.pem lists who is revoked: nobody, until `certs revoke` writes it anew.
    ///
    /// Keep ca.key away from the nodes: whoever has it can add nodes to the cluster.
    Init {
        /// The cluster's name.
        #[arg(long)]
        cluster: ClusterName,
        /// How long it holds, such as 10years or 365days.
        #[arg(long, value_name = "TIME", default_value = "10years", value_parser = time)]
        valid: Duration,
        #[command(flatten)]
        at: Where,
    },
    /// Issues an identity for each node: NAME.pem and NAME.key. Copy both, ca.pem and crl.pem to that node.
    Issue {
        /// The nodes' names; each is the one DNS name of its certificate.
        #[arg(required = true, value_name = "NAME")]
        names: Vec<NodeName>,
        /// How long they hold, such as 1year or 30days.
        #[arg(long, value_name = "TIME", default_value = "1year", value_parser = time)]
        valid: Duration,
        #[command(flatten)]
        at: Where,
    },
    /// Revokes the certificates of nodes: moves them to revoked/, and writes crl.pem anew, which lists all that are there.
    ///
    /// Copy crl.pem to every node, where identity.revocations names it: a node that is linked is put out as soon as the others have
    /// read it. A new identity of that name can be issued.
    Revoke {
        /// The nodes' names.
        #[arg(required = true, value_name = "NAME")]
        names: Vec<NodeName>,
        #[command(flatten)]
        at: Where,
    },
    /// Shows what certificates say: names, dates, fingerprints.
    Show {
        /// Files with certificates (PEM).
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Checks the identities of nodes: that the authority vouches for them now, that each key is its certificate's and nobody else
    /// can read it. Fails if one is not right.
    Check {
        /// The nodes' names.
        #[arg(required = true, value_name = "NAME")]
        names: Vec<NodeName>,
        #[command(flatten)]
        at: Where,
    },
}

fn time(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| error.to_string())
}

#[derive(Debug, thiserror::Error)]
enum CertsError {
    #[error("{} is there already, and nothing is overwritten; choose another directory, or move it away", .0.display())]
    Exists(PathBuf),
    #[error("{} cannot be read: {error}; {remedy}", .path.display())]
    Read { path: PathBuf, error: io::Error, remedy: String },
    #[error("{} cannot be written: {error}; choose a directory that this user may write to", .path.display())]
    Write { path: PathBuf, error: io::Error },
    #[error("{}: {error}", .path.display())]
    File { path: PathBuf, error: CertificateError },
    #[error(transparent)]
    Authority(#[from] pingpong_node::quic::AuthorityError),
}

/// Does it.
pub(super) fn run(certs: Certs) -> ExitCode {
    let done = match certs {
        Certs::Init { cluster, valid, at } => init(&cluster, valid, &at),
        Certs::Issue { names, valid, at } => issue(&names, valid, &at),
        Certs::Revoke { names, at } => revoke(&names, &at),
        Certs::Show { files, json } => show(&files, json),
        Certs::Check { names, at } => Ok(check(&names, &at)),
    };
    done.unwrap_or_else(|error| complain(&error)).into()
}

/// `if_missing` is the remedy if there is no such file.
fn read(path: &Path, if_missing: impl Into<String>) -> Result<String, CertsError> {
    std::fs::read_to_string(path).map_err(|error| CertsError::Read {
        path: path.to_owned(),
        remedy: match error.kind() {
            io::ErrorKind::NotFound => if_missing.into(),
            io::ErrorKind::PermissionDenied => "read it as the user that owns it".to_owned(),
            _ => "it must be a file of text (PEM)".to_owned(),
        },
        error,
    })
}

const NO_AUTHORITY: &str = "`pingpong-node certs init` makes an authority, --dir says where it is";
const NO_CERTIFICATE: &str = "name a file with certificates (PEM)";

fn read_authority(dir: &Path) -> Result<Authority, CertsError> {
    let (certificate, key) = (dir.join("ca.pem"), dir.join("ca.key"));
    let apart = |there: &Path, what: &str| match there.exists() {
        true => {
            format!("do this where the authority was made, or put {what} back; a new authority would be another one")
        }
        false => NO_AUTHORITY.to_owned(),
    };
    let certificate_text = read(&certificate, apart(&key, "the file, of which each node has a copy,"))?;
    let key_text = read(&key, apart(&certificate, "the file"))?;
    Ok(Authority::from_pem(&certificate_text, &key_text)?)
}

/// Writes files that are not there yet, each with its mode. If one cannot be written, those before it are taken back.
fn write_new(files: &[(PathBuf, String, u32)]) -> Result<(), CertsError> {
    let mut written: Vec<&Path> = Vec::new();
    for (path, text, mode) in files {
        let result = OpenOptions::new().write(true).create_new(true).mode(*mode).open(path).and_then(|mut file| {
            written.push(path);
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        if let Err(error) = result {
            // What cannot be removed either is no worse than before.
            written.iter().for_each(|path| drop(std::fs::remove_file(path)));
            return Err(match error.kind() {
                io::ErrorKind::AlreadyExists => CertsError::Exists(path.clone()),
                _ => CertsError::Write { path: path.clone(), error },
            });
        }
    }
    Ok(())
}

const PRIVATE: u32 = 0o600;
const PUBLIC: u32 = 0o644;

fn init(cluster: &ClusterName, valid: Duration, at: &Where) -> Result<Outcome, CertsError> {
    let authority = Authority::new(cluster, valid)?;
    let made = std::fs::create_dir_all(&at.dir);
    made.map_err(|error| CertsError::Write { path: at.dir.clone(), error })?;
    let (certificate, key) = (at.dir.join("ca.pem"), at.dir.join("ca.key"));
    let (list, nobody) = (at.dir.join("crl.pem"), authority.revoke(&[], u64::try_from(now()).unwrap_or_default())?);
    write_new(&[
        (key.clone(), authority.key_pem(), PRIVATE),
        (certificate.clone(), authority.certificate_pem(), PUBLIC),
        (list.clone(), nobody, PUBLIC),
    ])?;
    let infos = infos(&certificate, NO_CERTIFICATE)?;
    if at.json {
        return Ok(say_json(
            &json!({ "certificate": certificate, "key": key, "list": list, "is": infos.iter().map(shown).collect::<Vec<_>>() }),
        ));
    }
    Ok(say(&format!(
        "{} and {} for every node, {} for nobody but you\n{}",
        certificate.display(),
        list.display(),
        key.display(),
        describe(&infos)
    )))
}

fn issue(names: &[NodeName], valid: Duration, at: &Where) -> Result<Outcome, CertsError> {
    let authority = read_authority(&at.dir)?;
    let mut issued = Vec::new();
    for name in names {
        let identity = authority.issue(name, Validity::from_now(valid))?;
        let (certificate, key) = (at.dir.join(format!("{name}.pem")), at.dir.join(format!("{name}.key")));
        write_new(&[(key.clone(), identity.key_pem(), PRIVATE), (certificate.clone(), identity.chain_pem(), PUBLIC)])?;
        let infos = infos(&certificate, NO_CERTIFICATE)?;
        if !at.json && say(&format!("{}\n{}\n", certificate.display(), key.display())) == Outcome::Failed {
            return Ok(Outcome::Failed);
        }
        issued.push((name, certificate, key, infos));
    }
    if at.json {
        let all: Vec<Value> = issued
            .iter()
            .map(|(name, certificate, key, infos)| {
                json!({ "name": name, "certificate": certificate, "key": key, "is": infos.iter().map(shown).collect::<Vec<_>>() })
            })
            .collect();
        return Ok(say_json(&all));
    }
    let infos: Vec<CertificateInfo> = issued.into_iter().flat_map(|(_, _, _, infos)| infos).collect();
    Ok(say(&describe(&infos)))
}

fn revoke(names: &[NodeName], at: &Where) -> Result<Outcome, CertsError> {
    let authority = read_authority(&at.dir)?;
    let cannot = |path: &Path| {
        let path = path.to_owned();
        move |error| CertsError::Write { path, error }
    };
    let revoked = at.dir.join("revoked");
    std::fs::create_dir_all(&revoked).map_err(cannot(&revoked))?;
    // All of them are there, before the first one is moved.
    let found: Result<Vec<(PathBuf, String)>, CertsError> = names
        .iter()
        .map(|name| {
            let path = at.dir.join(format!("{name}.pem"));
            // A new certificate would not do: the one that is out there stays good.
            let remedy = format!(
                "revoked is the very certificate that was issued: put it there, --dir says where it is; {name} itself has a copy"
            );
            let fingerprint = infos(&path, remedy)?.first().map(|info| info.fingerprint.clone()).unwrap_or_default();
            Ok((path, format!("{name}-{}", fingerprint.get(..16).unwrap_or_default())))
        })
        .collect();
    for (path, name) in found? {
        let to = revoked.join(format!("{name}.pem"));
        std::fs::rename(&path, &to).map_err(cannot(&path))?;
        // The key is worth nothing now; that of a node may never have been here.
        let _ = std::fs::rename(path.with_extension("key"), to.with_extension("key"));
    }
    let mut texts = Vec::new();
    let listed = std::fs::read_dir(&revoked).map_err(cannot(&revoked))?;
    let mut paths: Vec<PathBuf> = listed.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "pem"));
    paths.sort();
    for path in &paths {
        texts.push(read(path, NO_CERTIFICATE)?);
    }
    let certificates: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
    let list = authority.revoke(&certificates, u64::try_from(now()).unwrap_or_default())?;
    let (new, path) = (at.dir.join("crl.new"), at.dir.join("crl.pem"));
    let written = std::fs::write(&new, list).and_then(|()| std::fs::rename(&new, &path));
    written.map_err(cannot(&path))?;
    if at.json {
        return Ok(say_json(&json!({ "list": path, "revoked": paths })));
    }
    let listed = counted(paths.len() as u64, "revoked certificate");
    Ok(say(&format!("{} lists {listed}; copy it to every node\n", path.display())))
}

fn infos(path: &Path, remedy: impl Into<String>) -> Result<Vec<CertificateInfo>, CertsError> {
    let text = read(path, remedy)?;
    CertificateInfo::from_pem(text.as_bytes()).map_err(|error| CertsError::File { path: path.to_owned(), error })
}

fn shown(info: &CertificateInfo) -> Value {
    json!({
        "names": info.dns_names,
        "subject": info.subject,
        "issuer": info.issuer,
        "authority": info.is_authority,
        "begins": info.begins,
        "expires": info.expires,
        "fingerprint_sha256": info.fingerprint,
    })
}

fn describe(infos: &[CertificateInfo]) -> String {
    let rows = infos.iter().map(|info| {
        let name = if info.dns_names.is_empty() { info.subject.clone() } else { info.dns_names.join(", ") };
        let kind = if info.is_authority { "authority" } else { "node" };
        let left = info.expires - now();
        let style = if left > SOON { GOOD } else { BAD };
        vec![
            name,
            kind.to_owned(),
            date(info.begins),
            styled(style, date(info.expires)),
            info.issuer.clone(),
            info.fingerprint.get(..16).unwrap_or_default().to_owned(),
        ]
    });
    table(&["name", "kind", "holds from", "until", "issued by", "SHA-256"], rows)
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn show(files: &[PathBuf], json: bool) -> Result<Outcome, CertsError> {
    let mut all = Vec::new();
    for path in files {
        all.push((path, infos(path, NO_CERTIFICATE)?));
    }
    if json {
        let files: Vec<Value> = all
            .iter()
            .map(|(path, infos)| json!({ "file": path, "certificates": infos.iter().map(shown).collect::<Vec<_>>() }))
            .collect();
        return Ok(say_json(&files));
    }
    Ok(say(&describe(&all.into_iter().flat_map(|(_, infos)| infos).collect::<Vec<_>>())))
}

/// What is wrong with a node's files, or until when they hold.
fn check_one(name: &NodeName, dir: &Path) -> Result<i64, String> {
    let words = |error: CertsError| error.to_string();
    let (certificate, key) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
    let authority = read(&dir.join("ca.pem"), NO_AUTHORITY).map_err(words)?;
    let apart = |there: &Path| match there.exists() {
        true => format!(
            "put it back, or move {} away and make both anew by `pingpong-node certs issue {name}`",
            there.display()
        ),
        false => format!("`pingpong-node certs issue {name}` makes it, --dir says where it is"),
    };
    let certificate_text = read(&certificate, apart(&key)).map_err(words)?;
    let key_text = read(&key, apart(&certificate)).map_err(words)?;
    check_private(&key).map_err(|error| error.to_string())?;
    let identity = Identity::from_pem(authority.as_bytes(), certificate_text.as_bytes(), key_text.as_bytes());
    let identity = identity.map_err(|error| error.to_string())?;
    if identity.name() != name {
        return Err(format!("{} is that of {}", certificate.display(), identity.name()));
    }
    Ok(identity.expires())
}

fn check(names: &[NodeName], at: &Where) -> Outcome {
    let checked: Vec<(&NodeName, Result<i64, String>)> =
        names.iter().map(|name| (name, check_one(name, &at.dir))).collect();
    let ok = checked.iter().all(|(_, result)| result.is_ok());
    let said = if at.json {
        let all: Vec<Value> = checked
            .iter()
            .map(|(name, result)| match result {
                Ok(expires) => json!({ "name": name, "ok": true, "expires": expires }),
                Err(words) => json!({ "name": name, "ok": false, "error": words }),
            })
            .collect();
        say_json(&all)
    } else {
        let rows = checked.iter().map(|(name, result)| match result {
            Ok(expires) if expires - now() > SOON => {
                vec![name.to_string(), styled(GOOD, "ok"), format!("until {}", date(*expires))]
            }
            Ok(expires) => vec![name.to_string(), styled(BAD, "soon"), format!("until {}", date(*expires))],
            Err(words) => vec![name.to_string(), styled(BAD, "wrong"), words.clone()],
        });
        say(&table(&["name", "identity", "why, or until when"], rows))
    };
    if ok { said } else { Outcome::Failed }
}
