//! Messages between rbz, its init and the reapers, and the sockets they go over.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::PathBuf;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg,
    sendmsg, socketpair,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::rules::Rules;

/// How the init confines what it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// In a user namespace and the namespaces it gives a right to.
    UserNamespaces,
    /// In namespaces that root may make without a user namespace.
    RootNamespaces,
    /// By rules for what it may open.
    Landlock,
    /// Not at all.
    Unconfined,
}

impl Mode {
    /// Whether processes have namespaces of their own.
    pub fn has_namespaces(self) -> bool {
        matches!(self, Mode::UserNamespaces | Mode::RootNamespaces)
    }
}

/// The first message to an init.
#[derive(Debug, Serialize, Deserialize)]
pub struct Hello {
    /// How it confines.
    pub mode: Mode,
    /// The directory that the paths of a [`View`] are relative to; unused for `Unconfined`.
    pub base: PathBuf,
    /// Whether what it starts may belong to the terminal of rbz.
    pub terminal: bool,
}

/// What to run, and what keeps it from the rest of the machine.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    /// What it sees, or may open.
    pub confinement: Confinement,
    /// Absolute path of the program, as it sees it.
    pub program: String,
    /// The command line.
    pub argv: Vec<String>,
    /// The environment, as `NAME=value`.
    pub env: Vec<String>,
    /// Absolute path of the working directory, as the program sees it.
    pub working_directory: String,
    /// Its processes are killed when they have more bytes of memory than this.
    pub memory: u64,
}

/// What keeps a process from the rest of the machine. It must suit the [`Mode`] of the init.
#[derive(Debug, Serialize, Deserialize)]
pub enum Confinement {
    /// Nothing.
    None,
    /// Mounts of its own: the rest does not exist for it.
    View(View),
    /// Rules: the rest is refused.
    Rules(Rules),
}

impl Confinement {
    /// Whether it is in the machine's network. Rules are about that too, but need no namespace.
    pub fn shares_network(&self) -> bool {
        match self {
            Confinement::View(view) => view.network,
            Confinement::None | Confinement::Rules(_) => true,
        }
    }
}

/// What a process sees. All paths are relative to [`Hello::base`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct View {
    /// The tree of the machine's parts; becomes the root.
    pub system: String,
    /// The tree of the inputs.
    pub inputs: String,
    /// The scratch directory.
    pub scratch: String,
    /// Where what it writes lies: everywhere (overlay), or only in the directories listed,
    /// relative to the execution root.
    pub writable: Writable,
    /// Whether it is in the machine's network.
    pub network: bool,
}

/// Where a process can write below the execution root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Writable {
    /// Everywhere, through an overlay.
    Everywhere,
    /// In these directories.
    Directories(Vec<String>),
}

/// What an init or a reaper tells.
#[derive(Debug, Serialize, Deserialize)]
pub enum Report {
    /// The init is ready.
    Ready {
        /// Whether overlays work on the file system of [`Hello::base`].
        overlay: bool,
    },
    /// The view is there; with the message come the namespaces: of process ids, if there is one for
    /// the view alone, of mounts, of inter-process communication, and of the network.
    Entered,
    /// Something could not be done; the process was not started.
    Failed {
        /// What.
        what: String,
        /// The system's error number.
        errno: i32,
    },
    /// The program itself could not be executed.
    NotExecuted {
        /// The system's error number.
        errno: i32,
    },
    /// It took too much memory, and is going to be killed.
    OverMemory,
    /// The process and everything below it has ended.
    Ended {
        /// As `waitpid` gives it.
        status: i32,
        /// CPU time of all its processes, in microseconds.
        cpu_micros: u64,
        /// Greatest resident size of one of them, in bytes.
        max_rss: u64,
    },
}

/// A connected pair of sockets that keep messages apart and tell when the other end goes.
pub fn socket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC;
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?)
}

/// Sends a message with file descriptors. It must be small (a hundred kilobytes).
pub fn send(socket: BorrowedFd, message: &impl Serialize, fds: &[RawFd]) -> io::Result<()> {
    let bytes = postcard::to_stdvec(message).map_err(io::Error::other)?;
    let rights = [ControlMessage::ScmRights(fds)];
    let control: &[ControlMessage] = if fds.is_empty() { &[] } else { &rights };
    loop {
        let sent = sendmsg::<()>(
            socket.as_raw_fd(),
            &[IoSlice::new(&bytes)],
            control,
            // A socket whose other end is gone is an error here, no signal.
            MsgFlags::MSG_NOSIGNAL,
            None,
        );
        match sent {
            Err(nix::errno::Errno::EINTR) => continue,
            other => return other.map(|_| ()).map_err(io::Error::from),
        }
    }
}

