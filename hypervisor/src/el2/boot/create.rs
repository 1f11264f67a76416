//! How a VM comes to be: from its modules and settings, or the sentence that refuses it.

use ::core::{
    ops::Range,
    ptr::NonNull,
    slice,
    sync::atomic::{AtomicBool, AtomicUsize},
};

use alloc::{boxed::Box, vec::Vec};
use arrayvec::ArrayVec;
use trapcast_hypervisor::{
    guest_fdt::GuestBoard,
    guest_image::{ExecutionState, Image, Layout},
    modules::{Board, Guest as Module},
    settings::{MAX_VMS, Settings, VmSettings},
    stage2::{Frame, Ram, Stage2, Vmid, VmidWidth, Vtcr, frames_needed},
    vgic::{MAX_VCPUS, Vgic},
    vpl011::Vpl011,
};
use trapcast_switch::Class;
use trapcast_trace::report::{Header, MAX_CORES, VcpuReport, VmReport};

use crate::el2::{
    arch::{fcse, meter, register_file::Vectors, spsr, wait::Lock},
    board::{console, memory, panic::fail, workarounds},
    sched::{lifecycle, scheduler},
    state::{
        core::Core,
        id_registers::IdRegisters,
        vcpu::Vcpu,
        vm::{Segment, Start, Vm, VmState},
    },
};
use crate::mrs;

/// Creates every VM and turns its first vCPU on. Refuses to go on if one of them cannot be.
pub fn create_all(
    board: &Board,
    settings: &Settings,
    core: &mut Core,
    header: &mut Header,
    (vm_reports, reports): (&'static mut [VmReport], &'static mut [VcpuReport]),
) {
    let vms = settings
        .for_vms(board.guests.len())
        .unwrap_or_else(|error| fail(format_args!("{error}")));
    console::expect_vms(vms.len());
    header.vms = vms.len() as u32;
    let mut reports = reports.iter_mut();
    let publishes = settings.publish;
    let modules = board.guests.iter().zip(vms).zip(vm_reports);
    for (number, ((module, settings), vm_report)) in modules.enumerate() {
        let vectors = core.lengths.for_vm(number, settings);
        let vm = create(number, module, settings, vectors, vm_report);
        for (index, report) in (0..settings.vcpus).zip(&mut reports) {
            let vcpu = Box::leak(Box::new(Vcpu::new(vm, index, header.vcpus as u16, report)));
            let pointer = NonNull::from(&mut *vcpu);
            vcpu.publishes = publishes;
            vcpu.slot = scheduler::lock().add(scheduler::Listed(pointer), number);
            header.vcpus += 1;
        }
        lifecycle::reset(vm, core, None);
    }
}

/// All VMs and their vCPUs fit into the report.
const _: () = {
    assert!(MAX_VMS <= trapcast_trace::report::MAX_VMS);
    assert!(MAX_VMS * MAX_VCPUS <= trapcast_trace::report::MAX_VCPUS);
};

