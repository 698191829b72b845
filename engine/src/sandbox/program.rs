//! The program: the last steps of a forked process before it executes what was asked for.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::sys::stat::{Mode as FileMode, umask};
use nix::unistd::{self, Gid, Uid};

use super::init::close_on_exec_from;
use super::message::{self, Confinement, Mode, Report, Request};
use super::rules;
use super::view::{Fault, MAX_PROCESSES, UID, fault};

/// The streams of a program.
pub struct Streams {
    /// `None`: nothing can be read. A program that has it belongs to the terminal of rbz.
    pub stdin: Option<OwnedFd>,
    /// Its stdout.
    pub stdout: OwnedFd,
    /// Its stderr.
    pub stderr: OwnedFd,
}

/// Becomes the program of `request`. If that fails, `control` is told why.
pub fn execute(request: &Request, mode: Mode, control: &OwnedFd, streams: &Streams) -> ! {
    let Streams { stdin, stdout, stderr } = streams;
    let prepared = prepare(request, stdin.as_ref(), stdout, stderr).and_then(|command| {
        if mode != Mode::Unconfined {
            drop_rights(mode)?;
        }
        close_on_exec_from(3);
        if let Confinement::Rules(rules) = &request.confinement {
            rules::enforce(rules)?;
        }
        Ok(command)
    });
    become_program(prepared, control)
}

/// The descriptor on which a stem finds its socket.
const STEM_SOCKET: i32 = 3;

/// Becomes the first stem of the program of `request`, which writes to `output` and keeps the right to
/// enter the namespaces of what it forks. If that fails, `control` is told why.
pub fn execute_stem(request: &Request, control: &OwnedFd, output: &OwnedFd, socket: &OwnedFd) -> ! {
    let prepared = prepare(request, None, output, output).and_then(|command| {
        keep_right_to_enter()?;
        // After the socket is in its place nothing is reported any more.
        close_on_exec_from(3);
        place_socket(socket)?;
        Ok(command)
    });
    become_program(prepared, control)
}

fn place_socket(socket: &OwnedFd) -> Result<(), Fault> {
    let from = socket.as_raw_fd();
    // SAFETY: the descriptor that had this number, if any, is not used between here and the end of
    // this program; the socket itself keeps it, to be inherited.
    let done = unsafe {
        match from == STEM_SOCKET {
            true => libc::fcntl(from, libc::F_SETFD, 0),
            false => libc::dup2(from, STEM_SOCKET),
        }
    };
    if done < 0 { Err(fault("set up a socket")(nix::errno::Errno::last())) } else { Ok(()) }
}

fn become_program(prepared: Result<Command, Fault>, control: &OwnedFd) -> ! {
    let report = match prepared {
        Ok((program, argv, env)) => {
            let Err(errno) = unistd::execve(&program, &argv, &env);
            Report::NotExecuted { errno: errno as i32 }
        }
        Err(Fault { what, errno }) => Report::Failed { what, errno },
    };
    message::report(control, &report);
    // SAFETY: ends the process at once; nothing of the init's own end is to be run here.
    unsafe { libc::_exit(127) }
}

type Command = (CString, Vec<CString>, Vec<CString>);

fn prepare(
    request: &Request,
    stdin: Option<&OwnedFd>,
    stdout: &OwnedFd,
    stderr: &OwnedFd,
) -> Result<Command, Fault> {
    let program = text(&request.program)?;
    let argv = request.argv.iter().map(|word| text(word)).collect::<Result<_, _>>()?;
    let env = request.env.iter().map(|word| text(word)).collect::<Result<_, _>>()?;

    let nothing;
    let stdin = match stdin {
        Some(stdin) => stdin,
        None => {
            unistd::setsid().map_err(fault("start a session"))?;
            let opened = File::open("/dev/null");
            nothing = opened.map_err(|error| Fault::io("open `/dev/null`", &error))?.into();
            &nothing
        }
    };
    unistd::dup2_stdin(stdin).map_err(fault("set up stdin"))?;
    unistd::dup2_stdout(stdout).map_err(fault("set up stdout"))?;
    unistd::dup2_stderr(stderr).map_err(fault("set up stderr"))?;
    let directory = &request.working_directory;
    unistd::chdir(&**directory).map_err(fault(&format!("enter the directory `{directory}`")))?;
    umask(FileMode::from_bits_truncate(0o022));
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(fault("forbid core dumps"))?;
    reset_signals()?;
    limit_processes()?;
    Ok((program, argv, env))
}

