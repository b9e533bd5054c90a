//! What the operating system knows of this process, by the names that all exporters give it. Linux only: elsewhere it is
//! left out.

use prometheus_client::registry::Registry;

/// Add what is read each time it is asked for.
#[cfg(target_os = "linux")]
pub(super) fn register(registry: &mut Registry) {
    registry.register_collector(Box::new(linux::Process));
}

/// Nothing is known here.
#[cfg(not(target_os = "linux"))]
pub(super) fn register(_: &mut Registry) {}

#[cfg(target_os = "linux")]
mod linux {
    use procfs::WithCurrentSystemInfo as _;
    use procfs::process;
    use prometheus_client::collector::Collector;
    use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
    use prometheus_client::metrics::counter::ConstCounter;
    use prometheus_client::metrics::gauge::ConstGauge;

    #[derive(Debug)]
    pub(super) struct Process;

    /// What is known at the moment.
    struct Figures {
        cpu_seconds: f64,
        start_seconds: f64,
        resident_bytes: u64,
        virtual_bytes: u64,
        threads: i64,
        open_files: u64,
        max_files: Option<u64>,
    }

    impl Figures {
        fn read() -> procfs::ProcResult<Self> {
            let this = process::Process::myself()?;
            let stat = this.stat()?;
            let ticks = procfs::ticks_per_second() as f64;
            let max_files = match this.limits()?.max_open_files.soft_limit {
                process::LimitValue::Value(max) => Some(max),
                process::LimitValue::Unlimited => None,
            };
            Ok(Self {
                cpu_seconds: (stat.utime + stat.stime) as f64 / ticks,
                start_seconds: procfs::boot_time_secs()? as f64 + stat.starttime as f64 / ticks,
                resident_bytes: stat.rss_bytes().get(),
                virtual_bytes: stat.vsize,
                threads: stat.num_threads,
                open_files: this.fd_count()? as u64,
                max_files,
            })
        }
    }

    impl Collector for Process {
        fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
            // Where /proc can't be read there is nothing to say.
            let Ok(figures) = Figures::read() else { return Ok(()) };
            let mut write =
                |name, help, metric: &dyn Encode| metric.write(&mut encoder, name, help);
            let cpu = ConstCounter::new(figures.cpu_seconds);
            write("process_cpu_seconds", "Processor time taken, in seconds", &cpu)?;
            let gauges = [
                (
                    "process_start_time_seconds",
                    "When it started, in seconds since 1970",
                    figures.start_seconds,
                ),
                (
                    "process_resident_memory_bytes",
                    "Memory in use, in bytes",
                    figures.resident_bytes as f64,
                ),
                (
                    "process_virtual_memory_bytes",
                    "Address space, in bytes",
                    figures.virtual_bytes as f64,
                ),
                ("process_threads", "Threads", figures.threads as f64),
                ("process_open_fds", "Open files and sockets", figures.open_files as f64),
            ];
            let max = figures
                .max_files
                .map(|max| ("process_max_fds", "Files and sockets that may be open", max as f64));
            for (name, help, value) in gauges.into_iter().chain(max) {
                write(name, help, &ConstGauge::new(value))?;
            }
            Ok(())
        }
    }

    /// A metric that is written as it is.
    trait Encode {
        fn write(
            &self,
            encoder: &mut DescriptorEncoder<'_>,
            name: &str,
            help: &str,
        ) -> Result<(), std::fmt::Error>;
    }

    impl<M: EncodeMetric> Encode for M {
        fn write(
            &self,
            encoder: &mut DescriptorEncoder<'_>,
            name: &str,
            help: &str,
        ) -> Result<(), std::fmt::Error> {
            self.encode(encoder.encode_descriptor(name, help, None, self.metric_type())?)
        }
    }
}
