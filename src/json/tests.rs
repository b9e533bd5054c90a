//! serde_json is the judge: what it takes is taken, what it refuses is refused, and strings mean what it says.

#![expect(clippy::unwrap_used, reason = "a test that meets an error should fail")]

use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::*;

/// Whether one whole document is read, by [`Reader::skip`] and, to the same end, by the visiting functions.
fn accepted(input: &[u8]) -> bool {
    let skipped = skip_all(input);
    assert_eq!(
        skipped.is_ok(),
        visit_all(input).is_ok(),
        "skip and visit disagree on {:?}",
        String::from_utf8_lossy(input)
    );
    if let Err(error) = skipped {
        assert!(error.at <= input.len());
    }
    skipped.is_ok()
}

fn skip_all(input: &[u8]) -> Result<&str, Error> {
    let mut reader = Reader::new(input)?;
    let text = reader.skip()?;
    reader.end()?;
    Ok(text)
}

fn visit_all(input: &[u8]) -> Result<(), Error> {
    fn visit(reader: &mut Reader<'_>, depth: usize) -> Result<(), Error> {
        match reader.peek()? {
            Kind::Object if depth > 0 => reader.object(|reader, key| {
                drop(key.unescape());
                visit(reader, depth - 1)
            }),
            Kind::Array if depth > 0 => reader.array(|reader| visit(reader, depth - 1)),
            Kind::String => reader.string().map(|text| drop(text.unescape())),
            _ => reader.skip().map(drop),
        }
    }
    let mut reader = Reader::new(input)?;
    visit(&mut reader, 100)?;
    reader.end()
}

/// serde_json takes the same grammar when it ignores values, but for UTF-8 in strings, at which it doesn't look then.
/// It doesn't recurse there, so there is no difference in depth either.
fn accepted_by_serde(input: &[u8]) -> bool {
    std::str::from_utf8(input).is_ok() && serde_json::from_slice::<IgnoredAny>(input).is_ok()
}

#[track_caller]
fn agree(input: &[u8]) {
    assert_eq!(accepted(input), accepted_by_serde(input), "{:?}", String::from_utf8_lossy(input));
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if accepted(input) {
        let compacted = compact(text);
        assert!(accepted(compacted.as_bytes()), "{compacted}");
        assert_eq!(compact(&compacted), compacted);
        if let Ok(value) = serde_json::from_str::<serde_json::Value>(text) {
            assert_eq!(serde_json::from_str::<serde_json::Value>(&compacted).unwrap(), value);
        }
    }
    // Where serde_json takes a string, it is the same string.
    if let Ok(string) = serde_json::from_str::<String>(text) {
        let read = Reader::over(text).string().unwrap();
        assert_eq!(read.unescape(), string);
        assert_eq!(read, *string);
    }
    // Any text can be written as a string, and compacting what isn't JSON does no harm.
    let quoted = quote(text);
    assert_eq!(quoted, serde_json::to_string(text).unwrap());
    assert_eq!(Reader::over(&quoted).string().unwrap().unescape(), text);
    compact(text);
}

/// xorshift: the same numbers on every run.
struct Generator(u64);

impl Generator {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

fn samples() -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/source/vapi/samples");
    let mut samples: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .collect();
    samples.sort();
    samples
}

