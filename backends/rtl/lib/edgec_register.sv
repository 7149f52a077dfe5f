// A register with clock enable and, if RESET is 1, a synchronous reset to VALUE.
//
// Where the macro EDGEC_FAULTS is defined, a simulator can invert flip-flops: the bits that are set in `flip` at a
// clock edge are inverted in what the register holds after it. Never define it for synthesis.
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
`ifdef EDGEC_FAULTS
  reg [WIDTH-1:0] flip /* verilator public_flat_rw */ = {WIDTH{1'b0}};
  always @(posedge clk) q <= ((RESET != 0 && rst) ? VALUE : en ? d : q) ^ flip;
`else
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
`endif
endmodule
`default_nettype wire
