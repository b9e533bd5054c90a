//! Which events and questions are posted; the others are left to others.

use std::str::FromStr;

use super::about::About;
use crate::template::glob;

/// What all must hold for something to be posted.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    conditions: Vec<Condition>,
}

/// One condition: `key=call-7`, `type=end-of-*`, `function=get_*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    what: What,
    pattern: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Key,
    Type,
    Function,
}

impl Condition {
    /// That the key is this one.
    pub fn key(key: &str) -> Self {
        Self { what: What::Key, pattern: key.to_owned() }
    }

    fn holds(&self, about: &About) -> bool {
        let value = match self.what {
            What::Key => about.key.as_deref(),
            What::Type => Some(&*about.name),
            What::Function => about.function.as_deref(),
        };
        value.is_some_and(|value| glob::matches(&self.pattern, value))
    }
}

impl FromStr for Condition {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (what, pattern) =
            text.split_once('=').ok_or("write it as `key=call-7` or `type=end-of-*`")?;
        let what = match what.trim() {
            "key" => What::Key,
            "type" => What::Type,
            "function" => What::Function,
            _ => return Err("`key`, `type` or `function` stands before the `=`"),
        };
        Ok(Self { what, pattern: pattern.trim().to_owned() })
    }
}

impl Filter {
    /// All of these.
    pub fn new(conditions: Vec<Condition>) -> Self {
        Self { conditions }
    }

    /// Whether it leaves anything out.
    pub fn is_open(&self) -> bool {
        self.conditions.is_empty()
    }

    /// Whether this is posted.
    pub fn fits(&self, about: &About) -> bool {
        self.conditions.iter().all(|condition| condition.holds(about))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;
    use crate::forward::Kind;

    #[test]
    fn all_conditions_must_hold() {
        let about = |name: &str, key: Option<&str>| About {
            kind: Kind::Event,
            id: String::new(),
            name: name.to_owned(),
            key: key.map(str::to_owned),
            function: None,
        };
        let filter =
            |all: &[&str]| Filter::new(all.iter().map(|one| one.parse().unwrap()).collect());
        let both = filter(&["key=call-7", "type=end-of-*"]);
        assert!(both.fits(&about("end-of-call-report", Some("call-7"))));
        assert!(!both.fits(&about("end-of-call-report", Some("call-8"))));
        assert!(!both.fits(&about("hang", Some("call-7"))));
        assert!(!both.fits(&about("end-of-call-report", None)));
        assert!(!filter(&["function=*"]).fits(&about("hang", None)));
        assert!(filter(&[]).is_open() && filter(&[]).fits(&about("hang", None)));
        for wrong in ["", "key", "id=7", "=x"] {
            assert!(wrong.parse::<Condition>().is_err(), "{wrong}");
        }
    }
}
