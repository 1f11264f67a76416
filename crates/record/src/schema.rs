//! The columns of a record file: the one table from which the writer, the reader's checks, the
//! file's own description and the documentation follow.

use std::sync::{Arc, LazyLock};

use parquet::{
    basic::{LogicalType, Repetition, Type as Physical},
    schema::types::{Type, TypePtr},
};
use serde_json::{Value as Json, json};
use trapcast_trace::record::Flags;

use super::row::Row;

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Its unit; "-" if it has none.
    pub unit: &'static str,
    /// What it says.
    pub meaning: &'static str,
    /// Its type, and where its values come from.
    pub value: Value,
    /// How its values are laid out before compression.
    pub layout: Layout,
}

/// How values are laid out before compression.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Layout {
    /// Each as it is; booleans are one bit each.
    Plain,
    /// Indices into a dictionary; as they are once the dictionary is full.
    Dictionary,
    /// Differences of each to the one before.
    Delta,
}

/// The type of a column, and how its value comes from a row.
#[derive(Clone, Copy, Debug)]
pub enum Value {
    /// A boolean.
    Bool(fn(&Row) -> bool),
    /// The same, or null.
    MaybeBool(fn(&Row) -> Option<bool>),
    /// An unsigned number of so many bits, at most 32.
    Number(Bits, fn(&Row) -> u32),
    /// The same, or null.
    MaybeNumber(Bits, fn(&Row) -> Option<u32>),
    /// An unsigned number of 64 bits.
    Long(fn(&Row) -> u64),
    /// The same, or null.
    MaybeLong(fn(&Row) -> Option<u64>),
    /// The name of a kind of exit.
    Exit(fn(&Row) -> u8),
    /// The same, or null.
    MaybeExit(fn(&Row) -> Option<u8>),
}

/// Width of a number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bits {
    /// 8.
    Eight = 8,
    /// 16.
    Sixteen = 16,
    /// 32.
    ThirtyTwo = 32,
}

impl Value {
    /// The physical and the logical type.
    fn parquet(&self) -> (Physical, Option<LogicalType>) {
        let unsigned = |bits| Some(LogicalType::integer(bits, false));
        match self {
            Self::Bool(_) | Self::MaybeBool(_) => (Physical::BOOLEAN, None),
            Self::Number(bits, _) | Self::MaybeNumber(bits, _) => {
                (Physical::INT32, unsigned(*bits as i8))
            }
            Self::Long(_) | Self::MaybeLong(_) => (Physical::INT64, unsigned(64)),
            Self::Exit(_) | Self::MaybeExit(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        }
    }

    /// Whether a value may be null.
    pub const fn nullable(&self) -> bool {
        matches!(
            self,
            Self::MaybeBool(_) | Self::MaybeNumber(..) | Self::MaybeLong(_) | Self::MaybeExit(_)
        )
    }
}

impl Column {
    /// Returns the column as Parquet describes it.
    pub fn parquet_type(&self) -> TypePtr {
        let (physical, logical) = self.value.parquet();
        let repetition = match self.value.nullable() {
            true => Repetition::OPTIONAL,
            false => Repetition::REQUIRED,
        };
        Type::primitive_type_builder(self.name, physical)
            .with_repetition(repetition)
            .with_logical_type(logical)
            .build()
            .map(Arc::new)
            .expect("the table's types go together")
    }