/// Receives a message with its file descriptors; `None` once the other end is gone.
pub fn receive<M: DeserializeOwned>(socket: BorrowedFd) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
    let mut bytes = vec![0; 16 * 1024];
    let mut control = nix::cmsg_space!([RawFd; 8]);
    let (length, fds) = loop {
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        match recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags) {
            Err(nix::errno::Errno::EINTR) => continue,
            Err(nix::errno::Errno::ECONNRESET) => return Ok(None),
            Err(error) => return Err(error.into()),
            Ok(received) => {
                let mut fds = Vec::new();
                for part in received.cmsgs()? {
                    if let ControlMessageOwned::ScmRights(received) = part {
                        // SAFETY: the kernel has just made these descriptors for us alone.
                        fds.extend(received.iter().map(|&fd| unsafe { OwnedFd::from_raw_fd(fd) }));
                    }
                }
                break (received.bytes, fds);
            }
        }
    };
    if length == 0 {
        return Ok(None);
    }
    let message = postcard::from_bytes(&bytes[..length]).map_err(io::Error::other)?;
    Ok(Some((message, fds)))
}

/// The few bytes that go over the init's socket for each request. What is asked for travels in
/// a file descriptor, since a command line can be larger than a message. The descriptors are those
/// of the request and of the reaper's socket, and then what the role says.
#[derive(Debug, Serialize, Deserialize)]
pub struct Start {
    /// Whether the process is in the machine's network: decided by the init when it forks.
    pub network: bool,
    /// What the request is for.
    pub role: Role,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// A process of its own; then come the descriptors of stdout and stderr.
    Process,
    /// A process at the terminal of rbz; then come the descriptors of stdin, stdout and stderr.
    InTerminal,
    /// The first of the stems of a program, which has the right to enter namespaces; then come the
    /// descriptors of what it writes and of its socket.
    Stem,
    /// The namespaces of a process that a stem forks, and a reaper for it.
    ForkedProcess,
    /// The namespaces of a stem that another one forks.
    ForkedStem,
}

impl Role {
    /// Whether there is a namespace of process ids. Stems are all in that of the init: from there
    /// what they fork can enter any other.
    pub fn has_own_pids(self) -> bool {
        matches!(self, Role::Process | Role::InTerminal | Role::ForkedProcess)
    }
}

/// A file in memory that holds a request.
pub fn pack(request: &Request) -> io::Result<OwnedFd> {
    let fd = memfd_create(c"rbz-request", MFdFlags::MFD_CLOEXEC)?;
    let mut file = File::from(fd);
    file.write_all(&postcard::to_stdvec(request).map_err(io::Error::other)?)?;
    Ok(file.into())
}

/// Reads what [`pack`] wrote.
pub fn unpack(fd: OwnedFd) -> io::Result<Request> {
    let mut file = File::from(fd);
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    postcard::from_bytes(&bytes).map_err(io::Error::other)
}

/// Sends a report, without regard to whether somebody still listens.
pub fn report(socket: &impl AsFd, report: &Report) {
    // When rbz is gone there is nobody to tell, and the reader of the same socket finds out.
    let _ = send(socket.as_fd(), report, &[]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_larger_than_a_message_arrives_whole() {
        let request = Request {
            confinement: Confinement::None,
            program: "/bin/x".into(),
            argv: (0..20_000).map(|number| format!("argument {number}")).collect(),
            env: vec!["A=ä".into()],
            working_directory: "/".into(),
            memory: u64::MAX,
        };
        let back = unpack(pack(&request).unwrap()).unwrap();
        assert_eq!(back.argv, request.argv);
        assert_eq!(back.env, request.env);
    }

    #[test]
    fn the_end_of_the_other_side_is_told() {
        let (ours, theirs) = socket_pair().unwrap();
        send(theirs.as_fd(), &Report::Ready { overlay: true }, &[]).unwrap();
        drop(theirs);
        let (message, _) = receive::<Report>(ours.as_fd()).unwrap().unwrap();
        assert!(matches!(message, Report::Ready { overlay: true }));
        assert!(receive::<Report>(ours.as_fd()).unwrap().is_none());
    }
}
