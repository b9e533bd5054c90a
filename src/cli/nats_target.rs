//! Where the questions of an endpoint are asked, for the commands that stand on the workers' side of NATS.
//!
//! The bridge's configuration counts where there is one: its credentials, its TLS, the subjects of its rules.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{CONFIG_FILE, Failure, dev, load};
use crate::config::{Config, Context, Endpoint, Nats, TOOL_SUBJECT};
use crate::nats::Settings;
use crate::source;
use crate::template::{Template, Vars, glob};

/// What stands for every function.
pub(super) const ANY: &str = "*";

/// Which NATS, and whose questions.
#[derive(Debug, Args)]
pub(super) struct Flags {
    /// The endpoint of the bridge that this is about
    #[arg(long, value_name = "NAME", default_value = dev::ENDPOINT)]
    endpoint: String,
    /// The NATS server, instead of the configured one [default: nats://127.0.0.1:4222]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The configuration whose [nats] and subjects count [default: hookbus.toml, if it is there and --server isn't given]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The way to NATS, and the subjects there.
#[derive(Debug, Clone)]
pub(super) struct NatsTarget {
    /// How to connect.
    pub(super) settings: Settings,
    /// First part of the reply subjects.
    pub(super) inbox_prefix: String,
    /// The endpoint's name.
    pub(super) endpoint: String,
    /// The configuration, or what counts where there is none.
    pub(super) config: Config,
    rules: Vec<Rule>,
}

/// How some functions are asked.
#[derive(Debug, Clone)]
struct Rule {
    names: Vec<String>,
    subject: Template,
    context: Context,
}

impl Flags {
    /// Read the configuration, if one counts.
    pub(super) fn load(&self) -> Result<NatsTarget, Failure> {
        let config = match (&self.config, &self.server) {
            (Some(file), _) => load(file)?,
            (None, None) if Path::new(CONFIG_FILE).exists() => load(Path::new(CONFIG_FILE))?,
            (None, _) => Config::default(),
        };
        let mut nats = config.nats.clone().unwrap_or_default();
        if let Some(server) = &self.server {
            nats.servers = vec![server.clone()];
        }
        NatsTarget::new(config, &nats, &self.endpoint)
    }
}

fn settings(nats: &Nats) -> Result<Settings, Failure> {
    Settings::new(nats)
        .map_err(|error| Failure::wrong(error).hint("write it like nats://127.0.0.1:4222"))
}

/// The rules of the endpoint in their order, and last the one for all other functions.
fn rules(config: &Config, endpoint: &str) -> Result<Vec<Rule>, Failure> {
    let template = |text: &str| {
        Template::subject(text).map_err(|error| Failure::wrong(format_args!("`{text}`: {error}")))
    };
    let endpoint = config.endpoints.iter().find(|known| known.name == endpoint);
    let configured = endpoint.map(|endpoint| endpoint.tools.as_slice()).unwrap_or_default();
    let mut rules = Vec::with_capacity(configured.len() + 1);
    for rule in configured {
        rules.push(Rule {
            names: rule.names.clone(),
            subject: template(&rule.subject)?,
            context: rule.context.clone(),
        });
    }
    rules.push(Rule {
        names: vec![ANY.to_owned()],
        subject: template(TOOL_SUBJECT)?,
        context: Context::default(),
    });
    Ok(rules)
}

impl NatsTarget {
    /// At this NATS, for an endpoint of a configuration.
    pub(super) fn new(config: Config, nats: &Nats, endpoint: &str) -> Result<Self, Failure> {
        Ok(Self {
            settings: settings(nats)?,
            inbox_prefix: nats.inbox_prefix.clone(),
            endpoint: endpoint.to_owned(),
            rules: rules(&config, endpoint)?,
            config,
        })
    }

    /// The endpoint as it is configured.
    pub(super) fn configured(&self) -> Option<&Endpoint> {
        self.config.endpoints.iter().find(|known| known.name == self.endpoint)
    }

    /// The subject that a function is asked on; for [`ANY`] the one of all functions without a rule.
    pub(super) fn subject(&self, function: &str) -> String {
        if function == ANY {
            let last = self.rules.last();
            return last.map(|rule| rule.subject.pattern(&self.endpoint)).unwrap_or_default();
        }
        let vars = Vars {
            endpoint: &self.endpoint,
            kind: source::FUNCTION_CALLS,
            key: None,
            function: Some(function),
        };
        self.rule(function).map(|rule| rule.subject.render_subject(&vars)).unwrap_or_default()
    }

    /// The members of the message that the worker of a function gets.
    pub(super) fn context(&self, function: &str) -> Context {
        self.rule(function).map(|rule| rule.context.clone()).unwrap_or_default()
    }

    fn rule(&self, function: &str) -> Option<&Rule> {
        let fits = |rule: &&Rule| rule.names.iter().any(|name| glob::matches(name, function));
        self.rules.iter().find(fits)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    fn target(config: &str) -> NatsTarget {
        let config: Config = toml::from_str(config).unwrap();
        NatsTarget::new(config, &Nats::default(), "vapi").map_err(|failure| failure.text).unwrap()
    }

    #[test]
    fn a_name_becomes_a_subject_as_in_the_bridge() {
        let target = target("");
        assert_eq!(target.subject("get_weather"), "vapi.tool.get_weather");
        assert_eq!(target.subject("get.weather >"), "vapi.tool.get%2Eweather%20%3E");
        assert_eq!(target.subject(ANY), "vapi.tool.*");
    }

    #[test]
    fn the_rules_of_the_endpoint_count() {
        let target = target(
            "[[endpoint]]\nname = \"vapi\"\npath = \"/vapi\"\nsource = \"vapi\"\n\
             [[endpoint.tool]]\nnames = [\"book_*\"]\nsubject = \"crm.{function}\"\ncontext = \"all\"",
        );
        assert_eq!(target.subject("book_table"), "crm.book_table");
        assert_eq!(target.subject("get_weather"), "vapi.tool.get_weather");
        assert!(matches!(target.context("book_table"), Context::All(_)));
    }
}
