//! One call of `rbz`, as a user types it.

use std::ffi::OsStr;
use std::io::{Read, Seek, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::binary;
use crate::events::Events;
use crate::outcome::Outcome;
use crate::redaction::Redaction;
use crate::trace::Trace;
use crate::workspace::Workspace;

/// Commands that execute actions, and so can tell what they did.
const BUILDING: [&str; 5] = ["build", "coverage", "repl", "run", "test"];

/// Runs the program that its arguments name on a terminal, and types what the first of them says.
const TERMINAL: &str = r#"
import json, os, pty, select, sys, time
child, terminal = pty.fork()
if child == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
end, shown, at = time.time() + 120, b"", 0
def more():
    global shown
    if not select.select([terminal], [], [], max(0, end - time.time()))[0]:
        sys.exit(f"nothing more is shown after {shown.decode()!r}")
    try:
        text = os.read(terminal, 4096)
    except OSError:
        text = b""
    shown += text
    return text
for seen, text in json.loads(sys.argv[1]):
    while shown.find(seen.encode(), at) < 0:
        if not more():
            sys.exit(f"{seen!r} is not in {shown.decode()!r}")
    at = shown.find(seen.encode(), at) + len(seen.encode())
    os.write(terminal, text.encode())
while more():
    pass
print(shown.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"#;

/// A call of `rbz` under construction. It is expected to succeed unless told otherwise.
#[must_use = "nothing happens before `run`"]
pub struct Rbz {
    arguments: Vec<String>,
    directory: PathBuf,
    environment: Vec<(String, String)>,
    input: Option<String>,
    wrapper: Vec<String>,
    trace: Option<PathBuf>,
    events: Option<PathBuf>,
    exit_code: i32,
    redaction: Redaction,
}

impl Rbz {
    pub(crate) fn new(workspace: &Workspace, mut arguments: Vec<String>) -> Self {
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        let call = CALLS.fetch_add(1, Ordering::Relaxed);
        let mut events = None;
        // The command is the first word that is no startup option.
        let command = arguments.iter().position(|word| !word.starts_with('-'));
        if let Some(at) = command.filter(|at| BUILDING.contains(&arguments[*at].as_str())) {
            let file = workspace.base().join(format!("events-{call}.json"));
            arguments.insert(at + 1, format!("--event_log_json_file={}", file.display()));
            let cache = format!("--disk_cache={}", workspace.disk_cache().display());
            arguments.insert(at + 1, cache);
            events = Some(file);
        }
        let environment = [
            ("HOME", workspace.home().to_string_lossy().into_owned()),
            ("PATH", "/usr/local/bin:/usr/bin:/bin".to_owned()),
            ("LANG", "C.UTF-8".to_owned()),
            ("USER", "tester".to_owned()),
        ];
        Rbz {
            arguments,
            directory: workspace.root().to_owned(),
            environment: environment.map(|(name, value)| (name.to_owned(), value)).into(),
            input: None,
            wrapper: Vec::new(),
            trace: None,
            events,
            exit_code: 0,
            redaction: Redaction::of(workspace),
        }
    }

    /// Expects this exit status.
    pub fn exit_code(mut self, code: i32) -> Self {
        self.exit_code = code;
        self
    }

    /// In this directory of the workspace.
    pub fn in_directory(mut self, directory: &str) -> Self {
        self.directory.push(directory);
        self
    }

    /// With this variable in its environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.into(), value.into()));
        self
    }

    /// With this text as its standard input; without, there is none.
    pub fn input(mut self, text: &str) -> Self {
        self.input = Some(text.into());
        self
    }

    /// On a terminal, at which a user types: each time they have seen the first text, the second. What
    /// the terminal shows is its standard output.
    pub fn on_terminal(self, typed: &[(&str, &str)]) -> Self {
        let typed = serde_json::to_string(typed).expect("pairs of texts");
        self.wrapped(["python3", "-c", TERMINAL, &typed])
    }

    /// Run by another program, which gets `rbz` and its arguments as its last arguments.
    pub fn wrapped<S: AsRef<OsStr>>(mut self, wrapper: impl IntoIterator<Item = S>) -> Self {
        self.wrapper =
            wrapper.into_iter().map(|word| word.as_ref().to_string_lossy().into_owned()).collect();
        self
    }

    /// Under `strace`, which notes the processes it starts and the files it opens.
    pub fn traced(mut self) -> Self {
        let file = self.events.as_ref().expect("only building commands are traced");
        let file = file.with_extension("trace");
        let traced = "trace=execve,clone,clone3,fork,vfork,open,openat,openat2";
        let output = file.to_string_lossy().into_owned();
        self.wrapper.extend(
            ["strace", "-f", "-qq", "-s", "4096", "-e", traced, "-o", &output].map(str::to_owned),
        );
        self.trace = Some(file);
        self
    }

    /// Runs it to its end.
    ///
    /// # Panics
    ///
    /// When it ends with another status than expected; the message has all that it printed.
    pub fn run(self) -> Outcome {
        let output = self.command().output().unwrap_or_else(|error| panic!("rbz: {error}"));
        self.outcome(output)
    }

    /// Starts it and leaves it running.
    pub fn spawn(self) -> Running {
        let mut command = self.command();
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("rbz: {error}"));
        let stdout = Collected::from(child.stdout.take().expect("it is piped"));
        let stderr = Collected::from(child.stderr.take().expect("it is piped"));
        Running { child: Guarded(child), stdout, stderr, call: self }
    }

    fn command(&self) -> Command {
        let mut words = self.wrapper.iter().map(OsStr::new).chain([binary::rbz().as_os_str()]);
        let mut command = Command::new(words.next().expect("at least rbz itself"));
        command.args(words).args(&self.arguments).current_dir(&self.directory).env_clear();
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(match &self.input {
            None => Stdio::null(),
            Some(text) => {
                let mut file = tempfile::tempfile().expect("a temporary file");
                file.write_all(text.as_bytes()).expect("it can be written");
                file.rewind().expect("it can be read");
                file.into()
            }
        });
        command
    }

    fn outcome(self, output: Output) -> Outcome {
        let outcome = Outcome::new(
            format!("rbz {}", self.arguments.join(" ")),
            output,
            self.redaction,
            self.events.map(|file| Events::read(&file)),
            self.trace.map(|file| Trace::read(&file)),
        );
        outcome.expect_exit_code(self.exit_code);
        outcome
    }
}

