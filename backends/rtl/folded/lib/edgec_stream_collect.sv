// Accumulates all pixels of a frame, channel group by channel group: global pooling.
//
// `operand` and the word go to the combinational leaves, their result comes back in `result` in the same cycle.
`default_nettype none
module edgec_stream_collect #(
  parameter WIDTH = 32,  // of the accumulators of one group
  parameter GROUPS = 1,  // words of a pixel
  parameter PIXELS = 1,
  parameter [WIDTH-1:0] START = {WIDTH{1'b0}}
) (
  input  wire clk,
  input  wire rst,
  input  wire in_valid,
  output wire in_ready,
  output wire [WIDTH-1:0] operand,
  input  wire [WIDTH-1:0] result,
  output reg  out_valid,
  input  wire out_ready,
  output reg  [WIDTH-1:0] out_data
);
  localparam GROUP_BITS = GROUPS > 1 ? $clog2(GROUPS) : 1;
  localparam PIXEL_BITS = PIXELS > 1 ? $clog2(PIXELS) : 1;
  reg [WIDTH-1:0] sums [0:GROUPS-1];
  wire [GROUP_BITS-1:0] group;
  wire [PIXEL_BITS-1:0] pixel;
  wire group_end, pixels_end;
  wire take = in_valid && in_ready;
  edgec_count #(.N(GROUPS), .BITS(GROUP_BITS)) groups
    (.clk(clk), .rst(rst), .step(take), .count(group), .last(group_end));
  edgec_count #(.N(PIXELS), .BITS(PIXEL_BITS)) pixels
    (.clk(clk), .rst(rst), .step(take && group_end), .count(pixel), .last(pixels_end));
  assign operand = pixel == {PIXEL_BITS{1'b0}} ? START : sums[group];
  assign in_ready = !pixels_end || !out_valid || out_ready;
  always @(posedge clk) begin
    if (rst) out_valid <= 1'b0;
    else if (take && pixels_end) out_valid <= 1'b1;
    else if (out_ready) out_valid <= 1'b0;
    if (take && pixels_end) out_data <= result;
    if (take) sums[group] <= result;
  end
endmodule
`default_nettype wire