#[rustfmt::skip]
const DOCUMENTS: &[&str] = &[
    // Literals, white space, nothing
    "", " ", "\n", "null", "true", "false", " \t\r\n null \t\r\n ", "nul", "nulll", "True", "NULL",
    "tru", "truee", "fals", "n", "t", "f", "NaN", "Infinity", "-Infinity", "undefined",
    "\u{a0}null", "\u{c}null", "null\0", "\0", "null null", "{}{}", "{} []", "1 2", "1,2",
    "\"a\"\"b\"", "// c\n1", "/**/1", "'a'", "null,", ",null", ":",
    // Numbers
    "0", "-0", "-", "+1", "1", "12", "00", "01", "-01", "0.0", "0.", ".5", "-.5", "1.", "1.e1",
    "1e", "1e+", "1e-", "1e1", "1E1", "1e+1", "1e-1", "1e01", "1.5e3", "1.5e", "1e400", "-1e400",
    "1e-400", "9007199254740993", "123456789012345678901234567890", "0.1234567890123456789", "0x10",
    "1_000", "1 .5", "- 1", "1e1.5", "1.2.3", "0e0", "0e", "12345678", "1234567", "123456789",
    "1787302800000", "1787302800000:", "1234567/", "12345678901234567890a",
    "[1787302800000,1787302800000]", "[0,1,-1,1.5,1e5]", "[01]", "[1.]", "[-]", "[1 2]", "[1e]",
    "{\"a\":-}",
    // Arrays
    "[]", "[ ]", "[\n]", "[", "]", "[]]", "[[]", "[[]]", "[,]", "[1,]", "[,1]", "[1,,2]", "[1;2]",
    "[1:2]", "[}", "[1}", "[ 1 , 2 ]", "[\"a\",null,true,false,1,{},[]]", "[[[[[]]]]]", "[[],[]]",
    "[[][]]", "[\"a\" \"b\"]", "[\"a\":1]",
    // Objects
    "{}", "{ }", "{\n}", "{", "}", "{}}", "{{}}", "{,}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}",
    "{,\"a\":1}", "{a:1}", "{1:1}", "{\"a\" 1}", "{\"a\":1 \"b\":2}", "{\"a\":1,,\"b\":2}",
    "{\"a\"::1}", "{\"a\":1]", "{]", "[{]}", "{ \"a\" : 1 , \"b\" : [ ] }", "{\"a\":1,\"a\":2}",
    "{\"\":{\"\":{}}}", "{\"a\":{\"b\":[{\"c\":[]}]}}", "{null:1}", "{\"a\":1,\"b\"}",
    "{\"a\":1,b}", "{\"a\":[1,{\"b\":2},3],\"c\":4}", "{\"a\",\"b\"}", "{\"\\u0061\":1}",
    "{\"\\u\":1}",
    // Strings
    "\"\"", "\"", "\"a", "a\"", "\"\\\"\"", "\"\\\\\"", "\"\\\"", "\"\\", "\"\\/\\b\\f\\n\\r\\t\"",
    "\"\\a\"", "\"\\x41\"", "\"\\'\"", "\"\\0\"", "\"\\U0041\"", "\"\\u\"", "\"\\u0\"", "\"\\u00\"",
    "\"\\u004\"", "\"\\u0041\"", "\"\\u004g\"", "\"\\u00e9\"", "\"\\u00E9\"", "\"\\uFFFF\"",
    "\"\\u0000\"", "\"\\u+041\"", "\"\\u 041\"", "\"\\u20ac\"", "\"\\u", "\"\\u0041", "\"a\nb\"",
    "\"a\tb\"", "\"a\0b\"", "\"\u{1f}\"", "\"\u{7f}\"", "\"\u{80}\"", "\"\u{2028}\"", "\"é€\u{1f600}\"",
    "\"\\ud83d\\ude00\"", "\"a\\uD83D\\uDE00b\"", "\"\\ud83d\"", "\"\\ude00\"",
    "\"\\ude00\\ud83d\"", "\"\\ud83dx\"", "\"\\ud83d\\n\"", "\"\\ud83d\\u0041\"",
    "\"\\ud83d\\ud83d\\ude00\"", "\"\\ud83d\\u00\"", "\"é\\u00e9é\"", "\"\\é\"", "\"\\u00é9\"",
    "\"the quick brown fox jumps over the lazy dog\"",
    "\"the quick brown fox\\njumps over the lazy dog\"",
    "\"the quick brown fox jumps\nover the lazy dog\"", "\"0123456789abcde\\\"\"",
    "\"0123456789abcdef\"", "\"0123456789abcde\u{1}0123456789abcdef\"", "\"{\\\"a\\\": [1, 2]}\"",
    "{\"a\":\"{\\\"b\\\":1}\"}", "\"   \"", "\"\u{e000}\u{ffff}\u{10ffff}\"",
    // A byte order mark
    "\u{feff}", "\u{feff}null", "null\u{feff}", "\"\u{feff}\"", "[\u{feff}]",
];

