// Event-driven simulation of a gate-level netlist with one delay for every input, edge and gate.
//
// Net n is driven by node n: a constant, a port, a gate (truth table of up to six inputs) or a state (flip-flop, latch).
// Time is counted in quanta. A time wheel holds the events; all events of a moment are applied before any gate that they
// reach is evaluated, so the order of events within a moment changes nothing. Where several inputs of a gate change in one
// moment, the fastest of them sets the delay.
//
// Pulses: with `inertial`, a gate has at most one event before it; a new evaluation that gives the present value takes
// it back, so a pulse shorter than the gate's delay vanishes. Otherwise (transport) all pulses pass.
//
// Nodes of the clock network have no delay: their events happen in the moment of their cause (further rounds of the same
// moment), so that every flip-flop sees the clock at once, behind clock gates too.

#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

enum Kind : uint8_t { CONSTANT = 0, PORT = 1, GATE = 2, FLIPFLOP = 3, LATCH = 4 };

struct Node {
  uint64_t table;     // GATE: the function; states: the data function
  uint32_t first_in;  // index of the first input in the arrays of arcs
  uint32_t pending;   // latest event that waits, 0 for none
  uint32_t fan_start;
  uint32_t fan_count;
  uint8_t index;      // present values of the inputs
  uint8_t changed;    // inputs that changed in this moment
  uint8_t kind;
  uint8_t value;
  uint8_t inputs;
  uint8_t clock;      // states: the clock function's last value
  uint8_t state;      // states: the value decided last
  uint8_t flags;      // bit 0: no delay; bits 4 to 6: the input that is the state itself; bit 7: there is one
  uint32_t sequential;  // index into the tables of states
  uint32_t unused;
};

struct Count {
  uint32_t rise, fall, functional, in_cycle;
  double energy;
};

struct Event {
  uint64_t time;
  uint32_t node;    // 0: taken back
  uint32_t next;    // in its slot
  uint32_t before;  // pending events of the node, in time
  uint32_t after;
  uint32_t arc;     // arc that caused it, or NO_ARC
  uint32_t value;
};

struct States {
  uint64_t clock, clear, preset;
  uint8_t both;
};

constexpr uint32_t NO_ARC = 0xffffffffu;

struct Trace {
  uint64_t time;
  uint32_t net;
  uint32_t value;
};

struct Engine {
  std::vector<Node> nodes;
  std::vector<Count> counts;
  std::vector<uint32_t> fan;       // node << 4 | input << 1 | silent
  std::vector<uint32_t> delays;    // by arc: [arc * 2 + edge]
  std::vector<float> energies;     // by arc: [arc * 2 + edge], fJ
  std::vector<States> states;
  std::vector<uint32_t> order;     // gates in topological order
  std::vector<uint32_t> in_net;    // by arc
  std::vector<Event> events;
  std::vector<uint32_t> free_events;
  std::vector<uint32_t> slots;
  std::vector<uint64_t> bitmap;
  std::vector<uint32_t> touched, fired, cycle_nets, zero;
  uint64_t now = 0, mask = 0, waiting = 0;
  uint64_t last_activity = 0, event_count = 0, evaluation_count = 0, cancelled = 0;
  bool inertial = true;
  std::vector<Trace> trace;
  size_t trace_limit = 0;
};

inline uint64_t bit(uint64_t table, unsigned index) { return (table >> index) & 1u; }

void push(Engine& e, uint32_t node, uint64_t time, uint8_t value, uint32_t arc) {
  uint32_t id;
  if (e.free_events.empty()) {
    id = static_cast<uint32_t>(e.events.size());
    e.events.push_back(Event{});
  } else {
    id = e.free_events.back();
    e.free_events.pop_back();
  }
  Event& event = e.events[id];
  Node& owner = e.nodes[node];
  event.time = time;
  event.node = node;
  event.value = value;
  event.arc = arc;
  event.before = owner.pending;
  event.after = 0;
  if (owner.pending) e.events[owner.pending].after = id;
  owner.pending = id;
  if (time == e.now) {
    e.zero.push_back(id);
    return;
  }
  const uint64_t slot = time & e.mask;
  event.next = e.slots[slot];
  e.slots[slot] = id;
  e.bitmap[slot >> 6] |= 1ull << (slot & 63);
  ++e.waiting;
}

// Take the node's latest waiting event back; its memory is freed when its slot is reached.
inline void cancel_latest(Engine& e, Node& node) {
  Event& event = e.events[node.pending];
  const uint32_t before = event.before;
  if (before) e.events[before].after = 0;
  event.node = 0;
  node.pending = before;
  ++e.cancelled;
}

void schedule(Engine& e, uint32_t number, uint8_t value, uint8_t changed) {
  Node& node = e.nodes[number];
  uint32_t delay = 0, arc = NO_ARC;
  for (unsigned m = changed, i = 0; m; m >>= 1, ++i)
    if (m & 1u) {
      const uint32_t a = node.first_in + i;
      const uint32_t d = e.delays[2 * a + value];
      if (arc == NO_ARC || d < delay) delay = d, arc = a;
    }
  if (node.flags & 1u) delay = 0;
  if (e.inertial) {
    if (node.pending) {
      if (e.events[node.pending].value == value) return;
      cancel_latest(e, node);
    }
    if (node.value != value) push(e, number, e.now + delay, value, arc);
    return;
  }
  const uint64_t time = e.now + delay;
  while (node.pending && e.events[node.pending].time >= time) cancel_latest(e, node);
  const uint8_t last = node.pending ? static_cast<uint8_t>(e.events[node.pending].value) : node.value;
  if (last != value) push(e, number, time, value, arc);
}

