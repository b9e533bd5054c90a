//! Changes to members of a JSON text that leave every other byte of the values alone.
//!
//! The text is taken apart only along the path of a change, so that numbers beyond
//! 2^53, the order of members and repeated keys elsewhere stay as they were.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A text as a JSON value: itself if it is JSON, else as a string.
pub fn text_or_json(text: &str) -> String {
    match serde_json::from_str::<&RawValue>(text) {
        Ok(json) => json.get().to_owned(),
        Err(_) => serde_json::Value::from(text).to_string(),
    }
}

/// Whether there is something at this path.
pub fn has(text: &str, path: &[String]) -> bool {
    let Some((step, rest)) = path.split_first() else {
        return true;
    };
    match Level::read(text) {
        Ok(Level::Object(members)) => {
            let member = members.iter().rfind(|(name, _)| name == step);
            member.is_some_and(|(_, value)| has(value, rest))
        }
        Ok(Level::Array(items)) => {
            let item = step.parse().ok().and_then(|index: usize| items.get(index));
            item.is_some_and(|value| has(value, rest))
        }
        Ok(Level::Leaf) | Err(_) => false,
    }
}

/// The text with this JSON value at this path; objects on the way that are missing are made. Else what is in the way.
pub fn set(text: &str, path: &[String], value: &str) -> Result<String, String> {
    let Some((step, rest)) = path.split_first() else {
        return Ok(value.to_owned());
    };
    match Level::read(text)? {
        Level::Object(mut members) => {
            match members.iter_mut().rfind(|(name, _)| name == step) {
                Some((_, member)) => *member = Cow::Owned(set(member, rest, value)?),
                None => members.push((step.clone(), Cow::Owned(set("null", rest, value)?))),
            }
            let members: Vec<String> = members
                .into_iter()
                .map(|(name, value)| format!("{}:{value}", serde_json::Value::from(name)))
                .collect();
            Ok(format!("{{{}}}", members.join(",")))
        }
        Level::Array(mut items) => {
            let length = items.len();
            match step.parse::<usize>() {
                Ok(index) if index < length => {
                    let item: &mut Cow<'_, str> = &mut items[index];
                    *item = Cow::Owned(set(item, rest, value)?);
                }
                Ok(index) if index == length => items.push(Cow::Owned(set("null", rest, value)?)),
                _ => return Err(format!("`{step}` is no position in a list of {length}")),
            }
            Ok(format!("[{}]", items.join(",")))
        }
        Level::Leaf if text.trim() == "null" => set("{}", path, value),
        Level::Leaf => Err(format!("`{step}` would be inside of something that is no object")),
    }
}

/// One level of a JSON text.
enum Level<'a> {
    Object(Vec<(String, Cow<'a, str>)>),
    Array(Vec<Cow<'a, str>>),
    Leaf,
}

impl<'a> Level<'a> {
    fn read(text: &'a str) -> Result<Self, String> {
        let level = match text.trim_start().as_bytes().first() {
            Some(b'{') => serde_json::from_str::<Members<'a>>(text).map(|Members(members)| {
                let members = members.into_iter();
                Self::Object(
                    members.map(|(name, value)| (name, Cow::Borrowed(value.get()))).collect(),
                )
            }),
            Some(b'[') => serde_json::from_str::<Vec<&'a RawValue>>(text).map(|items| {
                Self::Array(items.into_iter().map(|item| Cow::Borrowed(item.get())).collect())
            }),
            _ => serde_json::from_str::<&'a RawValue>(text).map(|_| Self::Leaf),
        };
        level.map_err(|error| format!("the body is not JSON: {error}"))
    }
}

/// The members of an object in their order, repeated ones included.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(Collect).map(Self)
    }
}
