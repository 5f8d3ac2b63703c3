//! What a certificate says: the name of a node, and how long it holds.

use pingpong_core::NodeName;
use rustls::pki_types::{CertificateDer, DnsName};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

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

/// When it holds.
pub(crate) fn dates(certificate: &CertificateDer<'_>) -> Result<Dates, String> {
    let parsed = parse(certificate)?;
    let validity = parsed.validity();
    Ok(Dates { not_before: validity.not_before.timestamp(), not_after: validity.not_after.timestamp() })
}