// What a state becomes; `clock_now` is updated.
inline uint8_t next_state(const Engine& e, const Node& node, uint8_t& clock_now) {
  const States& s = e.states[node.sequential];
  clock_now = static_cast<uint8_t>(bit(s.clock, node.index));
  const bool clear = bit(s.clear, node.index), preset = bit(s.preset, node.index);
  if (clear && preset) return s.both;
  if (clear) return 0;
  if (preset) return 1;
  const bool takes = node.kind == LATCH ? clock_now : (clock_now && !node.clock);
  return takes ? static_cast<uint8_t>(bit(node.table, node.index)) : node.state;
}

inline void set_state(Node& node, uint8_t value) {
  node.state = value;
  if (node.flags & 0x80u) {
    const unsigned own = (node.flags >> 4) & 7u;
    node.index = static_cast<uint8_t>((node.index & ~(1u << own)) | (unsigned(value) << own));
  }
}

void evaluate(Engine& e, uint32_t number) {
  Node& node = e.nodes[number];
  const uint8_t changed = node.changed;
  node.changed = 0;
  ++e.evaluation_count;
  if (node.kind == GATE) {
    schedule(e, number, static_cast<uint8_t>(bit(node.table, node.index)), changed);
    return;
  }
  uint8_t clock_now;
  const uint8_t value = next_state(e, node, clock_now);
  node.clock = clock_now;
  if (value != node.state) {
    set_state(node, value);
    schedule(e, number, value, changed);
  }
}

inline void apply(Engine& e, uint32_t id, bool counting) {
  Event& event = e.events[id];
  const uint32_t number = event.node;
  if (number) {
    Node& node = e.nodes[number];
    if (event.after)
      e.events[event.after].before = 0;
    else
      node.pending = 0;
    if (node.value != event.value) {
      node.value = static_cast<uint8_t>(event.value);
      ++e.event_count;
      if (!(node.flags & 1u)) e.last_activity = e.now;
      Count& count = e.counts[number];
      if (counting) {
        if (node.value)
          ++count.rise;
        else
          ++count.fall;
        if (event.arc != NO_ARC) count.energy += e.energies[2 * event.arc + node.value];
        if (count.in_cycle++ == 0) e.cycle_nets.push_back(number);
        if (e.trace.size() < e.trace_limit) e.trace.push_back(Trace{e.now, number, node.value});
      }
      const uint32_t* sink = &e.fan[node.fan_start];
      for (uint32_t k = 0; k < node.fan_count; ++k) {
        const uint32_t word = sink[k];
        Node& target = e.nodes[word >> 4];
        const uint8_t one = static_cast<uint8_t>(1u << ((word >> 1) & 7u));
        target.index ^= one;
        if (word & 1u) continue;
        if (!target.changed) e.touched.push_back(word >> 4);
        target.changed |= one;
      }
    }
  }
  event.node = 0;
  e.free_events.push_back(id);
}

// Everything that happens at `e.now`: the events of its slot, then what follows without delay.
void moment(Engine& e, bool counting) {
  const uint64_t slot = e.now & e.mask;
  uint32_t id = e.slots[slot];
  e.slots[slot] = 0;
  e.bitmap[slot >> 6] &= ~(1ull << (slot & 63));
  while (id) {
    const uint32_t next = e.events[id].next;
    --e.waiting;
    apply(e, id, counting);
    id = next;
  }
  while (true) {
    for (size_t k = 0; k < e.zero.size(); ++k) apply(e, e.zero[k], counting);
    e.zero.clear();
    if (e.touched.empty()) break;
    e.fired.swap(e.touched);
    for (uint32_t number : e.fired) evaluate(e, number);
    e.fired.clear();
    if (e.zero.empty()) break;
  }
}

// The next moment with events, at most `end`; there are none beyond one turn of the wheel.
uint64_t next_moment(const Engine& e, uint64_t end) {
  if (!e.waiting) return end;
  uint64_t time = e.now + 1;
  while (time < end) {
    const uint64_t slot = time & e.mask;
    const uint64_t word = e.bitmap[slot >> 6] >> (slot & 63);
    if (word) {
      const uint64_t found = time + static_cast<uint64_t>(__builtin_ctzll(word));
      return found < end ? found : end;
    }
    time += 64 - (slot & 63);
  }
  return end;
}

void run_until(Engine& e, uint64_t end, bool counting) {
  while (true) {
    const uint64_t time = next_moment(e, end);
    if (time >= end) break;
    e.now = time;
    moment(e, counting);
  }
}

// Set inputs of the present moment; `e.now` must be that moment.
void drive(Engine& e, uint32_t net, uint8_t value) {
  if (e.nodes[net].value != value && !e.nodes[net].pending) push(e, net, e.now, value, NO_ARC);
}

}  // namespace
