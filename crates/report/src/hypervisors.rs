//! Hypervisors side by side: what an observer saw of each, with the same guests on the same core.
//!
//! | part | what it does |
//! |---|---|
//! | `hypervisors` | what is kept of the observations, and read back |
//! | `cheapest` | where Trapcast is the cheapest, and where it is not |
//! | `tables` | the tables of the document and of the page |

mod cheapest;
mod tables;

use std::path::Path;

use serde::{Deserialize, Serialize};
use trapcast_observe::Summary;
use trapcast_tool::{
    error::{Error, Result},
    input,
};

pub use cheapest::{Rival, rivals};
pub use tables::{exits, fp_use, policies, switches};

use crate::report::{html, markdown};

/// The file's name, in a study's directory and in the checkout.
pub const FILE: &str = "hypervisors.json";

/// The most bytes of such a file: a hundred times those of a whole one.
const MOST_BYTES: u64 = 64 << 20;

/// What was seen of some hypervisors.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Comparison {
    /// QEMU's first line.
    pub qemu: String,
    /// The guests' kernel.
    pub guest: String,
    /// One for each run.
    pub observations: Vec<Observation>,
}

/// Whose hypervisor it is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Ours.
    Trapcast,
    /// Linux KVM.
    Kvm,
    /// Xen.
    Xen,
}

/// What was seen of a hypervisor with the guests of a workload.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Observation {
    /// What tables call the hypervisor.
    pub hypervisor: String,
    /// Whose it is.
    pub family: Family,
    /// QEMU's core.
    pub cpu: String,
    /// The workload.
    pub workload: String,
    /// What was seen.
    pub summary: Summary,
}

impl Comparison {
    /// Reads what was kept.
    ///
    /// # Errors
    /// [`Error::Input`] where it cannot be read or is of another version.
    pub fn read(path: &Path) -> Result<Self> {
        let text = input::read("observations", path, MOST_BYTES).map_err(|error| match error {
            Error::Input(sentence) => Error::input(format!("{sentence}; run make hypervisors")),
            other => other,
        })?;
        serde_json::from_slice(&text).map_err(|error| {
            Error::input(format!(
                "{} holds no observations of this version: {error}; run make hypervisors",
                path.display()
            ))
        })
    }

    /// The workloads, in the order of the observations, each once.
    pub fn workloads(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for observation in &self.observations {
            if !names.contains(&observation.workload.as_str()) {
                names.push(&observation.workload);
            }
        }
        names
    }

    /// The observations of one workload.
    pub fn of(&self, workload: &str) -> Vec<&Observation> {
        let all = self.observations.iter();
        all.filter(|observation| observation.workload == workload)
            .collect()
    }

    /// What it is of, in a sentence.
    pub fn scope(&self) -> String {
        format!(
            "Seen on {}, with guests that run Debian's kernel {}.",
            self.qemu, self.guest
        )
    }

    /// A part of the document, by its name: `scope`, or one of `policies`, `exits`, `switches`, `use` and
    /// `cheapest` with a workload.
    ///
    /// # Errors
    /// [`Error::Input`] where there is no such part.
    pub fn part(&self, words: &[&str]) -> Result<String> {
        let [part, workload] = words else {
            return match words {
                ["scope"] => Ok(self.scope()),
                _ => Err(no_part(words)),
            };
        };
        let of = self.of(workload);
        if of.is_empty() {
            return Err(Error::input(format!(
                "no hypervisor was seen with {workload}"
            )));
        }
        Ok(match *part {
            "policies" => markdown::table(&policies(&of)),
            "exits" => markdown::table(&exits(&of)),
            "switches" => markdown::table(&switches(&of)),
            "use" => markdown::table(&fp_use(&of)),
            "cheapest" => {
                let rivals = rivals(&of);
                format!(
                    "{}\n\n{}",
                    cheapest::sentence(&rivals),
                    markdown::table(&cheapest::table(&rivals))
                )
            }
            _ => return Err(no_part(words)),
        })
    }

    /// All of it as a section of the report's page.
    pub fn section(&self) -> String {
        let mut section = format!(
            "<section id=\"hypervisors\">\n<h2>Other hypervisors</h2>\n{}",
            html::paragraph(&self.scope())
        );
        for workload in self.workloads() {
            let of = self.of(workload);
            let rivals = rivals(&of);
            section += &format!("<h3>{}</h3>\n", html::escape(workload));
            section += &html::paragraph(&cheapest::sentence(&rivals));
            for table in [policies(&of), exits(&of), switches(&of), fp_use(&of)] {
                section += &html::paragraph(table.about);
                section += &html::table(&table);
            }
        }
        section + "</section>\n"
    }
}

fn no_part(words: &[&str]) -> Error {
    Error::input(format!(
        "`{}` is no part of a comparison of hypervisors: scope, or policies, exits, switches, use or cheapest with a \
         workload",
        words.join(" ")
    ))
}

#[cfg(test)]
mod tests;
