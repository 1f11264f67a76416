//! Paths that take more than one vCPU: SGIs to another core, and switches between VMs on one core.

use trapcast_forecast::Scheme;

use super::{Inputs, PEER_SCHEME, Path, measure, only};
use trapcast_machine::{
    machine::{Cpu, Machine, Vm},
    vectors::{Length, RegisterFiles},
};
use trapcast_tool::error::Result;

/// Time slice of VMs that share a core, in microseconds: long enough for what a guest does between two
/// switches, and short, as a round takes two.
const SLICE: u32 = 100;

/// A path of the bench's guest that it runs with others.
pub(super) struct Shared {
    /// What results call it.
    pub(super) name: &'static str,
    /// What the guest calls it.
    path: &'static str,
    /// Its vCPUs, each of which has a core of its own.
    vcpus: u32,
    /// What the other VM on the core uses between two switches, if there is one.
    partner: Option<&'static str>,
    /// The VMs' SVE.
    sve: Length,
}

impl Shared {
    const fn switch(name: &'static str, partner: &'static str) -> Self {
        Self {
            name,
            path: name,
            vcpus: 1,
            partner: Some(partner),
            sve: Length::Off,
        }
    }

    const fn switch_sve(name: &'static str, bits: u16) -> Self {
        Self {
            path: "tick-switch-sve",
            sve: Length::Bits(bits),
            ..Self::switch(name, "sve")
        }
    }
}

/// All of them. A switch is the mean of one to the other VM and one back, with the use that follows it.
pub(super) const SHARED: [Shared; 5] = [
    Shared {
        name: "sgi-other",
        path: "sgi-other",
        vcpus: 2,
        partner: None,
        sve: Length::Off,
    },
    Shared::switch("tick-switch", "none"),
    Shared::switch("tick-switch-fp", "fp"),
    Shared::switch_sve("tick-switch-sve-256", 256),
    Shared::switch_sve("tick-switch-sve-2048", 2048),
];

impl Shared {
    /// Whether this core has what it takes.
    pub(super) fn runs_on(&self, cpu: Cpu) -> bool {
        self.sve == Length::Off || cpu == Cpu::Max
    }

    /// Runs it.
    pub(super) fn measure(&self, rounds: u32, inputs: &Inputs, cpu: Cpu) -> Result<Path> {
        self.measure_under(PEER_SCHEME, rounds, inputs, cpu)
    }

    /// Runs it under another scheme.
    pub(super) fn measure_under(
        &self,
        scheme: Scheme,
        rounds: u32,
        inputs: &Inputs,
        cpu: Cpu,
    ) -> Result<Path> {
        let registers = RegisterFiles {
            sve: self.sve,
            ..RegisterFiles::FP
        };
        let bootargs = format!("rounds={rounds} only={}", self.path);
        let mut vms = vec![Vm {
            vcpus: self.vcpus,
            registers,
            scheme,
            ..inputs.guest(&bootargs)
        }];
        vms.extend(self.partner.map(|uses| Vm {
            registers,
            scheme,
            pmu: false,
            ..inputs.guest(&format!("partner={uses}"))
        }));
        let machine = Machine {
            cpu,
            cores: self.vcpus,
            vhe: cpu.has_vhe(),
            icount: true,
            record: false,
            slice: Some(SLICE),
            vms,
        };
        let paths = measure(&machine, &inputs.hypervisor, scheme)?;
        Ok(Path {
            path: self.name.to_string(),
            ..only(paths, &bootargs)?
        })
    }
}
