//! The providers that are built in: descriptions in the form of the configuration file, each with a page for the docs
//! and samples.
//!
//! A description is parsed when something asks for its provider, and stays parsed.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, OnceLock};

use include_dir::{Dir, File, include_dir};
use serde::Deserialize;

use super::Sample;
use crate::config::provider::Provider;

static FOLDER: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/src/source/providers");

/// What stands before the page of a provider, which is no part of its description.
const PAGE: &str = "\n[page]\n";

/// A provider that is built in.
#[derive(Debug)]
pub struct BuiltIn {
    /// Its name.
    pub name: &'static str,
    /// Its description as it is written, with the facts' sources: what a user can copy and change.
    pub text: &'static str,
    /// The same, parsed.
    pub provider: Arc<Provider>,
    /// What its page in the docs says.
    pub page: Page,
    /// Its webhooks.
    pub samples: Vec<Sample>,
}

/// The words of a provider's page in the docs; what can be made from the description isn't here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// Where it stands in the table of providers: `voice`, `answers` or `events`.
    pub group: String,
    /// One line about it.
    pub summary: String,
    /// What its facts rest on.
    pub evidence: Evidence,
    /// Where the secret comes from.
    pub secret: String,
    /// What is to be done at the provider's side.
    pub setup: String,
    /// How long it waits, and what it sends again.
    #[serde(default)]
    pub retries: String,
    /// Rules that its users need.
    #[serde(default)]
    pub route: String,
    /// How workers answer it.
    #[serde(default)]
    pub answers: String,
    /// What else there is to know.
    #[serde(default)]
    pub notes: String,
}

/// What facts rest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Evidence {
    /// The vendor's own SDK or sample code.
    Sdk,
    /// The vendor's documentation.
    Docs,
    /// Neither: the page says what is open.
    Unverified,
}

impl Evidence {
    /// In one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sdk => "sdk",
            Self::Docs => "docs",
            Self::Unverified => "unverified",
        }
    }
}

/// A file of the folder.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    provider: BTreeMap<String, Provider>,
    page: Page,
    #[serde(default, rename = "sample")]
    samples: Vec<Sample>,
}

/// A file, and what stands in it once something has asked for it.
struct Entry {
    file: &'static File<'static>,
    parsed: OnceLock<Option<BuiltIn>>,
}

static ALL: LazyLock<BTreeMap<&'static str, Entry>> = LazyLock::new(|| {
    let files = FOLDER.files().filter_map(|file| {
        let name = file.path().file_stem()?.to_str()?;
        Some((name, Entry { file, parsed: OnceLock::new() }))
    });
    files.collect()
});

/// The names of all of them, in the order of the alphabet.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    ALL.keys().copied()
}

/// The provider of this name.
pub(super) fn find(name: &str) -> Option<&'static BuiltIn> {
    let (name, Entry { file, parsed }) = ALL.get_key_value(name)?;
    parsed.get_or_init(|| read(name, file.contents_utf8()?).ok()).as_ref()
}

/// A test reads all of them: an error is for it.
fn read(name: &'static str, text: &'static str) -> Result<BuiltIn, String> {
    let Written { mut provider, page, samples } =
        toml::from_str(text).map_err(|error| error.to_string())?;
    let is_alone = provider.len() == 1;
    let provider = provider.remove(name).filter(|_| is_alone);
    let provider = provider.ok_or(format!("`[provider.{name}]` is what is described here"))?;
    let text = text.split_once(PAGE).ok_or("`[page]` comes behind the description")?.0;
    Ok(BuiltIn { name, text, provider: Arc::new(provider), page, samples })
}
