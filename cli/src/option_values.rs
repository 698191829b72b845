//! Values of options, from what was written to what is meant.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rbz_engine::build::Residency;

use crate::command_error::CommandError;
use crate::directories::expand_home;
use crate::environment::Environment;

/// The error of an option that has this value, and why it is one.
pub fn wrong(option: &str, value: &str, expected: &str) -> CommandError {
    CommandError::command_line(format!("`--{option}={value}`: {expected}"))
}

/// A number above 0.
pub fn positive(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("it must be a number above 0".to_owned()),
    }
}

/// `4`, `auto`, `HOST_CPUS`, `HOST_CPUS*.5`, `HOST_CPUS-1`.
pub fn jobs(text: &str) -> Result<usize, CommandError> {
    processors("jobs", text, "it must be `auto` or a number above 0")
}

/// What `--local_cpu_resources` may be, which is the same.
pub fn local_processors(text: &str) -> Result<usize, CommandError> {
    let expected =
        "it must be a number above 0, `HOST_CPUS` or a part of it, such as `HOST_CPUS*.5`";
    processors("local_cpu_resources", text, expected)
}

fn processors(option: &str, text: &str, expected: &str) -> Result<usize, CommandError> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    if text == "auto" {
        return Ok(processors);
    }
    // There are not so many processors that a number of them would not fit.
    let number = match part_of("HOST_CPUS", processors as u64, text) {
        Some(part) => Some(part.max(1)),
        None => text.parse().ok(),
    };
    match number.and_then(|number| usize::try_from(number).ok()) {
        Some(number) if (1..=10_000).contains(&number) => Ok(number),
        _ => Err(wrong(option, text, expected)),
    }
}

/// What `--local_ram_resources` comes to in bytes, on a machine with so many: `4096` (megabytes),
/// `HOST_RAM`, `HOST_RAM*.5`, `HOST_RAM-2048`.
pub fn memory(text: &str, of_machine: u64) -> Result<u64, CommandError> {
    let megabytes = match part_of("HOST_RAM", of_machine >> 20, text) {
        Some(part) => Some(part),
        None => text.parse::<u64>().ok(),
    };
    match megabytes.and_then(|number| number.checked_mul(1 << 20)) {
        Some(bytes) if bytes > 0 => Ok(bytes),
        _ => {
            let expected = "it must be a number of megabytes, `HOST_RAM` or a part of it, such as `HOST_RAM*.5`";
            Err(wrong("local_ram_resources", text, expected))
        }
    }
}

/// The part of what a machine has so much of that `NAME`, `NAME*FACTOR` or `NAME-LESS` is; `None`
/// for anything else.
fn part_of(name: &str, all: u64, text: &str) -> Option<u64> {
    let rest = text.strip_prefix(name)?;
    match (rest.strip_prefix('*'), rest.strip_prefix('-')) {
        (Some(factor), _) => {
            let factor = factor.parse::<f64>().ok()?.clamp(0.0, 1000.0);
            // Processors and megabytes are few enough for the cast to lose only the fraction.
            Some((all as f64 * factor) as u64)
        }
        (_, Some(less)) => Some(all.saturating_sub(less.parse().ok()?)),
        _ => rest.is_empty().then_some(all),
    }
}

/// A number of bytes such as `500M`; `None` for 0.
pub fn size(text: &str) -> Result<Option<u64>, CommandError> {
    let expected = "it must be a size such as `500M` or `20G`";
    let error = || wrong("experimental_disk_cache_gc_max_size", text, expected);
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match &text[digits.len()..] {
        "" => 1,
        "K" | "k" => 1 << 10,
        "M" | "m" => 1 << 20,
        "G" | "g" => 1 << 30,
        "T" | "t" => 1 << 40,
        _ => return Err(error()),
    };
    let number: u64 = digits.parse().map_err(|_| error())?;
    let bytes = number.checked_mul(unit).ok_or_else(error)?;
    Ok((bytes > 0).then_some(bytes))
}