fn text(text: &str) -> Result<CString, Fault> {
    CString::new(text).map_err(|_| Fault {
        what: format!("pass the argument `{}`, which has a zero byte", text.escape_debug()),
        errno: libc::EINVAL,
    })
}

/// Whatever rbz was started with: a program starts with every signal at its default.
fn reset_signals() -> Result<(), Fault> {
    for number in 1..=libc::SIGRTMAX() {
        // SAFETY: the default action installs no code of ours. Two signals cannot be set, and
        // two belong to the C library; for them the call fails and has no effect.
        unsafe { libc::signal(number, libc::SIG_DFL) };
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
        .map_err(fault("unblock signals"))
}

/// Forks without end fill neither the table of processes nor the memory. The limit counts the
/// processes of the user, in all sandboxes of this rbz and, on kernels before 5.14, elsewhere too;
/// for those of root it does not hold: see [`super::view`].
fn limit_processes() -> Result<(), Fault> {
    let failed = fault("limit the number of processes");
    let (_, hard) = getrlimit(Resource::RLIMIT_NPROC).map_err(&failed)?;
    let limit = hard.min(MAX_PROCESSES);
    setrlimit(Resource::RLIMIT_NPROC, limit, limit).map_err(failed)
}

/// Gives up every right above those of an ordinary user, for ever.
fn drop_rights(mode: Mode) -> Result<(), Fault> {
    for capability in 0..64 {
        // SAFETY: an operation on this process alone; numbers that the kernel does not know are
        // refused, which ends the loop.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } != 0 {
            break;
        }
    }
    if mode == Mode::RootNamespaces {
        let (uid, gid) = (Uid::from_raw(UID), Gid::from_raw(UID));
        unistd::setgroups(&[]).map_err(fault("give up the groups"))?;
        unistd::setresgid(gid, gid, gid).map_err(fault("give up the group"))?;
        unistd::setresuid(uid, uid, uid).map_err(fault("give up root"))?;
    }
    set_capabilities(&[])?;
    nix::sys::prctl::set_no_new_privs().map_err(fault("forbid new rights"))
}

/// The capabilities by which a process enters a namespace: `CAP_SYS_CHROOT`, `CAP_SYS_ADMIN`.
const TO_ENTER: [u32; 2] = [18, 21];

/// Gives up all rights but that to enter namespaces, which programs keep when they are executed.
fn keep_right_to_enter() -> Result<(), Fault> {
    set_capabilities(&TO_ENTER)?;
    for capability in TO_ENTER {
        // SAFETY: an operation on this process alone.
        let done = unsafe {
            libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, capability, 0, 0)
        };
        if done != 0 {
            return Err(fault("keep a capability")(nix::errno::Errno::last()));
        }
    }
    nix::sys::prctl::set_no_new_privs().map_err(fault("forbid new rights"))
}

/// Makes these the effective, permitted and inheritable capabilities.
fn set_capabilities(capabilities: &[u32]) -> Result<(), Fault> {
    /// Version 3: two words of 32 for each set, of which those of the lower numbers come first.
    const VERSION: u32 = 0x2008_0522;
    let header: [u32; 2] = [VERSION, 0];
    let set = capabilities.iter().fold(0u32, |set, capability| set | 1 << capability);
    let data = [set, set, set, 0, 0, 0];
    // SAFETY: header and data have the layout of this version and live for the time of the call.
    let done = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) };
    if done != 0 {
        return Err(fault("give up capabilities")(nix::errno::Errno::last()));
    }
    Ok(())
}
