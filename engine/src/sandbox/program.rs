//! The program: the last steps of a forked process before it executes what was asked for.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::OwnedFd;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::sys::stat::{Mode as FileMode, umask};
use nix::unistd::{self, Gid, Uid};

use super::init::close_on_exec_from;
use super::message::{self, Confinement, Mode, Report, Request};
use super::rules;
use super::view::{Fault, MAX_PROCESSES, UID, fault};

/// Becomes the program of `request`. If that fails, `control` is told why.
pub fn execute(
    request: &Request,
    mode: Mode,
    control: &OwnedFd,
    stdout: &OwnedFd,
    stderr: &OwnedFd,
) -> ! {
    let report = match prepare(request, mode, stdout, stderr) {
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
    mode: Mode,
    stdout: &OwnedFd,
    stderr: &OwnedFd,
) -> Result<Command, Fault> {
    let program = text(&request.program)?;
    let argv = request.argv.iter().map(|word| text(word)).collect::<Result<_, _>>()?;
    let env = request.env.iter().map(|word| text(word)).collect::<Result<_, _>>()?;

    unistd::setsid().map_err(fault("start a session"))?;
    let stdin = File::open("/dev/null").map_err(|error| Fault::io("open `/dev/null`", &error))?;
    unistd::dup2_stdin(&stdin).map_err(fault("set up stdin"))?;
    unistd::dup2_stdout(stdout).map_err(fault("set up stdout"))?;
    unistd::dup2_stderr(stderr).map_err(fault("set up stderr"))?;
    let directory = &request.working_directory;
    unistd::chdir(&**directory).map_err(fault(&format!("enter the directory `{directory}`")))?;
    umask(FileMode::from_bits_truncate(0o022));
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(fault("forbid core dumps"))?;
    reset_signals()?;
    limit_processes()?;
    if mode != Mode::Unconfined {
        drop_rights(mode)?;
    }
    close_on_exec_from(3);
    if let Confinement::Rules(rules) = &request.confinement {
        rules::enforce(rules)?;
    }
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
    set_no_capabilities()?;
    nix::sys::prctl::set_no_new_privs().map_err(fault("forbid new rights"))
}

fn set_no_capabilities() -> Result<(), Fault> {
    /// Version 3: two words of 32 for each set.
    const VERSION: u32 = 0x2008_0522;
    let header: [u32; 2] = [VERSION, 0];
    let none = [0u32; 6];
    // SAFETY: header and data have the layout of this version and live for the time of the call.
    let done = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) };
    if done != 0 {
        return Err(fault("give up capabilities")(nix::errno::Errno::last()));
    }
    Ok(())
}
