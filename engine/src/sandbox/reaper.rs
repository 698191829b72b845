//! The reaper: the first process of an action. It starts the program, waits for it, and sees to
//! it that nothing of the action is left when it reports.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{SigHandler, SigSet, Signal, kill, signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{self, ForkResult, Pid};

use super::message::{self, Confinement, Mode, Report, Role};
use super::process_size::proportional_size;
use super::program;
use super::view::{self, Fault, fault};

/// How gladly the kernel kills a process of an action when there is no memory, of 1000.
const OOM_SCORE: &str = "500";

/// Does what is asked for in its `role`, and reports to `control`. The other end of `control` is a
/// lifeline: once it is shut or gone, the action is killed.
pub fn run(mode: Mode, role: Role, request: OwnedFd, control: OwnedFd, fds: Vec<OwnedFd>) -> ! {
    let report = match run_role(mode, role, request, &control, fds) {
        Ok(report) => report,
        Err(Fault { what, errno }) => Some(Report::Failed { what, errno }),
    };
    if let Some(report) = report {
        message::report(&control, &report);
    }
    // SAFETY: ends the process at once; nothing of the init's own end is to be run here.
    unsafe { libc::_exit(0) }
}

fn run_role(
    mode: Mode,
    role: Role,
    request: OwnedFd,
    control: &OwnedFd,
    fds: Vec<OwnedFd>,
) -> Result<Option<Report>, Fault> {
    let request =
        message::unpack(request).map_err(|error| Fault::io("read what to run", &error))?;
    // When the machine runs out of memory, an action goes before rbz or the user's session do.
    // Where it may not be raised, it stays as it is.
    let _ = fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    match &request.confinement {
        Confinement::View(view) => {
            if !view.network {
                raise_loopback()?;
            }
            view::enter(view, role.has_own_pids())?;
        }
        Confinement::Rules(_) | Confinement::None => adopt_orphans()?,
    }
    let mut fds = fds.into_iter();
    let mut next = || fds.next().ok_or_else(|| fault("find a descriptor")(Errno::EBADF));
    match role {
        Role::Process | Role::InTerminal => {
            let stdin = if role == Role::InTerminal { Some(next()?) } else { None };
            let streams = program::Streams { stdin, stdout: next()?, stderr: next()? };
            supervise(mode, request.memory, control, |control| {
                // SAFETY: this process has one thread, so that the child can do whatever the parent
                // could.
                match unsafe { unistd::fork() }.map_err(fault("fork"))? {
                    ForkResult::Child => program::execute(&request, mode, control, &streams),
                    ForkResult::Parent { child } => {
                        // Kept open here, the pipes would never end.
                        drop(streams);
                        Ok(child)
                    }
                }
            })
            .map(Some)
        }
        Role::Stem => {
            let (output, socket) = (next()?, next()?);
            program::execute_stem(&request, control, &output, &socket)
        }
        Role::ForkedProcess => supervise(mode, request.memory, control, |control| {
            hand_over(control, &["pid", "mnt", "ipc", "net"])?;
            Ok(ADOPTED)
        })
        .map(Some),
        Role::ForkedStem => {
            hand_over(control, &["mnt", "ipc", "net"])?;
            Ok(None)
        }
    }
}

/// The process id that what a stem forks has in our namespace. The numbers of a new namespace are
/// given out in a row: the first is ours, the second that of its parent, which leaves it to us.
const ADOPTED: Pid = Pid::from_raw(3);

/// Sends the namespaces of this process to rbz.
fn hand_over(control: &OwnedFd, namespaces: &[&str]) -> Result<(), Fault> {
    let files = namespaces
        .iter()
        .map(|name| fs::File::open(format!("/proc/self/ns/{name}")))
        .collect::<io::Result<Vec<_>>>()
        .map_err(|error| Fault::io("open namespaces", &error))?;
    let fds: Vec<_> = files.iter().map(AsRawFd::as_raw_fd).collect();
    message::send(control.as_fd(), &Report::Entered, &fds)
        .map_err(|error| Fault::io("hand namespaces over", &error))
}