/// Creates a VM, without its vCPUs.
fn create(
    number: usize,
    module: &Module,
    settings: &VmSettings,
    vectors: Vectors,
    report: &'static mut VmReport,
) -> &'static Vm {
    let kernel = module_bytes(&module.kernel);
    let image =
        Image::parse(kernel).unwrap_or_else(|error| fail(format_args!("vm{number}: {error}")));
    image
        .check_execution_state(mrs!("id_aa64pfr0_el1"))
        .and_then(|()| image.check_page_size(mrs!("id_aa64mmfr0_el1")))
        .unwrap_or_else(|error| fail(format_args!("vm{number}: {error}")));
    if image.execution_state == ExecutionState::AArch32 {
        if vectors.most() != Class::Fp {
            fail(format_args!(
                "vm{number}: an AArch32 guest has neither SVE nor SME: leave out vm{number}.sve and \
                 vm{number}.sme"
            ));
        }
        spsr::detect();
        fcse::detect();
    }
    let ramdisk = module.ramdisk.as_ref().map(module_bytes);
    let ramdisk_size = ramdisk.map(|bytes| bytes.len() as u64);
    let layout = Layout::new(number, &image, ramdisk_size, settings.memory)
        .unwrap_or_else(|error| fail(format_args!("{error}")));
    let fdt = GuestBoard {
        ram: layout.ram.clone(),
        vcpus: settings.vcpus,
        command_line: module.command_line,
        ramdisk: layout.ramdisk.clone(),
        pmu: settings.pmu,
    }
    .to_dtb();
    if fdt.len() as u64 > layout.fdt.end - layout.fdt.start {
        fail(format_args!(
            "vm{number}: its device tree takes {} bytes",
            fdt.len()
        ));
    }

    let mut segments = ArrayVec::new();
    segments.push(Segment {
        ipa: layout.kernel.start,
        bytes: kernel,
    });
    if let (Some(range), Some(bytes)) = (&layout.ramdisk, ramdisk) {
        segments.push(Segment {
            ipa: range.start,
            bytes,
        });
    }
    segments.push(Segment {
        ipa: layout.fdt.start,
        bytes: Vec::leak(fdt),
    });

    let (ram, stage2) = allocate(number, settings.memory, layout.ram.start);
    let mmfr0 = mrs!("id_aa64mmfr0_el1");
    let width = VmidWidth::from_mmfr1(mrs!("id_aa64mmfr1_el1"));
    let vtcr =
        Vtcr::new(mmfr0, width).unwrap_or_else(|error| fail(format_args!("vm{number}: {error}")));
    // No VM has VMID 0.
    let vmid = Vmid::new(number as u16 + 1, width).expect("a VMID has eight bits or more");
    Box::leak(Box::new(Vm {
        number,
        settings: *settings,
        id_registers: IdRegisters::new(settings, &vectors, image.execution_state),
        vectors,
        workarounds: workarounds::of_this_core(),
        mdcr: meter::mdcr(settings.pmu),
        vtcr: vtcr.bits(),
        vttbr: stage2.vttbr(vmid).bits(),
        ram,
        segments,
        execution_state: image.execution_state,
        start: Start {
            entry: layout.entry(),
            arguments: image.execution_state.boot_arguments(layout.fdt.start),
        },
        resetting: AtomicBool::new(false),
        last: [const { AtomicUsize::new(0) }; MAX_CORES],
        state: Lock::new(VmState {
            vgic: Vgic::new(settings.vcpus),
            uart: Vpl011::new(),
            typed: false,
            looked_for: 0,
            stage2,
            power_on: [None; MAX_VCPUS],
            on: [false; MAX_VCPUS],
            ending: false,
            report,
            filling: [None; MAX_VCPUS],
        }),
    }))
}

/// Takes a VM's RAM and the frames for its tables.
fn allocate(number: usize, size: u64, ipa: u64) -> (Ram, Stage2<'static>) {
    let frames = frames_needed(size);
    let free = memory::free();
    let taken = memory::take(size).zip(memory::take((frames * size_of::<Frame>()) as u64));
    let Some((pa, frames_pa)) = taken else {
        fail(format_args!(
            "vm{number}: its memory of {} MiB does not fit in the {} MiB that are left; give the \
             machine more, or vm{number}.memory less",
            size >> 20,
            free >> 20
        ));
    };
    // SAFETY: RAM that was free until now, and is these tables' from here on.
    let frames = unsafe {
        let pointer = memory::pointer::<Frame>(frames_pa);
        for frame in 0..frames {
            pointer.add(frame).write(Frame::new());
        }
        slice::from_raw_parts(pointer.as_ptr(), frames)
    };
    let ram = Ram::new(ipa, pa, size).expect("the settings allow what the tables can translate");
    let stage2 = Stage2::new(ram, frames, frames_pa)
        .unwrap_or_else(|error| fail(format_args!("vm{number}: {error}")));
    (ram, stage2)
}

/// Returns a module's bytes.
fn module_bytes(place: &Range<u64>) -> &'static [u8] {
    // SAFETY: RAM that QEMU loaded the module to; it is not among what is free, so nobody writes it.
    unsafe {
        slice::from_raw_parts(
            memory::pointer(place.start).as_ptr(),
            (place.end - place.start) as usize,
        )
    }
}
