//! What a record file says about itself: the key-value metadata of its footer.

use parquet::file::metadata::KeyValue;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::schema;

/// Version of the files' layout: their columns, their metadata and their seal.
pub const FORMAT_VERSION: u32 = 4;

/// The oldest version that is read: it has fewer columns, and null in fewer of them.
pub const OLDEST_FORMAT: u32 = 2;

/// What every key begins with.
const NAMESPACE: &str = "trapcast.";

/// What is known of a record file as a whole.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Metadata {
    /// What ran.
    pub workload: String,
    /// The scheme under which it was recorded.
    pub scheme: String,
    /// QEMU's core.
    pub cpu: String,
    /// Whether the hypervisor used VHE.
    pub vhe: bool,
    /// Who saw the windows; the hypervisor itself in a record from before this was noted.
    #[serde(default)]
    pub recorder: Recorder,
    /// The seed of what was random.
    pub seed: u64,
    /// Which of a study's courses it took; the first in a record from before there were several.
    #[serde(default)]
    pub course: u32,
    /// How long a vCPU could run while others waited, in microseconds, if not as the hypervisor has it.
    #[serde(default)]
    pub slice: Option<u32>,
    /// How long the workload was.
    pub scale: Value,
    /// Whether all guests were Linux; false in a record from before this was noted.
    #[serde(default)]
    pub linux: bool,
    /// What it ran on: QEMU, commit, compiler, kernel.
    pub versions: Value,
    /// Ticks per second of the columns in ticks.
    pub counter_frequency: u64,
    /// Every vCPU, by its number over all VMs.
    pub vcpus: Vec<Vcpu>,
    /// VMs.
    pub vms: u64,
    /// Times that the hypervisor found a ring full and waited.
    pub waits: u64,
    /// Windows in the file.
    pub windows: u64,
}

/// Who sees windows.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Recorder {
    /// The hypervisor itself.
    #[default]
    El2,
    /// An observer outside of it, in QEMU.
    Observer,
    /// A trace of a host's kernel.
    Host,
}

/// Where a vCPU belongs.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Vcpu {
    /// Its VM.
    pub vm: u16,
    /// Its number in the VM.
    pub index: u16,
}

/// Keys besides the fields of [`Metadata`], which are keys by their names.
pub const FORMAT_KEY: &str = "trapcast.format";
const COLUMNS_KEY: &str = "trapcast.columns";

/// Every key and what it says, but for those of the seal: what `docs/records.md` lists.
#[cfg(test)]
pub const KEYS: [(&str, &str); 18] = [
    (FORMAT_KEY, "version of this layout"),
    ("trapcast.workload", "what ran"),
    ("trapcast.scheme", "the scheme under which it was recorded"),
    ("trapcast.cpu", "QEMU's core"),
    ("trapcast.vhe", "whether the hypervisor used VHE"),
    (
        "trapcast.recorder",
        "who saw the windows: the hypervisor itself (el2), an observer in QEMU (observer), or a trace of a host (host)",
    ),
    ("trapcast.seed", "the seed of what was random"),
    (
        "trapcast.course",
        "which of a study's courses it took, from 0",
    ),
    (
        "trapcast.slice",
        "how long a vCPU could run while others waited, in microseconds; null if as the hypervisor has it",
    ),
    ("trapcast.scale", "how long the workload was"),
    ("trapcast.linux", "whether all guests were Linux"),
    ("trapcast.versions", "QEMU, commit, compiler, kernel"),
    (
        "trapcast.counter_frequency",
        "ticks per second of the columns in ticks",
    ),
    (
        "trapcast.vcpus",
        "VM and number in it of every vCPU, by its number over all VMs",
    ),
    ("trapcast.vms", "VMs"),
    (
        "trapcast.waits",
        "times that the hypervisor found a ring full and waited",
    ),
    ("trapcast.windows", "windows in the file"),
    (COLUMNS_KEY, "unit and meaning of every column"),
];

impl Metadata {
    /// Returns the pairs to write: all values in JSON.
    pub fn to_pairs(&self) -> Vec<KeyValue> {
        let pair = |key: &str, value: &Value| KeyValue::new(key.to_string(), value.to_string());
        let fields = serde_json::to_value(self).unwrap_or_default();
        let mut pairs = vec![pair(FORMAT_KEY, &FORMAT_VERSION.into())];
        for (key, value) in fields.as_object().into_iter().flatten() {
            pairs.push(pair(&format!("{NAMESPACE}{key}"), value));
        }
        pairs.push(pair(COLUMNS_KEY, &schema::describe()));
        pairs
    }

    /// Reads the pairs of a file whose format is one that is read.
    ///
    /// # Errors
    /// Which key is missing or of which type, as a part of a sentence.
    pub fn from_pairs(pairs: &[KeyValue]) -> Result<Self, String> {
        let fields = pairs.iter().filter_map(|pair| {
            let key = pair.key.strip_prefix(NAMESPACE)?;
            let value = serde_json::from_str(pair.value.as_deref()?).ok()?;
            Some((key.to_string(), value))
        });
        let metadata: Self = serde_json::from_value(Value::Object(fields.collect()))
            .map_err(|error| error.to_string())?;
        let words = [&metadata.workload, &metadata.scheme, &metadata.cpu];
        match words.iter().find(|word| word.contains(char::is_control)) {
            // They are shown on terminals.
            Some(word) => Err(format!("{word:?} has control characters")),
            None => Ok(metadata),
        }
    }
}

/// Returns the value of a key.
pub fn value<'a>(pairs: &'a [KeyValue], key: &str) -> Option<&'a str> {
    let pair = pairs.iter().find(|pair| pair.key == key)?;
    pair.value.as_deref()
}

/// Returns the value of a key whose JSON is a `T`.
pub fn parsed<T: DeserializeOwned>(pairs: &[KeyValue], key: &str) -> Option<T> {
    serde_json::from_str(value(pairs, key)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_come_back_from_their_pairs() {
        let metadata = Metadata {
            workload: "pair \"quoted\"".to_string(),
            vhe: true,
            linux: true,
            seed: u64::MAX,
            scale: serde_json::json!({"windows": 3}),
            vcpus: vec![Vcpu { vm: 0, index: 0 }, Vcpu { vm: 1, index: 2 }],
            ..Metadata::default()
        };
        let mut pairs = metadata.to_pairs();
        assert_eq!(Metadata::from_pairs(&pairs), Ok(metadata.clone()));
        let keys: Vec<_> = pairs.iter().map(|pair| pair.key.as_str()).collect();
        for (key, _) in KEYS {
            assert!(keys.contains(&key), "{key}");
        }
        assert_eq!(keys.len(), KEYS.len());
        pairs.retain(|pair| pair.key != "trapcast.waits");
        let error = Metadata::from_pairs(&pairs).unwrap_err();
        assert!(error.contains("waits"), "{error}");
        let disturbing = Metadata {
            cpu: "\u{1b}[2J".to_string(),
            ..metadata
        };
        let error = Metadata::from_pairs(&disturbing.to_pairs()).unwrap_err();
        assert!(error.contains("control characters"), "{error}");
        assert!(!error.contains('\u{1b}'), "{error}");
    }
}