/// Which actions `--strategy` lets be forked; a later word for the same actions counts.
pub fn residency(texts: &[String]) -> Result<Residency, CommandError> {
    let mut residency = Residency { default: true, ..Residency::default() };
    for text in texts {
        let (mnemonic, way) = match text.split_once('=') {
            Some((mnemonic, way)) => (Some(mnemonic), way),
            None => (None, text.as_str()),
        };
        let resident = match way {
            "resident" => true,
            "sandboxed" => false,
            _ => return Err(wrong("strategy", text, "it must be `resident` or `sandboxed`")),
        };
        match mnemonic {
            Some(mnemonic) => {
                residency.by_mnemonic.insert(mnemonic.to_owned(), resident);
            }
            None => residency.default = resident,
        }
    }
    Ok(residency)
}

/// `NAME=VALUE`, a later one in the place of an earlier one of the same name.
pub fn pairs(option: &str, texts: &[String]) -> Result<BTreeMap<String, String>, CommandError> {
    texts
        .iter()
        .map(|text| match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            _ => Err(wrong(option, text, "it must have the form `NAME=VALUE`")),
        })
        .collect()
}

/// Variables of an environment; a name without a value takes rbz's own, if it has one.
pub fn variables(
    option: &str,
    texts: &[String],
    environment: &Environment,
) -> Result<BTreeMap<String, String>, CommandError> {
    let mut variables = BTreeMap::new();
    for text in texts {
        match text.split_once('=') {
            Some(("", _)) => {
                return Err(wrong(option, text, "the name of the variable is missing"));
            }
            Some((name, value)) => {
                variables.insert(name.to_owned(), value.to_owned());
            }
            None => match environment.variables.get(text) {
                Some(value) => {
                    variables.insert(text.clone(), value.clone());
                }
                None => {
                    variables.remove(text);
                }
            },
        }
    }
    Ok(variables)
}

/// `--override_repository`: directories by the names of the repositories that they stand for.
pub fn repositories(
    words: &[String],
    environment: &Environment,
) -> Result<BTreeMap<String, PathBuf>, CommandError> {
    let here = environment.here()?;
    let given = pairs("override_repository", words)?.into_iter();
    given
        .map(|(name, written)| {
            let directory = expand_home(&PathBuf::from(&written), environment, here);
            if !directory.is_dir() {
                let why = format!("there is no directory `{}`", directory.display());
                return Err(wrong("override_repository", &format!("{name}={written}"), &why));
            }
            Ok((name.trim_start_matches('@').to_owned(), directory))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(size("3k").expect("valid"), Some(3072));
        assert_eq!(size("20G").expect("valid"), Some(20 << 30));
        assert_eq!(size("0").expect("valid"), None);
        for text in ["", "G", "1x", "-1", "99999999999T"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn memory_as_bazel_writes_it() {
        let memory = |text| memory(text, 8 << 30);
        assert_eq!(memory("512").expect("valid"), 512 << 20);
        assert_eq!(memory("HOST_RAM").expect("valid"), 8 << 30);
        assert_eq!(memory("HOST_RAM*.5").expect("valid"), 4 << 30);
        assert_eq!(memory("HOST_RAM-1024").expect("valid"), 7 << 30);
        for text in ["", "0", "-1", "HOST_RAM*0", "HOST_RAM-9000", "HOST_RAM*x", "HOST_RAMS", "4G"]
        {
            let error = memory(text).expect_err(text).to_string();
            assert!(error.contains("HOST_RAM*.5"), "{error}");
        }
    }

    #[test]
    fn jobs_as_bazel_writes_them() {
        assert_eq!(jobs("4").expect("valid"), 4);
        assert_eq!(jobs("HOST_CPUS").expect("valid"), jobs("auto").expect("valid"));
        assert_eq!(jobs("HOST_CPUS*0.0001").expect("valid"), 1);
        for text in ["0", "-1", "many", "HOST_CPUSx", "HOST_CPUS*x"] {
            assert!(jobs(text).is_err(), "{text}");
        }
    }
}
