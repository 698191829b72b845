//! How much memory this machine has, or what its container may use of it.

use std::fs;
use std::path::Path;

/// In bytes. What cannot be found out is taken for much.
pub fn machine_memory() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = total(&text).unwrap_or(u64::MAX >> 1);
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    allowed(Path::new("/sys/fs/cgroup"), &groups).map_or(total, |allowed| allowed.min(total))
}

fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kilobytes << 10)
}

/// The least that a control group allows us, of our own and those around it. `groups` is what the
/// system says of ours; below `root` are all that can be seen.
fn allowed(root: &Path, groups: &str) -> Option<u64> {
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let directory = root.join(own);
    let around = directory.ancestors().take_while(|path| path.starts_with(root));
    around
        .filter_map(|path| fs::read_to_string(path.join("memory.max")).ok()?.trim().parse().ok())
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_that_is_allowed_counts() {
        let root = tempfile::tempdir().expect("a directory");
        let directory = root.path().join("user/shell");
        fs::create_dir_all(&directory).expect("made");
        fs::write(root.path().join("user/memory.max"), "1000\n").expect("written");
        assert_eq!(allowed(root.path(), "0::/user/shell\n"), Some(1000));
        fs::write(directory.join("memory.max"), "max\n").expect("written");
        assert_eq!(allowed(root.path(), "1:cpu:/x\n0::/user/shell\n"), Some(1000));
        assert_eq!(allowed(root.path(), ""), None);
    }

    #[test]
    fn the_machine_has_some() {
        assert_eq!(total("MemTotal:       2048 kB\nMemFree: 1 kB\n"), Some(2 << 20));
        assert!(machine_memory() > 1 << 20);
    }
}
