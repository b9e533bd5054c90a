//! The recorded webhooks of Vapi, with what their index says of them.

use super::project;
use bytes::Bytes;
use serde::Deserialize;
use std::path::PathBuf;

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sample {
    /// Its name in the folder of samples.
    pub(crate) file: String,
    /// `message.type`, as it is expected.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) reply_expected: bool,
    /// `ack`, `json` or `pcm`.
    pub(crate) reply_kind: String,
    /// A JSON pointer to the value that ties webhooks together.
    pub(crate) correlation: Option<String>,
    #[serde(skip)]
    pub(crate) bytes: Bytes,
}

impl Sample {
    pub(crate) fn path(&self) -> PathBuf {
        folder().join(&self.file)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }

    /// What `correlation` points to.
    pub(crate) fn key(&self) -> Option<String> {
        let json = self.json();
        json.pointer(self.correlation.as_ref()?)?.as_str().map(str::to_owned)
    }
}

/// All of them.
pub(crate) fn samples() -> Vec<Sample> {
    #[derive(Deserialize)]
    struct Index {
        fixtures: Vec<Sample>,
    }
    let text = std::fs::read(folder().join("index.json")).unwrap();
    let mut samples = serde_json::from_slice::<Index>(&text).unwrap().fixtures;
    for sample in &mut samples {
        sample.bytes = std::fs::read(sample.path()).unwrap().into();
    }
    samples
}

/// The one in this file, such as `tool-calls.json`.
pub(crate) fn sample(file: &str) -> Sample {
    samples()
        .into_iter()
        .find(|sample| sample.file == file)
        .unwrap_or_else(|| panic!("no sample {file}"))
}

fn folder() -> PathBuf {
    project().join("src/source/vapi/samples")
}
