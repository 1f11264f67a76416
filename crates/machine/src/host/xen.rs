//! A Xen host: Debian's hypervisor, which starts its domains from the board's FDT, without a domain 0 (dom0less).

use std::ffi::OsString;

use dtoolkit::{
    Node,
    fdt::Fdt,
    model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty},
};

use trapcast_tool::{
    error::{Error, Result},
    paths::Paths,
};

use super::{Kind, Prepared, board, bootargs, last_line, some};
use crate::{
    board::{Layout, Load, Place, available_memory},
    initrd::read,
    machine::{Cpu, Vm},
    memory::MemoryFile,
    qemu::{Console, Installed, Qemu, last_lines},
};

/// Modules lie so far above where our own hypervisor has them: QEMU puts the FDT there for a flat image.
const FDT_SPACE: u64 = 128 << 20;

/// Memory that Xen needs beside that of its domains.
const XEN: u64 = 128 << 20;

/// Xen's command line: what it prints goes to the UART, and memory is not cleared at boot.
const BOOTARGS: &str = "console=dtuart bootscrub=0";

/// A Xen host and its domains.
#[derive(Clone, Debug)]
pub struct XenHost {
    /// The board's core.
    pub cpu: Cpu,
    /// Its cores.
    pub cores: u32,
    /// Whether time is counted in instructions, so that a run can be repeated exactly.
    pub icount: bool,
    /// The VMs: domains 1 and up.
    pub vms: Vec<Vm>,
}

impl XenHost {
    /// Prepares the command line that boots Xen and its domains on this QEMU, which is asked for the board's FDT.
    ///
    /// Xen does not power off when its domains have: [`Prepared::run`] sees to that.
    ///
    /// # Errors
    /// [`Error::Input`] where Xen is not downloaded, a VM does not fit, or this machine has too little memory;
    /// [`Error::Run`] where QEMU does not tell its FDT.
    pub fn prepare(&self, paths: &Paths, qemu: &Installed) -> Result<Prepared> {
        some(&self.vms)?;
        if let Some(vm) = self.vms.iter().position(|vm| vm.initrd.is_none()) {
            return Err(Error::input(format!(
                "vm{vm} is a bare-metal guest of QEMU's board, and Xen's domains have their devices at other \
                 addresses: take guests with Linux"
            )));
        }
        let xen = paths.hosts("xen")?;
        let loads: Vec<Load> = self.vms.iter().map(Vm::load).collect();
        let layout = Layout::of(&loads, available_memory()?.saturating_sub(FDT_SPACE + XEN))?;
        let size = layout.ram + FDT_SPACE + XEN;
        let ram = MemoryFile::zeroed(size)?;
        let mut arguments = board(self.cpu, self.cores, self.icount, &ram, size);
        let fdt = self.fdt(&board_fdt(qemu, &arguments)?, &layout.places)?;
        let mut files = vec![ram, MemoryFile::with_content(&fdt)?];
        arguments.extend(["-kernel".into(), xen.into()]);
        arguments.extend(["-dtb".into(), files[1].path().into()]);
        for (vm, place) in self.vms.iter().zip(&layout.places) {
            let initrd = vm.initrd.as_deref().zip(place.initrd);
            for (file, address) in [(&*vm.kernel.file, place.kernel)].into_iter().chain(initrd) {
                // A copy, so that the command line can outlive the VM.
                let file = MemoryFile::with_content(&read(&file.path())?)?;
                let (path, address) = (file.path(), address + FDT_SPACE);
                let loader = format!(
                    "loader,file={},addr={address:#x},force-raw=on",
                    path.display()
                );
                arguments.extend(["-device".into(), loader.into()]);
                files.push(file);
            }
        }
        Ok(Prepared {
            arguments,
            kind: Kind::Xen,
            last: self.vms.iter().map(last_line).collect(),
            _files: files,
        })
    }

    /// The board's FDT with the domains in it.
    fn fdt(&self, board: &[u8], places: &[Place]) -> Result<Vec<u8>> {
        let damaged =
            |error: &dyn std::fmt::Display| Error::run(format!("QEMU's FDT is damaged: {error}"));
        let board = Fdt::new(board).map_err(|error| damaged(&error))?;
        let mut tree = DeviceTree::from_fdt(&board);
        if tree.root.child("chosen").is_none() {
            tree.root.add_child(node("chosen")?);
        }
        let chosen = tree
            .find_node_mut("/chosen")
            .ok_or_else(|| damaged(&"it has no /chosen"))?;
        add(chosen, "xen,xen-bootargs", BOOTARGS)?;
        for (number, (vm, place)) in self.vms.iter().zip(places).enumerate() {
            chosen.add_child(domain(number, vm, place)?);
        }
        Ok(tree.to_dtb())
    }
}

