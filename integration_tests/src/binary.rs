//! The binary under test: found beside the tests, and never an old one.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

/// The `rbz` that cargo built from the sources at hand.
///
/// Cargo does not build the binaries of other packages for the tests of this one; `cargo xtask
/// test` does it first. So that nobody tests an old binary unawares, this compares it with the
/// sources that cargo noted beside it. `RBZ_UNDER_TEST` in the environment names another binary,
/// such as an installed one, which is taken as it is.
///
/// # Panics
///
/// When there is no such binary, or it is older than its sources.
pub fn rbz() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(binary) = std::env::var_os("RBZ_UNDER_TEST") {
            return PathBuf::from(binary);
        }
        let binary = profile_directory().join("rbz");
        let Some(built) = modified(&binary) else {
            panic!(
                "no `{}`: build it with `cargo build`, or use `cargo xtask test`",
                binary.display()
            );
        };
        let newer = sources(&binary.with_extension("d"))
            .into_iter()
            .find(|source| modified(source).is_some_and(|changed| changed > built));
        if let Some(source) = newer {
            panic!(
                "`{}` is older than `{}`: build it with `cargo build`, or use `cargo xtask test`",
                binary.display(),
                source.display()
            );
        }
        binary
    })
}

/// A directory for what tests write, below `target`.
pub fn scratch_directory() -> PathBuf {
    let directory = profile_directory().with_file_name("tmp").join("integration-tests");
    std::fs::create_dir_all(&directory).expect("the target directory can be written");
    directory
}

/// Root of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies in the repository")
}

/// `target/debug` or `target/release`: the tests run in `deps` below it.
fn profile_directory() -> PathBuf {
    let test = std::env::current_exe().expect("a process knows its own program");
    let deps = test.parent().and_then(Path::parent);
    deps.expect("cargo runs tests in target/PROFILE/deps").to_owned()
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|data| data.modified()).ok()
}

/// The sources in a dependency file as cargo writes it: `output: source source …`.
fn sources(dependency_file: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(dependency_file).unwrap_or_default();
    let (_, list) = text.split_once(": ").unwrap_or_default();
    // A space in a path is written `\ `.
    let list = list.trim().replace("\\ ", "\0");
    list.split_whitespace().map(|source| PathBuf::from(source.replace('\0', " "))).collect()
}
