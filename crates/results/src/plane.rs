//! What the plane over the costs of a trap and an exchange is made of.

use serde::{Deserialize, Serialize};

/// What one scheme did over a record.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SchemeCounts {
    /// The scheme's name.
    pub scheme: String,
    /// Traps.
    pub traps: u64,
    /// Exchanges, each a save and a load, which need not come together: at traps, eager loads, give-backs, and
    /// where the host's own use took a guest's registers.
    pub exchanges: u64,
}

/// What every scheme did over a record.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Counts {
    /// The schemes. `none` may be among them and is left out: it is cheap because it is wrong.
    pub schemes: Vec<SchemeCounts>,
    /// Exchanges of the oracle where gates cost nothing. It never traps.
    pub oracle_exchanges: u64,
}
