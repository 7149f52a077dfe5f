// Counts steps 0 .. N-1 and starts again; `last` marks the last one.
`default_nettype none
module edgec_count #(
  parameter N = 2,
  parameter BITS = 1
) (
  input  wire clk,
  input  wire rst,
  input  wire step,
  output wire [BITS-1:0] count,
  output wire last
);
  localparam [31:0] TOP = N - 1;
  generate
    if (N > 1) begin : several
      reg [BITS-1:0] value;
      assign count = value;
      assign last = value == TOP[BITS-1:0];
      always @(posedge clk)
        if (rst) value <= {BITS{1'b0}};
        else if (step) value <= last ? {BITS{1'b0}} : value + 1'b1;
    end else begin : one
      wire unused = &{1'b0, clk, rst, step};
      assign count = {BITS{1'b0}};
      assign last = 1'b1;
    end
  endgenerate
endmodule
`default_nettype wire