    /// Returns the name of the type, as documentation and errors have it.
    pub fn type_name(&self) -> String {
        type_name(&self.parquet_type())
    }
}

/// Returns the name of a column's type.
pub fn type_name(column: &Type) -> String {
    if !column.is_primitive() {
        return "group".to_string();
    }
    let physical = column.get_physical_type();
    let name = match column.get_basic_info().logical_type_ref() {
        Some(LogicalType::Integer(integer)) => {
            let sign = if integer.is_signed { "int" } else { "uint" };
            format!("{sign}{}", integer.bit_width)
        }
        Some(LogicalType::String) => "string".to_string(),
        Some(other) => format!("{physical} ({other:?})").to_lowercase(),
        None if physical == Physical::BOOLEAN => "bool".to_string(),
        None => physical.to_string().to_lowercase(),
    };
    let info = column.get_basic_info();
    match info.has_repetition().then(|| info.repetition()) {
        Some(Repetition::OPTIONAL) => name + " or null",
        Some(Repetition::REPEATED) => name + " list",
        _ => name,
    }
}

/// Returns the schema of a file with these columns.
pub fn parquet_schema(columns: &[Column]) -> TypePtr {
    let fields = columns.iter().map(Column::parquet_type).collect();
    Type::group_type_builder("windows")
        .with_fields(fields)
        .build()
        .map(Arc::new)
        .expect("a group of columns is a schema")
}

/// Describes every column, for the file's metadata.
pub fn describe() -> Json {
    let entry = |column: &Column| {
        (
            column.name.to_string(),
            json!({"unit": column.unit, "meaning": column.meaning}),
        )
    };
    Json::Object(COLUMNS.iter().map(entry).collect())
}

/// Returns the column of a name.
pub fn column(name: &str) -> Option<&'static Column> {
    COLUMNS.iter().find(|column| column.name == name)
}

const fn flag(name: &'static str, meaning: &'static str, value: fn(&Row) -> bool) -> Column {
    Column {
        name,
        unit: "-",
        meaning,
        value: Value::Bool(value),
        layout: Layout::Plain,
    }
}

const fn maybe_flag(
    name: &'static str,
    meaning: &'static str,
    value: fn(&Row) -> Option<bool>,
) -> Column {
    Column {
        name,
        unit: "-",
        meaning,
        value: Value::MaybeBool(value),
        layout: Layout::Plain,
    }
}

const fn coded(
    name: &'static str,
    unit: &'static str,
    meaning: &'static str,
    value: Value,
) -> Column {
    Column {
        name,
        unit,
        meaning,
        value,
        layout: Layout::Dictionary,
    }
}

const fn rising(
    name: &'static str,
    unit: &'static str,
    meaning: &'static str,
    value: fn(&Row) -> u64,
) -> Column {
    Column {
        name,
        unit,
        meaning,
        value: Value::Long(value),
        layout: Layout::Delta,
    }
}

const fn time(name: &'static str, meaning: &'static str, value: fn(&Row) -> Option<u64>) -> Column {
    Column {
        name,
        unit: "ticks",
        meaning,
        value: Value::MaybeLong(value),
        layout: Layout::Delta,
    }
}

use Bits::{Eight, Sixteen, ThirtyTwo};

