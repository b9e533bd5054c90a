//! What a signature is made over: a text with placeholders.

/// A part of what is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// As it stands.
    Text(String),
    /// The received bytes.
    Body,
    /// The header with the timestamp.
    Timestamp,
    /// `POST`.
    Method,
    /// The URL as the sender sees it.
    Url,
    /// The header with the message id.
    MessageId,
}

/// The header with the message id, unless another one is configured.
pub const MESSAGE_ID: &str = "svix-id";

/// The pieces of a format; an error names the placeholder that there is not.
pub fn pieces(format: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = format;
    while let Some(start) = rest.find('{') {
        let end = rest[start..].find('}').map(|end| start + end).ok_or(&rest[start..])?;
        if start > 0 {
            pieces.push(Piece::Text(rest[..start].to_owned()));
        }
        pieces.push(match &rest[start..=end] {
            "{body}" => Piece::Body,
            "{timestamp}" => Piece::Timestamp,
            "{method}" => Piece::Method,
            "{url}" => Piece::Url,
            "{svix-id}" => Piece::MessageId,
            other => return Err(other.to_owned()),
        });
        rest = &rest[end + 1..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_format_is_texts_and_placeholders() {
        let text = |text: &str| Piece::Text(text.to_owned());
        assert_eq!(
            pieces("v0:{timestamp}.{body}"),
            Ok(vec![text("v0:"), Piece::Timestamp, text("."), Piece::Body])
        );
        assert_eq!(
            pieces("{method}{url}{svix-id}x"),
            Ok(vec![Piece::Method, Piece::Url, Piece::MessageId, text("x")])
        );
        assert_eq!(pieces("{Body}"), Err("{Body}".to_owned()));
        assert_eq!(pieces("a{body"), Err("{body".to_owned()));
    }

    fn written(piece: &Piece) -> &str {
        match piece {
            Piece::Text(text) => text,
            Piece::Body => "{body}",
            Piece::Timestamp => "{timestamp}",
            Piece::Method => "{method}",
            Piece::Url => "{url}",
            Piece::MessageId => "{svix-id}",
        }
    }

    proptest! {
        #[test]
        fn the_pieces_are_the_format(
            format in "([a-z.}: ]|\\{body\\}|\\{url\\}|\\{svix-id\\}|\\{method\\}|\\{timestamp\\}|\\{){0,8}|.*",
        ) {
            match pieces(&format) {
                Ok(pieces) => {
                    let all: String = pieces.iter().map(written).collect();
                    prop_assert_eq!(all, format);
                }
                Err(unknown) => {
                    let is_placeholder = unknown.starts_with('{') && format.contains(&unknown);
                    prop_assert!(is_placeholder, "{}", unknown);
                }
            }
        }
    }
}