/// Waits for the end of the process that `start` starts, kills what it left behind, and says how it
/// ended. It is killed if it takes more than `memory`.
fn supervise(
    mode: Mode,
    memory: u64,
    control: &OwnedFd,
    start: impl FnOnce(&OwnedFd) -> Result<Pid, Fault>,
) -> Result<Report, Fault> {
    let signals = start_watching()?;
    // Inside, nobody may look into this process: it has rights that the program lacks.
    let _ = nix::sys::prctl::set_dumpable(false);
    let child = start(control)?;
    let status = wait_for(mode, child, memory, control, &signals)?;
    let status = kill_all(mode, child, status);
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(fault("ask for the CPU time"))?;
    let micros = |time: nix::sys::time::TimeVal| {
        // Neither part of an elapsed time is negative.
        time.tv_sec() as u64 * 1_000_000 + time.tv_usec() as u64
    };
    Ok(Report::Ended {
        status: status.unwrap_or(libc::SIGKILL),
        cpu_micros: micros(usage.user_time()) + micros(usage.system_time()),
        max_rss: u64::try_from(usage.max_rss()).unwrap_or_default() * 1024,
    })
}

/// Has the kernel tell of the end of children.
fn start_watching() -> Result<SignalFd, Fault> {
    let mut child_ended = SigSet::empty();
    child_ended.add(Signal::SIGCHLD);
    // The init ignores the signal, which would take the exit status away.
    // SAFETY: the default action installs no code of ours.
    let _ = unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) };
    child_ended.thread_block().map_err(fault("block a signal"))?;
    SignalFd::with_flags(&child_ended, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(fault("watch for the end of processes"))
}

/// How often it is looked how much memory an action has, in milliseconds.
const MEMORY_INTERVAL: u8 = 200;

