//! System calls that are refused to processes without namespaces of their own: those that would
//! lead around [`super::rules`], into the network, or leave something behind.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter,
};

use super::view::Fault;

/// Refused whatever they are asked to do.
const ALWAYS: [libc::c_long; 14] = [
    // Other processes of the user.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    // What is asked for in a queue passes no filter.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // What outlives every process.
    libc::SYS_shmget,
    libc::SYS_semget,
    libc::SYS_msgget,
    libc::SYS_mq_open,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
];

/// From this version on Landlock decides who may shorten a file.
const KNOWS_TRUNCATE: i32 = 3;

/// From this version on Landlock decides who may send a signal to whom.
const KNOWS_SIGNALS: i32 = 6;

/// On some machines a second number for each system call has this bit.
const X32: libc::c_long = 0x4000_0000;

/// Refuses (`EACCES`) these calls to this process and all that it starts, for ever. `landlock` is
/// the version of that which the kernel has: what it decides by itself needs no filter.
pub fn forbid(network: bool, landlock: i32) -> Result<(), Fault> {
    let program = program(network, landlock).map_err(failed)?;
    apply_filter(&program).map_err(failed)
}

fn failed(error: Error) -> Fault {
    let errno = match &error {
        Error::Seccomp(error) | Error::Prctl(error) => error.raw_os_error(),
        _ => None,
    };
    Fault { what: "install a filter of system calls".into(), errno: errno.unwrap_or(libc::ENOSYS) }
}

fn program(network: bool, landlock: i32) -> Result<BpfProgram, Error> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        ALWAYS.iter().map(|&call| (call, Vec::new())).collect();
    if !network {
        // A socket in the file system is a file; every other kind leads out of the machine.
        let unix = libc::AF_UNIX.unsigned_abs().into();
        rules.insert(libc::SYS_socket, when(0, SeccompCmpOp::Ne, unix)?);
    }
    if landlock < KNOWS_SIGNALS {
        // To all processes of the user.
        rules.insert(libc::SYS_kill, when(0, SeccompCmpOp::Eq, u32::MAX.into())?);
    }
    if landlock < KNOWS_TRUNCATE {
        rules.insert(libc::SYS_truncate, Vec::new());
        let how = (libc::O_ACCMODE | libc::O_TRUNC).unsigned_abs().into();
        let only_truncates = (libc::O_RDONLY | libc::O_TRUNC).unsigned_abs().into();
        let masked = |argument| when(argument, SeccompCmpOp::MaskedEq(how), only_truncates);
        rules.insert(libc::SYS_openat, masked(2)?);
        #[cfg(target_arch = "x86_64")]
        rules.insert(libc::SYS_open, masked(1)?);
    }
    #[cfg(target_arch = "x86_64")]
    rules.append(&mut rules.iter().map(|(call, rule)| (call | X32, rule.clone())).collect());
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let refuse = SeccompAction::Errno(libc::EACCES.unsigned_abs());
    Ok(SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch)?.try_into()?)
}

/// The rule for calls whose argument number `argument`, of 32 bits, compares in this way.
fn when(argument: u8, compare: SeccompCmpOp, with: u64) -> Result<Vec<SeccompRule>, Error> {
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, compare, with)?;
    Ok(vec![SeccompRule::new(vec![condition])?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_kernel_has_more_to_filter() {
        let length = |network, landlock| program(network, landlock).unwrap().len();
        assert!(length(false, 1) > length(false, KNOWS_TRUNCATE));
        assert!(length(false, KNOWS_TRUNCATE) > length(false, KNOWS_SIGNALS));
        assert!(length(false, KNOWS_SIGNALS) > length(true, KNOWS_SIGNALS));
    }
}
