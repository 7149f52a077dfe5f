// A register with clock enable and, if RESET is 1, a synchronous reset to VALUE.
`default_nettype none
module edgec_register #(
  parameter WIDTH = 1,
  parameter RESET = 0,
  parameter [WIDTH-1:0] VALUE = {WIDTH{1'b0}}
) (
  input  wire clk,
  input  wire rst,
  input  wire en,
  input  wire [WIDTH-1:0] d,
  output reg  [WIDTH-1:0] q
);
  generate
    if (RESET != 0) begin : with_reset
      always @(posedge clk)
        if (rst) q <= VALUE;
        else if (en) q <= d;
    end else begin : without_reset
      wire unused = rst;
      always @(posedge clk)
        if (en) q <= d;
    end
  endgenerate
endmodule
`default_nettype wire
