/* Start-up of a Cortex-M under QEMU: vectors, floating point switched on, memory, the C library (rdimon: its files are
 * the host's, by semihosting), arguments, main. QEMU loads .data itself. The stack grows down from the end of the RAM
 * towards the heap. A fault ends the run with a message and status 1. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

extern char __stack[], __bss_start__[], __bss_end__[];
extern void initialise_monitor_handles(void);
extern void __libc_init_array(void);
extern int main(int argc, char **argv);
enum { SYS_WRITE0 = 0x04, SYS_GET_CMDLINE = 0x15, SYS_EXIT = 0x18 };

static int semihost(int operation, const void *argument)
{
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void _init(void) {}
void _fini(void) {}

static void start(void)
{
    static char line[4096], *words[64];
    const struct { char *text; uint32_t size; } block = {line, sizeof line};
    int count = 0;
    memset(__bss_start__, 0, (size_t)(__bss_end__ - __bss_start__));
    initialise_monitor_handles();
    __libc_init_array();
    if (semihost(SYS_GET_CMDLINE, &block) == 0)
        for (char *word = strtok(line, " "); word && count < 63; word = strtok(NULL, " ")) words[count++] = word;
    exit(main(count, words));
}

void reset(void)
{
    *(volatile uint32_t *)0xe000ed88 |= 0xfu << 20; /* CPACR: coprocessors 10 and 11, floating point and MVE */
    __asm__ volatile("dsb\n isb" ::: "memory");
    start();
}

static void fault(void)
{
    semihost(SYS_WRITE0, "fault: the processor took an exception that nobody handles\n");
    semihost(SYS_EXIT, (void *)0x20023); /* a run-time error */
    for (;;) {}
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    __stack, reset, fault, fault, fault, fault, fault, fault, 0, 0, 0, fault, fault, 0, fault, fault,
};
