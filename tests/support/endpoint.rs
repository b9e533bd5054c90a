//! Endpoints of a configuration, as text.

use std::fmt;

/// What [`endpoint`] makes of `hook`, for format strings.
pub(crate) const HOOK: &str = "\
[[endpoint]]
name = \"hook\"
path = \"/hook\"
source = \"vapi\"
[[endpoint.auth]]
kind = \"none\"
";

/// A rule for all events of an endpoint: they are dropped.
pub(crate) const DROP: &str = "[[endpoint.event]]\ntypes = [\"*\"]\nto = []\n";

/// An endpoint that Vapi posts to, at the path of its name. Everybody may post there unless it says otherwise.
pub(crate) fn endpoint(name: &str) -> Endpoint {
    Endpoint {
        name: name.to_owned(),
        keys: String::new(),
        auth: String::new(),
        tables: String::new(),
    }
}

/// One `[[endpoint]]`, to be written into a configuration.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    name: String,
    keys: String,
    auth: String,
    tables: String,
}

impl Endpoint {
    /// Keys of its own, such as `answer_window = "1s"`.
    pub(crate) fn keys(mut self, keys: &str) -> Self {
        self.keys.push_str(&format!("{keys}\n"));
        self
    }

    /// One way to be let in: the keys of an `[[endpoint.auth]]`.
    pub(crate) fn auth(mut self, keys: &str) -> Self {
        self.auth.push_str(&format!("[[endpoint.auth]]\n{keys}\n"));
        self
    }

    /// One of these secrets lets in, in the header that Vapi uses.
    pub(crate) fn secrets(self, secrets: &[&str]) -> Self {
        self.auth(&format!("kind = \"secret\"\nheader = \"x-vapi-secret\"\nsecrets = {secrets:?}"))
    }

    /// All events go to these destinations; an empty list drops them.
    pub(crate) fn events_to(self, to: &[&str]) -> Self {
        self.tables(&format!("[[endpoint.event]]\ntypes = [\"*\"]\nto = {to:?}"))
    }

    /// Tables below it, such as `[[endpoint.tool]]`.
    pub(crate) fn tables(mut self, tables: &str) -> Self {
        self.tables.push_str(&format!("{tables}\n"));
        self
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, keys, auth, tables } = self;
        writeln!(
            f,
            "[[endpoint]]\nname = \"{name}\"\npath = \"/{name}\"\nsource = \"vapi\"\n{keys}"
        )?;
        let auth = if auth.is_empty() { "[[endpoint.auth]]\nkind = \"none\"\n" } else { auth };
        write!(f, "{auth}{tables}")
    }
}
