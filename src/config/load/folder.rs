//! Where relative paths begin: at the directory of the configuration file, so that a command finds what it names from
//! wherever it is run.
//!
//! `spool.dir` is left as it is: what a process keeps doesn't belong beside its settings.

use std::path::{Path, PathBuf};

use crate::config::secret::Secret;
use crate::config::{Auth, Config, Kafka, Nats, Tls};

/// A word of librdkafka's for where the system keeps its authorities.
const PROBE: &str = "probe";

/// Let all files that a configuration names begin at this directory.
pub(super) fn resolve(config: &mut Config, folder: &Path) {
    if folder.as_os_str().is_empty() {
        return;
    }
    let file = |path: &mut PathBuf| *path = folder.join(&*path);
    for Tls { cert, key, client_ca, .. } in
        [&mut config.http.tls, &mut config.admin.tls].into_iter().flatten()
    {
        file(cert);
        file(key);
        client_ca.iter_mut().for_each(file);
    }
    if let Some(Nats { credentials, tls_ca, tls_cert, tls_key, .. }) = &mut config.nats {
        [credentials, tls_ca, tls_cert, tls_key].into_iter().flatten().for_each(file);
    }
    if let Some(Kafka { properties, .. }) = &mut config.kafka {
        let named = properties.iter_mut().filter(|(key, value)| {
            key.starts_with("ssl.") && key.ends_with(".location") && value.expose() != PROBE
        });
        for (_, value) in named {
            if let Some(path) = folder.join(value.expose()).to_str() {
                *value = Secret::new(path);
            }
        }
    }
    for auth in config.endpoints.iter_mut().flat_map(|endpoint| &mut endpoint.auth) {
        if let Auth::Jwt(jwt) = auth
            && !jwt.jwks.is_empty()
            && !jwt.jwks.contains("://")
            && let Some(path) = folder.join(&jwt.jwks).to_str()
        {
            jwt.jwks = path.to_owned();
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn files_begin_at_the_directory_of_the_configuration() {
        let text = r#"
            [http.tls]
            cert = "a.pem"
            key = "/etc/b.pem"
            [nats]
            credentials = "keys/c.creds"
            [kafka.properties]
            "ssl.ca.location" = "probe"
            "ssl.key.location" = "d.key"
            "sasl.password" = "e.location"
            [[endpoint]]
            name = "a"
            path = "/a"
            source = "vapi"
            [[endpoint.auth]]
            kind = "jwt"
            issuer = "i"
            audience = "j"
            jwks = "f.json"
            [[endpoint.auth]]
            kind = "jwt"
            issuer = "i"
            audience = "j"
            jwks = "https://g.example/jwks"
        "#;
        let mut config: Config = toml::from_str(text).unwrap();
        let before = config.clone();
        resolve(&mut config, Path::new(""));
        assert_eq!(config, before);
        resolve(&mut config, Path::new("/srv"));
        let tls = config.http.tls.as_ref().unwrap();
        assert_eq!((&*tls.cert, &*tls.key), (Path::new("/srv/a.pem"), Path::new("/etc/b.pem")));
        let nats = config.nats.as_ref().unwrap();
        assert_eq!(nats.credentials.as_deref(), Some(Path::new("/srv/keys/c.creds")));
        let properties = &config.kafka.as_ref().unwrap().properties;
        let values: Vec<_> = properties.values().map(Secret::expose).collect();
        assert_eq!(values, ["e.location", "probe", "/srv/d.key"]);
        let places: Vec<_> = config.endpoints[0]
            .auth
            .iter()
            .filter_map(|auth| match auth {
                Auth::Jwt(jwt) => Some(jwt.jwks.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(places, ["/srv/f.json", "https://g.example/jwks"]);
        assert_eq!(config.spool, before.spool);
    }
}