/// A domain's node, as Xen's `docs/misc/arm/device-tree/booting.txt` has it.
fn domain(number: usize, vm: &Vm, place: &Place) -> Result<DeviceTreeNode> {
    let mut domain = node(&format!("domU{}", number + 1))?;
    add(&mut domain, "compatible", "xen,domain")?;
    add(&mut domain, "#address-cells", 2u32)?;
    add(&mut domain, "#size-cells", 2u32)?;
    // In KiB.
    add(&mut domain, "memory", vm.memory >> 10)?;
    add(&mut domain, "cpus", vm.vcpus)?;
    add(&mut domain, "vpl011", "")?;
    let mut kernel = module("multiboot,kernel", place.kernel, vm.kernel.file_size)?;
    add(&mut kernel, "bootargs", bootargs(vm).as_str())?;
    domain.add_child(kernel);
    if let Some(address) = place.initrd {
        domain.add_child(module("multiboot,ramdisk", address, vm.initrd_size)?);
    }
    Ok(domain)
}

/// A file in the board's RAM.
fn module(kind: &str, address: u64, size: u64) -> Result<DeviceTreeNode> {
    let address = address + FDT_SPACE;
    let mut module = node(&format!("module@{address:x}"))?;
    add(&mut module, "compatible", &[kind, "multiboot,module"][..])?;
    let cells = [address, size].map(u64::to_be_bytes).concat();
    add(&mut module, "reg", cells)?;
    Ok(module)
}

fn node(name: &str) -> Result<DeviceTreeNode> {
    DeviceTreeNode::new(name).map_err(Error::run)
}

fn add(node: &mut DeviceTreeNode, name: &str, value: impl dtoolkit::ToPropertyValue) -> Result<()> {
    node.add_property(DeviceTreeProperty::new(name, value).map_err(Error::run)?);
    Ok(())
}

/// The FDT that QEMU makes for this board.
fn board_fdt(qemu: &Installed, arguments: &[OsString]) -> Result<Vec<u8>> {
    let cannot = |error| Error::input(format!("cannot make a temporary file: {error}"));
    let file = tempfile::NamedTempFile::new().map_err(cannot)?;
    let mut arguments = arguments.to_vec();
    arguments.extend([
        "-machine".into(),
        format!("dumpdtb={}", file.path().display()).into(),
    ]);
    let finished =
        Qemu::start_program(&qemu.program, &arguments, Console::Captured)?.wait_until(|_| false)?;
    let fdt = read(file.path())?;
    if !finished.status.success() || fdt.is_empty() {
        let lines = last_lines("", &finished.errors);
        return Err(Error::run(format!("QEMU did not write its FDT.{lines}")));
    }
    Ok(fdt)
}

#[cfg(test)]
mod tests {
    use dtoolkit::Property;
    use trapcast_forecast::Scheme;

    use super::*;
    use crate::machine::tests::vm;

    #[test]
    fn a_bare_metal_guest_is_refused() {
        let empty = tempfile::tempdir().unwrap();
        let paths = Paths::find(Some(empty.path().to_path_buf())).unwrap();
        let host = XenHost {
            cpu: Cpu::NeoverseN1,
            cores: 1,
            icount: true,
            vms: vec![vm(Scheme::None)],
        };
        let qemu = Installed {
            program: "qemu".into(),
            version: String::new(),
            number: (10, 0),
        };
        let told = host.prepare(&paths, &qemu).unwrap_err().to_string();
        assert!(told.starts_with("vm0 is a bare-metal guest"), "{told}");
    }

    #[test]
    fn a_domain_names_its_modules_where_they_are_loaded() {
        let place = Place {
            kernel: 0x4800_0000,
            initrd: Some(0x4820_0000),
        };
        let host = XenHost {
            cpu: Cpu::NeoverseN1,
            cores: 1,
            icount: true,
            vms: vec![vm(Scheme::None)],
        };
        let board = DeviceTree::new().to_dtb();
        let bytes = host.fdt(&board, &[place]).unwrap();
        let tree = DeviceTree::from_fdt(&Fdt::new(&bytes).unwrap());
        let value = |path: &str, name: &str| {
            let node = tree.find_node(path).unwrap();
            node.property(name).unwrap().value().to_vec()
        };
        assert_eq!(
            value("/chosen/domU1", "memory"),
            (16u64 << 10).to_be_bytes()
        );
        assert_eq!(value("/chosen/domU1", "cpus"), 2u32.to_be_bytes());
        assert_eq!(
            value("/chosen/domU1/module@50000000", "reg"),
            [0x5000_0000u64, 1 << 20].map(u64::to_be_bytes).concat()
        );
        assert_eq!(
            value("/chosen/domU1/module@50200000", "compatible"),
            b"multiboot,ramdisk\0multiboot,module\0"
        );
    }
}
