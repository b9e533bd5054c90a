//! The login in the address of a NATS server.

use async_nats::ServerAddr;
use percent_encoding::percent_decode_str;

/// What an address says of who connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// `nats://HOST`
    None,
    /// `nats://TOKEN@HOST`: a lone user name is a token.
    Token(String),
    /// `nats://USER:PASSWORD@HOST`
    User(String, String),
}

/// The login of an address, decoded as every URL is (RFC 3986, §2.1); nothing if it isn't UTF-8 then.
pub fn login(address: &ServerAddr) -> Option<Login> {
    let decode = |text| Some(percent_decode_str(text).decode_utf8().ok()?.into_owned());
    Some(match (address.username(), address.password()) {
        (Some(user), Some(password)) => Login::User(decode(user)?, decode(password)?),
        (Some(token), None) => Login::Token(decode(token)?),
        (None, _) => Login::None,
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_decoded_once() {
        let read = |text: &str| login(&text.parse().unwrap());
        let user = |name: &str, password: &str| Some(Login::User(name.into(), password.into()));
        assert_eq!(read("nats://127.0.0.1:4222"), Some(Login::None));
        assert_eq!(read("nats://t%6Fken@host"), Some(Login::Token("token".into())));
        assert_eq!(read("nats://a%40b:p%2F%3A%25%20%C3%BC@host"), user("a@b", "p/:% ü"));
        assert_eq!(read("nats://a:%2541@host"), user("a", "%41"));
        // What an address can't hold as it is, the parser has encoded.
        assert_eq!(read("nats://a:<ü^>@host"), user("a", "<ü^>"));
        assert_eq!(read("nats://a:100%@host"), user("a", "100%"));
        assert_eq!(read("nats://a:%FF@host"), None);
    }
}
