//! What a certificate says: the name of a node, and how long it holds.

use crate::words;
use pingpong_core::NodeName;
use ring::digest::{SHA256, digest};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, DnsName};
use std::fmt::Write;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// What a certificate says of itself, for people. Nothing of it has been verified.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateInfo {
    /// Who it is about, as its issuer wrote it.
    pub subject: String,
    /// Who issued it.
    pub issuer: String,
    /// Its DNS names; a node's certificate has one, the node's name.
    pub dns_names: Vec<String>,
    /// Whether it is that of an authority.
    pub is_authority: bool,
    /// From when on it holds, in seconds since 1970 (UTC).
    pub begins: i64,
    /// Until when it holds, in seconds since 1970 (UTC).
    pub expires: i64,
    /// SHA-256 of the whole certificate, in hexadecimal digits.
    pub fingerprint: String,
}

/// A text has no certificates that can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// It is no PEM.
    #[error("it cannot be read as PEM: {0}")]
    Pem(String),
    /// It is PEM of something else: of a key, for example.
    #[error("there is no certificate in it")]
    Missing,
    /// A certificate is none.
    #[error("{0}")]
    Certificate(String),
}

impl CertificateInfo {
    /// Reads all certificates of a PEM file.
    ///
    /// # Errors
    /// [`CertificateError`] says what cannot be read; also if there is no certificate in it.
    pub fn from_pem(text: &[u8]) -> Result<Vec<Self>, CertificateError> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
        let found = found.map_err(|error| CertificateError::Pem(error.to_string()))?;
        if found.is_empty() {
            return Err(CertificateError::Missing);
        }
        found.iter().map(|one| Self::of(one).map_err(CertificateError::Certificate)).collect()
    }

    fn of(certificate: &CertificateDer<'_>) -> Result<Self, String> {
        let parsed = parse(certificate)?;
        let names = match parsed.subject_alternative_name() {
            Ok(Some(extension)) => &extension.value.general_names[..],
            _ => &[],
        };
        let dns_names = names.iter().filter_map(|name| match name {
            GeneralName::DNSName(text) => Some((*text).to_owned()),
            _ => None,
        });
        let digest = digest(&SHA256, certificate.as_ref());
        let fingerprint = digest.as_ref().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        let dates = dates(certificate)?;
        Ok(Self {
            subject: parsed.subject().to_string(),
            issuer: parsed.issuer().to_string(),
            dns_names: dns_names.collect(),
            is_authority: parsed.is_ca(),
            begins: dates.not_before,
            expires: dates.not_after,
            fingerprint,
        })
    }
}

/// Seconds since 1970 as a date and a time (UTC).
pub fn date(seconds: i64) -> String {
    words::date(seconds)
}

/// A node's name is not to be had from a certificate; the words say why.
pub(crate) type NoName = String;

/// When a certificate holds, in seconds since 1970 (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dates {
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, String> {
    match X509Certificate::from_der(certificate.as_ref()) {
        Ok((_, parsed)) => Ok(parsed),
        Err(error) => Err(format!("it is no X.509 certificate: {error}")),
    }
}

/// The node's name: the one DNS name among the subject's alternative names.
pub(crate) fn node_name(certificate: &CertificateDer<'_>) -> Result<NodeName, NoName> {
    let parsed = parse(certificate)?;
    let names = match parsed.subject_alternative_name() {
        Ok(Some(extension)) => &extension.value.general_names[..],
        Ok(None) => &[],
        Err(error) => return Err(format!("its alternative names cannot be read: {error}")),
    };
    let mut dns = names.iter().filter_map(|name| match name {
        GeneralName::DNSName(text) => Some(*text),
        _ => None,
    });
    let (Some(name), None) = (dns.next(), dns.next()) else {
        let count = names.iter().filter(|name| matches!(name, GeneralName::DNSName(_))).count();
        return Err(format!("it has {count} DNS names, and must have one: the node's name"));
    };
    let name = NodeName::new(name).map_err(|error| format!("its DNS name is no node name: {error}"))?;
    match DnsName::try_from(name.as_str()) {
        Ok(_) => Ok(name),
        Err(_) => Err(format!("{name} cannot be verified as a DNS name: its last label must not be a number")),
    }
}

/// Its serial number, as its authority tells it from others.
pub(crate) fn serial(certificate: &CertificateDer<'_>) -> Result<Vec<u8>, String> {
    Ok(parse(certificate)?.raw_serial().to_vec())
}

/// When it holds.
pub(crate) fn dates(certificate: &CertificateDer<'_>) -> Result<Dates, String> {
    let parsed = parse(certificate)?;
    let validity = parsed.validity();
    Ok(Dates { not_before: validity.not_before.timestamp(), not_after: validity.not_after.timestamp() })
}
