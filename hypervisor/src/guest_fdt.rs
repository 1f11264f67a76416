//! The device tree that a guest is given, and the board that it describes.
//!
//! The board has the addresses and interrupts of QEMU's `virt` board, less what a guest here does
//! not have. The bindings are those of Linux (Documentation/devicetree/bindings).

extern crate alloc;

#[cfg(test)]
mod tests;

use alloc::{format, string::String, vec::Vec};
use core::ops::Range;

use dtoolkit::{
    ToPropertyValue,
    model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty},
};

use crate::{vgic::REDISTRIBUTOR_SIZE, virt};

/// The clock of the PL011, in hertz.
const UART_CLOCK: u32 = 24_000_000;

/// Interrupts of the generic timer, as PPIs (INTID less 16): secure and non-secure EL1 physical,
/// virtual, EL2 physical. The binding has all four in this order; a guest uses the virtual one.
const TIMER_PPIS: [u32; 4] = [13, 14, 11, 10];

/// First cell of an interrupt specifier (binding `arm,gic-v3`).
const SPI: u32 = 0;
const PPI: u32 = 1;
/// Third cell of an interrupt specifier: high while it is active.
const LEVEL_HIGH: u32 = 4;

/// Names of nodes to which others point.
const INTERRUPT_CONTROLLER: u32 = 1;
const CLOCK: u32 = 2;

/// What differs from one VM's board to another's.
#[derive(Clone, Debug)]
pub struct GuestBoard<'a> {
    /// RAM, in the guest's addresses.
    pub ram: Range<u64>,
    /// vCPUs; number N has the affinity 0.0.0.N.
    pub vcpus: usize,
    /// The kernel's command line.
    pub command_line: &'a str,
    /// The RAM disk, in the guest's addresses.
    pub ramdisk: Option<Range<u64>>,
    /// Whether the guest may use the PMU. Its counters raise no interrupt.
    pub pmu: bool,
}

impl GuestBoard<'_> {
    /// The device tree as a blob.
    pub fn to_dtb(&self) -> Vec<u8> {
        let mut tree = DeviceTree::new();
        let root = &mut tree.root;
        add(root, "#address-cells", 2_u32);
        add(root, "#size-cells", 2_u32);
        add(root, "compatible", "linux,dummy-virt");
        add(root, "model", "Trapcast virtual machine");
        add(root, "interrupt-parent", INTERRUPT_CONTROLLER);
        // Whatever there is, as QEMU says it of its own board: where the lines of a core's caches are longer than
        // Linux aligns buffers to, it would else warn.
        add(root, "dma-coherent", [0_u8; 0]);
        root.add_child(self.chosen());
        root.add_child(self.memory());
        root.add_child(self.cpus());
        root.add_child(psci());
        root.add_child(timer());
        root.add_child(self.interrupt_controller());
        root.add_child(clock());
        root.add_child(uart());
        if self.pmu {
            root.add_child(pmu());
        }
        tree.to_dtb()
    }

    fn chosen(&self) -> DeviceTreeNode {
        let mut chosen = node("chosen");
        add(&mut chosen, "bootargs", self.command_line);
        add(
            &mut chosen,
            "stdout-path",
            format!("/pl011@{:x}", virt::UART.start).as_str(),
        );
        if let Some(ramdisk) = &self.ramdisk {
            add(&mut chosen, "linux,initrd-start", ramdisk.start);
            add(&mut chosen, "linux,initrd-end", ramdisk.end);
        }
        chosen
    }

    fn memory(&self) -> DeviceTreeNode {
        let Range { start, end } = self.ram;
        let mut memory = node(format!("memory@{start:x}"));
        add(&mut memory, "device_type", "memory");
        add(&mut memory, "reg", reg([(start, end - start)]));
        memory
    }

    fn cpus(&self) -> DeviceTreeNode {
        let mut cpus = node("cpus");
        add(&mut cpus, "#address-cells", 1_u32);
        add(&mut cpus, "#size-cells", 0_u32);
        for number in 0..self.vcpus as u32 {
            let mut cpu = node(format!("cpu@{number:x}"));
            add(&mut cpu, "device_type", "cpu");
            add(&mut cpu, "compatible", "arm,armv8");
            add(&mut cpu, "reg", number);
            add(&mut cpu, "enable-method", "psci");
            cpus.add_child(cpu);
        }
        cpus
    }

    fn interrupt_controller(&self) -> DeviceTreeNode {
        let redistributors = REDISTRIBUTOR_SIZE * self.vcpus as u64;
        let mut gic = node(format!("intc@{:x}", virt::GICD.start));
        add(&mut gic, "compatible", "arm,gic-v3");
        add(&mut gic, "#interrupt-cells", 3_u32);
        add(&mut gic, "#address-cells", 0_u32);
        add(&mut gic, "interrupt-controller", [0_u8; 0]);
        add(&mut gic, "#redistributor-regions", 1_u32);
        let regions = [
            (virt::GICD.start, size(virt::GICD)),
            (virt::GICR.start, redistributors),
        ];
        add(&mut gic, "reg", reg(regions));
        add(&mut gic, "phandle", INTERRUPT_CONTROLLER);
        gic
    }
}

