//! Times, sizes and rates as people write them: `"5s"`, `"16MiB"`, `"100/s"`.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error};
use serde::{Serialize, Serializer};

/// The longest time that can be set, so that adding it to a clock can't overflow.
const MAX_TIME: Duration = Duration::from_secs(100 * 365 * 86_400);

/// How a time is written.
pub const TIME_HINT: &str =
    "write a number with a unit, such as \"250ms\", \"5s\", \"2m\" or \"7d\"";
/// How a size is written.
pub const SIZE_HINT: &str = "write a number with a unit, such as \"64KiB\", \"8MiB\" or \"10GiB\"";

/// How a rate is written.
pub const RATE_HINT: &str =
    "write a number of events and a unit, such as \"100/s\", \"6000/m\" or \"10/h\"";

/// A span of time, written with its unit: `"250ms"`, `"5s"`, `"2m"`, `"7d"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(Duration);

impl Time {
    /// A time in seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// A time in milliseconds.
    pub const fn milliseconds(milliseconds: u64) -> Self {
        Self(Duration::from_millis(milliseconds))
    }

    /// The span itself.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl std::str::FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match humantime::parse_duration(text.trim()) {
            Ok(time) if time > MAX_TIME => Err(format!("`{text}` is longer than 100 years")),
            Ok(time) => Ok(Self(time)),
            Err(_) => Err(format!("`{text}` is not a time")),
        }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = self.0.as_millis();
        let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
        let is_whole = self.0.subsec_nanos().is_multiple_of(1_000_000);
        match units.into_iter().find(|(unit, _)| milliseconds.is_multiple_of(*unit)) {
            _ if self.0.is_zero() => f.write_str("0s"),
            Some((unit, name)) if is_whole => write!(f, "{}{name}", milliseconds / unit),
            _ => humantime::format_duration(self.0).fmt(f),
        }
    }
}

/// A number of bytes, written with its unit: `"64KiB"`, `"8MiB"`, `"10GiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(usize);

impl Size {
    /// A size in mebibytes.
    pub const fn mib(mebibytes: usize) -> Self {
        Self(mebibytes << 20)
    }

    /// A size in bytes.
    pub const fn bytes(bytes: usize) -> Self {
        Self(bytes)
    }

    /// The size in bytes.
    pub const fn get(self) -> usize {
        self.0
    }
}

impl std::str::FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size = text.trim().parse::<bytesize::ByteSize>().ok();
        size.and_then(|size| usize::try_from(size.as_u64()).ok())
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not a size"))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(30, "GiB"), (20, "MiB"), (10, "KiB"), (0, "B")];
        let fits = |shift: u32| self.0.trailing_zeros() >= shift && self.0 >> shift > 0;
        match units.into_iter().find(|(shift, _)| fits(*shift)) {
            Some((shift, name)) => write!(f, "{}{name}", self.0 >> shift),
            None => f.write_str("0B"),
        }
    }
}

/// A rate, written with the unit of its time: `"100/s"`, `"6000/m"`, `"10/h"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    unit: &'static str,
    seconds: u32,
}

impl Rate {
    /// The time between two of them.
    pub fn interval(self) -> Duration {
        Duration::from_secs(self.seconds.into()) / self.count
    }

    /// How many come in a second, at least one.
    pub fn in_a_second(self) -> u32 {
        self.count.div_ceil(self.seconds)
    }
}

impl std::str::FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a rate");
        let (count, unit) = text.split_once('/').ok_or_else(wrong)?;
        let count: u32 = count.trim().parse().map_err(|_| wrong())?;
        let units = [("s", 1), ("m", 60), ("h", 3_600)];
        let known = units.into_iter().find(|(name, _)| *name == unit.trim());
        let (unit, seconds) = known.ok_or_else(wrong)?;
        match count {
            0 => Err(format!("`{text}` lets nothing through")),
            1..=1_000_000 => Ok(Self { count, unit, seconds }),
            _ => Err(format!("`{text}` is no limit")),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.unit)
    }
}

macro_rules! written_as_text {
    ($type:ident, $format:literal, $example:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(D::Error::custom)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "format": $format, "examples": [$example] })
            }
        }
    };
}

written_as_text!(Time, "time", "5s");
written_as_text!(Size, "size", "8MiB");
written_as_text!(Rate, "rate", "100/s");

#[cfg(test)]
mod tests;
