//! Webhooks as providers post them: for `hookbus send`, tests and benches.

/// A recorded webhook, with invented values.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// How it is asked for, such as `tool-calls` or `tool-calls--parallel3`: the type, and for variants of it two dashes
    /// and a word.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// The body, byte for byte.
    pub body: &'static str,
    /// Headers that say something about it. `{uuid}` in a value is another id for each request.
    pub headers: &'static [(&'static str, &'static str)],
}
