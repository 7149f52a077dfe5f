// The accumulators behind a window: starts from `start` at the first tap of a pass, hands the result on at the last.
//
// `operand` goes to the combinational leaves, their result comes back in `result` in the same cycle. Everything in
// front holds still (`advance` low) while a result waits.
`default_nettype none
module edgec_stream_sum #(
  parameter WIDTH = 32
) (
  input  wire clk,
  input  wire tap_valid,
  input  wire tap_first,
  input  wire tap_last,
  output wire advance,
  input  wire [WIDTH-1:0] start,
  output wire [WIDTH-1:0] operand,
  input  wire [WIDTH-1:0] result,
  output wire out_valid,
  input  wire out_ready,
  output wire [WIDTH-1:0] out_data
);
  reg [WIDTH-1:0] sum;
  assign operand = tap_first ? start : sum;
  assign out_valid = tap_valid && tap_last;
  assign out_data = result;
  assign advance = !out_valid || out_ready;
  always @(posedge clk)
    if (tap_valid && !tap_last) sum <= result;
endmodule
`default_nettype wire
