//! The `hookbus` program; everything is in the library.

fn main() -> std::process::ExitCode {
    hookbus::cli::main()
}