#[test]
fn agrees_with_serde_on_written_documents() {
    for document in DOCUMENTS {
        agree(document.as_bytes());
        // Nested, in company, and far enough in for the wide loops to run.
        agree(format!("[{document}]").as_bytes());
        agree(format!("{{\"a\":{document}}}").as_bytes());
        agree(format!("[{document},{document}]").as_bytes());
        agree(format!("\"{document}\"").as_bytes());
        for width in [1, 7, 8, 15, 16, 17, 31, 32, 33, 70] {
            let space = " ".repeat(width);
            agree(format!("{space}{document}{space}").as_bytes());
            agree(format!("[\n{space}{document}\n{space}]").as_bytes());
            let filler = "x".repeat(width);
            agree(format!("[\"{filler}\",{document},\"{filler}\"]").as_bytes());
            agree(format!("\"{filler}{document}{filler}\"").as_bytes());
        }
    }
}

#[test]
fn agrees_with_serde_on_the_samples() {
    for sample in samples() {
        agree(&sample);
        assert!(accepted(&sample));
    }
}

#[test]
fn agrees_with_serde_on_cut_samples() {
    for sample in samples().iter().filter(|sample| sample.len() < 2000) {
        for length in 0..sample.len() {
            agree(&sample[..length]);
            agree(&sample[length..]);
        }
    }
    for document in DOCUMENTS {
        for length in 0..document.len() {
            agree(&document.as_bytes()[..length]);
        }
    }
}

#[test]
fn agrees_with_serde_on_damaged_samples() {
    const TELLING: &[u8] =
        b"\"\\{}[]:,0123456789-+.eE \n\t\r\x00\x1f\x7f\x80\xc3\xa9\xed\xa0\xf0\xffutfn/";
    let mut generator = Generator(0x9e37_79b9_7f4a_7c15);
    for sample in samples().iter().filter(|sample| sample.len() < 4000) {
        for _ in 0..100 {
            let mut damaged = sample.clone();
            for _ in 0..=generator.below(3) {
                let at = generator.below(damaged.len());
                match generator.below(4) {
                    0 => damaged[at] ^= 1 << generator.below(8),
                    1 => damaged[at] = TELLING[generator.below(TELLING.len())],
                    2 => damaged.insert(at, TELLING[generator.below(TELLING.len())]),
                    _ => drop(damaged.remove(at)),
                }
            }
            agree(&damaged);
        }
    }
    // Documents made of nothing but telling bytes.
    for _ in 0..30_000 {
        let length = generator.below(24);
        let noise: Vec<u8> = (0..length).map(|_| TELLING[generator.below(TELLING.len())]).collect();
        agree(&noise);
        agree(&[b"\"", noise.as_slice(), b"\""].concat());
    }
}

#[test]
fn every_byte_in_every_place() {
    for byte in 0..=u8::MAX {
        agree(&[byte]);
        for length in 0..40 {
            for at in 0..length {
                let mut string = vec![b'x'; length];
                string[at] = byte;
                agree(&[b"[\"", string.as_slice(), b"\"]"].concat());
                let mut digits = vec![b'7'; length];
                digits[at] = byte;
                agree(&digits);
                let mut space = vec![b' '; length];
                space[at] = byte;
                agree(&[b"[", space.as_slice(), b"]"].concat());
            }
        }
    }
}

#[test]
fn invalid_utf8_is_found_where_it_stands() {
    for (input, at) in [
        (&b"\xff"[..], 0),
        (b"\"ab\xffcd\"", 3),
        (b"\"\xed\xa0\x80\"", 1),
        (b"\"\xc0\xaf\"", 1),
        (b"{\"a\":1}\xc3", 7),
        (b"\"\xf0\x9f\x98\"", 1),
    ] {
        assert!(!accepted(input));
        assert_eq!(skip_all(input).unwrap_err(), Error { at, what: "not UTF-8" });
    }
}

#[test]
fn errors_say_what_and_where() {
    for (input, message) in [
        ("", "the document ends too early at byte 0"),
        ("\u{feff}{}", "a byte order mark at byte 0"),
        ("{} {}", "something after the document at byte 3"),
        ("{\"a\": ?}", "expected a value at byte 6"),
        ("{\"a\" 1}", "expected `:` at byte 5"),
        ("{\"a\": 1 2}", "expected `,` or `}` at byte 8"),
        ("[1 2]", "expected `,` or `]` at byte 3"),
        ("{1: 2}", "expected a key at byte 1"),
        ("[1, ", "the document ends too early at byte 4"),
        ("[1.]", "expected a digit at byte 3"),
        ("[\"\\x\"]", "no such escape at byte 3"),
        ("[\"\\u12g4\"]", "expected four hexadecimal digits after `\\u` at byte 6"),
        ("[\"\n\"]", "a control character in a string at byte 2"),
        ("\"abc", "the document ends too early at byte 4"),
    ] {
        assert_eq!(skip_all(input.as_bytes()).unwrap_err().to_string(), message);
        assert_eq!(visit_all(input.as_bytes()).unwrap_err().to_string(), message);
    }
}

