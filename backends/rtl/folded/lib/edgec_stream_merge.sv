// RATIO narrow words (at least 2) leave as a wide one, the first one lowest.
`default_nettype none
module edgec_stream_merge #(
  parameter PIECE = 8,
  parameter RATIO = 2,
  parameter BITS = 2
) (
  input  wire clk,
  input  wire rst,
  input  wire in_valid,
  output wire in_ready,
  input  wire [PIECE-1:0] in_data,
  output wire out_valid,
  input  wire out_ready,
  output wire [PIECE*RATIO-1:0] out_data
);
  localparam [31:0] ALL = RATIO;
  reg [PIECE*RATIO-1:0] held;
  reg [BITS-1:0] count; // pieces held
  wire take = in_valid && in_ready;
  assign out_valid = count == ALL[BITS-1:0];
  assign out_data = held;
  assign in_ready = !out_valid || out_ready;
  always @(posedge clk) begin
    if (rst) count <= {BITS{1'b0}};
    else if (out_valid && out_ready) count <= {{(BITS-1){1'b0}}, in_valid};
    else if (take) count <= count + 1'b1;
    if (take) held <= {in_data, held[PIECE*RATIO-1:PIECE]};
  end
endmodule
`default_nettype wire
