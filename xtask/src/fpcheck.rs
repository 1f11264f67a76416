//! Checks that FP/SIMD, SVE and SME instructions of a linked image are only in the functions that
//! may hold them.
//!
//! The classes are those of the Arm ARM, "A64 instruction set encoding", top level: op0 is bits
//! 28:25 of an instruction.

use std::path::Path;

use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
use serde::Serialize;

use trapcast_tool::{
    error::{Error, Result},
    input,
};

/// The most bytes of an image.
pub const MOST_BYTES: u64 = 512 << 20;

/// Names of functions that may use the registers start with this.
pub const ALLOWED_PREFIX: &str = "trapcast_fpsimd_";

/// What a check found.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Report {
    /// Instructions that were looked at.
    pub instructions: usize,
    /// FP/SIMD instructions in functions that may hold them.
    pub allowed: usize,
    /// FP/SIMD instructions elsewhere.
    pub misplaced: Vec<Misplaced>,
}

/// An instruction where it must not be.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Misplaced {
    /// Its address.
    pub address: u64,
    /// The instruction.
    pub word: u32,
    /// The function that contains it, as far as symbols tell.
    pub function: Option<String>,
}

/// Whether an A64 instruction is of the FP/SIMD, SVE or SME classes, that is, whether the gates of
/// `CPTR_EL2` could trap it.
pub const fn uses_fpsimd(word: u32) -> bool {
    let op0 = word >> 25 & 0xf;
    match op0 {
        // "Reserved" with bit 31 set: SME. With it clear: UDF and unallocated.
        0b0000 => word >> 31 == 1,
        // SVE.
        0b0010 => true,
        // Loads and stores: V, bit 26, says whose registers.
        0b0100 | 0b0110 | 0b1100 | 0b1110 => word >> 26 & 1 == 1,
        // Data processing -- scalar floating-point and Advanced SIMD.
        0b0111 | 0b1111 => true,
        _ => false,
    }
}

/// Checks an ELF file.
///
/// # Errors
/// [`Error::Input`] where it is not an ELF file for AArch64 with symbols.
pub fn check_file(path: &Path) -> Result<Report> {
    let bytes = input::read("image", path, MOST_BYTES)?;
    check(&bytes).map_err(|reason| Error::input(format!("{} {reason}", path.display())))
}

/// Checks the content of an ELF file.
///
/// # Errors
/// What is wrong with the file, as the end of a sentence that begins with its name.
pub fn check(bytes: &[u8]) -> std::result::Result<Report, String> {
    let file =
        object::File::parse(bytes).map_err(|error| format!("is not an ELF file: {error}"))?;
    if file.architecture() != object::Architecture::Aarch64 {
        return Err("is not for AArch64: give the hypervisor's ELF file".to_string());
    }
    let symbols = code_symbols(&file);
    if symbols.is_empty() {
        return Err("has no symbols: give it as it was linked, not stripped".to_string());
    }
    let mut report = Report {
        instructions: 0,
        allowed: 0,
        misplaced: Vec::new(),
    };
    for section in file.sections() {
        let object::SectionFlags::Elf { sh_flags, .. } = section.flags() else {
            continue;
        };
        if sh_flags.0 & object::elf::SHF_EXECINSTR.0 == 0 {
            continue;
        }
        let content = section
            .data()
            .map_err(|error| format!("is damaged: {error}"))?;
        report.section(section.address(), content, &symbols);
    }
    if report.instructions == 0 {
        return Err("holds no code".to_string());
    }
    Ok(report)
}

/// A symbol of a code section: a function, or a mapping symbol that says what follows.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Symbol {
    address: u64,
    size: u64,
    name: String,
}

impl Symbol {
    /// Whether this is a mapping symbol; see "ELF for the Arm 64-bit Architecture", "Mapping
    /// symbols": `$x` before code, `$d` before data.
    fn is_mapping(&self) -> bool {
        self.name.starts_with("$x") || self.name.starts_with("$d")
    }
}

fn code_symbols(file: &object::File<'_>) -> Vec<Symbol> {
    let mut symbols: Vec<Symbol> = file
        .symbols()
        .filter(|symbol| {
            symbol.is_definition() || symbol.name().is_ok_and(|name| name.starts_with('$'))
        })
        .filter(|symbol| !matches!(symbol.kind(), SymbolKind::File | SymbolKind::Section))
        .filter_map(|symbol| {
            Some(Symbol {
                address: symbol.address(),
                size: symbol.size(),
                name: symbol.name().ok()?.to_string(),
            })
        })
        .collect();
    symbols.sort();
    symbols
}

impl Report {
    fn section(&mut self, start: u64, content: &[u8], symbols: &[Symbol]) {
        for (index, bytes) in content.chunks_exact(4).enumerate() {
            let address = start + 4 * index as u64;
            let word = u32::from_le_bytes(bytes.try_into().expect("chunks of four bytes"));
            if is_data(address, symbols) {
                continue;
            }
            self.instructions += 1;
            if !uses_fpsimd(word) {
                continue;
            }
            let function = function_at(address, symbols);
            if function.is_some_and(|name| name.starts_with(ALLOWED_PREFIX)) {
                self.allowed += 1;
            } else {
                self.misplaced.push(Misplaced {
                    address,
                    word,
                    function: function.map(String::from),
                });
            }
        }
    }
}