#[test]
fn any_depth() {
    let open = "[".repeat(100_000);
    let close = "]".repeat(100_000);
    agree(format!("{open}{close}").as_bytes());
    agree(format!("{open}{close}]").as_bytes());
    agree(open.as_bytes());
    agree("{\"a\":".repeat(100_000).as_bytes());
    agree(format!("{}null{}", "{\"a\":[".repeat(50_000), "]}".repeat(50_000)).as_bytes());
    agree("[".repeat(8 << 20).as_bytes());
    // Around the edges of the words that the levels are kept in, with the right and with wrong brackets.
    for depth in [1, 2, 62, 63, 64, 65, 126, 127, 128, 129, 191, 192, 193] {
        for kinds in [0, u64::MAX, 0xaaaa_aaaa_aaaa_aaaa, 0x9e37_79b9_7f4a_7c15] {
            let object = |level: usize| kinds >> (level % 64) & 1 == 1;
            let mut nested = String::new();
            (0..depth).for_each(|level| nested += if object(level) { "{\"a\":" } else { "[" });
            nested += "1";
            let middle = nested.len();
            (0..depth).rev().for_each(|level| nested += if object(level) { "}" } else { "]" });
            agree(nested.as_bytes());
            for wrong in middle..nested.len() {
                let mut damaged = nested.clone().into_bytes();
                damaged[wrong] ^= b']' ^ b'}';
                assert!(!accepted(&damaged));
            }
        }
    }
}

#[test]
fn skip_returns_the_value_alone() {
    let mut reader = Reader::new(b" {\"a\" : [1, 2] }\n").unwrap();
    assert_eq!(reader.peek(), Ok(Kind::Object));
    assert_eq!(reader.skip(), Ok("{\"a\" : [1, 2] }"));
    assert_eq!(reader.end(), Ok(()));
    for (text, kind) in [
        ("{", Kind::Object),
        ("[", Kind::Array),
        ("\"", Kind::String),
        ("-", Kind::Number),
        ("9", Kind::Number),
        ("t", Kind::True),
        ("f", Kind::False),
        (" n", Kind::Null),
    ] {
        assert_eq!(Reader::over(text).peek(), Ok(kind));
    }
}

#[test]
fn elements_one_by_one() {
    for (array, expected) in [
        ("[]", vec![]),
        (" [ ] ", vec![]),
        ("[1]", vec!["1"]),
        (" [ [1,2] , {\"a\":[]} ,\"]\",null ]", vec!["[1,2]", "{\"a\":[]}", "\"]\"", "null"]),
        ("", vec![]),
        ("{}", vec![]),
        ("7", vec![]),
    ] {
        let mut after = 0;
        let mut found = Vec::new();
        while let Some(place) = element(array.as_bytes(), after) {
            after = place.end;
            found.push(&array[place]);
        }
        assert_eq!(found, expected, "{array}");
    }
}

#[test]
fn long_keys_are_compared_by_what_they_mean() {
    for (raw, meaning) in [
        (r"\u0061\u0062", "ab"),
        (r"\ud83d\ude00", "\u{1f600}"),
        (r"\ud800", "\u{fffd}"),
        (r"\n", "\n"),
    ] {
        assert!(Text::over(raw) == *meaning, "{raw}");
        assert!(Text::over(raw) != *"x", "{raw}");
    }
    assert!(Text::over(&r"\u0061".repeat(1 << 20)) != *"a");
}

