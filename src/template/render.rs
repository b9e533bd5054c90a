//! The names that a template comes to, for the values of a webhook.

use sha2::{Digest, Sha256};

use super::escape::{HASH_DIGITS, MAX_VALUE_BYTES, escape, push_hash};
use super::{MAX_TOPIC_CHARS, Part, Template, Variable, Vars, stays_in_topic};

impl Template {
    /// The subject for these values.
    pub fn render_subject(&self, vars: &Vars<'_>) -> String {
        let mut out = String::with_capacity(self.estimate(vars));
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Variable(variable) => {
                    escape(vars.get(*variable), *variable == Variable::Type, &mut out);
                }
            }
        }
        out
    }

    /// The subject for values of which some are patterns: `*` in a value, and for one that is absent, stands for any
    /// run of characters.
    pub fn subject_glob(&self, vars: &Vars<'_>) -> String {
        let mut out = String::with_capacity(self.estimate(vars));
        for part in &self.parts {
            let variable = match part {
                Part::Literal(text) => {
                    out.push_str(text);
                    continue;
                }
                Part::Variable(variable) => *variable,
            };
            let value = vars.get(variable);
            let dots = variable == Variable::Type;
            if value.is_empty() {
                out.push('*');
            } else if value.contains('*') {
                for character in value.chars() {
                    match character {
                        '*' => out.push('*'),
                        '.' if dots => out.push('.'),
                        _ => escape(character.encode_utf8(&mut [0; 4]), false, &mut out),
                    }
                }
            } else {
                escape(value, dots, &mut out);
            }
        }
        out
    }

    /// The topic for these values.
    pub fn render_topic(&self, vars: &Vars<'_>) -> String {
        let mut out = String::with_capacity(self.estimate(vars).min(MAX_TOPIC_CHARS + 1));
        'parts: for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Variable(variable) => {
                    let value = vars.get(*variable);
                    if value.is_empty() {
                        out.push('-');
                    }
                    for byte in value.bytes() {
                        let character = char::from(byte);
                        out.push(if stays_in_topic(character) { character } else { '-' });
                        if out.len() > MAX_TOPIC_CHARS {
                            break 'parts;
                        }
                    }
                }
            }
        }
        if out.len() > MAX_TOPIC_CHARS {
            // Every byte of `out` is ASCII, unless someone made the template without `topic`.
            let kept = floor_char_boundary(&out, MAX_TOPIC_CHARS - 1 - HASH_DIGITS);
            out.truncate(kept);
            out.push('-');
            push_hash(self.hash(vars), &mut out);
        }
        if out == "." || out == ".." {
            out = out.replace('.', "-");
        }
        out
    }

    /// The NATS pattern that covers every subject this can become for one endpoint.
    pub fn pattern(&self, endpoint: &str) -> String {
        let mut out = String::new();
        // Where the token begins that is being written.
        let mut token = 0;
        let mut is_wild = false;
        for part in &self.parts {
            match part {
                Part::Variable(Variable::Endpoint) => escape(endpoint, false, &mut out),
                Part::Variable(Variable::Type) => {
                    out.truncate(token);
                    out.push('>');
                    return out;
                }
                Part::Variable(_) => is_wild = true,
                Part::Literal(text) => {
                    for character in text.chars() {
                        if character == '.' {
                            close_token(&mut out, token, is_wild);
                            out.push('.');
                            token = out.len();
                            is_wild = false;
                        } else {
                            out.push(character);
                        }
                    }
                }
            }
        }
        close_token(&mut out, token, is_wild);
        out
    }

    /// How long the result is when nothing has to be escaped.
    fn estimate(&self, vars: &Vars<'_>) -> usize {
        let lengths = self.parts.iter().map(|part| match part {
            Part::Literal(text) => text.len(),
            Part::Variable(variable) => vars.get(*variable).len().clamp(1, MAX_VALUE_BYTES),
        });
        lengths.sum()
    }

    fn hash(&self, vars: &Vars<'_>) -> Sha256 {
        let mut hash = Sha256::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => hash.update(text),
                Part::Variable(variable) => hash.update(vars.get(*variable)),
            }
        }
        hash
    }
}

fn close_token(out: &mut String, token: usize, is_wild: bool) {
    if is_wild {
        out.truncate(token);
        out.push('*');
    }
}

fn floor_char_boundary(text: &str, limit: usize) -> usize {
    (0..=limit).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}
