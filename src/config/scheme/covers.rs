//! What of a request nobody can change without breaking a signature.

use super::Scheme;
use crate::config::piece::{Piece, pieces, signed_pieces};

impl Scheme {
    /// Whether a signature covers what stands in a place.
    pub fn covers(&self, piece: &Piece) -> bool {
        let message = signed_pieces(&self.message).unwrap_or_default();
        // What is signed where it is there can't be taken away or added either.
        let signs = |piece: &Piece| message.iter().any(|it| it.parts().contains(piece));
        let hash = self.body_hash.as_deref().and_then(|text| pieces(text).ok()?.pop());
        let signs_query = signs(&Piece::Url);
        let signs_hash =
            hash.is_some_and(|hash| signs(&hash) || matches!(hash, Piece::Query(_)) && signs_query);
        let signs_body =
            signs(&Piece::Body) || signs_hash || message.iter().any(Piece::is_hash_of_body);
        match piece {
            // An endpoint has one path.
            Piece::Text(_) | Piece::Path => true,
            Piece::Query(_) => signs_query || signs(piece),
            Piece::Form(_) | Piece::FormPointer(..) => {
                signs_body || signs(&Piece::FormSorted) || signs(piece)
            }
            Piece::Pointer(_) | Piece::MemberOtherThan(_) => signs_body || signs(piece),
            other => signs(other),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    #[test]
    fn what_is_signed_is_known() {
        for (scheme, covered, uncovered) in [
            ("", "{/a}{form:a}{form:a#/b}{member-other-than:a}{path}text", "{header:a}{query:a}"),
            ("message = \"{header:a}{body}\"", "{header:a}{/a}", "{header:b}{query:a}"),
            ("message = \"{url}{form-sorted}\"", "{form:a}{query:a}", "{/a}{header:a}"),
            ("message = \"{url}\"\nbody_hash = \"{query:h}\"", "{/a}{query:a}", "{header:a}"),
            ("message = \"{query:h}\"\nbody_hash = \"{query:h}\"", "{/a}{query:h}", "{query:a}"),
            // The hash itself could be another one.
            ("message = \"{header:x}\"\nbody_hash = \"{query:h}\"", "{header:x}", "{/a}{query:h}"),
            ("message = \"{md5-base64:body}\"", "{/a}{form:a}", "{header:a}{query:a}"),
            ("message = \"{/t}{/n}\"", "{/t}", "{/a}{body}"),
            ("message = \"{/t}[:{/n}]\"", "{/t}{/n}", "{/a}{body}"),
        ] {
            let scheme: Scheme = toml::from_str(scheme).unwrap();
            for piece in pieces(covered).unwrap() {
                assert!(scheme.covers(&piece), "{} {piece}", scheme.message);
            }
            for piece in pieces(uncovered).unwrap() {
                assert!(!scheme.covers(&piece), "{} {piece}", scheme.message);
            }
        }
    }
}
