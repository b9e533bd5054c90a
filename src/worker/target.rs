//! Where a service listens, and what of it is answered.

use std::sync::Arc;

use crate::template::glob;

/// A subject that a service listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The subject, or a pattern of several.
    pub subject: String,
    /// What is asked there.
    pub target: Target,
    /// Its queue group, where it isn't that of the service.
    pub group: Option<String>,
}

/// What is asked on a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// This function.
    Function(Arc<str>),
    /// Any function: its name is in the payload.
    AnyFunction,
    /// Any function, of which only some are answered.
    Functions(Arc<Selection>),
    /// Something else: its type is in the headers.
    Other,
}

/// Some of the functions that are asked on one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// What their names fit.
    pub patterns: Vec<String>,
    /// Those that fit, and are asked on a subject of their own.
    pub except: Vec<Arc<str>>,
}

impl Target {
    /// Whether a question about the function of this name is answered. One that isn't gets no reply at all, so that others
    /// may give one.
    pub(super) fn takes(&self, function: &str) -> bool {
        let Self::Functions(selection) = self else { return true };
        let is_excepted = selection.except.iter().any(|except| **except == *function);
        !is_excepted && glob::fits(&selection.patterns, function)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_takes_what_fits_and_is_asked_nowhere_else() {
        let selection = Selection {
            patterns: vec!["get_*".to_owned(), "*_table".to_owned()],
            except: vec!["get_table".into()],
        };
        let target = Target::Functions(selection.into());
        for (name, expected) in
            [("get_weather", true), ("book_table", true), ("get_table", false), ("mail", false)]
        {
            assert_eq!(target.takes(name), expected, "{name}");
        }
        assert!(Target::AnyFunction.takes("mail") && Target::Other.takes("mail"));
    }
}