/// A process that does not outlive a test that fails.
struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        // Most often it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A call of `rbz` that is under way.
pub struct Running {
    child: Guarded,
    stdout: Collected,
    stderr: Collected,
    call: Rbz,
}

impl Running {
    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.0.id()).expect("process ids are small");
        // It may have ended already; then there is nobody to tell.
        let _ = nix::sys::signal::kill(Pid::from_raw(id), signal);
    }

    /// Kills the processes below it that have this word on their command line, and yields how many
    /// there were.
    pub fn kill_below(&self, word: &str) -> usize {
        let read = |id: i32, file: &str| std::fs::read_to_string(format!("/proc/{id}/{file}"));
        // After the name, which is in parentheses, come the state and the parent.
        let parent = |id: i32| {
            let stat = read(id, "stat").ok()?;
            stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse::<i32>().ok()
        };
        let own = i32::try_from(self.child.0.id()).expect("process ids are small");
        let all = std::fs::read_dir("/proc").expect("there is /proc").flatten();
        let all = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let is_below = |id: &i32| {
            std::iter::successors(Some(*id), |id| parent(*id)).take(99).any(|id| id == own)
        };
        let has_word = |id: &i32| {
            read(*id, "cmdline").is_ok_and(|line| line.split('\0').any(|one| one == word))
        };
        let found: Vec<i32> = all.filter(|id| has_word(id) && is_below(id)).collect();
        for id in &found {
            // It may have ended already.
            let _ = nix::sys::signal::kill(Pid::from_raw(*id), Signal::SIGKILL);
        }
        found.len()
    }

    /// True while it runs.
    pub fn is_running(&mut self) -> bool {
        self.child.0.try_wait().is_ok_and(|status| status.is_none())
    }

    /// Waits until `done`.
    ///
    /// # Panics
    ///
    /// When it ends before, or after a minute.
    pub fn wait_until(&mut self, what: &str, mut done: impl FnMut(&Running) -> bool) {
        let start = Instant::now();
        while !done(self) {
            if !self.is_running() {
                panic!("rbz ended before {what}:\n{}", self.stderr.text());
            }
            assert!(start.elapsed() < Duration::from_secs(60), "{what} took more than a minute");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until it has written this text to stderr.
    pub fn wait_for_stderr(&mut self, text: &str) {
        self.wait_until(text, |running| running.stderr.text().contains(text));
    }

    /// Waits until the action that writes `output` has begun.
    pub fn wait_for_action(&mut self, output: &str) {
        let begun = |running: &Running| {
            let file = running.call.events.as_deref().expect("only building commands tell");
            Events::read(file).has_started(output)
        };
        self.wait_until(output, begun);
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Outcome {
        let status = self.child.0.wait().unwrap_or_else(|error| panic!("rbz: {error}"));
        let (stdout, stderr) = (self.stdout.finish(), self.stderr.finish());
        self.call.outcome(Output { status, stdout, stderr })
    }

    /// Kills it outright and returns what it had done.
    pub fn kill(self) -> Events {
        let Running { child, call, .. } = self;
        drop(child);
        Events::read(call.events.as_deref().expect("only building commands tell"))
    }
}

/// What a pipe yields, read by a thread of its own so that the writer never waits.
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Collected {
    fn from(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&bytes);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = pipe.read(&mut buffer) {
                to.lock().expect("no thread panics with it").extend(&buffer[..length]);
            }
        });
        Collected { bytes, reader }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().expect("no thread panics with it")).into_owned()
    }

    fn finish(self) -> Vec<u8> {
        self.reader.join().expect("the reader does not panic");
        std::mem::take(&mut self.bytes.lock().expect("no thread panics with it"))
    }
}