/// Every column, in the order in which they stand in the file.
pub const COLUMNS: &[Column] = &[
    coded(
        "vm",
        "-",
        "the VM",
        Value::Number(Sixteen, |row| row.vcpu.vm.into()),
    ),
    coded(
        "vcpu",
        "-",
        "number of the vCPU over all VMs",
        Value::Number(Sixteen, |row| row.record.vcpu.into()),
    ),
    coded(
        "vcpu_index",
        "-",
        "number of the vCPU in its VM",
        Value::Number(Sixteen, |row| row.vcpu.index.into()),
    ),
    coded(
        "core",
        "-",
        "the core on which it ran",
        Value::Number(Eight, |row| row.core.into()),
    ),
    flag(
        "loaded",
        "it is the first window since the vCPU was loaded",
        |row| row.has(Flags::LOADED),
    ),
    flag(
        "put",
        "the vCPU was put after it, before the core's next window",
        |row| row.has(Flags::PUT),
    ),
    maybe_flag(
        "preempted",
        "the EL2 timer ended it and the vCPU was put: it could have gone on",
        Row::preempted,
    ),
    flag(
        "powered_on",
        "the vCPU was turned on right before it: its registers began as zeroes",
        |row| row.has(Flags::POWERED_ON),
    ),
    maybe_flag(
        "mark",
        "the guest said in it that its work begins with the next window",
        |row| row.inside_or_observed(row.has(Flags::MARK)),
    ),
    maybe_flag(
        "interrupt_pending",
        "an interrupt was pending for the guest at the entry",
        |row| row.inside(row.has(Flags::INTERRUPT_PENDING)),
    ),
    time(
        "start_ticks",
        "CNTPCT_EL0 at the entry, or a trace's clock",
        |row| row.times().map(|[start, _]| start),
    ),
    time("end_ticks", "the same at the exit", |row| {
        row.times().map(|[_, end]| end)
    }),
    rising(
        "start_instructions",
        "instructions",
        "retired by guests on this core before the entry",
        |row| row.start_instructions,
    ),
    rising(
        "end_instructions",
        "instructions",
        "retired by guests on this core up to the exit",
        |row| row.start_instructions + u64::from(row.record.guest_instructions),
    ),
    coded(
        "el2_instructions",
        "instructions",
        "retired at EL2 on this core since its window before",
        Value::MaybeNumber(ThirtyTwo, Row::el2_instructions),
    ),
    coded(
        "host_instructions",
        "instructions",
        "executed by the host at EL0 and EL1 on this core since its window before",
        Value::MaybeNumber(ThirtyTwo, |row| row.outside()?.host_instructions),
    ),
    coded(
        "trap_instructions",
        "instructions",
        "executed at EL2 in the traps within the window",
        Value::MaybeNumber(ThirtyTwo, |row| Some(row.outside()?.trap_instructions)),
    ),
    coded(
        "fp_traps",
        "times",
        "how often the guest was trapped within the window for FP/SIMD, SVE or SME, and went on there",
        Value::MaybeNumber(ThirtyTwo, |row| Some(row.outside()?.fp_traps)),
    ),
    coded(
        "hypervisor_fp_instructions",
        "instructions",
        "FP/SIMD, SVE and SME instructions executed at EL2 and at the host's EL1 from the exit to the core's next window",
        Value::MaybeNumber(ThirtyTwo, |row| row.outside()?.hypervisor_fp),
    ),
    coded(
        "exit_before",
        "-",
        "why the vCPU's window before ended; null in its first one",
        Value::MaybeExit(|row| row.before.map(|before| before.exit)),
    ),
    coded(
        "exit_after",
        "-",
        "why this window ended",
        Value::Exit(|row| row.record.exit),
    ),
    coded(
        "esr_before",
        "-",
        "esr_after of the vCPU's window before; null in its first one",
        Value::MaybeNumber(ThirtyTwo, |row| row.before.map(|before| before.esr)),
    ),
    coded(
        "esr_after",
        "-",
        "ESR_EL2 bits 31:0 at the exit; 0 if an interrupt ended the window",
        Value::Number(ThirtyTwo, |row| row.record.esr),
    ),
    coded(
        "intid_before",
        "-",
        "intid_after of the vCPU's window before; null in its first one",
        Value::MaybeNumber(Sixteen, |row| row.before?.intid.map(u32::from)),
    ),
    coded(
        "intid_after",
        "-",
        "INTID of the physical interrupt that ended the window; 0 if none did",
        Value::MaybeNumber(Sixteen, |row| row.intid().map(u32::from)),
    ),
    coded(
        "pc",
        "address",
        "ELR_EL2 at the entry: where the guest resumed",
        Value::Long(|row| row.record.pc),
    ),
    coded(
        "pstate",
        "-",
        "SPSR_EL2 bits 31:0 at the entry: the PSTATE in which the guest resumed",
        Value::Number(ThirtyTwo, |row| row.record.pstate),
    ),
    coded(
        "el",
        "-",
        "the exception level at which the guest resumed",
        Value::Number(Eight, Row::el),
    ),
    flag(
        "aarch32",
        "the guest resumed in AArch32 state",
        Row::aarch32,
    ),
    coded(
        "asid",
        "-",
        "the current ASID at the exit",
        Value::Number(Sixteen, |row| row.record.asid.into()),
    ),
    coded(
        "ttbr0",
        "-",
        "TTBR0_EL1 at the exit",
        Value::Long(|row| row.record.ttbr0),
    ),
    coded(
        "contextidr",
        "-",
        "CONTEXTIDR_EL1 at the exit",
        Value::Number(ThirtyTwo, |row| row.record.contextidr),
    ),
    coded(
        "cpacr",
        "-",
        "CPACR_EL1 at the exit, bits 31:16 (FPEN, ZEN, SMEN) at their place, the rest 0",
        Value::Number(ThirtyTwo, Row::cpacr),
    ),
    coded(
        "vmid",
        "-",
        "VTTBR_EL2.VMID at the entry",
        Value::MaybeNumber(Sixteen, |row| Some(row.outside()?.vmid.into())),
    ),
    coded(
        "cptr",
        "-",
        "CPTR_EL2 bits 31:0 at the entry",
        Value::MaybeNumber(ThirtyTwo, |row| Some(row.outside()?.cptr)),
    ),
    maybe_flag(
        "fp_used",
        "it used the FP/SIMD registers; null if that was not to be seen",
        Row::used,
    ),
    flag("sve_used", "it used SVE", |row| row.has(Flags::SVE)),
    flag("za_used", "it used SME", |row| row.has(Flags::ZA)),
    coded(
        "first_use",
        "instructions",
        "retired by the guest in the window before it first used the registers; null if it did not",
        Value::MaybeNumber(ThirtyTwo, Row::first_use),
    ),
    coded(
        "host_uses",
        "times",
        "how often the hypervisor used the registers itself after the window, before the put if any",
        Value::Number(Sixteen, |row| row.record.host_uses.into()),
    ),
];