/// Waits for the end of `child`, whose status it returns, or of the lifeline, or until there is too
/// much in `memory`.
fn wait_for(
    mode: Mode,
    child: Pid,
    memory: u64,
    control: &OwnedFd,
    signals: &SignalFd,
) -> Result<Option<i32>, Fault> {
    let interval = match memory {
        u64::MAX => PollTimeout::NONE,
        _ => PollTimeout::from(MEMORY_INTERVAL),
    };
    loop {
        let mut polled = [
            PollFd::new(control.as_fd(), PollFlags::POLLIN),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut polled, interval) {
            Ok(0) if memory_of_descendants(memory) > memory => {
                message::report(control, &Report::OverMemory);
                return Ok(None);
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(fault("wait")(errno)),
        }
        // A byte asks the processes to end. Nothing else is ever sent this way: that it can be read
        // means that it has ended.
        if polled[0].any().unwrap_or(true) {
            if !matches!(unistd::read(control, &mut [0]), Ok(1)) {
                return Ok(None);
            }
            ask_all_to_end(mode);
        }
        while let Ok(Some(_)) = signals.read_signal() {}
        while let Children::Ended(pid, status) = reap(libc::WNOHANG) {
            if pid == child {
                return Ok(Some(status));
            }
        }
    }
}

/// Asks every process of the action to end.
fn ask_all_to_end(mode: Mode) {
    if owns_namespace(mode) {
        let _ = kill(Pid::from_raw(-1), Signal::SIGTERM);
        return;
    }
    for pid in descendants(unistd::getpid()) {
        let _ = kill(pid, Signal::SIGTERM);
    }
}

/// Whether "all processes" are those of the action: to the first process of a namespace they are.
fn owns_namespace(mode: Mode) -> bool {
    mode.has_namespaces() && unistd::getpid().as_raw() == 1
}

/// What is to be known of the children of this process.
enum Children {
    /// This one has ended, with this status.
    Ended(Pid, i32),
    /// All that are left still run.
    Run,
    /// There are none.
    None,
}

/// Takes note of one child that has ended. With `libc::WNOHANG` it does not wait for one.
fn reap(options: i32) -> Children {
    loop {
        let mut status = 0;
        // SAFETY: `status` lives for the time of the call. The status is wanted as it is, which
        // the safe function does not give.
        let pid = unsafe { libc::waitpid(-1, &mut status, options) };
        match pid {
            0 => return Children::Run,
            -1 if Errno::last() == Errno::EINTR => continue,
            -1 => return Children::None,
            pid => return Children::Ended(Pid::from_raw(pid), status),
        }
    }
}

/// Makes orphans among what this process starts its own, so that they can be found.
pub fn adopt_orphans() -> Result<(), Fault> {
    nix::sys::prctl::set_child_subreaper(true).map_err(fault("adopt orphans"))
}

/// Kills all that this process, which has adopted orphans, has started, and returns when it is gone.
/// `ended` gets what becomes of each child.
pub fn end_descendants(mut ended: impl FnMut(Pid, i32)) {
    loop {
        // What the dead leave behind is adopted, and the list of children may lack some while they
        // come and go: repeating this finds everything.
        for pid in descendants(unistd::getpid()) {
            let _ = kill(pid, Signal::SIGKILL);
        }
        loop {
            match reap(libc::WNOHANG) {
                Children::Ended(pid, status) => ended(pid, status),
                Children::Run => break,
                Children::None => return,
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// Kills every process of the action and returns when all are gone. `status` is that of `child`
/// if it has ended already.
fn kill_all(mode: Mode, child: Pid, mut status: Option<i32>) -> Option<i32> {
    let mut note = |pid, how| {
        if pid == child {
            status = Some(how);
        }
    };
    if owns_namespace(mode) {
        let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
        while let Children::Ended(pid, how) = reap(0) {
            note(pid, how);
        }
    } else {
        end_descendants(note);
    }
    status
}

/// How much memory the processes below this one have, in bytes: exactly if it is more than
/// `enough`, since it takes the kernel some time to find out what they share.
fn memory_of_descendants(enough: u64) -> u64 {
    let processes = descendants(unistd::getpid());
    let resident = |pid: &Pid| {
        let text = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
        let mut pages = text.split(' ').skip(1).map(|word| word.parse().unwrap_or(0));
        // What they have of files can be read again.
        let (all, of_files) = (pages.next().unwrap_or(0_u64), pages.next().unwrap_or(0));
        all.saturating_sub(of_files).saturating_mul(4096)
    };
    let sum = processes.iter().map(resident).fold(0, u64::saturating_add);
    if sum <= enough {
        return sum;
    }
    let part = |pid: &Pid| proportional_size(pid.as_raw()).unwrap_or_else(|| resident(pid));
    processes.iter().map(part).fold(0, u64::saturating_add)
}

/// The processes below `pid`, as far as they can be seen.
fn descendants(pid: Pid) -> Vec<Pid> {
    let mut found = Vec::new();
    let mut to_visit = vec![pid];
    while let Some(pid) = to_visit.pop() {
        let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { continue };
        for task in tasks.flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            for child in children.split_whitespace().filter_map(|word| word.parse().ok()) {
                found.push(Pid::from_raw(child));
                to_visit.push(Pid::from_raw(child));
            }
        }
    }
    found
}

/// Switches the loopback interface of a new network namespace on.
fn raise_loopback() -> Result<(), Fault> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
    let make = fault("switch the loopback interface on");
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Inet, SockType::Datagram, flags, None).map_err(&make)?;
    // SAFETY: all zeroes is a valid value of this plain structure.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo\0") {
        // The bytes are below 128: either signedness of `c_char` holds them.
        *to = *from as libc::c_char;
    }
    // Both flags are below 2^15.
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the request is of the type that this call takes, and lives for its time.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &request) };
    if done < 0 { Err(make(Errno::last())) } else { Ok(()) }
}
