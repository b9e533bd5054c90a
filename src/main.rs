//! The `hookbus` program; everything is in the library.

/// The C library's allocator takes a fifth more processor time for the same webhooks (`make bench`).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    hookbus::cli::main()
}