/// The symbols at or below an address, nearest first.
fn below(address: u64, symbols: &[Symbol]) -> impl Iterator<Item = &Symbol> {
    let count = symbols.partition_point(|symbol| symbol.address <= address);
    symbols[..count].iter().rev()
}

fn is_data(address: u64, symbols: &[Symbol]) -> bool {
    below(address, symbols)
        .find(|symbol| symbol.is_mapping())
        .is_some_and(|symbol| symbol.name.starts_with("$d"))
}

/// The function that an address is in: the nearest symbol below whose size reaches it, or that
/// tells no size, as symbols of assembly code may.
fn function_at(address: u64, symbols: &[Symbol]) -> Option<&str> {
    let nearest = below(address, symbols).find(|symbol| !symbol.is_mapping())?;
    (nearest.size == 0 || address - nearest.address < nearest.size).then_some(&nearest.name)
}

/// The report as people read it.
pub fn render(report: &Report) -> String {
    let mut text = format!(
        "{} instructions; FP/SIMD: {} in functions named {ALLOWED_PREFIX}*, {} elsewhere\n",
        report.instructions,
        report.allowed,
        report.misplaced.len()
    );
    for misplaced in &report.misplaced {
        text += &format!(
            "  {:#x}: {:08x} in {}\n",
            misplaced.address,
            misplaced.word,
            misplaced.function.as_deref().unwrap_or("no function")
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_encodings_are_told_apart() {
        let fpsimd = [
            (0x3dc0_0000, "ldr q0, [x0]"),
            (0xad00_0400, "stp q0, q1, [x0]"),
            (0xfd40_0000, "ldr d0, [x0]"),
            (0x4c40_7000, "ld1 {v0.16b}, [x0]"),
            (0x1c00_0000, "ldr s0, . (literal)"),
            (0x1e61_2800, "fadd d0, d0, d1"),
            (0x9e66_0000, "fmov x0, d0"),
            (0x4e20_8400, "add v0.16b, v0.16b, v0.16b"),
            (0x6f00_e400, "movi v0.2d, #0"),
            (0x8580_4000, "ldr z0, [x0]"),
            (0x04e0_e3e0, "cntd x0"),
            (0x2518_e3e0, "ptrue p0.b"),
            (0x8080_0000, "fmopa za0.s, ..."),
            (0xe100_0000, "ldr za[w12, 0], [x0]"),
        ];
        for (word, name) in fpsimd {
            assert!(uses_fpsimd(word), "{name}");
        }
        let others = [
            (0xd503_201f, "nop"),
            (0xd69f_03e0, "eret"),
            (0xd51c_1140, "msr cptr_el2, x0"),
            (0xd53b_4420, "mrs x0, fpsr"),
            (0xf940_0000, "ldr x0, [x0]"),
            (0xa9bf_7bfd, "stp x29, x30, [sp, #-16]!"),
            (0x5800_0000, "ldr x0, . (literal)"),
            (0xc85f_7c00, "ldxr x0, [x0]"),
            (0x8b00_0000, "add x0, x0, x0"),
            (0x9b00_7c00, "mul x0, x0, x0"),
            (0xd280_0000, "mov x0, #0"),
            (0x1400_0000, "b ."),
            (0xd65f_03c0, "ret"),
            (0x0000_0000, "udf #0"),
        ];
        for (word, name) in others {
            assert!(!uses_fpsimd(word), "{name}");
        }
    }

    fn symbol(address: u64, size: u64, name: &str) -> Symbol {
        Symbol {
            address,
            size,
            name: name.to_string(),
        }
    }

    #[test]
    fn only_the_functions_of_that_name_may_hold_them() {
        let symbols = [
            symbol(0x1000, 0, "$x"),
            symbol(0x1000, 8, "trapcast_fpsimd_save"),
            symbol(0x1008, 4, "memcpy"),
            symbol(0x1010, 0, "$d"),
        ];
        let ldr_q0 = 0x3dc0_0000u32.to_le_bytes();
        let mut report = Report {
            instructions: 0,
            allowed: 0,
            misplaced: Vec::new(),
        };
        // Two in the first function, one in the second, one behind it, one in data.
        report.section(0x1000, &ldr_q0.repeat(5), &symbols);
        assert_eq!((report.instructions, report.allowed), (4, 2));
        let found: Vec<_> = report
            .misplaced
            .iter()
            .map(|misplaced| (misplaced.address, misplaced.function.as_deref()))
            .collect();
        assert_eq!(found, [(0x1008, Some("memcpy")), (0x100c, None)]);
        assert!(render(&report).contains("3dc00000 in memcpy"));
    }

    #[test]
    fn a_file_that_is_no_image_is_refused() {
        assert!(check(b"text").unwrap_err().contains("not an ELF file"));
    }
}
