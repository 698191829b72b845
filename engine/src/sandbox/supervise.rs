//! Supervision of a running process from rbz: collects what it writes, keeps the time, and kills
//! it when it is late or no longer wanted.

use std::io::{self, Read};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::connection::{Running, system_error};
use super::message::{self, Report};
use crate::strategy::{Cancel, Exit, StrategyError};

/// What ends a process before its time, and who listens to it.
pub struct Limits<'a> {
    /// How long it may run.
    pub timeout: Option<Duration>,
    /// How long it may go on after that when it was asked to end; zero: it is not asked.
    pub grace: Duration,
    /// Set when the build stops.
    pub cancel: &'a Cancel,
    /// Gets what comes from stdout as it comes.
    pub live: Option<&'a Sender<Vec<u8>>>,
}

/// A process that has ended.
pub struct Ended {
    /// How.
    pub outcome: Outcome,
    /// What it wrote to stdout, and to stderr if that is the same pipe.
    pub stdout: Vec<u8>,
    /// What it wrote to stderr.
    pub stderr: Vec<u8>,
    /// From start to end.
    pub wall: Duration,
    /// Of all its processes.
    pub cpu: Duration,
    /// In bytes.
    pub max_rss: u64,
}

/// How a process ended.
#[derive(Debug)]
pub enum Outcome {
    /// It ran.
    Ran(Exit),
    /// The program could not be executed.
    NotExecuted(io::Error),
}

/// What is kept of a stream. A program that writes without end must not fill the memory.
const OUTPUT_LIMIT: usize = 64 << 20;

/// How often it is asked whether the build was cancelled.
const CANCEL_INTERVAL: Duration = Duration::from_millis(20);

/// How long a killed process may take to go. The kernel needs microseconds; only one that waits
/// for a broken disk can be later.
const KILL_PATIENCE: Duration = Duration::from_secs(20);

/// How long pipes may stay open when every process that held them has gone.
const PIPE_PATIENCE: Duration = Duration::from_secs(2);

/// Waits for the end of a process, whichever way it comes.
pub fn supervise(running: Running, limits: &Limits) -> Result<Ended, StrategyError> {
    let started = Instant::now();
    // A limit beyond the end of time is none.
    let deadline = limits.timeout.and_then(|timeout| started.checked_add(timeout));
    let mut stdout = Stream::new(running.ours.stdout)?;
    let mut stderr = Stream::new(running.ours.stderr)?;
    let mut control = Some(running.control);
    let mut killed: Option<(Exit, Instant)> = None;
    let mut not_executed = None;
    let mut over_memory = false;
    let mut asked: Option<Instant> = None;
    let mut ended: Option<(i32, u64, u64, Instant)> = None;
    loop {
        let now = Instant::now();
        if let Some((.., at)) = ended {
            if (stdout.is_done() && stderr.is_done()) || now > at + PIPE_PATIENCE {
                break;
            }
        } else if let Some((_, at)) = killed {
            if now > at + KILL_PATIENCE {
                break;
            }
        } else {
            let late = deadline.is_some_and(|deadline| now >= deadline);
            let why = match (limits.cancel.is_cancelled(), late) {
                (true, _) => Some(Exit::Cancelled),
                (_, true) => Some(Exit::TimedOut),
                _ => None,
            };
            let ask = why == Some(Exit::TimedOut) && asked.is_none() && !limits.grace.is_zero();
            let waits = why == Some(Exit::TimedOut)
                && asked.is_some_and(|asked| now < asked + limits.grace);
            match (why, &control) {
                (Some(_), Some(control)) if ask => {
                    ask_to_end(control);
                    asked = Some(now);
                }
                (Some(why), Some(control)) if !waits => {
                    shut(control);
                    killed = Some((why, now));
                }
                _ => {}
            }
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(now));
        let wait = match killed.is_none() && asked.is_none() {
            true => left.map_or(CANCEL_INTERVAL, |left| left.min(CANCEL_INTERVAL)),
            false => CANCEL_INTERVAL,
        };
        wait_for_any(&[control.as_ref(), stdout.fd.as_ref(), stderr.fd.as_ref()], wait)?;
        let from = stdout.bytes.len();
        stdout.read()?;
        if let Some(live) = limits.live
            && stdout.bytes.len() > from
        {
            // Who no longer listens does not want to know.
            let _ = live.send(stdout.bytes[from..].to_vec());
        }
        stderr.read()?;
        let Some(socket) = control.as_ref().filter(|socket| is_ready(socket.as_fd())) else {
            continue;
        };
        let failed = |error: io::Error| StrategyError {
            what: "hear from the sandbox".into(),
            reason: error.to_string(),
        };
        match message::receive::<Report>(socket.as_fd()).map_err(failed)? {
            Some((Report::Ended { status, cpu_micros, max_rss }, _)) => {
                ended = Some((status, cpu_micros, max_rss, Instant::now()));
                control = None;
            }
            Some((Report::NotExecuted { errno }, _)) => not_executed = Some(errno),
            Some((Report::OverMemory, _)) => over_memory = true,
            Some((Report::Failed { what, errno }, _)) => return Err(system_error(what, errno)),
            Some((Report::Ready { .. } | Report::Entered, _)) => {}
            None if killed.is_some() => break,
            None => {
                return Err(StrategyError {
                    what: "run a process".into(),
                    reason: "the sandbox's own process was killed".into(),
                });
            }
        }
    }
    let (status, cpu_micros, max_rss, at) = ended.unwrap_or((libc::SIGKILL, 0, 0, Instant::now()));
    let outcome = match (killed, not_executed) {
        (Some((exit, _)), _) => Outcome::Ran(exit),
        (None, _) if asked.is_some() => Outcome::Ran(Exit::TimedOut),
        (None, _) if over_memory => Outcome::Ran(Exit::OverMemory),
        (None, Some(errno)) => Outcome::NotExecuted(io::Error::from_raw_os_error(errno)),
        (None, None) if libc::WIFEXITED(status) => {
            Outcome::Ran(Exit::Status(libc::WEXITSTATUS(status)))
        }
        (None, None) => Outcome::Ran(Exit::Signal(libc::WTERMSIG(status))),
    };
    Ok(Ended {
        outcome,
        stdout: stdout.finish(),
        stderr: stderr.finish(),
        wall: at - started,
        cpu: Duration::from_micros(cpu_micros),
        max_rss,
    })
}

