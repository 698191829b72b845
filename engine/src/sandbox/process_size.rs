//! How much memory a process has.

use std::fs;

/// How many bytes process `id` has for itself, with its part in what it shares; `None` if that
/// cannot be found out.
pub fn proportional_size(id: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kilobytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_counts() {
        let own = || proportional_size(i32::try_from(std::process::id()).unwrap()).unwrap();
        let before = own();
        let large = vec![1_u8; 64 << 20];
        assert!(own() > before + (60 << 20), "{} {}", before, large.len());
        assert_eq!(proportional_size(-1), None);
    }
}
