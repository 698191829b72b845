//! A stem: a process that has dealt with the first steps of several actions, and forks the rest.

use std::fs::File;
use std::io::{self, IoSliceMut, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, UnixCredentials, recvmsg, sendmsg, setsockopt,
    sockopt,
};

use super::connection::Connection;
use super::message::{self, Request, Role};
use super::process_size::proportional_size;
use super::scratch::Scratch;
use crate::strategy::Cancel;

/// How often it is asked whether the build was cancelled, in milliseconds.
const CANCEL_INTERVAL: u8 = 20;

/// How long a stem may take to fork.
const PATIENCE: Duration = Duration::from_secs(20);

/// A stem that can be asked. Dropping it ends the process.
pub struct Stem {
    socket: OwnedFd,
    /// Its process, so that it can be killed in the middle of a step.
    process: Process,
    /// Its `/tmp`; it may have files open there.
    _scratch: Scratch,
}

impl Stem {
    /// Starts the first stem of the program of `request`.
    ///
    /// `None`, here and below: that did not work, in whatever way. What was to be forked then runs
    /// as if there were no stems, and tells why it fails.
    pub fn start(
        connection: &Connection,
        request: &Request,
        scratch: Scratch,
        cancel: &Cancel,
    ) -> Option<Stem> {
        let output = empty_file().ok()?;
        let (socket, theirs) = socket_with_credentials().ok()?;
        let _control = connection.start_stem(request, &output, &theirs).ok()?;
        drop(theirs);
        let process = hear(&socket, "ready", cancel)?;
        is_empty(output).then_some(Stem { socket, process, _scratch: scratch })
    }

    /// Forks a stem that deals with `steps` too, with the namespaces of `request`.
    pub fn extend(
        &self,
        connection: &Connection,
        request: &Request,
        steps: &[String],
        scratch: Scratch,
        cancel: &Cancel,
    ) -> Option<Stem> {
        let (_control, namespaces) = connection.namespaces(Role::ForkedStem, request).ok()?;
        let lines = file_of_lines(steps).ok()?;
        let output = empty_file().ok()?;
        let (socket, theirs) = socket_with_credentials().ok()?;
        self.ask("stem", &[&lines, &output, &theirs], &namespaces, cancel)?;
        drop(theirs);
        let process = hear(&socket, "started", cancel)?;
        let stem = Stem { socket, process, _scratch: scratch };
        hear(&stem.socket, "ready", cancel)?;
        is_empty(output).then_some(stem)
    }

    /// Forks the process of an action into `namespaces`, with the last `words` of its command line.
    pub fn fork(
        &self,
        namespaces: &[OwnedFd],
        words: &[String],
        stdout: &OwnedFd,
        stderr: &OwnedFd,
        cancel: &Cancel,
    ) -> Option<()> {
        let words = file_of_lines(words).ok()?;
        self.ask("run", &[&words, stdout, stderr], namespaces, cancel)
    }

    fn ask(
        &self,
        word: &str,
        files: &[&OwnedFd],
        namespaces: &[OwnedFd],
        cancel: &Cancel,
    ) -> Option<()> {
        let fds: Vec<_> = files.iter().copied().chain(namespaces).map(AsRawFd::as_raw_fd).collect();
        let part = [io::IoSlice::new(word.as_bytes())];
        let rights = [ControlMessage::ScmRights(&fds)];
        let flags = MsgFlags::MSG_NOSIGNAL;
        sendmsg::<()>(self.socket.as_raw_fd(), &part, &rights, flags, None).ok()?;
        hear(&self.socket, "forked", cancel).map(drop)
    }

    /// How much memory would be free if it went, in bytes, its part in what it shares included; 0
    /// if that cannot be found out.
    pub fn memory(&self) -> u64 {
        proportional_size(self.process.id).unwrap_or(0)
    }
}

impl Drop for Stem {
    fn drop(&mut self) {
        // SAFETY: a system call with a descriptor of ours and no memory. If the process is gone
        // already, nothing happens.
        unsafe {
            let none = std::ptr::null::<libc::siginfo_t>();
            let fd = self.process.handle.as_raw_fd();
            libc::syscall(libc::SYS_pidfd_send_signal, fd, libc::SIGKILL, none, 0);
        }
    }
}

/// A process somewhere below us.
struct Process {
    /// Its number, as we see it.
    id: i32,
    /// Stands for it, and for no other that has the number later.
    handle: OwnedFd,
}

/// Waits for `word`; yields the process that said it.
fn hear(socket: &OwnedFd, word: &str, cancel: &Cancel) -> Option<Process> {
    let limit = (word == "forked").then(|| std::time::Instant::now() + PATIENCE);
    loop {
        let mut polled = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        match poll(&mut polled, PollTimeout::from(CANCEL_INTERVAL)) {
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => break,
            Err(_) => return None,
        }
        if cancel.is_cancelled() || limit.is_some_and(|limit| std::time::Instant::now() > limit) {
            return None;
        }
    }
    let mut bytes = [0; 16];
    let mut control = nix::cmsg_space!(UnixCredentials);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let fd = socket.as_raw_fd();
    let received = recvmsg::<()>(fd, &mut parts, Some(&mut control), MsgFlags::empty()).ok()?;
    let sender = received.cmsgs().ok()?.find_map(|part| match part {
        ControlMessageOwned::ScmCredentials(credentials) => Some(credentials.pid()),
        _ => None,
    });
    let length = received.bytes;
    if &bytes[..length] != word.as_bytes() {
        return None;
    }
    let id = sender?;
    // SAFETY: a system call without memory; the sender lives, as it waits to be asked.
    let handle = unsafe { libc::syscall(libc::SYS_pidfd_open, id, 0) };
    let handle = i32::try_from(handle).ok().filter(|fd| *fd >= 0)?;
    // SAFETY: the kernel has just made this descriptor for us alone.
    Some(Process { id, handle: unsafe { OwnedFd::from_raw_fd(handle) } })
}

/// A pair of sockets, of which the first tells who sent what it receives.
fn socket_with_credentials() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = message::socket_pair()?;
    setsockopt(&ours, sockopt::PassCred, &true)?;
    Ok((ours, theirs))
}

/// A file in memory with these lines.
fn file_of_lines(lines: &[String]) -> io::Result<OwnedFd> {
    let mut file = File::from(empty_file()?);
    let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
    file.write_all(text.as_bytes())?;
    io::Seek::rewind(&mut file)?;
    Ok(file.into())
}

fn empty_file() -> io::Result<OwnedFd> {
    Ok(memfd_create(c"rbz-stem", MFdFlags::MFD_CLOEXEC)?)
}

/// Whether nothing was written. What a step prints belongs to every action that takes it, and to
/// none that is forked afterwards.
fn is_empty(file: OwnedFd) -> bool {
    File::from(file).metadata().is_ok_and(|metadata| metadata.len() == 0)
}
