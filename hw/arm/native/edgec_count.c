/* A QEMU TCG plugin: how often was every basic block executed, in all and between region markers (edgec_region.h).
 *
 * QEMU adds to a block's counter inside the translated code. A marker calls back: the first one remembers all counters,
 * the next adds what was executed since to the region. The two blocks that a marker cuts are taken apart, so that
 * exactly the instructions between the markers are counted. Counters are not atomic: threads that run the same block at
 * the same time may lose executions.
 *
 * QEMU's packages have no header for plugins; what is needed of the interface, version 1, is declared here. */
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VISIBLE __attribute__((visibility("default")))
typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_info { const char *target_name; int version_min, version_cur; bool system_emulation; };
enum { INLINE_ADD_U64 = 0, NO_REGISTERS = 0 };
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int op, void *counter, uint64_t add);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, void (*)(unsigned, void *), int, void *);
void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
VISIBLE int qemu_plugin_version = 1;

struct block {
    uint64_t address, executions, at_begin, in_region, hash;
    uint32_t instructions, bytes;
    uint8_t *code;
};
struct marker { struct block *block; uint32_t instruction, offset; };

static struct block **blocks, **table; /* in order of appearance; open addressing, a power of two of slots */
static size_t used, slots;
static bool open_region;
static struct marker *begun;
enum { MOST_REGIONS = 1 << 16 }; /* whose instructions are written one by one */
static uint64_t regions, *ends; /* `ends`: instructions of all regions when each was closed */
static uint8_t pattern[4];
static char *out;
static pid_t owner;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *got(void *memory)
{
    if (!memory) {
        fputs("edgec_count: out of memory\n", stderr);
        abort();
    }
    return memory;
}

static void insert(struct block *block)
{
    size_t at = block->hash & (slots - 1);
    while (table[at]) at = (at + 1) & (slots - 1);
    table[at] = block;
}

/* The block of this address and content; programs may load other code at the same place. */
static struct block *find(uint64_t address, const uint8_t *code, uint32_t bytes, uint32_t instructions)
{
    uint64_t hash = 14695981039346656037u ^ address;
    for (uint32_t i = 0; i < bytes; i++) hash = (hash ^ code[i]) * 1099511628211u;
    hash ^= hash >> 32;
    if (2 * used >= slots) {
        slots = slots ? 2 * slots : 1 << 14;
        free(table);
        table = got(calloc(slots, sizeof *table));
        blocks = got(realloc(blocks, slots / 2 * sizeof *blocks));
        for (size_t i = 0; i < used; i++) insert(blocks[i]);
    }
    for (size_t at = hash & (slots - 1); table[at]; at = (at + 1) & (slots - 1)) {
        struct block *b = table[at];
        if (b->hash == hash && b->address == address && b->bytes == bytes && !memcmp(b->code, code, bytes)) return b;
    }
    struct block *b = got(calloc(1, sizeof *b));
    *b = (struct block){.address = address, .hash = hash, .instructions = instructions, .bytes = bytes};
    b->code = memcpy(got(malloc(bytes + 1)), code, bytes);
    blocks[used++] = b;
    insert(b);
    return b;
}

/* Add `times` executions of the instructions of `b` in [from, to), which are the bytes [first, last). */
static void part(struct block *b, uint32_t from, uint32_t to, uint32_t first, uint32_t last, int times)
{
    if (from < to) find(b->address + first, b->code + first, last - first, to - from)->in_region += (uint64_t)times;
}

