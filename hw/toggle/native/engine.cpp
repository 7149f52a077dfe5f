// The functions by which the simulator is called from outside; engine.hpp has the simulator.

#include "engine.hpp"

extern "C" {

struct Description {
  uint32_t nets, arcs, states, order, fans;
  uint32_t wheel;     // slots of the wheel, a power of two above the longest delay
  uint32_t inertial;
  uint32_t trace;     // transitions to record
  const uint8_t* kind;
  const uint8_t* flags;
  const uint8_t* inputs;
  const uint64_t* table;
  const uint32_t* first_in;
  const uint32_t* sequential;
  const uint32_t* in_net;
  const uint32_t* delays;
  const float* energies;
  const uint32_t* fan_start;
  const uint32_t* fan;
  const uint64_t* state_clock;
  const uint64_t* state_clear;
  const uint64_t* state_preset;
  const uint8_t* state_both;
  const uint32_t* topological;
};

void* edgec_toggle_create(const Description* d) {
  Engine* made = new Engine;
  Engine& e = *made;
  e.nodes.assign(d->nets, Node{});
  e.counts.assign(d->nets, Count{});
  for (uint32_t n = 0; n < d->nets; ++n) {
    Node& node = e.nodes[n];
    node.table = d->table[n];
    node.first_in = d->first_in[n];
    node.kind = d->kind[n];
    node.flags = d->flags[n];
    node.inputs = d->inputs[n];
    node.sequential = d->sequential[n];
    node.fan_start = d->fan_start[n];
    node.fan_count = d->fan_start[n + 1] - d->fan_start[n];
  }
  e.in_net.assign(d->in_net, d->in_net + d->arcs);
  e.delays.assign(d->delays, d->delays + 2 * size_t(d->arcs));
  e.energies.assign(d->energies, d->energies + 2 * size_t(d->arcs));
  e.fan.assign(d->fan, d->fan + d->fans);
  e.fan.push_back(0);
  e.states.resize(d->states);
  for (uint32_t s = 0; s < d->states; ++s)
    e.states[s] = States{d->state_clock[s], d->state_clear[s], d->state_preset[s], d->state_both[s]};
  e.order.assign(d->topological, d->topological + d->order);
  e.slots.assign(d->wheel, 0);
  e.bitmap.assign((d->wheel + 63) / 64, 0);
  e.mask = d->wheel - 1;
  e.events.push_back(Event{});
  e.inertial = d->inertial != 0;
  e.trace_limit = d->trace;
  if (d->nets > 1) e.nodes[1].value = 1;
  return made;
}

void edgec_toggle_destroy(void* handle) { delete static_cast<Engine*>(handle); }

// Drop all events and let the logic settle without delay: every gate from its inputs, open latches too. The given
// values are put on ports and states first. Returns 0, or 1 if latches keep oscillating.
int edgec_toggle_settle(void* handle, const uint32_t* nets, const uint8_t* values, uint64_t count) {
  Engine& e = *static_cast<Engine*>(handle);
  std::fill(e.slots.begin(), e.slots.end(), 0u);
  std::fill(e.bitmap.begin(), e.bitmap.end(), 0ull);
  e.events.resize(1);
  e.free_events.clear();
  e.touched.clear();
  e.zero.clear();
  e.waiting = 0;
  for (Node& node : e.nodes) node.pending = 0, node.changed = 0;
  for (uint64_t k = 0; k < count; ++k) {
    Node& node = e.nodes[nets[k]];
    node.value = values[k];
    if (node.kind == FLIPFLOP || node.kind == LATCH) set_state(node, values[k]);
  }
  auto read_inputs = [&e](Node& node) {
    unsigned index = 0;
    for (unsigned i = 0; i < node.inputs; ++i) index |= unsigned(e.nodes[e.in_net[node.first_in + i]].value) << i;
    node.index = static_cast<uint8_t>(index);
    if (node.flags & 0x80u) set_state(node, node.state);
  };
  for (int round = 0; round < 64; ++round) {
    bool again = false;
    for (uint32_t number : e.order) {
      Node& node = e.nodes[number];
      read_inputs(node);
      node.value = static_cast<uint8_t>(bit(node.table, node.index));
    }
    for (Node& node : e.nodes) {
      if (node.kind != FLIPFLOP && node.kind != LATCH) continue;
      read_inputs(node);
      uint8_t clock_now;
      node.clock = 1;  // no edge while settling
      const uint8_t value = next_state(e, node, clock_now);
      node.clock = clock_now;
      if (value != node.value) again = true;
      set_state(node, value);
      node.value = value;
    }
    if (!again) return 0;
  }
  return 1;
}

// Simulate `cycles` periods of `period` quanta. In each: the clock rises at 0 and falls in the middle, `inputs` are set
// `input_delay` behind the rise, `outputs` are read at the end. settle[c] is the time of the last transition of cycle c.
void edgec_toggle_run(void* handle, uint64_t cycles, uint64_t period, uint64_t input_delay, uint32_t clock, uint32_t count_in,
                      const uint32_t* in_nets, const uint8_t* inputs, uint32_t count_out, const uint32_t* out_nets,
                      uint8_t* outputs, uint32_t* settle, int counting) {
  Engine& e = *static_cast<Engine*>(handle);
  for (uint64_t c = 0; c < cycles; ++c) {
    const uint64_t start = e.now;
    e.last_activity = start;
    const bool has_clock = clock != NO_ARC;
    auto set_inputs = [&] {
      for (uint32_t k = 0; k < count_in; ++k) drive(e, in_nets[k], inputs[c * count_in + k]);
    };
    // The moment `start` was left to us by the cycle before.
    if (has_clock) drive(e, clock, 1);
    if (input_delay == 0) set_inputs();
    moment(e, counting != 0);
    if (input_delay > 0) {
      run_until(e, start + input_delay, counting != 0);
      e.now = start + input_delay;
      set_inputs();
      moment(e, counting != 0);
    }
    if (has_clock) {
      run_until(e, start + period / 2, counting != 0);
      e.now = start + period / 2;
      drive(e, clock, 0);
      moment(e, counting != 0);
    }
    run_until(e, start + period, counting != 0);
    e.now = start + period;
    for (uint32_t k = 0; k < count_out; ++k) outputs[c * count_out + k] = e.nodes[out_nets[k]].value;
    if (settle) settle[c] = static_cast<uint32_t>(e.last_activity - start);
    for (uint32_t number : e.cycle_nets) {
      Count& count = e.counts[number];
      count.functional += count.in_cycle & 1u;
      count.in_cycle = 0;
    }
    e.cycle_nets.clear();
  }
}

void edgec_toggle_values(void* handle, uint8_t* values) {
  Engine& e = *static_cast<Engine*>(handle);
  for (size_t n = 0; n < e.nodes.size(); ++n) values[n] = e.nodes[n].value;
}

// Counters since the last reset: transitions up, down, functional (net value differs at the end of the cycle), energy.
void edgec_toggle_counts(void* handle, uint32_t* rise, uint32_t* fall, uint32_t* functional, double* energy) {
  Engine& e = *static_cast<Engine*>(handle);
  for (size_t n = 0; n < e.counts.size(); ++n) {
    rise[n] = e.counts[n].rise;
    fall[n] = e.counts[n].fall;
    functional[n] = e.counts[n].functional;
    energy[n] = e.counts[n].energy;
  }
}

void edgec_toggle_reset(void* handle) {
  Engine& e = *static_cast<Engine*>(handle);
  std::fill(e.counts.begin(), e.counts.end(), Count{});
  e.trace.clear();
  e.event_count = e.evaluation_count = e.cancelled = 0;
}

// [transitions, evaluations, cancelled events, events that still wait]
void edgec_toggle_statistics(void* handle, uint64_t* four) {
  Engine& e = *static_cast<Engine*>(handle);
  four[0] = e.event_count;
  four[1] = e.evaluation_count;
  four[2] = e.cancelled;
  four[3] = e.waiting;
}

// The recorded transitions as triples (time, net, value); returns how many, writes at most `limit`.
uint64_t edgec_toggle_trace(void* handle, uint64_t* triples, uint64_t limit) {
  Engine& e = *static_cast<Engine*>(handle);
  for (uint64_t k = 0; k < e.trace.size() && k < limit; ++k) {
    triples[3 * k] = e.trace[k].time;
    triples[3 * k + 1] = e.trace[k].net;
    triples[3 * k + 2] = e.trace[k].value;
  }
  return e.trace.size();
}

}  // extern "C"