/// Has the reaper ask the processes to end; what it cannot be told now is said by the lifeline later.
fn ask_to_end(control: &OwnedFd) {
    let _ = nix::sys::socket::send(control.as_raw_fd(), &[0], nix::sys::socket::MsgFlags::empty());
}

/// Ends the lifeline; what the reaper still has to say can be heard.
fn shut(control: &OwnedFd) {
    let socket = std::os::unix::net::UnixStream::from(match control.try_clone() {
        Ok(fd) => fd,
        // Without a descriptor to spare the process is killed when the socket closes.
        Err(_) => return,
    });
    let _ = socket.shutdown(Shutdown::Write);
}

fn wait_for_any(fds: &[Option<&OwnedFd>], timeout: Duration) -> Result<(), StrategyError> {
    let mut polled: Vec<PollFd> =
        fds.iter().flatten().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)).collect();
    // Rounded up, so that the last millisecond is no busy loop.
    let millis = u16::try_from(timeout.as_millis() + 1).unwrap_or(u16::MAX);
    match poll(&mut polled, PollTimeout::from(millis)) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(system_error("wait for a process".into(), errno as i32)),
    }
}

fn is_ready(fd: BorrowedFd) -> bool {
    let mut polled = [PollFd::new(fd, PollFlags::POLLIN)];
    matches!(poll(&mut polled, PollTimeout::ZERO), Ok(1))
}

/// One pipe and what came out of it.
struct Stream {
    /// `None` once it has ended.
    fd: Option<OwnedFd>,
    bytes: Vec<u8>,
    /// How many bytes came after the limit.
    lost: u64,
}

impl Stream {
    fn new(fd: Option<OwnedFd>) -> Result<Stream, StrategyError> {
        if let Some(fd) = &fd {
            // SAFETY: sets a flag of a descriptor that is ours.
            if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) } < 0 {
                return Err(system_error("set up a pipe".into(), Errno::last() as i32));
            }
        }
        Ok(Stream { fd, bytes: Vec::new(), lost: 0 })
    }

    fn is_done(&self) -> bool {
        self.fd.is_none()
    }

    /// Takes what is there, but not for ever: a fast writer must not keep the time from running.
    fn read(&mut self) -> Result<(), StrategyError> {
        let Some(fd) = self.fd.take() else { return Ok(()) };
        let mut file = std::fs::File::from(fd);
        let mut buffer = [0; 64 * 1024];
        for _ in 0..16 {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => {
                    let kept = count.min(OUTPUT_LIMIT - self.bytes.len());
                    self.bytes.extend_from_slice(&buffer[..kept]);
                    self.lost += (count - kept) as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(StrategyError {
                        what: "read what a process wrote".into(),
                        reason: error.to_string(),
                    });
                }
            }
        }
        self.fd = Some(file.into());
        Ok(())
    }

    fn finish(mut self) -> Vec<u8> {
        if self.lost > 0 {
            let note = format!("\n[{} more bytes of output were dropped]\n", self.lost);
            self.bytes.extend_from_slice(note.as_bytes());
        }
        self.bytes
    }
}