static void at_marker(unsigned cpu, void *data)
{
    struct marker *m = data;
    (void)cpu;
    pthread_mutex_lock(&lock);
    if (!open_region) {
        for (size_t i = 0; i < used; i++) blocks[i]->at_begin = blocks[i]->executions;
        part(m->block, m->instruction + 1, m->block->instructions, m->offset + 4, m->block->bytes, 1);
        begun = m;
    } else {
        for (size_t i = 0; i < used; i++) blocks[i]->in_region += blocks[i]->executions - blocks[i]->at_begin;
        if (m->block == begun->block && m->block->executions == m->block->at_begin) { /* both in one execution */
            part(m->block, begun->instruction + 1, m->block->instructions, begun->offset + 4, m->block->bytes, -1);
            part(m->block, begun->instruction + 1, m->instruction, begun->offset + 4, m->offset, 1);
        } else {
            m->block->in_region -= 1;
            part(m->block, 0, m->instruction, 0, m->offset, 1);
        }
        if (regions < MOST_REGIONS) {
            uint64_t sum = 0;
            for (size_t i = 0; i < used; i++) sum += blocks[i]->in_region * blocks[i]->instructions;
            if ((regions & (regions - 1)) == 0) ends = got(realloc(ends, (2 * regions + 1) * sizeof *ends));
            ends[regions] = sum;
        }
        regions++;
    }
    open_region = !open_region;
    pthread_mutex_unlock(&lock);
}

static void translated(plugin_id id, struct qemu_plugin_tb *tb)
{
    size_t n = qemu_plugin_tb_n_insns(tb);
    uint8_t *code = got(malloc(16 * n + 1));
    uint32_t bytes = 0;
    (void)id;
    for (size_t i = 0; i < n; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        size_t size = qemu_plugin_insn_size(insn);
        memcpy(code + bytes, qemu_plugin_insn_data(insn), size);
        bytes += size;
    }
    pthread_mutex_lock(&lock);
    struct block *b = find(qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, 0)), code, bytes, n);
    pthread_mutex_unlock(&lock);
    qemu_plugin_register_vcpu_tb_exec_inline(tb, INLINE_ADD_U64, &b->executions, 1);
    bytes = 0;
    for (size_t i = 0; i < n; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        size_t size = qemu_plugin_insn_size(insn);
        if (size == 4 && !memcmp(code + bytes, pattern, 4)) {
            struct marker *m = got(malloc(sizeof *m));
            *m = (struct marker){b, i, bytes};
            qemu_plugin_register_vcpu_insn_exec_cb(insn, at_marker, NO_REGISTERS, m);
        }
        bytes += size;
    }
    free(code);
}

/* A header, the blocks that were executed (with markers: inside a region), then what `ends` has, in the byte order of this machine. */
static void at_exit(plugin_id id, void *data)
{
    (void)id, (void)data;
    if (getpid() != owner) return; /* a child of the program */
    FILE *file = fopen(out, "wb");
    if (!file) return;
    uint64_t total = 0, kept = 0;
    for (size_t i = 0; i < used; i++) {
        total += blocks[i]->executions * blocks[i]->instructions;
        kept += (regions ? blocks[i]->in_region : blocks[i]->executions) != 0;
    }
    uint64_t header[4] = {total, regions, open_region, kept};
    fwrite("EDGECCNT", 1, 8, file);
    fwrite(header, sizeof header, 1, file);
    for (size_t i = 0; i < used; i++) {
        const struct block *b = blocks[i];
        uint64_t count = regions ? b->in_region : b->executions;
        if (!count) continue;
        fwrite(&b->address, 8, 1, file);
        fwrite(&count, 8, 1, file);
        fwrite(&b->instructions, 4, 1, file);
        fwrite(&b->bytes, 4, 1, file);
        fwrite(b->code, 1, b->bytes, file);
    }
    if (regions) fwrite(ends, sizeof *ends, regions < MOST_REGIONS ? regions : MOST_REGIONS, file);
    if (fclose(file)) remove(out);
}

VISIBLE int qemu_plugin_install(plugin_id id, const struct qemu_info *info, int argc, char **argv)
{
    static const uint8_t a64[4] = {0xff, 0x2e, 0x03, 0xd5}, thumb[4] = {0xaf, 0xf3, 0x77, 0x80};
    memcpy(pattern, strcmp(info->target_name, "aarch64") ? thumb : a64, 4);
    if (argc != 1 || strncmp(argv[0], "out=", 4)) {
        fputs("edgec_count: needs out=FILE\n", stderr);
        return 1;
    }
    out = got(strdup(argv[0] + 4));
    owner = getpid();
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, at_exit, NULL);
    return 0;
}
