//! Metrics as messages: what `/metrics` shows, under the same names.
//!
//! It reads the text that is written for Prometheus. It is ours, so what it never holds isn't read; a line that isn't
//! understood is left out.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use data_encoding::HEXLOWER;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, Sum, exemplar, number_data_point,
};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::delivery::Delivery;
use super::request;
use super::resource::{attribute, nanoseconds, text as any};
use crate::telemetry::exposition::{self, Sample};

/// Send what `text` says at each interval, and at the end.
pub(super) async fn deliver(
    mut delivery: Delivery,
    interval: Duration,
    text: Arc<dyn Fn() -> String + Send + Sync>,
) {
    let mut ticks = interval_at(Instant::now() + interval, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_stopping = tokio::select! {
            _ = ticks.tick() => false,
            () = delivery.stopped() => true,
        };
        let now = nanoseconds(SystemTime::now());
        let (text, since) = (text.clone(), delivery.resource().since);
        // There may be thousands.
        let read = tokio::task::spawn_blocking(move || read(&text(), since, now)).await;
        let request = request::of_messages(delivery.resource(), read.unwrap_or_default());
        delivery.deliver(request.into(), 1).await;
        if is_stopping {
            return;
        }
    }
}

/// The metrics in a text.
pub(super) fn read(text: &str, since: u64, now: u64) -> Vec<Metric> {
    let mut metrics = Vec::new();
    let (mut help, mut kind) = ("", "");
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ').map_or("", |(_, help)| help);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            kind = rest.split_once(' ').map_or("", |(_, kind)| kind);
        } else if let Some(sample) = Sample::read(line) {
            Point::from(sample).add(&mut metrics, (help, kind), (since, now));
        }
    }
    metrics
}

/// One line.
struct Point<'a> {
    name: &'a str,
    labels: Vec<KeyValue>,
    /// The upper bound of a bucket.
    bound: Option<f64>,
    value: &'a str,
    exemplar: Option<Exemplar>,
}

impl<'a> From<Sample<'a>> for Point<'a> {
    fn from(Sample { name, labels, value, exemplar }: Sample<'a>) -> Self {
        let (bounds, labels): (Vec<_>, Vec<_>) =
            labels.into_iter().partition(|(name, _)| *name == "le");
        let bound = bounds.first().and_then(|(_, bound)| bound.parse().ok());
        let labels = labels.into_iter().filter(|(_, value)| !value.is_empty());
        let labels = labels.map(|(name, value)| attribute(name, any(value))).collect();
        Self { name, labels, bound, value, exemplar: exemplar.and_then(with_ids) }
    }
}

impl Point<'_> {
    fn add(self, metrics: &mut Vec<Metric>, (help, kind): (&str, &str), times: (u64, u64)) {
        if kind == "histogram" {
            return self.add_to_histogram(metrics, help, times);
        }
        let Some(value) = value(self.value) else { return };
        let (start_time_unix_nano, time_unix_nano) = times;
        let point = NumberDataPoint {
            attributes: self.labels,
            start_time_unix_nano,
            time_unix_nano,
            value: Some(value),
            ..NumberDataPoint::default()
        };
        let new = || match kind {
            "counter" => Data::Sum(Sum {
                data_points: Vec::new(),
                aggregation_temporality: AggregationTemporality::Cumulative.into(),
                is_monotonic: true,
            }),
            _ => Data::Gauge(Gauge::default()),
        };
        match metric(metrics, self.name, help, new) {
            Some(Data::Sum(sum)) => sum.data_points.push(point),
            Some(Data::Gauge(gauge)) => gauge.data_points.push(point),
            _ => {}
        }
    }

    /// Its sum comes first, then the count, then the buckets, each with what is below it.
    fn add_to_histogram(self, metrics: &mut Vec<Metric>, help: &str, times: (u64, u64)) {
        let Some((name, part @ ("sum" | "count" | "bucket"))) = self.name.rsplit_once('_') else {
            return;
        };
        let new = || {
            let aggregation_temporality = AggregationTemporality::Cumulative.into();
            Data::Histogram(Histogram { data_points: Vec::new(), aggregation_temporality })
        };
        let Some(Data::Histogram(Histogram { data_points, .. })) = metric(metrics, name, help, new)
        else {
            return;
        };
        if part == "sum" {
            data_points.push(HistogramDataPoint {
                attributes: self.labels,
                start_time_unix_nano: times.0,
                time_unix_nano: times.1,
                sum: self.value.parse().ok(),
                ..HistogramDataPoint::default()
            });
            return;
        }
        let (Some(point), Ok(count)) = (data_points.last_mut(), self.value.parse::<u64>()) else {
            return;
        };
        match (part, self.bound) {
            ("count", _) => point.count = count,
            ("bucket", Some(bound)) => {
                let below: u64 = point.bucket_counts.iter().sum();
                point.bucket_counts.push(count.saturating_sub(below));
                point.explicit_bounds.extend(Some(bound).filter(|bound| bound.is_finite()));
                point.exemplars.extend(self.exemplar);
            }
            _ => {}
        }
    }
}

/// What is said of the metric of this name, which stands at the end if it isn't new.
fn metric<'a>(
    metrics: &'a mut Vec<Metric>,
    name: &str,
    help: &str,
    new: impl FnOnce() -> Data,
) -> Option<&'a mut Data> {
    if metrics.last().is_none_or(|last| last.name != name) {
        let (name, description) = (name.to_owned(), help.to_owned());
        metrics.push(Metric { name, description, data: Some(new()), ..Metric::default() });
    }
    metrics.last_mut()?.data.as_mut()
}

fn value(text: &str) -> Option<number_data_point::Value> {
    match text.parse() {
        Ok(whole) => Some(number_data_point::Value::AsInt(whole)),
        Err(_) => text.parse().ok().map(number_data_point::Value::AsDouble),
    }
}

/// An exemplar that names a span.
fn with_ids(exemplar: exposition::Exemplar<'_>) -> Option<Exemplar> {
    let exposition::Exemplar { labels, value, time } = exemplar;
    let time = Duration::try_from_secs_f64(time.parse().ok()?).ok()?;
    let id = |wanted| {
        let (_, id) = labels.iter().find(|(name, _)| *name == wanted)?;
        HEXLOWER.decode(id.as_bytes()).ok()
    };
    Some(Exemplar {
        trace_id: id("trace_id")?,
        span_id: id("span_id")?,
        time_unix_nano: u64::try_from(time.as_nanos()).ok()?,
        value: Some(exemplar::Value::AsDouble(value.parse().ok()?)),
        ..Exemplar::default()
    })
}
