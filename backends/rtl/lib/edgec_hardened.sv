// Triplicated registers with the ports of edgec_register. Any one flip-flop may be wrong: the output is right, and the
// flip-flop is right again after the next clock edge.
//
// Every copy is a module of its own that synthesis must keep: tools merge registers that compute the same, and turn
// three flip-flops and a voter back into one. Keep hierarchy and attributes; count the flip-flops after synthesis.
`default_nettype none
/* verilator lint_off DECLFILENAME */  // one family in one file

// The majority of three, bit by bit.
(* keep_hierarchy = "yes", dont_touch = "true" *)
module edgec_voter #(
  parameter WIDTH = 1
) (
  input  wire [WIDTH-1:0] a,
  input  wire [WIDTH-1:0] b,
  input  wire [WIDTH-1:0] c,
  output wire [WIDTH-1:0] y
);
  assign y = (a & b) | (c & (a | b));
endmodule

// The flip-flops of one copy.
(* keep_hierarchy = "yes", dont_touch = "true" *)
module edgec_copy #(
  parameter WIDTH = 1
) (
  input  wire clk,
  input  wire [WIDTH-1:0] d,
  output reg  [WIDTH-1:0] q
);
`ifdef EDGEC_FAULTS
  reg [WIDTH-1:0] flip /* verilator public_flat_rw */ = {WIDTH{1'b0}};
  always @(posedge clk) q <= d ^ flip;
`else
  always @(posedge clk) q <= d;
`endif
endmodule

// register-tmr: one next state, three flip-flops, one voter behind them; what is held is the voter's output.
module edgec_register_tmr #(
  parameter WIDTH = 1,
  parameter RESET = 0,
  parameter [WIDTH-1:0] VALUE = {WIDTH{1'b0}}
) (
  input  wire clk,
  input  wire rst,
  input  wire en,
  input  wire [WIDTH-1:0] d,
  output wire [WIDTH-1:0] q
);
  wire [WIDTH-1:0] q0, q1, q2;
  wire [WIDTH-1:0] next = (RESET != 0 && rst) ? VALUE : en ? d : q;
  edgec_copy #(.WIDTH(WIDTH)) copy0 (.clk(clk), .d(next), .q(q0));
  edgec_copy #(.WIDTH(WIDTH)) copy1 (.clk(clk), .d(next), .q(q1));
  edgec_copy #(.WIDTH(WIDTH)) copy2 (.clk(clk), .d(next), .q(q2));
  edgec_voter #(.WIDTH(WIDTH)) voter (.a(q0), .b(q1), .c(q2), .y(q));
endmodule

// One copy of a scrubbed register: its own voter, its own choice of the next state, its own flip-flops.
(* keep_hierarchy = "yes", dont_touch = "true" *)
module edgec_scrub_copy #(
  parameter WIDTH = 1,
  parameter RESET = 0,
  parameter [WIDTH-1:0] VALUE = {WIDTH{1'b0}}
) (
  input  wire clk,
  input  wire rst,
  input  wire en,
  input  wire [WIDTH-1:0] d,
  input  wire [WIDTH-1:0] x,
  input  wire [WIDTH-1:0] y,
  output reg  [WIDTH-1:0] q,
  output wire [WIDTH-1:0] vote
);
  assign vote = (x & y) | (q & (x | y));
  wire [WIDTH-1:0] next = (RESET != 0 && rst) ? VALUE : en ? d : vote;
`ifdef EDGEC_FAULTS
  reg [WIDTH-1:0] flip /* verilator public_flat_rw */ = {WIDTH{1'b0}};
  always @(posedge clk) q <= next ^ flip;
`else
  always @(posedge clk) q <= next;
`endif
endmodule

// full-tmr-scrub: nothing but the inputs is shared. The voters stand before the flip-flops; the first one's output is
// the register's, so that a transient in one voter reaches one copy at most and is outvoted at the next edge.
module edgec_register_scrub #(
  parameter WIDTH = 1,
  parameter RESET = 0,
  parameter [WIDTH-1:0] VALUE = {WIDTH{1'b0}}
) (
  input  wire clk,
  input  wire rst,
  input  wire en,
  input  wire [WIDTH-1:0] d,
  output wire [WIDTH-1:0] q
);
  wire [WIDTH-1:0] q0, q1, q2, vote1, vote2;
  edgec_scrub_copy #(.WIDTH(WIDTH), .RESET(RESET), .VALUE(VALUE)) copy0 (
    .clk(clk), .rst(rst), .en(en), .d(d), .x(q1), .y(q2), .q(q0), .vote(q));
  edgec_scrub_copy #(.WIDTH(WIDTH), .RESET(RESET), .VALUE(VALUE)) copy1 (
    .clk(clk), .rst(rst), .en(en), .d(d), .x(q2), .y(q0), .q(q1), .vote(vote1));
  edgec_scrub_copy #(.WIDTH(WIDTH), .RESET(RESET), .VALUE(VALUE)) copy2 (
    .clk(clk), .rst(rst), .en(en), .d(d), .x(q0), .y(q1), .q(q2), .vote(vote2));
  wire unused = &{1'b0, vote1, vote2};
endmodule
/* verilator lint_on DECLFILENAME */
`default_nettype wire