/// The columns that came with format 3, which files of format 2 lack.
pub(super) const SINCE_3: [&str; 6] = [
    "host_instructions",
    "trap_instructions",
    "fp_traps",
    "hypervisor_fp_instructions",
    "vmid",
    "cptr",
];

/// The columns that a trace of a KVM host fills.
pub const TRACED: [&str; 14] = [
    "vm",
    "vcpu",
    "vcpu_index",
    "core",
    "loaded",
    "put",
    "powered_on",
    "start_ticks",
    "end_ticks",
    "exit_before",
    "exit_after",
    "pc",
    "fp_used",
    "host_uses",
];

/// The columns that a replay reads, and no others.
pub const REPLAYED: [&str; 6] = ["vcpu", "core", "put", "powered_on", "fp_used", "host_uses"];

/// Returns the columns that a replay reads.
pub fn replayed_columns() -> &'static [Column] {
    static REPLAYED_COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| only(&REPLAYED));
    &REPLAYED_COLUMNS
}

/// Returns the columns that a trace fills.
pub fn traced_columns() -> &'static [Column] {
    static TRACED_COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| only(&TRACED));
    &TRACED_COLUMNS
}

fn only(names: &[&str]) -> Vec<Column> {
    let is_one = |column: &&Column| names.contains(&column.name);
    COLUMNS.iter().filter(is_one).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_different_and_plain() {
        for (number, column) in COLUMNS.iter().enumerate() {
            let plain = |letter: char| letter.is_ascii_lowercase() || letter == '_';
            let digits = |letter: char| plain(letter) || letter.is_ascii_digit();
            assert!(column.name.starts_with(plain), "{}", column.name);
            assert!(column.name.chars().all(digits), "{}", column.name);
            let same = |other: &Column| other.name == column.name;
            assert_eq!(COLUMNS.iter().position(same), Some(number));
        }
    }

    #[test]
    fn the_documentation_lists_exactly_these_columns() {
        let documentation = include_str!("../../../docs/records.md");
        let rows = documentation
            .lines()
            .skip_while(|line| !line.starts_with("| column |"))
            .skip(2)
            .take_while(|line| line.starts_with('|'));
        let expected = COLUMNS.iter().map(|column| {
            let Column { name, unit, .. } = column;
            format!(
                "| `{name}` | {} | {unit} | {} |",
                column.type_name(),
                column.meaning
            )
        });
        assert_eq!(rows.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    }

    #[test]
    fn the_documentation_lists_exactly_these_keys() {
        let documentation = include_str!("../../../docs/records.md");
        let rows = documentation
            .lines()
            .skip_while(|line| !line.starts_with("| key |"))
            .skip(2)
            .take_while(|line| line.starts_with('|'));
        let keys = super::super::metadata::KEYS.iter();
        let keys = keys.chain(super::super::seal::KEYS.iter());
        let expected = keys.map(|(key, meaning)| format!("| `{key}` | {meaning} |"));
        assert_eq!(rows.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    }
}
