//! What lets a request in: a secret of the command line, or what an endpoint of a configuration demands.

use std::path::Path;

use reqwest::Url;

use super::Arguments;
use crate::auth::credential::Credential;
use crate::cli::sign::{configured, header, of_provider};
use crate::cli::{Failure, load};
use crate::config::Endpoint;

/// The endpoint at this path of a configuration.
pub(super) fn endpoint(file: &Path, to: &Url) -> Result<Endpoint, Failure> {
    let config = load(file)?;
    let paths: Vec<_> = config.endpoints.iter().map(|one| one.path.clone()).collect();
    let endpoint = config.endpoints.into_iter().find(|endpoint| endpoint.path == to.path());
    endpoint.ok_or_else(|| {
        let what = format!("{} has no endpoint at {}", file.display(), to.path());
        Failure::wrong(what)
            .hint(format_args!("--to names its address; there are {}", paths.join(", ")))
    })
}

/// As the arguments say; `endpoint` is what they name in a configuration.
pub(super) fn credential(
    arguments: &Arguments,
    to: &Url,
    provider: &str,
    endpoint: Option<&Endpoint>,
) -> Result<Credential, Failure> {
    match (endpoint, &arguments.secret) {
        (Some(endpoint), _) => configured(endpoint),
        (None, None) => Ok(Credential::None),
        (None, Some(secret)) => match &arguments.secret_header {
            Some(name) => header(name.clone(), secret),
            None => of_provider(provider, secret, to.as_str()),
        },
    }
}
