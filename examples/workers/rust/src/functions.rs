//! What this worker can do. Put your own functions here: they get the arguments and return text or any JSON value.
//! At the deadline their future is dropped, so work ends at its next `await`.

use anyhow::{Result, anyhow};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

pub const NAMES: [&str; 5] = ["get_weather", "add", "echo", "wait", "fail"];

/// The caller is told this sentence. The model reads it, so say what to do better.
#[derive(Debug)]
pub struct Refused(pub usize, pub &'static str);

impl std::fmt::Display for Refused {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str(self.1)
    }
}

impl std::error::Error for Refused {}

pub async fn answer(name: &str, arguments: &Value) -> Result<Value> {
    match name {
        "get_weather" => get_weather(arguments),
        "add" => add(arguments),
        "echo" => echo(arguments),
        "wait" => wait(arguments).await,
        "fail" => Err(Refused(500, "the function failed on purpose").into()),
        _ => Err(anyhow!("there is no function {name}")),
    }
}

fn get_weather(arguments: &Value) -> Result<Value> {
    #[derive(Deserialize)]
    struct Of {
        city: String,
    }
    let sentence = "city must be the name of a city, such as Oslo";
    let Of { city } = read(arguments, sentence)?;
    check(!city.trim().is_empty(), sentence)?;
    Ok(json!({"city": city, "celsius": 21, "sky": "clear"}))
}

fn add(arguments: &Value) -> Result<Value> {
    #[derive(Deserialize)]
    struct Of {
        a: f64,
        b: f64,
    }
    let Of { a, b } = read(arguments, "a and b must be numbers")?;
    check((a + b).is_finite(), "the sum is too large")?;
    Ok((a + b).to_string().into())
}

fn echo(arguments: &Value) -> Result<Value> {
    #[derive(Deserialize)]
    struct Of {
        text: String,
        #[serde(default = "once")]
        repeat: usize,
    }
    fn once() -> usize {
        1
    }
    let sentence =
        "text must be a text that is not empty, and repeat a whole number from 1 to 1000";
    let Of { text, repeat } = read(arguments, sentence)?;
    check(!text.is_empty() && (1..=1000).contains(&repeat), sentence)?;
    check(text.len() * repeat <= 1_000_000, "the answer would be longer than 1,000,000 bytes")?;
    Ok(text.repeat(repeat).into())
}

async fn wait(arguments: &Value) -> Result<Value> {
    #[derive(Deserialize)]
    struct Of {
        milliseconds: u64,
    }
    let sentence = "milliseconds must be a whole number from 0 to 60000";
    let Of { milliseconds } = read(arguments, sentence)?;
    check(milliseconds <= 60_000, sentence)?;
    // A database, another service: what is awaited holds up no other call.
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    Ok("waited".into())
}

fn read<'a, T: Deserialize<'a>>(arguments: &'a Value, sentence: &'static str) -> Result<T> {
    T::deserialize(arguments).map_err(|_| Refused(400, sentence).into())
}

fn check(right: bool, sentence: &'static str) -> Result<()> {
    if right { Ok(()) } else { Err(Refused(400, sentence).into()) }
}
