//! Processes that repository rules run.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
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
    let stdout = child.stdout.take().map(Reader::of);
    let stderr = child.stderr.take().map(Reader::of);
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
    // A process of its own that it left behind may hold the pipes for ever.
    let patience = deadline.saturating_duration_since(Instant::now()).max(LAST_WORDS);
    let text = |reader: Option<Reader>| {
        let bytes = reader.map(|reader| reader.read(patience)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Ok(ProcessResult { status, stdout: text(stdout), stderr: text(stderr) })
}

/// For how long what a process wrote is read when its time is over.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Reads a pipe on a thread, which ends with the last process that holds the other end.
struct Reader {
    bytes: Arc<Mutex<Vec<u8>>>,
    done: Receiver<()>,
}

impl Reader {
    fn of(mut pipe: impl Read + Send + 'static) -> Reader {
        let (sender, done) = mpsc::channel();
        let bytes: Arc<Mutex<Vec<u8>>> = Arc::default();
        let to = bytes.clone();
        thread::spawn(move || {
            let mut buffer = [0; 8192];
            // What was read before an error counts; the exit status tells the rest.
            while let Ok(count @ 1..) = pipe.read(&mut buffer) {
                to.lock().unwrap_or_else(|poison| poison.into_inner()).extend(&buffer[..count]);
            }
            // Whoever waits no longer has what was there.
            let _ = sender.send(());
        });
        Reader { bytes, done }
    }

    /// What was written, up to the end or for so long.
    fn read(self, patience: Duration) -> Vec<u8> {
        // Both an end and none in time are an answer.
        let _ = self.done.recv_timeout(patience);
        std::mem::take(&mut *self.bytes.lock().unwrap_or_else(|poison| poison.into_inner()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_leaves_another_behind_is_not_waited_for_longer_than_its_time() {
        let argv = ["/bin/sh", "-c", "echo out; sleep 60 & exit 3"].map(str::to_owned);
        let path = [("PATH".to_owned(), "/usr/bin:/bin".to_owned())];
        let start = Instant::now();
        let result = run(&argv, &path, Path::new("/"), 1).unwrap();
        assert_eq!((result.status, &*result.stdout), (3, "out\n"));
        assert!(start.elapsed() < Duration::from_secs(30));
    }
}
