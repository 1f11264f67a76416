// All FP/SIMD registers to and from a `Registers` of src/pattern.rs: two macros. Needs fp and simd.

// Stores V0-V31, FPSR and FPCR at [\base]. Changes \scratch, an X register whose W name is \w.
.macro store_registers base, scratch, w
    stp     q0, q1, [\base]
    stp     q2, q3, [\base, #32]
    stp     q4, q5, [\base, #64]
    stp     q6, q7, [\base, #96]
    stp     q8, q9, [\base, #128]
    stp     q10, q11, [\base, #160]
    stp     q12, q13, [\base, #192]
    stp     q14, q15, [\base, #224]
    stp     q16, q17, [\base, #256]
    stp     q18, q19, [\base, #288]
    stp     q20, q21, [\base, #320]
    stp     q22, q23, [\base, #352]
    stp     q24, q25, [\base, #384]
    stp     q26, q27, [\base, #416]
    stp     q28, q29, [\base, #448]
    stp     q30, q31, [\base, #480]
    mrs     \scratch, fpsr
    str     \w, [\base, #512]
    mrs     \scratch, fpcr
    str     \w, [\base, #516]
.endm

// Loads V0-V31, FPSR and FPCR from [\base]. Changes \scratch, an X register whose W name is \w.
.macro load_registers base, scratch, w
    ldr     \w, [\base, #512]
    msr     fpsr, \scratch
    ldr     \w, [\base, #516]
    msr     fpcr, \scratch
    ldp     q0, q1, [\base]
    ldp     q2, q3, [\base, #32]
    ldp     q4, q5, [\base, #64]
    ldp     q6, q7, [\base, #96]
    ldp     q8, q9, [\base, #128]
    ldp     q10, q11, [\base, #160]
    ldp     q12, q13, [\base, #192]
    ldp     q14, q15, [\base, #224]
    ldp     q16, q17, [\base, #256]
    ldp     q18, q19, [\base, #288]
    ldp     q20, q21, [\base, #320]
    ldp     q22, q23, [\base, #352]
    ldp     q24, q25, [\base, #384]
    ldp     q26, q27, [\base, #416]
    ldp     q28, q29, [\base, #448]
    ldp     q30, q31, [\base, #480]
.endm
