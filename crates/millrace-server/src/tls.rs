//! Encrypted connections: with a certificate that is given, or with one of an authority that is made for this store.
//!
//! The authority is for development: its key stands in the store, and whoever trusts its certificate trusts whoever can
//! read the store. Its certificate is made once and stays, so that clients are told of it once; the server's own is made
//! at each start.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose, SanType};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, version};

use crate::error::StartError;
use crate::keys::{FOLDER, write_private};

/// What clients name that speak HTTP/2, and what others do. Those who name nothing are recognised by what they send.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];
const AUTHORITY: &str = "authority.pem";
const AUTHORITY_KEY: &str = "authority.key";
const NAME: &str = "Millrace development authority";

/// The certificate of a store's development authority: what clients have to trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authority {
    /// Where its certificate stands, in PEM.
    pub path: PathBuf,
}

/// What connects to others, and trusts whom the system trusts.
pub(crate) fn client() -> Result<Arc<ClientConfig>, StartError> {
    let mut roots = RootCertStore::empty();
    // What of the system's certificates cannot be read is left out; a connection that needs it fails, and says so.
    let (_trusted, _unusable) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .map_err(|error| StartError::Certificate(format!("cannot connect with TLS: {error}")))?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

/// Encryption with a certificate that is given.
pub(crate) fn with_files(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, StartError> {
    let certificates = read_certificates(certificate)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| {
        StartError::Certificate(format!("expected a private key in PEM in {}, got: {error}", key.display()))
    })?;
    config(certificates, key)
}

/// Encryption with a certificate of the store's own authority, which is made where there is none yet.
pub(crate) fn with_authority(store: &Path, host: IpAddr) -> Result<(Arc<ServerConfig>, Authority), StartError> {
    let folder = store.join(FOLDER);
    let (path, key_path) = (folder.join(AUTHORITY), folder.join(AUTHORITY_KEY));
    let failed = |error: rcgen::Error| StartError::Certificate(format!("cannot make a certificate: {error}"));
    let io = |error| StartError::Io(format!("cannot keep the development authority in {}", folder.display()), error);
    if !path.exists() {
        fs::create_dir_all(&folder).map_err(io)?;
        let key = KeyPair::generate().map_err(failed)?;
        let made = CertifiedIssuer::self_signed(authority_params(), key).map_err(failed)?;
        write_private(&key_path, made.key().serialize_pem().as_bytes()).map_err(io)?;
        write_private(&path, made.pem().as_bytes()).map_err(io)?;
    }
    let key_pem = fs::read_to_string(&key_path).map_err(io)?;
    let issuer = rcgen::Issuer::new(authority_params(), KeyPair::from_pem(&key_pem).map_err(failed)?);
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, "localhost");
    params.subject_alt_names.push(SanType::IpAddress(host));
    let certificate = params.signed_by(&key, &issuer).map_err(failed)?;
    let key = PrivateKeyDer::try_from(key.serialize_der())
        .map_err(|error| StartError::Certificate(format!("cannot use the key that was made: {error}")))?;
    let mut chain = vec![certificate.der().clone()];
    chain.extend(read_certificates(&path)?);
    Ok((config(chain, key)?, Authority { path }))
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, StartError> {
    let refuse = |came: String| {
        StartError::Certificate(format!("expected certificates in PEM in {}, got: {came}", path.display()))
    };
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(certificates) if certificates.is_empty() => Err(refuse("none".to_owned())),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(refuse(error.to_string())),
    }
}

fn config(
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, StartError> {
    let refuse = |error| StartError::Certificate(format!("the certificate cannot be used: {error}"));
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .map_err(refuse)?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(refuse)?;
    config.alpn_protocols = PROTOCOLS.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(Arc::new(config))
}
