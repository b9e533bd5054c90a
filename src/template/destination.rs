//! Where an event goes: `kafka:TOPIC`, `nats:SUBJECT` or `nats-core:SUBJECT`.

use super::{Error, Template, nearest};

/// One queue, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// `kafka:`: a topic; stored when its replicas acknowledged it.
    Kafka(Template),
    /// `nats:`: a subject of a JetStream stream; stored when the stream acknowledged it.
    Nats(Template),
    /// `nats-core:`: a subject that nobody stores, for live views.
    NatsCore(Template),
}

const SCHEMES: [&str; 3] = ["kafka", "nats", "nats-core"];

impl Destination {
    /// Read the text of a destination.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let Some((scheme, name)) = text.split_once(':') else {
            return Err(Error::new(
                0,
                format!("`{text}` doesn't say which broker it means"),
                format!("write `nats:{text}`, `kafka:{text}` or `nats-core:{text}`"),
            ));
        };
        let parsed = match scheme {
            "kafka" => Template::topic(name).map(Self::Kafka),
            "nats" => Template::subject(name).map(Self::Nats),
            "nats-core" => Template::subject(name).map(Self::NatsCore),
            _ => {
                let hint = match nearest(scheme, SCHEMES) {
                    Some(near) => format!("did you mean `{near}:{name}`?"),
                    None => "destinations begin with `kafka:`, `nats:` or `nats-core:`".to_owned(),
                };
                return Err(Error::new(
                    0,
                    format!("unknown kind of destination `{scheme}:`"),
                    hint,
                ));
            }
        };
        parsed.map_err(|error| Error { offset: error.offset + scheme.len() + 1, ..error })
    }

    /// The template of its topic or subject.
    pub fn template(&self) -> &Template {
        match self {
            Self::Kafka(template) | Self::Nats(template) | Self::NatsCore(template) => template,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn destinations() {
        assert!(matches!(Destination::parse("kafka:calls"), Ok(Destination::Kafka(_))));
        assert!(matches!(Destination::parse("nats:a.{type}"), Ok(Destination::Nats(_))));
        assert!(matches!(Destination::parse("nats-core:a.{type}"), Ok(Destination::NatsCore(_))));
    }

    #[test]
    fn mistakes() {
        let error = Destination::parse("kafak:calls").unwrap_err();
        assert_eq!(error.hint.unwrap(), "did you mean `kafka:calls`?");
        let error = Destination::parse("vapi.events").unwrap_err();
        assert_eq!(
            error.hint.unwrap(),
            "write `nats:vapi.events`, `kafka:vapi.events` or `nats-core:vapi.events`"
        );
        assert_eq!(Destination::parse("nats:a.{typ}").unwrap_err().offset, 7);
        assert_eq!(Destination::parse("kafka:a b").unwrap_err().offset, 7);
        assert_eq!(Destination::parse("redis:a").unwrap_err().offset, 0);
    }
}