fn psci() -> DeviceTreeNode {
    let mut psci = node("psci");
    let compatible = ["arm,psci-1.0", "arm,psci-0.2"];
    add(&mut psci, "compatible", &compatible[..]);
    add(&mut psci, "method", "hvc");
    psci
}

fn timer() -> DeviceTreeNode {
    let mut timer = node("timer");
    add(&mut timer, "compatible", "arm,armv8-timer");
    let interrupts = TIMER_PPIS.map(|number| [PPI, number, LEVEL_HIGH]);
    add(&mut timer, "interrupts", interrupts.as_flattened());
    add(&mut timer, "always-on", [0_u8; 0]);
    timer
}

fn clock() -> DeviceTreeNode {
    let mut clock = node("apb-pclk");
    add(&mut clock, "compatible", "fixed-clock");
    add(&mut clock, "#clock-cells", 0_u32);
    add(&mut clock, "clock-frequency", UART_CLOCK);
    add(&mut clock, "clock-output-names", "clk24mhz");
    add(&mut clock, "phandle", CLOCK);
    clock
}

fn uart() -> DeviceTreeNode {
    let mut uart = node(format!("pl011@{:x}", virt::UART.start));
    let compatible = ["arm,pl011", "arm,primecell"];
    add(&mut uart, "compatible", &compatible[..]);
    add(
        &mut uart,
        "reg",
        reg([(virt::UART.start, size(virt::UART))]),
    );
    add(
        &mut uart,
        "interrupts",
        [SPI, virt::UART_INTID - 32, LEVEL_HIGH],
    );
    let clock_names = ["uartclk", "apb_pclk"];
    add(&mut uart, "clock-names", &clock_names[..]);
    add(&mut uart, "clocks", [CLOCK, CLOCK]);
    uart
}

/// A PMU without `interrupts`, which tells Linux that it can count but not sample.
fn pmu() -> DeviceTreeNode {
    let mut pmu = node("pmu");
    add(&mut pmu, "compatible", "arm,armv8-pmuv3");
    pmu
}

/// A node; its name is one of this file's, and so follows the specification.
fn node(name: impl Into<String>) -> DeviceTreeNode {
    DeviceTreeNode::new_unchecked(name)
}

/// Adds a property; its name is one of this file's, and so follows the specification.
fn add<T: ToPropertyValue>(node: &mut DeviceTreeNode, name: &str, value: T) {
    node.add_property(DeviceTreeProperty::new_unchecked(name, value));
}

/// The size of a range, in bytes.
const fn size(range: Range<u64>) -> u64 {
    range.end - range.start
}

/// Ranges by address and size, each a number of two cells.
fn reg<const N: usize>(ranges: [(u64, u64); N]) -> Vec<u32> {
    let cells = |number: u64| [(number >> 32) as u32, number as u32];
    ranges
        .into_iter()
        .flat_map(|(address, size)| [cells(address), cells(size)])
        .flatten()
        .collect()
}
