//! From the errors of the libraries to [`Failure`]. Their own texts are not passed on where they could hold a
//! name, an address or bytes of the message.

use crate::wire::Endless;
use rustls::CertificateError;
use std::error::Error;
use std::io;
use tms_domain::failure::Failure;

/// An I/O error in plain words.
pub(crate) fn words(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused",
        io::ErrorKind::ConnectionReset => "connection reset",
        io::ErrorKind::ConnectionAborted => "connection aborted",
        io::ErrorKind::NotConnected => "not connected",
        io::ErrorKind::BrokenPipe => "the receiver closed the connection while the request was sent",
        io::ErrorKind::UnexpectedEof => "the receiver closed the connection",
        io::ErrorKind::TimedOut => "the network gave up waiting for the receiver",
        io::ErrorKind::HostUnreachable => "host unreachable",
        io::ErrorKind::NetworkUnreachable => "network unreachable",
        io::ErrorKind::NetworkDown => "network down",
        io::ErrorKind::AddrNotAvailable => "no local address or port is available",
        io::ErrorKind::PermissionDenied => "the operating system does not permit the connection",
        _ => match error.raw_os_error() {
            Some(nix::libc::EMFILE | nix::libc::ENFILE) => "too many open files",
            _ => "input or output error",
        },
    }
}

/// An exchange that hyper gave up.
pub(crate) fn exchange(error: &hyper::Error) -> Failure {
    if let Some(tls) = source::<rustls::Error>(error) {
        return Failure::Tls(tls_words(tls));
    }
    if source::<Endless>(error).is_some() {
        return Failure::Protocol("128 KiB of interim answers came and no final one".into());
    }
    if error.is_parse_status() {
        return Failure::Protocol("the status line of the answer is not valid".into());
    }
    if error.is_parse() {
        return Failure::Protocol("the head of the answer is not valid HTTP or larger than 64 KiB".into());
    }
    if error.is_incomplete_message() {
        return Failure::Closed("the receiver closed the connection before its answer was complete".into());
    }
    if error.is_user() {
        return Failure::InvalidRequest("the request cannot be written as HTTP/1.1".into());
    }
    match source::<io::Error>(error) {
        Some(io)
            if matches!(
                io.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
            ) =>
        {
            Failure::Protocol("the body of the answer is not valid".into())
        }
        Some(io) => Failure::Closed(words(io).into()),
        None => Failure::Closed("the connection ended before the answer was complete".into()),
    }
}

/// A TLS handshake that failed.
pub(crate) fn handshake(error: &io::Error) -> Failure {
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    Failure::Tls(tls.map_or_else(|| format!("handshake: {}", words(error)), tls_words))
}

fn tls_words(error: &rustls::Error) -> String {
    use rustls::Error as Tls;
    match error {
        Tls::InvalidCertificate(reason) => format!("certificate refused: {}", certificate_words(reason)),
        Tls::AlertReceived(alert) => format!("the receiver ended the handshake: {alert:?}"),
        Tls::InvalidMessage(_) => "the receiver did not answer with TLS".into(),
        Tls::PeerIncompatible(_) => "no TLS version, cipher or extension in common".into(),
        Tls::NoCertificatesPresented => "the receiver showed no certificate".into(),
        Tls::NoApplicationProtocol => "the receiver does not offer HTTP/1.1".into(),
        _ => "the handshake failed".into(),
    }
}

fn certificate_words(reason: &CertificateError) -> &'static str {
    match reason {
        CertificateError::UnknownIssuer => "unknown issuer",
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "not valid yet",
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "not valid for the host name"
        }
        CertificateError::Revoked => "revoked",
        CertificateError::BadSignature => "bad signature",
        CertificateError::BadEncoding => "not a certificate",
        _ => "not acceptable",
    }
}

fn source<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        // io::Error hides the error it wraps from `source`, which goes on behind it.
        if let Some(inner) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref)
            && let Some(found) = (inner as &(dyn Error + 'static)).downcast_ref::<E>()
        {
            return Some(found);
        }
        cause = error.source();
    }
    None
}
