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
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let error = || wrong("jobs", text, "it must be `auto` or a number above 0");
    if text == "auto" {
        return Ok(processors);
    }
    if let Some(rest) = text.strip_prefix("HOST_CPUS") {
        let number = match (rest.strip_prefix('*'), rest.strip_prefix('-')) {
            // Processor counts and their parts are small: the cast loses only the fraction.
            (Some(factor), _) => {
                (processors as f64 * factor.parse::<f64>().map_err(|_| error())?.clamp(0.0, 1000.0))
                    as usize
            }
            (_, Some(minus)) => processors.saturating_sub(minus.parse().map_err(|_| error())?),
            _ if rest.is_empty() => processors,
            _ => return Err(error()),
        };
        return Ok(number.max(1));
    }
    match text.parse() {
        Ok(number) if (1..=10_000).contains(&number) => Ok(number),
        _ => Err(error()),
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
    fn jobs_as_bazel_writes_them() {
        assert_eq!(jobs("4").expect("valid"), 4);
        assert_eq!(jobs("HOST_CPUS").expect("valid"), jobs("auto").expect("valid"));
        assert_eq!(jobs("HOST_CPUS*0.0001").expect("valid"), 1);
        for text in ["0", "-1", "many", "HOST_CPUSx", "HOST_CPUS*x"] {
            assert!(jobs(text).is_err(), "{text}");
        }
    }
}