#[test]
fn keys_by_their_meaning_in_order_and_twice() {
    let mut reader = Reader::new(
        br#" { "type" : 1, "\u0074ype": {"type": 2}, "typ\u0065x": 3, "other": [4], "type": 5 } "#,
    )
    .unwrap();
    let mut types = Vec::new();
    let mut rest = Vec::new();
    reader
        .object(|reader, key| {
            if key == "type" {
                types.push(reader.skip()?);
            } else {
                // The value is left where it is: the reader skips it.
                rest.push(key.unescape());
            }
            Ok(())
        })
        .unwrap();
    reader.end().unwrap();
    assert_eq!(types, ["1", "{\"type\": 2}", "5"]);
    assert_eq!(rest, ["typex", "other"]);
}

#[test]
fn arrays_element_by_element() {
    let mut reader = Reader::new(b"[ 1 , [2, 3], {\"a\": 4} ,\"5\" ]").unwrap();
    let mut elements = Vec::new();
    reader
        .array(|reader| {
            elements.push(reader.skip()?);
            Ok(())
        })
        .unwrap();
    reader.end().unwrap();
    assert_eq!(elements, ["1", "[2, 3]", "{\"a\": 4}", "\"5\""]);
    let mut untouched = 0;
    Reader::over("[1, [2], \"]\"]")
        .array(|_| {
            untouched += 1;
            Ok(())
        })
        .unwrap();
    assert_eq!(untouched, 3);
}

#[test]
fn the_wrong_kind_is_an_error_in_place() {
    assert_eq!(
        Reader::over(" 1").object(|_, _| Ok(())).unwrap_err().to_string(),
        "expected an object at byte 1"
    );
    assert_eq!(
        Reader::over("{}").array(|_| Ok(())).unwrap_err().to_string(),
        "expected an array at byte 0"
    );
    assert_eq!(Reader::over("{}").string().unwrap_err().to_string(), "expected a string at byte 0");
}

#[test]
fn surrogates_are_joined_or_replaced() {
    for (escaped, meant) in [
        (r#""\ud83d\ude00""#, "\u{1f600}"),
        (r#""a\uD83D\uDE00b""#, "a\u{1f600}b"),
        (r#""\ud83d""#, "\u{fffd}"),
        (r#""\ude00x""#, "\u{fffd}x"),
        (r#""\ude00\ud83d""#, "\u{fffd}\u{fffd}"),
        (r#""\ud83d\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
        (r#""\ud83d\u0041""#, "\u{fffd}A"),
        (r#""\ud83d\n""#, "\u{fffd}\n"),
        (r#""\udbff\udfff\ud800\udc00""#, "\u{10ffff}\u{10000}"),
    ] {
        let text = Reader::over(escaped).string().unwrap();
        assert_eq!(text.unescape(), meant);
        assert!(text == meant);
    }
}

#[test]
fn compact_keeps_numbers_and_strings() {
    assert_eq!(
        compact(
            " { \"a b\" : [ 9007199254740993 , 1e400,\t-0.0 ] ,\r\n \"c\\\" \\\\\" : \" d  \\u0020\" } "
        ),
        "{\"a b\":[9007199254740993,1e400,-0.0],\"c\\\" \\\\\":\" d  \\u0020\"}"
    );
    assert_eq!(compact(" \" \" "), "\" \"");
    assert_eq!(compact(""), "");
}

/// Documents that are nearly JSON: its pieces, in any order.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(","),
        Just(":"),
        Just(" "),
        Just("\n"),
        Just("\""),
        Just("\\"),
        Just("\\u"),
        Just("d83d"),
        Just("\"a\""),
        Just("0"),
        Just("-"),
        Just("."),
        Just("12"),
        Just("e5"),
        Just("true"),
        Just("null"),
        Just("\u{e9}"),
        Just("\0"),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn tree() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
            proptest::collection::hash_map(any::<String>(), inner, 0..8)
                .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_are_read_as_serde_reads_them(input in any::<Vec<u8>>()) {
        agree(&input);
    }

    #[test]
    fn near_misses_are_read_as_serde_reads_them(input in pieces()) {
        agree(input.as_bytes());
    }

    #[test]
    fn any_tree_is_read_as_serde_wrote_it(tree in tree()) {
        let written = serde_json::to_string_pretty(&tree).unwrap();
        agree(written.as_bytes());
        prop_assert!(accepted(written.as_bytes()));
        prop_assert_eq!(compact(&written), serde_json::to_string(&tree).unwrap());
    }
}
