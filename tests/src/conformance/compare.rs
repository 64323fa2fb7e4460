//! What several builders made of the same descriptions, held against each other.

use core::fmt;
use std::collections::BTreeMap;

use serde_json::Value;

use super::description::{Built, Description, Preconditions, Signer};

/// How many differences are told.
const TOLD: usize = 10;

/// A builder's name, and what it made of each description.
#[derive(Debug)]
pub struct Made {
    /// The builder's name.
    pub by: String,
    /// What it made, in order.
    pub built: Vec<Built>,
}

/// What was compared, and what was different.
#[derive(Debug, Default)]
pub struct Report {
    envelopes: usize,
    builders: Vec<String>,
    counts: BTreeMap<&'static str, BTreeMap<String, usize>>,
    differences: usize,
    told: Vec<String>,
}

impl Report {
    /// Whether all builders made the same.
    pub fn is_equal(&self) -> bool {
        self.differences == 0
    }

    /// How many of the envelopes' parts are of a kind: `("operation", "payment")`, `("signatures", "hash-x")`.
    pub fn count(&self, part: &str, kind: &str) -> usize {
        self.counts.get(part).and_then(|kinds| kinds.get(kind)).copied().unwrap_or(0)
    }

    fn differ(&mut self, what: String) {
        self.differences += 1;
        if self.told.len() < TOLD {
            self.told.push(what);
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (part, kinds) in &self.counts {
            for (kind, count) in kinds {
                writeln!(f, "{part:<13} {kind:<34} {count:>7}")?;
            }
        }
        for difference in &self.told {
            writeln!(f, "{difference}")?;
        }
        let (last, others) = self.builders.split_last().map_or(("", "".into()), |(a, b)| (a, b.join(", ")));
        write!(f, "{} envelopes built by {others} and {last}: ", self.envelopes)?;
        match self.differences {
            0 => f.write_str("XDR, hashes and signatures are the same"),
            n => write!(f, "{n} DIFFERENCES"),
        }
    }
}

/// Compares what each of the builders made with what the first one made.
pub fn compare(descriptions: &[Description], made: &[Made]) -> Report {
    let mut report = Report { envelopes: descriptions.len(), ..Report::default() };
    report.builders = made.iter().map(|made| made.by.clone()).collect();
    for made in made {
        if made.built.len() != descriptions.len() {
            let (by, number) = (&made.by, made.built.len());
            report.differ(format!("{by} built {number} of {} envelopes", descriptions.len()));
        }
    }
    for (number, description) in descriptions.iter().enumerate() {
        count(description, &mut report);
        let mut each = made.iter().filter_map(|made| made.built.get(number).map(|built| (&made.by, built)));
        let Some((first, right)) = each.next() else { continue };
        for (by, other) in each {
            for (part, a, b) in parts(right, other) {
                if a != b {
                    let told = serde_json::to_string(description).unwrap_or_default();
                    let number = description.number;
                    report.differ(format!(
                        "envelope {number}, {part}:\n  {first}: {a}\n  {by}: {b}\n  description: {told}"
                    ));
                }
            }
        }
    }
    report
}

fn parts(a: &Built, b: &Built) -> [(&'static str, String, String); 4] {
    let signed = |built: &Built| format!("{:?}, fee bump: {:?}", built.signatures, built.bump);
    [
        ("number", a.number.to_string(), b.number.to_string()),
        ("XDR", a.xdr.clone(), b.xdr.clone()),
        ("hash", a.hash.clone(), b.hash.clone()),
        ("signatures", signed(a), signed(b)),
    ]
}

fn count(description: &Description, report: &mut Report) {
    let mut one = |part: &'static str, kind: String| {
        *report.counts.entry(part).or_default().entry(kind).or_default() += 1;
    };
    let of_type = |value: Value| value["type"].as_str().unwrap_or_default().to_owned();
    for operation in &description.operations {
        one("operation", of_type(serde_json::json!(operation)));
    }
    one("memo", of_type(serde_json::json!(description.memo)));
    let conditions = match description.preconditions {
        Preconditions::None => "none",
        Preconditions::Time(_) => "times",
        Preconditions::General { .. } => "general",
    };
    one("preconditions", conditions.to_owned());
    one("signatures", shape(&description.signatures).to_owned());
    if let Some(bump) = &description.bump {
        one("fee bump", shape(&bump.signatures).to_owned());
    }
}

/// What an envelope is signed by.
fn shape(signers: &[Signer]) -> &'static str {
    match signers {
        [] => "none (pre-authorised)",
        [Signer::Key { .. }] => "one key",
        [Signer::Preimage { .. }] => "hash-x",
        [Signer::Payload { .. }] => "signed payload",
        all if all.iter().all(|signer| matches!(signer, Signer::Key { .. })) => "several keys",
        _ => "signers of several kinds",
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::conformance::build::Builder;
    use crate::conformance::generate::{Generator, kinds};

    fn built(descriptions: &[Description]) -> Vec<Built> {
        let mut builder = Builder::default();
        descriptions.iter().map(|description| builder.build(description).unwrap()).collect()
    }

    fn by(name: &str, built: Vec<Built>) -> Made {
        Made { by: name.to_owned(), built }
    }

    #[test]
    fn a_difference_in_any_part_is_found_and_told_with_its_description() {
        let descriptions: Vec<Description> = Generator::new(3).take(20).collect();
        let right = built(&descriptions);
        assert!(compare(&descriptions, &[by("us", right.clone()), by("them", right.clone())]).is_equal());
        let wrongs: [fn(&mut Built); 5] = [
            |built| built.xdr.insert(0, 'B'),
            |built| built.hash.replace_range(0..1, "x"),
            |built| built.signatures.push("00".into()),
            |built| {
                built.bump =
                    Some(crate::conformance::description::BuiltBump { hash: "00".into(), signatures: Vec::new() })
            },
            |built| built.number += 1,
        ];
        for wrong in wrongs {
            let mut other = right.clone();
            wrong(&mut other[7]);
            let report = compare(&descriptions, &[by("us", right.clone()), by("them", other)]);
            assert!(!report.is_equal());
            let told = report.to_string();
            assert!(told.contains("envelope 7, ") && told.contains("them: "), "{told}");
            assert!(told.ends_with("1 DIFFERENCES"), "{told}");
        }
        let mut short = right.clone();
        short.pop();
        assert!(!compare(&descriptions, &[by("us", right), by("them", short)]).is_equal());
    }

    #[test]
    fn every_operation_and_every_shape_of_signatures_is_counted() {
        let descriptions: Vec<Description> = Generator::new(3).take(500).collect();
        let right = built(&descriptions);
        let report = compare(&descriptions, &[by("us", right.clone()), by("them", right)]);
        for kind in kinds() {
            let name = kind.name().chars().fold(String::new(), |name, letter| {
                let gap = letter.is_uppercase() && !name.is_empty();
                name + if gap { "_" } else { "" } + &letter.to_lowercase().to_string()
            });
            assert!(report.count("operation", &name) > 0, "{name}");
        }
        let shapes = [
            "none (pre-authorised)",
            "one key",
            "several keys",
            "hash-x",
            "signed payload",
            "signers of several kinds",
        ];
        for shape in shapes {
            assert!(report.count("signatures", shape) > 0 && report.count("fee bump", shape) > 0, "{shape}");
        }
    }
}
