//! Processes that repository rules run.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rbz_engine::diagnostic::Diagnostic;

/// A process that has ended.
pub struct ProcessResult {
    /// Its exit status; 256 if it took too long, 128 and the signal if one ended it.
    pub status: i32,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

/// The status of a process that took too long, as Bazel reports it.
const TIMED_OUT: i32 = 256;

/// Runs a program in an environment of just these variables.
pub fn run(
    argv: &[String],
    environment: &[(String, String)],
    directory: &Path,
    timeout: i32,
) -> Result<ProcessResult, Diagnostic> {
    let fault = |what: &str, error: std::io::Error| {
        Diagnostic::machine(format!("cannot {what} `{}`: {error}", argv[0]))
    };
    let mut child = Command::new(&argv[0])
        .args(&argv[1..])
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| fault("run", error))?;
    let stdout = child.stdout.take().map(|pipe| thread::spawn(move || drain(pipe)));
    let stderr = child.stderr.take().map(|pipe| thread::spawn(move || drain(pipe)));
    let seconds = u64::try_from(timeout).unwrap_or(0);
    let deadline = Instant::now() + Duration::from_secs(seconds.max(1));
    let mut pause = Duration::from_millis(1);
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|error| fault("wait for", error))? {
            use std::os::unix::process::ExitStatusExt;
            break status.code().unwrap_or(128 + status.signal().unwrap_or(0));
        }
        if Instant::now() >= deadline {
            child.kill().map_err(|error| fault("stop", error))?;
            child.wait().map_err(|error| fault("wait for", error))?;
            break TIMED_OUT;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    };
    let text = |reader: Option<thread::JoinHandle<Vec<u8>>>| {
        // A reader that panicked read nothing.
        let bytes = reader.and_then(|reader| reader.join().ok()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Ok(ProcessResult { status, stdout: text(stdout), stderr: text(stderr) })
}

fn drain(mut pipe: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What was read before an error counts; the exit status tells the rest.
    let _ = pipe.read_to_end(&mut bytes);
    bytes
}
