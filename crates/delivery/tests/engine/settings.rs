//! Settings that cannot be used are told when the engine starts, with what is wrong and without a secret.

use crate::support::Scratch;
use crate::tls::Authority;
use std::path::PathBuf;
use tms_delivery::{Engine, EngineConfig, ProxySpec};

/// The message of the refusal; a detail and a hint come with it.
fn refused(config: EngineConfig) -> String {
    let problem = Engine::start(config).err().expect("it was accepted");
    assert!(problem.detail.is_some() && problem.hint.is_some(), "{problem:?}");
    assert!(!format!("{problem:?}").contains("hidden"), "{problem:?}");
    problem.message
}

fn with_authorities(path: PathBuf) -> EngineConfig {
    EngineConfig {
        ca_file: Some(path),
        ..EngineConfig::default()
    }
}

fn with_identity(chain: &Scratch, key: &Scratch) -> EngineConfig {
    EngineConfig {
        client_certificate: Some((chain.0.clone(), key.0.clone())),
        ..EngineConfig::default()
    }
}

#[test]
fn a_file_of_authorities_that_cannot_be_used_is_named() {
    let missing = refused(with_authorities("/nowhere/ca.pem".into()));
    assert!(
        missing.contains("/nowhere/ca.pem") && missing.contains("could not be read"),
        "{missing}"
    );
    let directory = refused(with_authorities(std::env::temp_dir()));
    assert!(directory.contains("it is no file"), "{directory}");
    for content in [
        "",
        "hidden",
        "-----BEGIN CERTIFICATE-----\nhi dd en?\n-----END CERTIFICATE-----\n",
    ] {
        let file = Scratch::new(content);
        let message = refused(with_authorities(file.0.clone()));
        assert!(message.contains("holds no certificate in PEM"), "{message}");
    }
    let file = Scratch::new("-----BEGIN CERTIFICATE-----\naGlkZGVu\n-----END CERTIFICATE-----\n");
    let message = refused(with_authorities(file.0.clone()));
    assert!(message.contains("cannot be an authority"), "{message}");
}

#[test]
fn a_client_certificate_needs_its_key() {
    let authority = Authority::new();
    let (one, other) = (authority.issue("one", |_| {}), authority.issue("other", |_| {}));
    let chain = Scratch::new(&one.certificate);
    let key = Scratch::new(&one.key);
    assert!(Engine::start(with_identity(&chain, &key)).is_ok());
    for (content, expected) in [
        (other.key.as_str(), "does not belong to the client certificate"),
        (one.certificate.as_str(), "holds no private key in PEM"),
        ("hidden", "holds no private key in PEM"),
    ] {
        let message = refused(with_identity(&chain, &Scratch::new(content)));
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_proxy_that_cannot_be_used_is_refused() {
    for (url, no_proxy) in [
        ("proxy:3128", ""),
        ("https://user:hidden@proxy:3128", ""),
        ("http://user:hidden@proxy:3128/path", ""),
        ("http://user:hidden@", ""),
        ("http://user:hidden@proxy:3128", "10.0.0.0/99"),
    ] {
        let message = refused(EngineConfig {
            proxy: Some(ProxySpec {
                url: url.into(),
                no_proxy: vec![no_proxy.into()],
            }),
            ..EngineConfig::default()
        });
        assert!(message.contains("proxy"), "{message}");
    }
}

#[test]
fn a_configuration_shows_no_credentials_and_is_comparable() {
    let with = |password: &str| EngineConfig {
        proxy: Some(ProxySpec {
            url: format!("http://user:{password}@proxy:3128"),
            no_proxy: Vec::new(),
        }),
        ..EngineConfig::default()
    };
    assert!(!format!("{:?}", with("hidden")).contains("hidden"));
    assert!(with("a") == with("a") && with("a") != with("b"));
}
