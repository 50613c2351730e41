/* Shows the processes that preload it a CPU without AVX-512, AVX-VNNI and AMX.
 *
 *     LD_PRELOAD=avx2_only.so pare-bench net.pare
 *
 * Libraries such as ONNX Runtime choose their kernels by CPUID and offer no
 * switch. Linux can make CPUID fault (arch_prctl(2), ARCH_SET_CPUID), thread by
 * thread and inherited by new threads; the SIGSEGV handler below executes the
 * real instruction and clears bits in its answer. The dynamic linker has chosen
 * glibc's own memcpy and the like by then; GLIBC_TUNABLES governs those. */
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define SET_CPUID 0x1012 /* ARCH_SET_CPUID of asm/prctl.h */

/* Leaf 7: F, DQ, IFMA, PF, ER, CD, BW, VL; VBMI, VBMI2, VNNI, BITALG, VPOPCNTDQ;
 * 4VNNIW, 4FMAPS, VP2INTERSECT, AMX-BF16, FP16, AMX-TILE, AMX-INT8. */
#define AVX512_EBX (1u << 16 | 1u << 17 | 1u << 21 | 1u << 26 | 1u << 27 | 1u << 28 | 1u << 30 | 1u << 31)
#define AVX512_ECX (1u << 1 | 1u << 6 | 1u << 11 | 1u << 12 | 1u << 14)
#define AVX512_EDX (1u << 2 | 1u << 3 | 1u << 8 | 1u << 22 | 1u << 23 | 1u << 24 | 1u << 25)

int __sigaction(int, const struct sigaction *, struct sigaction *); /* glibc's, by its other name */

static struct sigaction program_action; /* what the program believes SIGSEGV does */

static bool set_cpuid(unsigned long allowed) {
    return syscall(SYS_arch_prctl, SET_CPUID, allowed) == 0;
}

static void answer_cpuid(greg_t *registers) {
    uint32_t leaf = (uint32_t)registers[REG_RAX], subleaf = (uint32_t)registers[REG_RCX];
    uint32_t eax = leaf, ebx, ecx = subleaf, edx;
    set_cpuid(1);
    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    set_cpuid(0);
    if (leaf == 7 && subleaf == 0) {
        eax = 0; /* AVX-VNNI, AVX-IFMA, AVX10 and their like are in subleaf 1, which CPUs with AVX2 only lack */
        ebx &= ~AVX512_EBX;
        ecx &= ~AVX512_ECX;
        edx &= ~AVX512_EDX;
    } else if (leaf == 7) {
        eax = ebx = ecx = edx = 0;
    }
    registers[REG_RAX] = eax;
    registers[REG_RBX] = ebx;
    registers[REG_RCX] = ecx;
    registers[REG_RDX] = edx;
    registers[REG_RIP] += 2;
}

static void on_fault(int number, siginfo_t *info, void *context) {
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    /* Only a general protection fault can be CPUID's, and its instruction is readable; that of a
     * wild jump, a page fault, is not. */
    if (info->si_code == SI_KERNEL && memcmp((const void *)registers[REG_RIP], "\x0f\xa2", 2) == 0) {
        answer_cpuid(registers);
    } else if ((program_action.sa_flags & SA_SIGINFO) != 0) {
        program_action.sa_sigaction(number, info, context);
    } else if (program_action.sa_handler != SIG_DFL && program_action.sa_handler != SIG_IGN) {
        program_action.sa_handler(number);
    } else if (info->si_code > 0 || program_action.sa_handler == SIG_DFL) {
        __sigaction(SIGSEGV, &program_action, NULL); /* the instruction faults again, and ends the process */
        if (info->si_code <= 0) {
            raise(SIGSEGV); /* was sent by kill or raise */
        }
    }
}

/* The program's handler (node has one) is kept behind ours. */
int sigaction(int number, const struct sigaction *restrict action, struct sigaction *restrict old) {
    if (number != SIGSEGV) {
        return __sigaction(number, action, old);
    }
    struct sigaction before = program_action;
    if (action != NULL) {
        program_action = *action;
    }
    if (old != NULL) {
        *old = before;
    }
    return 0;
}

__sighandler_t signal(int number, __sighandler_t handler) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART}, old;
    sigemptyset(&action.sa_mask);
    return sigaction(number, &action, &old) == 0 ? old.sa_handler : SIG_ERR;
}

static void nothing(void) {}

/* A resolver of an indirect function, because those of the program (its target_clones) ask CPUID
 * before any constructor runs; this object is relocated just before the program. */
static void (*begin(void))(void) {
    struct sigaction ours = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigemptyset(&ours.sa_mask);
    if (__sigaction(SIGSEGV, &ours, &program_action) != 0 || !set_cpuid(0)) {
        static const char message[] = "avx2_only: this kernel or CPU cannot make CPUID fault\n";
        ssize_t written = write(STDERR_FILENO, message, sizeof message - 1);
        (void)written;
        _exit(1);
    }
    return nothing;
}

static void resolved(void) __attribute__((ifunc("begin")));

__attribute__((constructor)) static void use(void) {
    resolved();
}
